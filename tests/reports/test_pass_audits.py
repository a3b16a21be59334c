"""Escapes estimated from random audits of passes, and that neither audits nor probes ever enter another figure."""

import csv
import io
import json
import random
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Role
from inspection.models import Line
from labeling import actions as labeling
from labeling.models import Dataset
from labeling.models import Grade as PartGrade
from labeling.queries import contents_of
from metrics.pass_audit import AuditedPasses, escape_limit, escapes
from metrics.rates import Rate
from reports.queries.audits import audits_by_line, escapes_in
from reports.queries.invariants import checked_rows
from reports.queries.line import alerts, line_figures
from reports.queries.management import ALL_LINES, over_time, reports_by_line
from review import actions
from review.actions import unmarked
from review.models import Case
from review.states import Grade, VerdictWord
from tests import factories
from tests.factories import TESTER
from tests.reports.people import (
    draw_audits,
    held_case,
    judge,
    known_part,
    many_parts,
    many_probe_looks,
    open_to_audits,
    passed_part,
    rule,
    see_probe,
    set_policy,
)

pytestmark = pytest.mark.django_db
PASS, REJECT = VerdictWord.PASS, VerdictWord.REJECT


@pytest.fixture(autouse=True)
def _the_same_dice_each_time(monkeypatch):
    monkeypatch.setattr(unmarked, "_dice", random.Random(7))


@pytest.fixture
def at():
    station = factories.station(commit_window_ms=0)
    factories.golden(station)
    return station


@pytest.fixture
def ann():
    return factories.inspector(name="anna_k")


def audits(*stations):
    now = timezone.now()
    lines = [at.line for at in stations]
    return audits_by_line(lines, since=now - timedelta(days=1), until=now + timedelta(days=1))


def close_as(cases, state="closed", closed_by="verdict"):
    ids = [case.pk for case in cases]
    closed_at = timezone.now() if state == "closed" else None
    Case.objects.filter(pk__in=ids).update(state=state, closed_by=closed_by, closed_at=closed_at)


# --- the estimate -----------------------------------------------------------------------------------------
@pytest.fixture
def half_drawn(at, ann):
    """80 passes, about half of them drawn; the first is found bad, the next was judged by nobody, the rest is good."""
    open_to_audits(at, share=0.5)
    many_parts(at, 80)
    drawn = draw_audits(at)
    judge(drawn[0], ann, REJECT)
    rule(drawn[0], Grade.BAD, defect_type="crack")
    close_as(drawn[1:2], closed_by="deadline")
    close_as(drawn[2:])
    return at, drawn


def test_each_audited_pass_stands_for_those_that_were_not_drawn(half_drawn):
    at, drawn = half_drawn
    found = audits(at)[at.line.code]
    n = len(drawn)
    assert 25 < n < 55
    assert (found.passes, found.drawn, found.judged, found.bad, found.unjudged) == (80, n, n - 1, 1, 1)
    stratum = [AuditedPasses(at.line.code, 80, 0.5 * (n - 1) / n, n - 1, 1)]
    assert found.estimate == escapes(stratum)
    assert found.estimate.bad_passes == pytest.approx(n / (n - 1) / 0.5)
    assert found.estimate.upper_limit_per_million == pytest.approx(escape_limit(stratum) * 1e6)


def test_what_nobody_judged_is_told_with_what_it_may_hide(half_drawn):
    at, drawn = half_drawn
    found = audits(at)[at.line.code]
    assert found.hidden.startswith(f"Of {len(drawn)} drawn passes 1 were judged by nobody in time.")
    assert found.worst == escapes([AuditedPasses(at.line.code, 80, 0.5, len(drawn), 2)])
    assert found.worst.bad_passes == pytest.approx(4)


