"""Each inspector from real rows: probes, their chart and watch, changed opinions, slips by active time, handling."""

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Role
from metrics.probes import probe_record
from metrics.rates import Rate
from reports.plots import cusum_plot, slips_plot
from reports.queries import inspectors as queries
from reports.queries.inspectors import inspectors_report
from review import actions
from review.models import Verdict, Watch
from review.states import Grade, Handling, VerdictWord
from tests import factories
from tests.reports.people import (
    commit,
    held_case,
    judge,
    judged_by_two,
    known_part,
    many_probe_looks,
    rule,
    see_probe,
    set_policy,
)
from tests.reports.rows import know

pytestmark = pytest.mark.django_db
PASS, REJECT, CANNOT_TELL = VerdictWord.PASS, VerdictWord.REJECT, VerdictWord.CANNOT_TELL
MINUTE_MS = 60_000


def report(*stations, chosen=""):
    now = timezone.now()
    lines = [at.line for at in stations]
    return inspectors_report(
        lines, since=now - timedelta(days=1), until=now + timedelta(days=1), chosen=chosen
    )


def of(found, person):
    return next(each for each in found.inspectors if each.name == person.username)


@pytest.fixture
def at():
    station = factories.station(commit_window_ms=0)
    factories.golden(station)
    return station


@pytest.fixture
def ann():
    return factories.inspector(name="anna_k")


@pytest.fixture
def bob():
    return factories.inspector(name="bobby")


# --- probes -----------------------------------------------------------------------------------------------
def test_underkill_overkill_skill_and_leaning_come_from_the_probes(at, ann):
    many_probe_looks(at, ann, Grade.BAD, 4 * [PASS] + 21 * [REJECT])
    many_probe_looks(at, ann, Grade.GOOD, 1 * [REJECT] + 19 * [PASS])
    figures = of(report(at), ann).figures
    expected = probe_record(bad_passed=4, bad_judged=25, good_rejected=1, good_judged=20)
    assert (figures.underkill.rate, figures.overkill.rate) == (Rate.of(4, 25), Rate.of(1, 20))
    assert (figures.skill.value, figures.leaning.value) == (expected.skill.value, expected.leaning.value)
    assert (figures.skill.lower, figures.skill.upper) == (expected.skill.lower, expected.skill.upper)
    assert (figures.verdicts, figures.probes) == (45, 45)


def test_cannot_tell_on_a_probe_is_seen_but_is_no_judgement(at, ann):
    see_probe(at, known_part(at, Grade.BAD), ann)
    many_probe_looks(at, ann, Grade.BAD, [CANNOT_TELL])
    figures = of(report(at), ann).figures
    assert (figures.probes, figures.underkill.rate) == (2, Rate.of(0, 1))
    assert figures.cannot_tell.rate == Rate.of(1, 2)


def test_few_probes_tell_no_rate_and_one_grade_no_skill(at, ann):
    many_probe_looks(at, ann, Grade.BAD, 25 * [REJECT])
    many_probe_looks(at, ann, Grade.GOOD, 9 * [PASS])
    figures = of(report(at), ann).figures
    assert figures.underkill.is_known
    assert (figures.overkill.text, figures.overkill.counted) == ("too few", "9 of 20 needed")
    assert (figures.skill.text, figures.skill.counted) == ("too few", "9 of 10 needed")


def test_verdicts_on_parts_that_are_no_probes_do_not_count_as_probes(at, ann):
    case = held_case(at)
    judge(case, ann, PASS)
    know(case.part, "bad")
    figures = of(report(at), ann).figures
    assert (figures.verdicts, figures.probes, figures.underkill.rate) == (1, 0, Rate.of(0, 0))


# --- the chart and the watch ------------------------------------------------------------------------------
def test_errors_climb_the_chart_until_the_watch_begins_and_then_it_begins_anew(at, ann, bob):
    for errs in (False, True, False, True, True):
        see_probe(at, known_part(at, Grade.BAD), ann, errs=errs)
    watched = of(report(at), ann)
    assert watched.path.steps == (0, 8, 7, 15, 23)
    assert (watched.path.alarms, watched.path.now, watched.path.limit) == ((4,), 0, 21)
    assert watched.watch.why == "3 of the last 5 probes were misjudged"
    # On watch: a second person joins; the chart counts from 0 again.
    given = see_probe(at, known_part(at, Grade.BAD), ann, errs=True)
    judge(given.case, bob, REJECT)
    again = of(report(at), ann)
    assert (again.path.steps[-1], again.path.now) == (8, 8)


def test_an_expert_who_lifts_the_watch_leaves_it_in_the_list_of_lifted_ones(at, ann):
    watch = Watch.objects.create(person=ann, since=timezone.now(), why="they misjudged")
    see = judge(held_case(at), ann, PASS, is_committed=False)
    commit(see)
    assert of(report(at), ann).watch == watch
    actions.clear_watch(watch=watch, person=factories.expert(), note="trained")
    lifted = of(report(at), ann)
    assert lifted.watch is None
    assert [old.note for old in lifted.lifted] == ["trained"]


