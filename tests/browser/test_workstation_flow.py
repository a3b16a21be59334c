"""A shift at the workstation: blind first, breaks, part in hand, own keys, deadlines, lost answers."""

import time

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from inspection.states import Outcome
from review.actions import set_policy
from review.models import Case, FirstOpinion, KeyMap, Verdict
from review.states import CaseState
from tests.browser.floor import held_parts
from tests.browser.test_accessible import serious
from tests.browser.test_review import eventually, part_named
from tests.factories import TESTER, inspector, station
from tests.review.helpers import outcomes

pytestmark = pytest.mark.browser


def test_on_a_blind_line_the_first_opinion_comes_before_score_and_map(open_screen, sweeper):
    at = station(commit_window_ms=20_000)
    set_policy(line=at.line, actor=TESTER, is_blind_first=True)
    held_parts(at, 2)
    screen = open_screen(inspector(), "/review/")
    page = screen.page
    name = screen.sees_a_part()
    expect(page.locator("[data-stage]")).to_contain_text("First opinion · 1 of 2")
    expect(page.get_by_text("Shown after your first opinion.").first).to_be_visible()
    expect(page.locator('[data-text="score"]')).to_be_hidden()
    blind = screen.pixels()
    assert serious(page) == []

    screen.press("f")
    expect(page.locator("[data-stage]")).to_contain_text("Verdict · 2 of 2")
    expect(page.get_by_role("button", name="Confirm reject")).to_be_enabled()
    expect(page.locator('[data-text="score"]')).to_have_text("0.420")
    page.wait_for_timeout(350)
    assert screen.pixels() != blind
    assert FirstOpinion.objects.get().verdict == "REJECT"
    assert Verdict.objects.count() == 0
    assert serious(page) == []

    page.get_by_role("button", name="Change to pass").click()
    expect(page.locator('[data-text="part"]')).not_to_have_text(name)
    assert list(Verdict.objects.values_list("verdict", "first_verdict")) == [("PASS", "REJECT")]

    screen.press("z")
    expect(page.locator('[data-text="part"]')).to_have_text(name)
    expect(page.locator("[data-stage]")).to_contain_text("Verdict · 2 of 2")


def test_z_while_the_verdict_is_being_sent_waits_and_then_undoes(open_screen, sweeper):
    held_parts(station(commit_window_ms=20_000), 2)
    screen = open_screen(inspector(), "/review/")
    name = screen.sees_a_part()
    slow_answers(screen.page, "verdict", 800)

    screen.press("j")
    screen.page.wait_for_timeout(100)
    screen.press("z")
    expect(screen.page.locator("[data-banner]")).to_contain_text("it is undone as soon as it has arrived")

    expect(screen.page.locator('[data-text="banner"]')).to_have_text("The verdict is undone.")
    assert screen.sees_a_part() == name
    assert Verdict.objects.get().undone_at is not None
    assert Case.objects.get(part=part_named(name)).state == CaseState.LEASED


def slow_answers(page, place: str, ms: int) -> None:
    def wait(route) -> None:
        page.wait_for_timeout(ms)
        route.continue_()

    page.route(f"**/{place}/", wait)


def test_the_next_picture_is_there_before_the_answer_and_nobody_can_judge_it_yet(open_screen, sweeper):
    held_parts(station(), 3)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()
    screen.page.wait_for_timeout(1_000)  # the next pictures arrive
    first = screen.pixels()
    waiting: list = []
    screen.page.route("**/verdict/", lambda route: waiting.append(route))  # noqa: PLW0108 - Playwright looks inside

    screen.press("f")
    screen.page.wait_for_timeout(400)
    ahead = screen.pixels()
    screen.press("j")
    assert ahead != first
    assert screen.page.locator(".verdict:enabled").count() == 0
    assert len(waiting) == 1
    waiting[0].continue_()

    second = screen.sees_a_part()
    assert screen.pixels() == ahead
    assert Verdict.objects.exclude(case__part__plc_part_id=second).count() == 1


def test_a_break_gives_the_part_back_and_tells_how_the_block_went(open_screen, sweeper):
    held_parts(station(), 2)
    screen = open_screen(inspector(), "/review/")
    screen.judges("f")
    screen.sees_a_part()

    screen.press("p")
    screen.is_in_state("paused")
    expect(screen.page.locator("[data-pause-words]")).to_contain_text("1 verdict in less than a minute.")
    assert serious(screen.page) == []
    assert not Case.objects.filter(state=CaseState.LEASED).exists()

    screen.press("Enter")
    screen.sees_a_part()


