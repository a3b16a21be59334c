"""The agreement study from real rows, against counts made by hand; its answers, its CSV and its page."""

import csv
import io

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Role, RoleOnLine
from metrics.rates import Rate
from reports.figures import FEWEST
from reports.queries.agreement import ALL, MODEL, PROBES, agreement_report
from review import actions
from review.models import Case
from review.states import Grade, VerdictWord
from tests import factories
from tests.reports.people import (
    commit,
    draw_audits,
    held_case,
    judge,
    judged_by_two,
    known_part,
    many_pairs,
    many_probe_looks,
    open_to_audits,
    passed_part,
    rule,
    see_probe,
    set_policy,
)

pytestmark = pytest.mark.django_db
PASS, REJECT, CANNOT_TELL = VerdictWord.PASS, VerdictWord.REJECT, VerdictWord.CANNOT_TELL
LONG_AGO = timezone.now().replace(year=2020)


def study(at, *, reference=ALL, has_names=True):
    until = timezone.now().replace(year=2100)
    return agreement_report([at.line], since=LONG_AGO, until=until, reference=reference, has_names=has_names)


def row(report, name):
    return next(each for each in report.appraisers if each.name == name)


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


@pytest.fixture
def many_probes(at, ann):
    """Ann sees 20 bad parts and passes 2 of them, and 20 good ones and rejects 1; the model misses 1 bad part."""
    many_probe_looks(at, ann, Grade.BAD, [PASS], decision="GOOD")
    many_probe_looks(at, ann, Grade.BAD, [PASS] + 18 * [REJECT])
    many_probe_looks(at, ann, Grade.GOOD, [REJECT] + 19 * [PASS])
    return at


# --- against the reference --------------------------------------------------------------------------------
def test_an_appraiser_is_measured_against_the_grades_of_the_probes(many_probes):
    report = study(many_probes)
    assert (report.parts, report.looks, report.known, report.ruled) == (40, 40, 40, 0)
    effectiveness, underkill, overkill = (judged.figure.rate for judged in row(report, "anna_k").measures)
    assert (effectiveness, underkill, overkill) == (Rate.of(37, 40), Rate.of(2, 20), Rate.of(1, 20))


def test_the_standing_is_the_worst_of_the_three_and_says_where_the_interval_crosses_a_limit(many_probes):
    ann = row(study(many_probes), "anna_k")
    # 37 of 40 = 92.5 %, 2 of 20 = 10 %, 1 of 20 = 5 %
    assert [judged.standing for judged in ann.measures] == ["acceptable", "unacceptable", "acceptable"]
    assert [judged.is_sure for judged in ann.measures] == [False, False, False]
    assert ann.standing == "unacceptable"


def test_the_model_is_one_more_appraiser_on_the_known_parts(many_probes):
    model = row(study(many_probes), MODEL)
    assert [judged.figure.rate for judged in model.measures] == [
        Rate.of(39, 40),
        Rate.of(1, 20),
        Rate.of(0, 20),
    ]
    assert model.cannot_tell.rate == Rate.of(0, 40)


def test_grey_on_a_known_part_means_that_the_model_cannot_tell(at, ann):
    see_probe(at, known_part(at, Grade.BAD, score=0.9), ann)
    grey = held_case(at)
    judge(grey, ann, REJECT)
    see_probe(at, _as_probe(grey.part, Grade.BAD), ann)
    assert row(study(at), MODEL).cannot_tell.rate == Rate.of(1, 2)


def _as_probe(part, grade):
    part.refresh_from_db()
    return actions.add_probe(part=part, grade=grade, person=None, actor=factories.TESTER)


def test_what_the_model_passed_and_people_were_asked_about_does_not_count_against_it(at, ann):
    open_to_audits(at, share=1.0)
    passed_part(at)
    [audit] = draw_audits(at)
    judge(audit, ann, REJECT)
    rule(audit, Grade.BAD)
    report = study(at)
    assert (report.parts, report.ruled) == (1, 1)
    assert [each.name for each in report.appraisers] == ["anna_k"]


