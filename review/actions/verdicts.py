"""Verdicts: what an inspector says, how it can be taken back, and what it leads to once its window is over."""

import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import StaleState, move, record
from inspection.actions import dispose
from inspection.models import Inspection
from inspection.states import Decision, Outcome, PartState, Reason, Source
from review import queries
from review.actions.errors import LEASE_OVER, LeaseError, TooLateError
from review.actions.people import notice_probe
from review.actions.queue import NO_LEASE, clear_screen, put_on_screen, take_turns
from review.models import Case, FirstOpinion, Verdict
from review.states import CaseKind, CaseState, ClosedBy, VerdictWord


# --- saying it --------------------------------------------------------------------------------------------
def give_first_opinion(*, case: Case, person: Person, token: str, verdict: VerdictWord) -> FirstOpinion:
    """The blind opinion, before the score, the map and the precedents are shown. It is given once and stays.

    Raises LeaseError without the lease, TooLateError if another opinion was given before.
    """
    if earlier := queries.has_first_opinion(case, person.pk):
        if earlier.verdict != verdict:
            raise TooLateError(
                "You have given your first opinion on this case. Say now what you think of it."
            )
        return earlier
    _check_lease(case, person, token)
    with transaction.atomic():
        given, is_new = FirstOpinion.objects.get_or_create(
            case=case, person=person, defaults={"verdict": verdict, "given_at": timezone.now()}
        )
        if is_new:
            record(case, "first_opinion", actor=Actor.person(person), details={"verdict": verdict})
    return given


def give_verdict(
    *,
    case: Case,
    person: Person,
    token: str,
    verdict: VerdictWord,
    idempotency_key: str,
    is_escalation: bool = False,
    defect_type: str = "",
    note: str = "",
    handling: str = "",
    marks: list[list[int]] | None = None,
    seen_ms: int | None = None,
    active_ms: int | None = None,
) -> Verdict:
    """Take an inspector's verdict; it is carried out when the line's commit window is over.

    The same idempotency key again returns the same verdict.

    Raises LeaseError if the case is not leased to this person under this token, TooLateError if it is decided.
    """
    if earlier := _verdict_under(idempotency_key, case, person, verdict, is_escalation=is_escalation):
        return earlier
    if case.state in {CaseState.DECIDED, CaseState.TIED, CaseState.CLOSED}:
        raise TooLateError("This case is decided already.")
    _check_lease(case, person, token)
    now = timezone.now()
    if case.deadline_at <= now:
        raise TooLateError("The deadline of this case has passed; the fail-safe disposition is on its way.")
    first = _first_word(case, person, verdict)
    try:
        with transaction.atomic():
            given = Verdict.objects.create(
                case=case,
                person=person,
                verdict=verdict,
                first_verdict=first,
                is_escalation=is_escalation,
                defect_type=defect_type,
                note=note,
                handling=handling,
                marks=marks or [],
                seen_ms=seen_ms,
                active_ms=active_ms,
                idempotency_key=idempotency_key,
                lease_token=token,
                leased_at=case.leased_at,
                given_at=now,
                commit_at=now + timedelta(milliseconds=case.shown_part.line.commit_window_ms),
            )
            move(
                case,
                CaseState.DECIDED,
                actor=Actor.person(person),
                verb="verdict",
                details=_told(given),
                **NO_LEASE,
            )
    except (IntegrityError, StaleState) as raced:
        # The same request twice at the same moment: the first one counts for both.
        if earlier := _verdict_under(idempotency_key, case, person, verdict, is_escalation=is_escalation):
            return earlier
        if Case.objects.filter(pk=case.pk, state__in=[CaseState.WAITING, CaseState.LEASED]).exists():
            raise LeaseError(LEASE_OVER) from raced
        raise TooLateError("This case was decided at the same moment.") from raced
    return given


def _check_lease(case: Case, person: Person, token: str) -> None:
    if (
        case.state != CaseState.LEASED
        or case.reviewer_id != person.pk
        or not secrets.compare_digest(case.lease_token.encode(), token.encode())
        or case.lease_expires_at is None
        or case.lease_expires_at <= timezone.now()
    ):
        raise LeaseError(LEASE_OVER)


def _first_word(case: Case, person: Person, verdict: VerdictWord) -> str:
    """The blind word: the opinion given before, else this verdict itself if nothing was shown; empty elsewhere."""
    if earlier := queries.has_first_opinion(case, person.pk):
        return earlier.verdict
    return verdict if queries.policy_of(case.shown_part.line_id).is_blind_first else ""


def _told(given: Verdict) -> dict[str, object]:
    told: dict[str, object] = {
        "verdict": given.verdict,
        "is_escalation": given.is_escalation,
        "defect_type": given.defect_type,
    }
    if given.first_verdict and given.first_verdict != given.verdict:
        told["changed_from"] = given.first_verdict
    if given.handling:
        told["handling"] = given.handling
    return told