def test_a_pass_that_an_inspector_did_not_pass_waits_for_the_expert_and_is_neither_good_nor_bad(at, ann):
    open_to_audits(at, share=1.0)
    passed_part(at)
    [audit] = draw_audits(at)
    judge(audit, ann, REJECT)
    found = audits(at)[at.line.code]
    assert (found.drawn, found.judged, found.tied, found.bad) == (1, 0, 1, 0)
    assert "wait for the expert" in found.hidden
    rule(audit, Grade.GOOD)
    assert (audits(at)[at.line.code].judged, audits(at)[at.line.code].bad) == (1, 0)


def test_few_judged_audits_tell_no_rate(at, ann):
    open_to_audits(at, share=1.0)
    passed_part(at)
    judge(draw_audits(at)[0], ann, PASS)
    found = audits(at)[at.line.code]
    assert (found.estimate, found.lacks) == (None, "Too few: 1 of 20 judged audits needed.")


def test_passes_from_before_the_audit_never_had_a_chance(at):
    many_parts(at, 7)
    assert (audits(at)[at.line.code].passes, audits(at)[at.line.code].never_drawn) == (0, 7)
    open_to_audits(at, share=1.0)
    many_parts(at, 3)
    draw_audits(at)
    found = audits(at)[at.line.code]
    assert (found.passes, found.drawn, found.never_drawn) == (3, 3, 7)


def test_passes_that_the_sweeper_has_not_come_to_are_not_open_to_the_draw_yet(at):
    open_to_audits(at, share=1.0)
    many_parts(at, 3)
    draw_audits(at)
    many_parts(at, 2)
    found = audits(at)[at.line.code]
    assert (found.passes, found.never_drawn) == (3, 2)


def test_a_changed_share_makes_a_stratum_of_its_own(at):
    open_to_audits(at, share=0.5)
    many_parts(at, 40)
    first = draw_audits(at)
    set_policy(at, audit_share=1.0)
    many_parts(at, 10)
    second = draw_audits(at)[len(first) :]
    strata = {stratum.share: stratum for stratum in audits(at)[at.line.code].strata}
    assert (strata[0.5].passes, strata[0.5].drawn) == (40, len(first))
    assert (strata[1.0].passes, strata[1.0].drawn) == (10, len(second)) == (10, 10)


def test_passes_of_a_time_without_a_share_are_drawn_from_with_the_next_one(at):
    open_to_audits(at, share=0.5)
    many_parts(at, 20)
    draw_audits(at)
    set_policy(at, audit_share=0.0)
    many_parts(at, 5)  # the sweeper does not come while the share is 0
    set_policy(at, audit_share=1.0)
    draw_audits(at)
    strata = {stratum.share: stratum for stratum in audits(at)[at.line.code].strata}
    assert (strata[0.5].passes, strata[1.0].passes, strata[1.0].drawn) == (20, 5, 5)


def test_a_stratum_whose_draws_were_all_left_unjudged_is_not_covered(half_drawn):
    at, _ = half_drawn
    other = factories.station(commit_window_ms=0)
    factories.golden(other)
    open_to_audits(other, share=1.0)
    many_parts(other, 5)
    close_as(draw_audits(other), closed_by="deadline")
    found = audits(at, other)
    assert found[other.line.code].uncovered == 5
    assert found[ALL_LINES].uncovered == 5
    assert found[ALL_LINES].estimate == found[at.line.code].estimate


def test_lines_are_told_together_and_apart(half_drawn):
    at, drawn = half_drawn
    other = factories.station(commit_window_ms=0)
    factories.golden(other)
    open_to_audits(other, share=1.0)
    many_parts(other, 30)
    close_as(draw_audits(other))
    found = audits(at, other)
    assert (found[other.line.code].judged, found[other.line.code].bad) == (30, 0)
    assert (found[ALL_LINES].passes, found[ALL_LINES].judged) == (110, len(drawn) - 1 + 30)


def test_a_draw_that_does_not_fit_its_share_is_told(half_drawn):
    at, drawn = half_drawn
    assert audits(at)[at.line.code].looks_drawn_as_said
    Case.objects.filter(pk__in=[case.pk for case in drawn[2:-2]]).delete()
    assert not audits(at)[at.line.code].looks_drawn_as_said


