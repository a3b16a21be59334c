"""The expert reads how people agree and how each sees, and lifts a watch; both pages by keyboard and with axe."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect as wait_for

from review.models import Watch
from review.states import Grade, VerdictWord
from tests.browser.test_accessible import serious
from tests.factories import expert, golden, inspector, station
from tests.reports.people import many_pairs, many_probe_looks

pytestmark = pytest.mark.browser
PASS, REJECT = VerdictWord.PASS, VerdictWord.REJECT


@pytest.fixture
def judged(transactional_db):
    """Two inspectors with probes and common parts; the first is on watch."""
    at = station()
    golden(at)
    first, second = inspector(name="anna_k"), inspector(name="bobby")
    many_probe_looks(at, first, Grade.BAD, 5 * [PASS] + 20 * [REJECT], active_ms=60_000)
    many_probe_looks(at, first, Grade.GOOD, 25 * [PASS], active_ms=400_000)
    many_pairs(at, first, second, 15 * [(PASS, PASS)] + 10 * [(REJECT, REJECT)] + 5 * [(PASS, REJECT)])
    return Watch.objects.create(
        person=first, since=timezone.now(), why="5 of the last 25 probes were misjudged"
    )


def test_the_expert_lifts_a_watch_by_keyboard_alone(open_screen, judged):
    screen = open_screen(expert(), "/reports/inspectors/", width=1366, height=768)
    page = screen.page
    assert serious(page) == []
    page.get_by_label("What was done, for the record").focus()
    page.keyboard.type("Half a day with the acceptance book")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Go ahead").focus()
    page.keyboard.press("Enter")
    wait_for(page.get_by_text("All cases of this inspector go to a second person")).to_have_count(0)
    judged.refresh_from_db()
    assert (judged.note, judged.cleared_at is not None) == ("Half a day with the acceptance book", True)


def test_a_note_is_not_lost_when_the_page_refreshes_itself(open_screen, judged):
    page = open_screen(expert(), "/reports/inspectors/").page
    page.get_by_label("What was done, for the record").fill("half a sen")
    page.evaluate("document.getElementById('inspectors').dispatchEvent(new CustomEvent('live:refresh'))")
    page.wait_for_timeout(1_000)
    assert page.get_by_label("What was done, for the record").input_value() == "half a sen"


@pytest.mark.parametrize("path", ["/reports/agreement/", "/reports/inspectors/?person=anna_k", "/reports/"])
@pytest.mark.parametrize("width", [1366, 1920])
def test_the_reports_fit_the_screen_and_are_accessible(open_screen, judged, path, width):
    page = open_screen(expert(), path, width=width, height=768).page
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