def test_the_part_in_hand_comes_to_the_screen_by_its_code(open_screen, sweeper):
    at = station()
    _, wanted, _ = held_parts(at, 3)
    screen = open_screen(inspector(), "/review/")
    screen.sees_a_part()

    screen.press("k")
    screen.page.keyboard.type("no such code")
    screen.press("Enter")
    expect(screen.page.locator("#in-hand-said")).to_contain_text("waits for a verdict")
    screen.page.keyboard.type(wanted.serial)
    screen.press("Enter")
    expect(screen.page.locator('[data-text="serial"]')).to_have_text(wanted.serial)
    screen.judges("f")

    assert Verdict.objects.get().case.part == wanted
    screen.problems.clear()  # the browser itself reports the 404


def test_keys_are_moved_kept_at_the_server_and_given_back(open_screen, sweeper):
    held_parts(station(), 2)
    by = inspector()
    screen = open_screen(by, "/review/")
    page = screen.page
    screen.sees_a_part()
    said = page.locator("[data-keys-said]")

    screen.press("?")
    page.get_by_role("button", name="Change the key for: Reject").click()
    screen.press("j")
    expect(said).to_contain_text("J is taken: pass. F stays.")
    page.get_by_role("button", name="Change the key for: Reject").click()
    screen.press("a")
    expect(said).to_contain_text("A: Reject")
    assert serious(page) == []
    assert KeyMap.objects.get(person=by).keys == {"reject": "a"}

    page.reload()
    screen.sees_a_part()
    expect(page.get_by_role("button", name="Reject A")).to_be_enabled()
    screen.press("f")
    page.wait_for_timeout(200)
    assert Verdict.objects.count() == 0
    screen.judges("a")
    assert Verdict.objects.get().verdict == "REJECT"

    screen.press("?")
    page.get_by_role("button", name="Standard keys").click()
    expect(said).to_have_text("The standard keys are back.")
    assert KeyMap.objects.get(person=by).keys == {}


def test_near_the_deadline_there_is_one_tone_and_after_it_a_grade_for_the_record(open_screen, sweeper):
    at = station(review_deadline_ms=12_000, commit_window_ms=500)
    set_policy(line=at.line, actor=TESTER, amber_s=9, late_grading_h=24)
    [part] = held_parts(at, 1)
    screen = open_screen(inspector(), "/")
    screen.page.add_init_script(
        """window.tones = 0;
        const make = AudioContext.prototype.createOscillator;
        AudioContext.prototype.createOscillator = function () { window.tones += 1; return make.call(this); };"""
    )
    screen.page.goto("/review/")
    screen.is_in_state("looking")
    screen.page.locator("#stage").click()  # without a touch of the page the browser allows no sound
    deadline = screen.page.locator("[data-deadline]")

    expect(deadline).to_contain_text("Nearly over", timeout=15_000)
    expect(deadline).to_contain_text("for the record only", timeout=15_000)
    assert screen.page.evaluate("window.tones") == 1
    assert outcomes(part) == [Outcome.REJECT]
    expect(screen.page.locator("[data-banner]")).to_contain_text("Your verdict still counts for the record.")
    assert serious(screen.page) == []
    screen.judges("j")

    eventually(lambda: Case.objects.get().state, CaseState.CLOSED)
    assert outcomes(part) == [Outcome.REJECT]
    assert Verdict.objects.get().verdict == "PASS"


def test_a_machine_that_wakes_up_learns_at_once_that_its_part_is_gone(open_screen, sweeper):
    held_parts(station(), 1)
    screen = open_screen(inspector(), "/review/")
    name = screen.sees_a_part()

    Case.objects.update(lease_expires_at=timezone.now())
    eventually(lambda: Case.objects.get().state, CaseState.WAITING)
    screen.page.evaluate("window.dispatchEvent(new Event('online'))")

    screen.is_in_state("paused")
    expect(screen.page.locator("[data-banner]")).to_contain_text(f"Your time with {name} ended")
    screen.press("Enter")
    assert screen.sees_a_part() == name
    screen.problems.clear()  # the browser itself reports the 409


def test_a_verdict_whose_tab_was_closed_goes_out_when_the_page_is_opened_again(open_screen, sweeper):
    held_parts(station(commit_window_ms=500), 1)
    screen = open_screen(inspector(), "/review/")
    name = screen.sees_a_part()
    screen.page.route("**/verdict/", lambda route: route.abort())

    screen.press("j")
    expect(screen.page.locator("[data-banner]")).to_contain_text("is kept and is sent again")
    screen.page.close(run_before_unload=False)
    began = time.monotonic()
    screen.new_tab("/review/")

    eventually(lambda: outcomes(part_named(name)), [Outcome.PASS])
    assert time.monotonic() - began < 10
    assert Verdict.objects.count() == 1
    screen.problems.clear()  # the browser itself reports the aborted requests