def test_live_underkill_stands_between_all_unknown_rejects_bad_and_none(half_drawn):
    at, _ = half_drawn
    many_parts(at, 6, score=0.9, decision="BAD")
    labeling.record_known_grade(part=factories.decided_part(at, 0.9), grade=Grade.BAD, actor=TESTER)
    found = audits(at)[at.line.code]
    assert (found.bad_stopped, found.rejects_unknown) == (1, 6)
    escaped = found.estimate.bad_passes
    low, high, _, _ = found.underkill
    assert (low, high) == pytest.approx((escaped / (escaped + 7), escaped / (escaped + 1)))


def test_without_any_bad_part_underkill_is_not_known_and_no_answer_holds_nan(at):
    open_to_audits(at, share=1.0)
    many_parts(at, 25)
    close_as(draw_audits(at))
    found = audits(at)[at.line.code]
    assert (found.estimate.bad_passes, found.underkill, found.underkill_text) == (0, None, "not known")
    answer = api(Role.MANAGER).get("/api/v1/reports/underkill/")
    assert answer.json()["lines"][0]["audit_of_passes"]["underkill"] is None
    assert "0 of 25 judged audits bad" in api(Role.MANAGER).get("/reports/").content.decode()


def test_confirmed_escapes_are_audits_and_flags_that_were_ruled_bad(half_drawn):
    at, drawn = half_drawn
    flagged = actions.flag_part(part=passed_part(at), person=factories.expert(), note="found at assembly")
    now = timezone.now()
    period = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}
    assert [case.pk for case in escapes_in([at.line], **period)] == [drawn[0].pk]
    rule(flagged, Grade.BAD)
    assert {case.pk for case in escapes_in([at.line], **period)} == {drawn[0].pk, flagged.pk}


def test_the_number_of_queries_does_not_grow(half_drawn, django_assert_num_queries):
    at, _ = half_drawn
    with django_assert_num_queries(5):
        audits(at)
    set_policy(at, audit_share=0.25)
    many_parts(at, 8)
    draw_audits(at)
    with django_assert_num_queries(5):
        audits(at)


# --- where it is told -------------------------------------------------------------------------------------
def api(*roles):
    client = APIClient()
    client.force_login(factories.person(*roles))
    return client


def test_the_underkill_report_tells_the_audit_beside_its_rates(half_drawn):
    _, drawn = half_drawn
    client = api(Role.MANAGER)
    [line] = client.get("/api/v1/reports/underkill/").json()["lines"]
    told = line["audit_of_passes"]
    assert (told["passes"], told["drawn"], told["bad"]) == (80, len(drawn), 1)
    assert told["per_million"]["lower_95"] < told["per_million"]["value"] < told["per_million"]["upper_95"]
    rows = list(
        csv.DictReader(io.StringIO(client.get("/api/v1/reports/underkill/?format=csv").content.decode()))
    )
    assert (rows[-1]["figure"], rows[-1]["k"], rows[-1]["n"]) == (
        "audited_escape_rate",
        "1",
        str(len(drawn) - 1),
    )


def test_the_management_page_tells_the_audit_and_links_the_escapes(half_drawn):
    _, drawn = half_drawn
    page = api(Role.MANAGER).get("/reports/").content.decode()
    assert "What may have escaped" in page
    assert f'href="/parts/{drawn[0].part_id}/"' in page
    assert "Audit of an automatic pass" in page


def test_without_an_audit_share_the_page_says_what_to_do(at):
    passed_part(at)
    assert "The audit share is set at the review desk" in api(Role.MANAGER).get("/reports/").content.decode()


