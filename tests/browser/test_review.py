"""Inspectors at the workstation, in real browsers: what they press is what becomes of the part."""

import time

import pytest
from django.conf.global_settings import PASSWORD_HASHERS
from playwright.sync_api import expect

from audit.models import Event
from inspection.models import Part
from inspection.states import Outcome
from review.models import Case, Verdict
from review.states import CaseState
from tests.browser.floor import held_part_without_image, held_parts
from tests.factories import PASSWORD, inspector, station
from tests.review.helpers import outcomes, sweep

pytestmark = pytest.mark.browser


def eventually(question, answer):
    """Ask until it is so, for 8 s at most."""
    until = time.monotonic() + 8
    while (said := question()) != answer and time.monotonic() < until:
        time.sleep(0.05)
    assert said == answer


def part_named(name: str) -> Part:
    return Part.objects.get(plc_part_id=name)


def test_an_inspector_logs_in_and_rejects_and_passes_by_key(open_screen, sweeper, settings):
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS  # the server checks the password, with its own
    held_parts(station(commit_window_ms=1_000), 2)
    by = inspector(name="inspector1")
    screen = open_screen(path="/review/")

    screen.page.get_by_label("User name").fill("inspector1")
    screen.page.get_by_label("Password").fill(PASSWORD)
    screen.page.get_by_role("button", name="Log in").click()
    rejected, passed = screen.judges("f"), screen.judges("j")

    screen.is_in_state("empty")
    eventually(lambda: outcomes(part_named(rejected)), [Outcome.REJECT])
    eventually(lambda: outcomes(part_named(passed)), [Outcome.PASS])
    assert set(Verdict.objects.values_list("person", flat=True)) == {by.pk}
    assert Verdict.objects.filter(seen_ms__gt=300).count() == 2


def test_two_inspectors_never_have_the_same_part(open_screen, sweeper):
    held_parts(station(), 4)
    anna, ben = inspector(), inspector()
    screens = [open_screen(anna, "/review/"), open_screen(ben, "/review/")]

    judged = []
    for _ in range(2):
        seen = [screen.sees_a_part() for screen in screens]
        assert seen[0] != seen[1]
        judged += [screen.judges("j") for screen in screens]

    assert len(set(judged)) == 4
    eventually(Verdict.objects.count, 4)
    assert Verdict.objects.filter(person=anna).count() == Verdict.objects.filter(person=ben).count() == 2


def test_z_takes_a_verdict_back_before_the_plc_is_told(open_screen, sweeper):
    held_parts(station(commit_window_ms=20_000), 2)
    screen = open_screen(inspector(), "/review/")

    slip = screen.judges("j")
    assert screen.sees_a_part() != slip
    screen.press("z")
    expect(screen.page.locator('[data-text="part"]')).to_have_text(slip)
    meant = screen.judges("f")

    assert meant == slip
    sweep(after_s=21)
    assert outcomes(part_named(slip)) == [Outcome.REJECT]
    assert list(part_named(slip).cases.get().verdicts.order_by("id").values_list("verdict", flat=True)) == [
        "PASS",
        "REJECT",
    ]


def test_the_undo_goes_away_when_its_time_is_over(open_screen, sweeper):
    held_parts(station(commit_window_ms=2_000), 2)
    screen = open_screen(inspector(), "/review/")

    judged = screen.judges("j")
    expect(screen.page.locator("[data-undo]")).to_be_visible()
    expect(screen.page.locator("[data-undo]")).to_be_hidden()
    screen.press("z")

    eventually(lambda: outcomes(part_named(judged)), [Outcome.PASS])


def test_the_queue_is_counted_live_and_a_new_part_appears_by_itself(open_screen, sweeper):
    at = station()
    screen = open_screen(inspector(), "/review/")
    screen.is_in_state("empty")
    expect(screen.waiting).to_have_text("0")

    held_parts(at, 3)

    screen.sees_a_part()
    expect(screen.waiting).to_have_text("2")
    screen.judges("j")
    expect(screen.waiting).to_have_text("1")
    assert screen.page.evaluate("performance.getEntriesByType('navigation').length") == 1