def test_a_ruling_is_the_reference_where_no_probe_tells_unless_probes_alone_are_asked_for(at, ann, bob):
    case = judged_by_two(at, ann, bob, (PASS, REJECT))
    rule(case, Grade.BAD)
    with_rulings, probes_alone = study(at), study(at, reference=PROBES)
    assert row(with_rulings, "anna_k").measures[0].figure.rate == Rate.of(0, 1)
    assert row(with_rulings, "bobby").measures[0].figure.rate == Rate.of(1, 1)
    assert row(probes_alone, "anna_k").measures[0].figure.rate == Rate.of(0, 0)


def test_a_correction_is_no_reference_because_only_wrong_verdicts_are_corrected(at, ann, bob):
    alone = held_case(at)
    judge(alone, ann, PASS)
    together = judged_by_two(at, ann, bob, (PASS, PASS))
    for case in (alone, together):
        case.refresh_from_db()
        actions.correct_verdict(
            case=case, person=factories.expert(), grade=Grade.BAD, note="a crack, seen in the lane"
        )
    report = study(at)
    assert (report.parts, report.ruled) == (1, 0)
    assert row(report, "anna_k").measures[0].figure.rate == Rate.of(0, 0)


def test_cannot_tell_is_no_answer_and_is_told_apart(at, ann):
    case = held_case(at)
    judge(case, ann, CANNOT_TELL)
    rule(case, Grade.GOOD)
    ann_row = row(study(at), "anna_k")
    assert ann_row.cannot_tell.rate == Rate.of(1, 1)
    assert ann_row.measures[0].figure.rate == Rate.of(0, 0)


# --- what n does not carry --------------------------------------------------------------------------------
def test_a_figure_below_twenty_looks_is_not_told_but_its_count_is(at, ann):
    for _ in range(3):
        see_probe(at, known_part(at, Grade.BAD), ann)
    ann_row = row(study(at), "anna_k")
    told = ann_row.measures[0].figure
    assert (told.text, told.bound) == ("too few", f"3 of {FEWEST} needed")
    assert told.as_json() == {
        "k": 3,
        "n": 3,
        "rate": None,
        "lower_95": None,
        "upper_95": None,
        "says": "too few: 3 of 20 needed",
    }
    assert (ann_row.measures[0].standing, ann_row.standing) == ("unknown", "unknown")
    assert study(at).consensus_lacks == "Too few: 3 of 20 parts needed."


def test_without_any_case_the_report_says_nothing_and_does_not_fail(at):
    report = study(at)
    assert (report.parts, report.appraisers, report.pairs) == (0, [], [])
    assert not report.people_kappa.is_known


# --- each other and themselves ----------------------------------------------------------------------------
@pytest.fixture
def twenty_pairs(at, ann, bob):
    """Ann and Bob on 20 held parts: 9 times PASS both, 8 times REJECT both, 3 times PASS against REJECT."""
    many_pairs(at, ann, bob, [(PASS, PASS)] * 9 + [(REJECT, REJECT)] * 8 + [(PASS, REJECT)] * 3)
    return at


def test_two_people_have_the_kappa_of_their_cross_table(twenty_pairs):
    [pair] = study(twenty_pairs).pairs
    assert (pair.first, pair.second, pair.agree.rate) == ("anna_k", "bobby", Rate.of(17, 20))
    # observed 17/20; expected (12 * 9 + 8 * 11) / 400 = .49
    assert pair.kappa.value == pytest.approx((0.85 - 0.49) / 0.51)
    assert pair.kappa.lower < pair.kappa.value < pair.kappa.upper


