"""The expert corrects a verdict on the part's page, by keyboard; a half-written note survives the line's traffic."""

import pytest
from playwright.sync_api import expect as wait_for

from inspection.actions import note_applied
from inspection.models import Disposition, Part
from plc.actions import set_up_link
from review.states import VerdictWord
from tests.browser.test_accessible import serious
from tests.factories import TESTER, decided_part, expert, golden, held_part, station
from tests.reports.rows import say

pytestmark = pytest.mark.browser


@pytest.fixture
def part(transactional_db) -> Part:
    at = station()
    golden(at)
    set_up_link(code="PLC1", host="127.0.0.1", port=44818, station=at, actor=TESTER)  # nobody serves it
    part = held_part(at)
    say(part, VerdictWord.PASS)
    return part


def refresh(page) -> None:
    page.evaluate("document.getElementById('correction').dispatchEvent(new CustomEvent('live:refresh'))")


def test_the_expert_corrects_by_keyboard_alone(open_screen, part):
    screen = open_screen(expert(), f"/parts/{part.pk}/")
    page = screen.page
    assert serious(page) == []
    page.get_by_label("Why the part is bad after all").focus()
    page.keyboard.type("A crack at the rim")
    decided_part(part.station, 0.1)
    refresh(page)
    page.wait_for_timeout(800)
    assert page.get_by_label("Why the part is bad after all").input_value() == "A crack at the rim"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Go ahead").focus()
    page.keyboard.press("Enter")
    wait_for(page.get_by_role("button", name="Correct to pass")).to_be_visible()
    wait_for(
        page.get_by_text("Reject: Correction by the quality expert")
    ).to_be_visible()  # the head of the page
    page.wait_for_load_state("networkidle")
    final = Disposition.objects.get(part=part, is_final=True)
    assert (final.outcome, final.note) == ("REJECT", "A crack at the rim")
    note_applied(disposition=final, at=final.decided_at)
    page.get_by_label("Why the part is good after all").fill("No, a stain")
    page.get_by_role("button", name="Correct to pass").click()
    page.get_by_role("button", name="Go ahead").click()
    wait_for(page.get_by_text("The PLC has carried it out")).to_be_visible()
    refresh(page)
    wait_for(page.get_by_role("button", name="Correct to pass")).to_have_count(0)
    assert all("409" in problem for problem in screen.problems)
    screen.problems.clear()  # the conflict that was asked for
