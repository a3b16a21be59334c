"""The quality expert corrects a verdict or a ruling while the part is in the lane."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from inspection.actions import note_applied
from inspection.models import Disposition
from inspection.states import Outcome, Reason, Source
from review import actions
from review.models import Case, Ruling
from review.states import CaseState, ClosedBy, Grade, VerdictWord
from tests.factories import expert, inspector, station
from tests.review.helpers import again, leased_case, outcomes, say, sweep, tied_case
from tests.review.test_api import client_of

pytestmark = pytest.mark.django_db


def judged_case(word: VerdictWord = VerdictWord.PASS, **line_fields) -> Case:
    by = inspector()
    case = leased_case(by, station(commit_window_ms=0, **line_fields))
    say(case, by, word)
    sweep()
    return again(case)


def correct(case: Case, grade: Grade = Grade.BAD, by=None, **fields) -> Ruling:
    return actions.correct_verdict(
        case=case, person=by or expert(), grade=grade, note="a crack at the rim", **fields
    )


def test_a_corrected_verdict_becomes_a_ruling_and_the_parts_disposition():
    case, by = judged_case(), expert()
    ruling = correct(case, by=by, defect_type="crack")
    assert (ruling.grade, ruling.person, ruling.note, ruling.defect_type) == (
        "bad", by, "a crack at the rim", "crack",
    )  # fmt: skip
    final = Disposition.objects.get(part=case.part, is_final=True)
    assert (final.outcome, final.source, final.reason, final.person, final.note) == (
        Outcome.REJECT, Source.CHANGED, Reason.CORRECTION, by, "a crack at the rim",
    )  # fmt: skip
    event = Event.objects.get(subject_kind="case", verb="corrected")
    assert event.person_id == by.pk
    assert event.details["former"] == {"grade": "", "by": None, "note": ""}
    case = again(case)
    assert (case.state, case.closed_by) == (CaseState.CLOSED, ClosedBy.VERDICT)
    assert case.verdicts.get().verdict == VerdictWord.PASS  # what the inspector said stays said


def test_a_corrected_ruling_keeps_what_was_ruled_before_in_the_trail():
    case, first = tied_case(), expert()
    actions.rule(case=case, person=first, grade=Grade.GOOD, note="a stain", is_precedent=True)
    correct(case)
    ruling = Ruling.objects.get(case=case)
    assert (ruling.grade, ruling.note, ruling.is_precedent) == ("bad", "a crack at the rim", True)
    event = Event.objects.get(subject_kind="case", verb="corrected")
    assert event.details["former"] == {"grade": "good", "by": first.pk, "note": "a stain"}
    assert outcomes(case.part) == ["REJECT"]


def test_what_the_plc_has_carried_out_is_unfit_and_nothing_is_written():
    case = judged_case()
    note_applied(disposition=case.part.dispositions.get(is_final=True), at=timezone.now())
    with pytest.raises(actions.UnfitError, match="The PLC has carried it out"):
        correct(case)
    assert not Ruling.objects.exists()
    assert not Event.objects.filter(verb="corrected").exists()


def test_an_open_case_is_undone_or_ruled_and_not_corrected():
    by = inspector()
    case = leased_case(by)
    say(case, by)
    with pytest.raises(actions.UnfitError, match="not closed"):
        correct(again(case))


def test_the_fail_safe_of_a_deadline_is_not_corrected():
    by = inspector()
    case = leased_case(by, station(review_deadline_ms=1_000))
    sweep(after_s=120)
    assert again(case).closed_by == ClosedBy.DEADLINE
    with pytest.raises(actions.UnfitError, match="fail-safe"):
        correct(again(case), Grade.GOOD)


def test_a_verdict_for_the_record_is_not_corrected():
    case = judged_case()
    Case.objects.filter(pk=case.pk).update(late_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(actions.UnfitError, match="fail-safe"):
        correct(again(case))


def test_a_case_of_another_kind_is_not_corrected():
    case = judged_case()
    note_applied(disposition=case.part.dispositions.get(is_final=True), at=timezone.now())
    flagged = actions.flag_part(part=case.part, person=expert(), note="found at the customer's")
    with pytest.raises(actions.UnfitError, match="was held"):
        correct(flagged)


# --- REST --------------------------------------------------------------------------------------------------
def send(case: Case, who, **body):
    return client_of(who).post(reverse("case_correction", args=[case.pk]), body, format="json")


def test_the_expert_corrects_by_rest():
    case = judged_case()
    answer = send(case, expert(), grade="bad", note="a crack at the rim")
    assert (answer.status_code, answer.json()["grade"]) == (200, "bad")
    assert outcomes(case.part) == ["REJECT"]


def test_too_late_is_409_with_a_sentence():
    case = judged_case()
    note_applied(disposition=case.part.dispositions.get(is_final=True), at=timezone.now())
    answer = send(case, expert(), grade="bad", note="a crack at the rim")
    assert (answer.status_code, answer.json()["error"]) == (409, "unfit")
    assert answer.json()["detail"].startswith("The PLC has carried it out")


@pytest.mark.parametrize("body", [{"grade": "bad"}, {"grade": "bad", "note": "  "}, {"note": "a crack"}])
def test_a_correction_without_grade_or_note_is_400(body):
    case = judged_case()
    assert send(case, expert(), **body).status_code == 400
    assert outcomes(case.part) == ["PASS"]


def test_only_the_expert_of_the_line_corrects():
    case = judged_case()
    elsewhere = station()
    assert send(case, inspector(), grade="bad", note="x").status_code == 403
    assert send(case, expert(line_code=elsewhere.line.code), grade="bad", note="x").status_code == 404
    assert outcomes(case.part) == ["PASS"]