def test_fleiss_kappa_and_full_agreement_count_parts_judged_by_two(twenty_pairs):
    report = study(twenty_pairs)
    assert report.all_agree.rate == Rate.of(17, 20)
    # 40 looks: 21 PASS, 19 REJECT
    expected = (21 / 40) ** 2 + (19 / 40) ** 2
    assert report.people_kappa.value == pytest.approx((0.85 - expected) / (1 - expected))
    assert report.people_kappa.n == 20


def test_a_case_that_still_waits_for_its_second_opinion_is_not_in_the_study(at, ann):
    case = held_case(at)
    Case.objects.filter(pk=case.pk).update(wants_opinions=2)
    judge(case, ann, PASS)
    assert study(at).parts == 0


def test_a_verdict_in_its_commit_window_is_not_in_the_study(at, ann):
    probe = known_part(at, Grade.BAD)
    given = see_probe(at, probe, ann, is_committed=False)
    assert study(at).parts == 0
    commit(given)
    assert study(at).parts == 1


def test_a_probe_seen_again_tells_whether_a_person_repeats_themselves(at, ann):
    steady, wavering = known_part(at, Grade.BAD), known_part(at, Grade.BAD)
    for errs in (False, False):
        see_probe(at, steady, ann, errs=errs)
    for errs in (False, True):
        see_probe(at, wavering, ann, errs=errs)
    ann_row = row(study(at), "anna_k")
    assert ann_row.repeatability.rate == Rate.of(1, 2)
    assert ann_row.measures[0].figure.rate == Rate.of(1, 2)  # right in every look


# --- consensus --------------------------------------------------------------------------------------------
def test_the_consensus_is_anchored_by_known_parts_and_estimates_each_appraisers_errors(many_probes):
    report = study(many_probes)
    assert report.consensus_lacks == ""
    ann = row(report, "anna_k")
    assert (ann.consensus_underkill.value, ann.consensus_underkill.n) == (pytest.approx(2 / 20), 20)
    assert ann.consensus_overkill.value == pytest.approx(1 / 20)
    assert ann.consensus_underkill.text.startswith("10.0")


def test_two_appraisers_without_known_parts_have_no_consensus(twenty_pairs):
    assert study(twenty_pairs).consensus_lacks == (
        "It needs three appraisers or 20 parts of known grade; there are 2 and 0."
    )


def test_a_ruling_against_most_looks_is_listed_and_one_that_decides_between_two_is_not(many_probes, ann, bob):
    between = judged_by_two(many_probes, ann, bob, (PASS, REJECT))
    rule(between, Grade.BAD)
    # The model passed the next part, both inspectors reject it, and the expert sides with the model.
    open_to_audits(many_probes, share=1.0)
    passed = passed_part(many_probes)
    [audit] = draw_audits(many_probes)
    Case.objects.filter(pk=audit.pk).update(wants_opinions=2)
    judge(audit, ann, REJECT)
    judge(audit, bob, REJECT)
    rule(audit, Grade.GOOD)
    [found] = study(many_probes).contradictions
    assert (found.part_name, found.ruled, found.against, found.looks) == (passed.plc_part_id, "good", 2, 2)
    assert found.chance > 0.9


# --- who may read names -----------------------------------------------------------------------------------
def test_without_names_people_are_letters(twenty_pairs):
    report = study(twenty_pairs, has_names=False)
    assert {each.name for each in report.appraisers} == {"Inspector A", "Inspector B"}
    assert "anna_k" not in str(report)


def api(*roles, line_code=""):
    client = APIClient()
    client.force_login(factories.person(*roles, line_code=line_code))
    return client


@pytest.mark.parametrize(
    ("role", "sees_names"),
    [(Role.QUALITY_EXPERT, True), (Role.MANAGER, True), (Role.VISION_DEVELOPER, False)],
)
def test_managers_and_experts_read_names_and_developers_do_not(twenty_pairs, role, sees_names):
    client = api(role)
    for url in (
        "/api/v1/reports/agreement/",
        "/api/v1/reports/agreement/?format=csv",
        "/reports/agreement/",
    ):
        answer = client.get(url)
        assert answer.status_code == 200
        assert ("anna_k" in answer.content.decode().split("</header>")[-1]) == sees_names