def _verdict_under(
    idempotency_key: str, case: Case, person: Person, verdict: VerdictWord, *, is_escalation: bool
) -> Verdict | None:
    """What this key has given already; TooLateError if that was something else."""
    earlier = Verdict.objects.filter(person=person, idempotency_key=idempotency_key).first()
    if earlier and (earlier.case_id, earlier.verdict, earlier.is_escalation) != (
        case.pk,
        verdict,
        is_escalation,
    ):
        raise TooLateError(
            "This Idempotency-Key was used for another verdict. Use a new key for each verdict."
        )
    return earlier


@transaction.atomic
def undo_verdict(*, case: Case, person: Person) -> Case:
    """Take the verdict back inside the commit window; the case is on the same screen again."""
    verdict = queries.verdict_in_window(case)
    if case.state != CaseState.DECIDED or verdict is None or verdict.commit_at <= timezone.now():
        raise TooLateError("The time to undo is over: the verdict is carried out.")
    if verdict.person_id != person.pk:
        raise LeaseError("Only the inspector who gave a verdict can undo it.")
    take_turns(person)
    clear_screen(person)
    put_on_screen(case, person, verb="verdict_undone")
    Verdict.objects.filter(pk=verdict.pk, undone_at=None).update(undone_at=timezone.now())
    return case


# --- carrying it out --------------------------------------------------------------------------------------
def commit_verdict(*, verdict: Verdict, actor: Actor) -> None:
    """The window is over: another person is asked, the expert is asked, or the case is closed and the part disposed.

    Probes and audits walk the same way, so that nobody can tell them by it; they only never dispose a part.
    """
    case = verdict.case
    with transaction.atomic():
        Verdict.objects.filter(pk=verdict.pk, undone_at=None).update(committed_at=timezone.now())
        if case.kind == CaseKind.HELD and not case.late_at and case.part.state == PartState.DISPOSED:
            close(case, ClosedBy.ELSEWHERE, actor)
            return
        if case.probe is not None:
            notice_probe(verdict=verdict, probe=case.probe, actor=actor)
        opinions = queries.standing_verdicts(case)
        wanted = _opinions_wanted(case, opinions)
        if verdict.verdict != VerdictWord.CANNOT_TELL and len(opinions) < wanted:
            move(
                case,
                CaseState.WAITING,
                actor=actor,
                verb="second_opinion",
                wants_opinions=wanted,
                **NO_LEASE,
            )
        elif case.kind != CaseKind.PROBE and (why := _why_tied(case, opinions)):
            move(
                case,
                CaseState.TIED,
                actor=actor,
                details={"why": why, "is_escalation": verdict.is_escalation},
                wants_opinions=wanted,
            )
        else:
            _carry_out(verdict, actor)


def _opinions_wanted(case: Case, opinions: list[Verdict]) -> int:
    """Two where the case was drawn for it, or where one of its inspectors is new or on watch."""
    if case.wants_opinions > 1:
        return case.wants_opinions
    policy = queries.policy_of(case.shown_part.line_id)
    return 2 if any(_needs_a_second(each.person_id, policy.newcomer_days) for each in opinions) else 1


def _needs_a_second(person_id: int, newcomer_days: int) -> bool:
    if queries.standing_watch(person_id):
        return True
    if not newcomer_days:
        return False
    began_at = queries.first_verdict_at(person_id)
    return began_at is None or timezone.now() - began_at < timedelta(days=newcomer_days)


def _why_tied(case: Case, opinions: list[Verdict]) -> str:
    """Why the expert must decide; empty if people agree and nothing speaks against them."""
    words = {each.verdict for each in opinions}
    if VerdictWord.CANNOT_TELL in words:
        return "cannot_tell"
    if len(words) > 1:
        return "disagreement"
    looks = list(Inspection.objects.filter(part=case.part_id).values_list("decision", flat=True))
    if VerdictWord.REJECT in words and Decision.GOOD in looks:
        return "against_model"
    if VerdictWord.PASS in words and Decision.BAD in looks:
        return "against_model"
    return ""


def _carry_out(verdict: Verdict, actor: Actor) -> None:
    case = verdict.case
    close(case, ClosedBy.VERDICT, actor)
    if case.kind != CaseKind.HELD or case.late_at:
        return  # for the record only: the part was disposed before
    dispose(
        part=case.part,
        outcome=Outcome.PASS if verdict.verdict == VerdictWord.PASS else Outcome.REJECT,
        source=Source.HUMAN,
        reason=Reason.VERDICT,
        person=verdict.person,
        note=verdict.note,
        actor=Actor.person(verdict.person),
    )


def close(case: Case, closed_by: ClosedBy, actor: Actor) -> None:
    move(
        case,
        CaseState.CLOSED,
        actor=actor,
        details={"closed_by": closed_by},
        closed_at=timezone.now(),
        closed_by=closed_by,
        **NO_LEASE,
    )