def test_the_page_lets_an_expert_lift_the_watch_and_a_manager_not(at, ann):
    judge(held_case(at), ann, PASS)
    watch = Watch.objects.create(person=ann, since=timezone.now(), why="they misjudged")
    for role, may in ((Role.QUALITY_EXPERT, True), (Role.MANAGER, False)):
        page = api(role).get("/reports/inspectors/").content.decode()
        assert "they misjudged" in page
        assert (f'hx-delete="/api/v1/watches/{watch.pk}/"' in page) == may
    answer = api(Role.QUALITY_EXPERT).delete(
        f"/api/v1/watches/{watch.pk}/", "note=trained", content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer.json()["note"]) == (200, "trained")


def test_the_home_of_an_expert_tells_of_the_watch(client, at, ann):
    def card():
        cards = client.get("/").context["cards"]
        return next(each for each in cards if each.title == "Inspectors")

    client.force_login(factories.expert())
    assert (card().figure, card().outcome) == ("0", "ok")
    Watch.objects.create(person=ann, since=timezone.now(), why="they misjudged")
    assert (card().figure, card().outcome) == ("1", "warn")


def test_the_drawing_stays_inside_its_frame(at, ann):
    many_probe_looks(at, ann, Grade.BAD, 90 * [REJECT, PASS])
    plot = cusum_plot(of(report(at), ann).path)
    numbers = [tuple(map(float, point.split())) for point in plot.path[1:].split("L")]
    assert len(numbers) == queries.SHOWN_PROBES
    assert all(0 <= x <= 240 and 0 <= y <= 64 for x, y in numbers)
    assert plot.alarms


# --- changed opinions -------------------------------------------------------------------------------------
def test_changed_opinions_are_counted_toward_and_away_from_the_truth(at, ann):
    set_policy(at, is_blind_first=True)
    see_probe(at, known_part(at, Grade.BAD), ann, first=PASS)  # toward
    see_probe(at, known_part(at, Grade.BAD), ann, first=REJECT, errs=True)  # away
    see_probe(at, known_part(at, Grade.GOOD), ann, first=PASS)  # the same word
    judge(held_case(at), ann, PASS, first=REJECT)  # nobody knows
    known = held_case(at)
    know(known.part, "bad")
    judge(known, ann, REJECT, first=PASS)  # toward
    figures = of(report(at), ann).figures
    assert figures.changed.rate == Rate.of(4, 5)
    assert (figures.toward, figures.away, figures.unknown_change) == (2, 1, 1)


def test_a_line_that_does_not_ask_blind_first_has_no_changed_opinions(at, ann):
    judge(held_case(at), ann, PASS)
    assert of(report(at), ann).figures.changed.bound.startswith("No blind opinion")


def test_a_ruling_tells_whether_the_change_was_for_the_better(at, ann, bob):
    set_policy(at, is_blind_first=True)
    case = judged_by_two(at, ann, bob, (PASS, REJECT))
    Verdict.objects.filter(case=case, person=ann).update(first_verdict=REJECT)
    rule(case, Grade.BAD)
    assert of(report(at), ann).figures.away == 1


# --- slips, handling, time --------------------------------------------------------------------------------
def test_slips_are_told_by_bins_of_five_active_minutes(at, ann, bob):
    many_probe_looks(at, ann, Grade.BAD, [PASS] + 19 * [REJECT], active_ms=0)
    many_probe_looks(at, bob, Grade.GOOD, 3 * [REJECT] + 17 * [PASS], active_ms=5 * MINUTE_MS)
    many_probe_looks(at, bob, Grade.GOOD, [REJECT], active_ms=29 * MINUTE_MS + 59_999)
    many_probe_looks(at, bob, Grade.GOOD, [PASS], active_ms=90 * MINUTE_MS)
    many_probe_looks(at, bob, Grade.GOOD, [PASS])  # nobody measured its active time
    found = report(at)
    rates = {share.label: share.figures[0].rate for share in found.slips}
    assert rates == {
        "0 to 5 min": Rate.of(1, 20),
        "5 to 10 min": Rate.of(3, 20),
        "10 to 15 min": Rate.of(0, 0),
        "15 to 20 min": Rate.of(0, 0),
        "20 to 25 min": Rate.of(0, 0),
        "25 to 30 min": Rate.of(1, 1),
        "30 min and more": Rate.of(0, 1),
    }
    drawn = slips_plot(found.slips)["bins"]
    assert [each["is_known"] for each in drawn] == [True, True, False, False, False, False, False]
    assert drawn[5]["few"] == "1 of 1"