def test_an_expert_of_another_line_gets_no_names_of_lines_on_which_they_only_develop(twenty_pairs, at):
    elsewhere = factories.station()
    both = factories.person(Role.QUALITY_EXPERT, line_code=elsewhere.line.code)
    RoleOnLine.objects.create(person=both, role=Role.VISION_DEVELOPER, line_code=at.line.code)
    client = APIClient()
    client.force_login(both)
    told = client.get(f"/api/v1/reports/agreement/?line={at.line.code}").json()
    assert {each["appraiser"] for each in told["appraisers"]} == {"Inspector A", "Inspector B"}


def test_inspectors_and_operators_may_not_read_it(at):
    for role in (Role.MANUAL_INSPECTOR, Role.LINE_OPERATOR):
        client = api(role)
        assert client.get("/api/v1/reports/agreement/").status_code == 403
        assert client.get("/reports/agreement/").status_code == 403


# --- answers ----------------------------------------------------------------------------------------------
def test_the_csv_has_one_figure_a_row_with_n_and_bounds(twenty_pairs, at):
    answer = api(Role.QUALITY_EXPERT).get("/api/v1/reports/agreement/?format=csv")
    assert answer["Content-Disposition"] == 'attachment; filename="secondlook-agreement.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    [kappa] = [each for each in rows if each["figure"] == "kappa"]
    assert (kappa["line"], kappa["appraiser"], kappa["other"], kappa["n"]) == (
        at.line.code,
        "anna_k",
        "bobby",
        "20",
    )
    assert float(kappa["lower_95"]) < float(kappa["value"]) < float(kappa["upper_95"])
    unknown = next(each for each in rows if each["figure"] == "underkill")
    assert (unknown["value"], unknown["n"]) == ("", "0")


def test_a_foreign_line_is_403_and_a_period_that_cannot_be_read_400(at):
    client = api(Role.MANAGER, line_code="ELSE")
    assert client.get(f"/api/v1/reports/agreement/?line={at.line.code}").status_code == 403
    assert client.get("/api/v1/reports/agreement/?from=yesterday").status_code == 400
    assert client.get("/api/v1/reports/agreement/?reference=luck").status_code == 400


def test_the_period_is_that_in_which_the_case_was_opened(twenty_pairs):
    client = api(Role.QUALITY_EXPERT)
    assert client.get("/api/v1/reports/agreement/").json()["parts"]["all"] == 20
    assert client.get("/api/v1/reports/agreement/?to=2020-01-01").json()["parts"]["all"] == 0


def test_the_study_takes_two_queries_whatever_the_number_of_parts(at, ann, bob, django_assert_num_queries):
    judged_by_two(at, ann, bob, (PASS, PASS))
    with django_assert_num_queries(2):
        study(at)
    judged_by_two(at, ann, bob, (PASS, REJECT))
    see_probe(at, known_part(at, Grade.BAD), ann)
    set_policy(at, double_share=0.5)
    with django_assert_num_queries(2):
        study(at)


def test_the_page_shows_every_figure_with_its_bound(many_probes):
    page = (
        api(Role.QUALITY_EXPERT)
        .get("/reports/agreement/")
        .content.decode()
        .replace("\N{NO-BREAK SPACE}", " ")
    )
    assert '<strong>10.0 %</strong><span class="muted small bound">2 of 20</span>' in page
    assert "1.23 % to 31.7 %" in page
    assert "Unacceptable" in page
    assert "style=" not in page
    assert "<script>" not in page


def test_a_page_without_cases_says_what_to_do(at):
    page = api(Role.QUALITY_EXPERT).get("/reports/agreement/").content.decode()
    assert "No part was judged by several people" in page