# --- nothing else moves -----------------------------------------------------------------------------------
def every_figure(at):
    """All that reports, rules, monitoring of yields, grades and datasets say, but for what is about people."""
    now = timezone.now()
    lines = list(Line.objects.order_by("code"))
    period = {"since": now - timedelta(days=1), "until": now + timedelta(days=1)}
    labeling.grade_closed_cases(actor=TESTER)
    summary = checked_rows(ack_limit=timedelta(seconds=30))
    dataset, _ = Dataset.objects.get_or_create(line=at.line, name="all", defaults={"created_at": now})
    out = io.StringIO()
    call_command("check_invariants", stdout=out)
    client = api(Role.MANAGER)
    return {
        "reports": reports_by_line(lines, **period),
        "over_time": over_time(lines, **period),
        "line": line_figures(at.line, now),
        "alerts": [alert.title for alert in alerts(at.line, now)],
        "summary": (summary.figures(), summary.is_clean),
        "check_invariants": json.loads(out.getvalue()),
        "yield": client.get("/api/v1/reports/yield/").json()["lines"],
        "yield_csv": client.get("/api/v1/reports/yield/?format=csv").content,
        "underkill": [
            {key: value for key, value in line.items() if key != "audit_of_passes"}
            for line in client.get("/api/v1/reports/underkill/").json()["lines"]
        ],
        "escapes": [case.pk for case in escapes_in(lines, **period)],
        "grades": list(PartGrade.objects.order_by("pk").values_list("part", "grade")),
        "dataset": [(image.sha256, image.grade) for image in contents_of(dataset).images],
    }


@pytest.fixture
def running(at, ann):
    """A line with every kind of part; some of them are known."""
    passed, rejected = passed_part(at), factories.decided_part(at, 0.9)
    labeling.record_known_grade(part=passed, grade=Grade.GOOD, actor=TESTER)
    labeling.record_known_grade(part=rejected, grade=Grade.BAD, actor=TESTER)
    judge(held_case(at), ann, PASS)
    judge(held_case(at), ann, REJECT)
    held_case(at)
    return at


def test_probes_and_what_people_say_of_them_change_no_other_figure(running, ann):
    known = [known_part(running, grade) for grade in (Grade.GOOD, Grade.BAD)]
    lenders = [passed_part(running) for _ in range(8)]
    before = every_figure(running)
    for probe in known:
        for by, errs in ((ann, True), (factories.inspector(), False)):
            case = unmarked.slip_in_probe(
                line=running.line, policy=set_policy(running, probe_share=0.5), actor=TESTER
            )
            Case.objects.filter(pk=case.pk).update(part=probe.part, probe=probe)
            right = PASS if probe.grade == Grade.GOOD else REJECT
            wrong = REJECT if right == PASS else PASS
            judge(case, by, wrong if errs else right)
    waiting = unmarked.slip_in_probe(line=running.line, policy=set_policy(running), actor=TESTER)
    assert waiting is not None
    assert len(lenders) > Case.objects.filter(kind="probe").count() == 5
    assert every_figure(running) == before


def test_audits_change_no_yield_and_no_rule(running, ann):
    open_to_audits(running, share=1.0)
    passed_part(running)
    before = every_figure(running)
    [audit] = draw_audits(running)
    judge(audit, ann, REJECT)
    after = every_figure(running)
    assert after == before
    rule(audit, Grade.BAD)
    after = every_figure(running)
    for name in ("line", "over_time", "yield", "yield_csv", "check_invariants", "summary"):
        assert after[name] == before[name]
    # A confirmed escape is a known truth from then on, and the report says what it rests on.
    assert after["escapes"] == [audit.pk]
    assert after["reports"][0].system_underkill.rate == Rate.of(
        1, before["reports"][0].system_underkill.rate.n + 1
    )


def test_a_probe_is_no_part_of_the_audit(at, ann):
    open_to_audits(at, share=1.0)
    many_probe_looks(at, ann, Grade.BAD, [PASS])
    see_probe(at, known_part(at, Grade.BAD), ann, errs=True)
    drawn_before = audits(at)[at.line.code].bad
    assert drawn_before == 0
    assert Case.objects.filter(kind="audit").count() == 0
