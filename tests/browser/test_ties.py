"""The quality expert's page: ties arrive by themselves, a ruling is made with the keyboard."""

import pytest
from playwright.sync_api import expect

from inspection.states import Outcome
from review.models import Ruling
from review.states import Grade
from tests.browser.floor import held_parts
from tests.browser.test_review import eventually, part_named
from tests.factories import expert, inspector, station
from tests.review.helpers import outcomes

pytestmark = pytest.mark.browser


def test_c_and_e_make_ties_that_the_expert_rules_by_keyboard(open_screen, sweeper):
    held_parts(station(commit_window_ms=500), 2)
    by = inspector(name="anna")
    screen = open_screen(by, "/review/")
    ties = open_screen(expert(), "/ties/").page
    expect(ties.get_by_role("heading", name="No tie is open")).to_be_visible()

    screen.sees_a_part()
    screen.press("n")
    screen.page.keyboard.type("dust or scratch?")
    screen.press("Escape")
    first = screen.judges("c")
    expect(ties.get_by_role("article", name=first)).to_contain_text("dust or scratch?")
    note = ties.get_by_role("article", name=first).get_by_label("Reason for the ruling")
    note.focus()
    ties.keyboard.type("only du")
    second = screen.judges("e")
    expect(ties.get_by_role("article", name=second)).to_contain_text("Escalated")
    expect(note).to_have_value("only du")
    expect(note).to_be_focused()
    assert "anna" not in ties.locator("#ties").inner_text()

    ties.keyboard.type("st")
    for _ in range(3):  # over the rules for others to the two words
        ties.keyboard.press("Tab")
    expect(ties.get_by_role("article", name=first).get_by_role("button", name="Good part")).to_be_focused()
    ties.keyboard.press("Enter")

    expect(ties.get_by_role("article", name=first)).to_have_count(0)
    expect(ties.get_by_role("article", name=second)).to_be_visible()
    assert outcomes(part_named(first)) == [Outcome.PASS]
    assert list(Ruling.objects.values_list("grade", "note")) == [(Grade.GOOD, "only dust")]

    note = ties.get_by_role("article", name=second).get_by_label("Reason for the ruling")
    note.fill("crack")
    ties.get_by_role("article", name=second).get_by_role("button", name="Bad part").click()
    expect(ties.get_by_role("heading", name="No tie is open")).to_be_visible()
    eventually(lambda: outcomes(part_named(second)), [Outcome.REJECT])


def test_a_ruling_without_a_reason_is_not_sent(open_screen, sweeper):
    held_parts(station(commit_window_ms=100), 1)
    screen = open_screen(inspector(), "/review/")
    name = screen.judges("c")
    ties = open_screen(expert(), "/ties/").page

    ties.get_by_role("article", name=name).get_by_role("button", name="Good part").click()

    expect(ties.get_by_role("article", name=name).get_by_label("Reason for the ruling")).to_be_focused()
    assert Ruling.objects.count() == 0


def test_the_image_and_its_map_are_on_the_page(open_screen, sweeper):
    held_parts(station(commit_window_ms=100), 1)
    open_screen(inspector(), "/review/").judges("c")
    ties = open_screen(expert(), "/ties/").page
    canvas = ties.locator("article canvas")
    expect(canvas).to_be_visible()
    ties.wait_for_timeout(700)

    with_map = canvas.screenshot()
    ties.get_by_label("Heat map").fill("0")
    ties.wait_for_timeout(100)

    assert canvas.screenshot() != with_map


def test_a_ruling_becomes_a_precedent_and_a_line_of_the_book(open_screen, sweeper):
    held_parts(station(commit_window_ms=100), 1)
    name = open_screen(inspector(), "/review/").judges("c")
    tie = open_screen(expert(), "/ties/").page.get_by_role("article", name=name)

    tie.get_by_label("Reason for the ruling").fill("a mark, within limits")
    tie.get_by_text("Make it a rule for others").click()
    tie.get_by_label("Show it as a precedent").check()
    tie.get_by_label("New line of the acceptance book").fill("Marks below 0.3 mm are fine.")
    tie.get_by_role("button", name="Good part").click()

    expect(tie).to_have_count(0)
    ruling = Ruling.objects.get()
    assert ruling.is_precedent
    assert ruling.criterion.text == "Marks below 0.3 mm are fine."