def test_question_mark_shows_every_key_and_holds_the_verdicts_back(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    screen.press("?")
    overlay = screen.page.get_by_role("dialog", name="Keys")
    expect(overlay).to_be_visible()
    caps = overlay.locator("dt kbd").all_inner_texts()
    screen.press("j")
    screen.press("Escape")

    expect(overlay).to_be_hidden()
    assert {"F", "J", "C", "E", "Z", "H", "?"} <= set(caps)
    assert Verdict.objects.count() == 0


def test_h_hides_the_heat_map_while_it_is_held(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    with_map = screen.pixels()
    screen.page.keyboard.down("h")
    screen.page.wait_for_timeout(100)
    without_map = screen.pixels()
    screen.page.keyboard.up("h")
    screen.page.wait_for_timeout(100)

    assert without_map != with_map
    assert screen.pixels() == with_map


def test_letters_of_a_note_are_no_verdicts(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    screen.press("n")
    screen.page.keyboard.type("fjcez?")
    screen.press("Escape")
    screen.judges("f")

    assert list(Verdict.objects.values_list("verdict", "note")) == [("REJECT", "fjcez?")]


def test_a_part_that_nobody_can_see_is_not_passed_from_the_screen(open_screen, sweeper):
    part = held_part_without_image(station(commit_window_ms=500))
    screen = open_screen(inspector(), "/review/")
    screen.is_in_state("unseen")
    screen.page.wait_for_timeout(350)

    screen.press("j")
    expect(screen.page.get_by_role("button", name="Pass")).to_be_disabled()
    assert Verdict.objects.count() == 0
    screen.press("f")

    eventually(lambda: outcomes(part), [Outcome.REJECT])


def test_a_second_tab_says_where_the_part_is_and_takes_it_over_on_request(open_screen, sweeper):
    held_parts(station(commit_window_ms=500), 1)
    screen = open_screen(inspector(), "/review/")
    name = screen.sees_a_part()

    second = screen.new_tab("/review/")
    expect(second.get_by_role("heading", name="The review is open in another tab")).to_be_visible()
    expect(screen.page.locator("#workstation")).to_have_attribute("data-state", "looking")
    second.get_by_role("button", name="Work here instead").click()
    expect(second.locator('[data-text="part"]')).to_have_text(name)
    screen.is_in_state("elsewhere")
    screen.press("j")
    second.wait_for_timeout(350)
    second.keyboard.press("f")

    eventually(lambda: outcomes(part_named(name)), [Outcome.REJECT])
    assert Verdict.objects.count() == 1


def test_a_closed_tab_leaves_the_part_to_the_waiting_one(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    name = screen.sees_a_part()
    second = screen.new_tab("/review/")
    expect(second.locator("#workstation")).to_have_attribute("data-state", "elsewhere")

    screen.page.close()

    expect(second.locator("#workstation")).to_have_attribute("data-state", "looking")
    expect(second.locator('[data-text="part"]')).to_have_text(name)


def test_two_windows_of_one_inspector_never_double_a_verdict(open_screen, sweeper):
    held_parts(station(commit_window_ms=500), 1)
    by = inspector()
    screen, other = (
        open_screen(by, "/review/"),
        open_screen(by, "/review/"),
    )  # two browsers, as on two machines
    name = screen.sees_a_part()
    assert other.sees_a_part() == name

    screen.judges("f")
    other.press("j")

    expect(other.page.locator("[data-banner]")).to_contain_text("was not taken")
    eventually(lambda: outcomes(part_named(name)), [Outcome.REJECT])
    assert Verdict.objects.count() == 1
    assert Event.objects.filter(subject_kind="case", verb="verdict").count() == 1
    other.problems.clear()  # the browser itself reports the 409


def test_a_closed_page_gives_its_part_back(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    screen.page.goto("/")

    eventually(lambda: Case.objects.get().state, CaseState.WAITING)


def test_a_lost_server_loses_no_verdict_and_the_page_comes_back_by_itself(open_screen, sweeper, server):
    at = station(commit_window_ms=500)
    held_parts(at, 2)
    screen = open_screen(inspector(), "/review/")
    sign = screen.page.locator("#live-state")
    name = screen.sees_a_part()
    expect(sign).to_have_text("Live")

    server.kill()
    expect(sign).to_have_text("Reconnecting")
    screen.press("j")
    expect(screen.page.locator("[data-banner]")).to_contain_text("is kept and is sent again")
    held_parts(at, 1)
    server.start()

    eventually(
        lambda: list(part_named(name).cases.get().verdicts.values_list("verdict", flat=True)), ["PASS"]
    )
    expect(sign).to_have_text("Live", timeout=15_000)
    assert screen.sees_a_part() != name
    expect(screen.waiting).to_have_text("1")
    eventually(lambda: outcomes(part_named(name)), [Outcome.PASS])
    screen.problems.clear()  # the browser itself reports the lost connections