def test_one_inspector_can_be_looked_at_alone(at, ann, bob):
    many_probe_looks(at, ann, Grade.BAD, [PASS], active_ms=0)
    many_probe_looks(at, bob, Grade.BAD, [REJECT], active_ms=0)
    found = report(at, chosen="anna_k")
    assert [each.name for each in found.inspectors] == ["anna_k", "bobby"]
    assert found.slips[0].figures[0].rate == Rate.of(1, 1)
    assert found.together.verdicts == 1


def test_handling_is_asked_of_held_parts_alone_and_told_by_way(at, ann):
    judge(held_case(at), ann, REJECT, handling=Handling.TILT, defect_type="crack")
    judge(held_case(at), ann, PASS)
    see_probe(at, known_part(at, Grade.BAD), ann)
    found = report(at)
    assert found.together.handling.rate == Rate.of(1, 2)
    assert found.by_handling == [("Tilted it", 1), ("Wiped it", 0), ("Lit it differently", 0)]


def test_underkill_and_handling_are_told_by_line_and_by_defect_type(at, ann):
    other = factories.station(commit_window_ms=0)
    factories.golden(other)
    many_probe_looks(at, ann, Grade.BAD, [PASS, REJECT], defect_type="crack")
    many_probe_looks(other, ann, Grade.BAD, [REJECT], defect_type="pore")
    judge(held_case(at), ann, REJECT, handling=Handling.WIPE, defect_type="pore")
    found = report(at, other)
    by_line = {share.key: share.figures[0].rate for share in found.by_line}
    assert by_line == {at.line.code: Rate.of(1, 2), other.line.code: Rate.of(0, 1)}
    by_type = {share.label: [figure.rate for figure in share.figures] for share in found.by_defect_type}
    assert by_type == {"crack": [Rate.of(1, 2), Rate.of(0, 0)], "pore": [Rate.of(0, 1), Rate.of(1, 1)]}


def test_decision_time_is_what_the_screen_told_else_the_time_of_the_lease(at, ann):
    judge(held_case(at), ann, PASS, seen_ms=4_000)
    given = judge(held_case(at), ann, PASS)
    Verdict.objects.filter(pk=given.pk).update(leased_at=given.given_at - timedelta(seconds=2))
    assert of(report(at), ann).figures.decision_time.values[0] == pytest.approx(3_000)


# --- answers ----------------------------------------------------------------------------------------------
def api(*roles, line_code=""):
    client = APIClient()
    client.force_login(factories.person(*roles, line_code=line_code))
    return client


def test_the_answer_names_inspectors_to_managers_and_experts_and_refuses_developers(at, ann):
    judge(held_case(at), ann, PASS)
    for role in (Role.MANAGER, Role.QUALITY_EXPERT):
        [one] = api(role).get("/api/v1/reports/inspectors/").json()["inspectors"]
        assert (one["person"], one["verdicts"], one["underkill"]["n"]) == ("anna_k", 1, 0)
    for role in (Role.VISION_DEVELOPER, Role.MANUAL_INSPECTOR, Role.LINE_OPERATOR):
        assert api(role).get("/api/v1/reports/inspectors/").status_code == 403
        assert api(role).get("/reports/inspectors/").status_code == 403


def test_the_link_to_inspectors_is_shown_to_those_who_may_open_it(at):
    link = 'href="/reports/inspectors/"'
    assert link in api(Role.MANAGER).get("/reports/").content.decode()
    assert link not in api(Role.VISION_DEVELOPER).get("/reports/").content.decode()


def test_the_csv_has_one_figure_a_row(at, ann):
    many_probe_looks(at, ann, Grade.BAD, 20 * [REJECT], active_ms=0)
    answer = api(Role.MANAGER).get("/api/v1/reports/inspectors/?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    first = rows[0]
    assert (first["line"], first["figure"], first["appraiser"]) == (at.line.code, "underkill", "anna_k")
    assert (first["k"], first["n"], float(first["value"])) == ("0", "20", 0.0)
    assert {"slips", "handling"} <= {each["figure"] for each in rows}


def test_an_undone_verdict_and_one_in_its_window_are_not_counted(at, ann):
    judge(held_case(at), ann, PASS, is_committed=False)
    assert report(at).inspectors == []


def test_the_report_takes_three_queries_whatever_the_number_of_verdicts(at, ann, django_assert_num_queries):
    see_probe(at, known_part(at, Grade.BAD), ann)
    with django_assert_num_queries(3):
        report(at)
    see_probe(at, known_part(at, Grade.GOOD), factories.inspector())
    judge(held_case(at), ann, PASS)
    with django_assert_num_queries(3):
        report(at)


def test_the_page_has_no_inline_style_or_script(at, ann):
    many_probe_looks(at, ann, Grade.BAD, 20 * [REJECT, PASS], active_ms=0)
    page = api(Role.QUALITY_EXPERT).get("/reports/inspectors/?person=anna_k").content.decode()
    assert '<svg class="cusum"' in page
    assert "style=" not in page
    assert "<script>" not in page
