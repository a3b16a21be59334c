"""Every write of review. A case moves by compare-and-swap, so a verdict is never lost and never applied twice."""

import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState, move, record
from inspection.actions import dispose
from inspection.states import Outcome, PartState, Reason, Source
from review import queries
from review.models import Case, Ruling, Verdict
from review.states import CaseState, ClosedBy, Grade, VerdictWord

MOST_A_SWEEP = 200
Row = TypeVar("Row")
_log = logging.getLogger(__name__)
LEASE_OVER = "Your lease on this case has ended. It is back in the queue; take the next one."


class LeaseError(Exception):
    """The lease is not yours, has ended, or was replaced."""


class TooLateError(Exception):
    """The case is decided; what you ask came after."""


# --- the queue --------------------------------------------------------------------------------------------
def open_cases(*, actor: Actor) -> int:
    """Give every held part its case; returns how many are new."""
    opened = 0
    for part in queries.parts_without_case()[:MOST_A_SWEEP]:
        held_at = cast(datetime, part.held_at)  # a_held_part_says_why_and_since_when
        deadline_at = held_at + timedelta(milliseconds=part.line.review_deadline_ms)
        with transaction.atomic():
            case, is_new = Case.objects.get_or_create(
                part=part, defaults={"opened_at": held_at, "deadline_at": deadline_at}
            )
            if is_new:
                record(case, "opened", actor=actor)
                opened += 1
    return opened


def lease(*, person: Person, lines: queries.Lines) -> Case | None:
    """The next case for this person: the one already on the screen, or the most urgent one; None if none waits."""
    open_cases(actor=Actor.system("review"))
    with transaction.atomic():
        _take_turns(person)
        now = timezone.now()
        mine = queries.leased_case(person.pk)
        if mine and mine.lease_expires_at and min(mine.lease_expires_at, mine.deadline_at) > now:
            return renew_lease(case=mine, person=person, token=mine.lease_token)
        _clear_screen(person)
        for case in queries.waiting_cases(lines).exclude(deadline_at__lt=now)[:20]:
            try:
                _put_on_screen(case, person)
            except StaleState:  # another inspector was first
                continue
            return case
    return None


def _take_turns(person: Person) -> None:
    """Two tabs of one person lease one after the other, so that the second finds what the first has taken."""
    Person.objects.select_for_update().get(pk=person.pk)


def _clear_screen(person: Person) -> None:
    """Return what this person has on the screen to the queue."""
    if case := queries.leased_case(person.pk):
        move(case, CaseState.WAITING, actor=Actor.person(person), verb="lease_ended", **_NO_LEASE)


def _put_on_screen(case: Case, person: Person, *, verb: str = "leased") -> None:
    move(
        case,
        CaseState.LEASED,
        actor=Actor.person(person),
        verb=verb,
        reviewer=person,
        lease_token=secrets.token_urlsafe(24),
        lease_expires_at=timezone.now() + timedelta(milliseconds=case.part.line.lease_ms),
    )


_NO_LEASE: dict[str, Any] = {"reviewer": None, "lease_token": "", "lease_expires_at": None}


def renew_lease(*, case: Case, person: Person, token: str) -> Case:
    """Keep the case on the screen; LeaseError if it is no longer this person's."""
    expires_at = timezone.now() + timedelta(milliseconds=case.part.line.lease_ms)
    kept = Case.objects.filter(
        pk=case.pk,
        state=CaseState.LEASED,
        reviewer=person,
        lease_token=token,
        lease_expires_at__gt=timezone.now(),
    ).update(lease_expires_at=expires_at)
    if not kept:
        raise LeaseError("This case is no longer on your screen. Take the next one.")
    case.lease_expires_at = expires_at
    return case


def return_case(*, case: Case, person: Person, token: str = "") -> None:
    """Give the case back to the queue undecided; with a token, only if it is the lease of that token."""
    if case.state != CaseState.LEASED or case.reviewer_id != person.pk or token not in {"", case.lease_token}:
        raise LeaseError("This case is not on your screen.")
    move(case, CaseState.WAITING, actor=Actor.person(person), verb="returned", **_NO_LEASE)


# --- verdicts ---------------------------------------------------------------------------------------------
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
    seen_ms: int | None = None,
) -> Verdict:
    """Take an inspector's verdict; it is carried out when the line's commit window is over.

    The same idempotency key again returns the same verdict.

    Raises LeaseError if the case is not leased to this person under this token, TooLateError if it is decided.
    """
    if earlier := _verdict_under(idempotency_key, case, person, verdict, is_escalation=is_escalation):
        return earlier
    if case.state in {CaseState.DECIDED, CaseState.TIED, CaseState.CLOSED}:
        raise TooLateError("This case is decided already.")
    now = timezone.now()
    if (
        case.state != CaseState.LEASED
        or case.reviewer_id != person.pk
        or not secrets.compare_digest(case.lease_token.encode(), token.encode())
        or case.lease_expires_at is None
        or case.lease_expires_at <= now
    ):
        raise LeaseError(LEASE_OVER)
    if case.deadline_at <= now:
        raise TooLateError("The deadline of this case has passed; the fail-safe disposition is on its way.")
    try:
        with transaction.atomic():
            given = Verdict.objects.create(
                case=case,
                person=person,
                verdict=verdict,
                is_escalation=is_escalation,
                defect_type=defect_type,
                note=note,
                seen_ms=seen_ms,
                idempotency_key=idempotency_key,
                lease_token=token,
                given_at=now,
                commit_at=now + timedelta(milliseconds=case.part.line.commit_window_ms),
            )
            move(
                case,
                CaseState.DECIDED,
                actor=Actor.person(person),
                verb="verdict",
                details={"verdict": verdict, "is_escalation": is_escalation, "defect_type": defect_type},
                **_NO_LEASE,
            )
    except (IntegrityError, StaleState) as raced:
        # The same request twice at the same moment: the first one counts for both.
        if earlier := _verdict_under(idempotency_key, case, person, verdict, is_escalation=is_escalation):
            return earlier
        if Case.objects.filter(pk=case.pk, state__in=[CaseState.WAITING, CaseState.LEASED]).exists():
            raise LeaseError(LEASE_OVER) from raced
        raise TooLateError("This case was decided at the same moment.") from raced
    return given


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
    verdict = queries.standing_verdict(case)
    if case.state != CaseState.DECIDED or verdict is None or verdict.commit_at <= timezone.now():
        raise TooLateError("The time to undo is over: the verdict is carried out.")
    if verdict.person_id != person.pk:
        raise LeaseError("Only the inspector who gave a verdict can undo it.")
    _take_turns(person)
    _clear_screen(person)
    _put_on_screen(case, person, verb="verdict_undone")
    Verdict.objects.filter(pk=verdict.pk, undone_at=None).update(undone_at=timezone.now())
    return case


def commit_verdict(*, verdict: Verdict, actor: Actor) -> None:
    """Carry a verdict out: PASS and REJECT dispose the part, CANNOT_TELL makes a tie."""
    case = verdict.case
    with transaction.atomic():
        if case.part.state == PartState.DISPOSED:
            _close(case, ClosedBy.ELSEWHERE, actor)
            return
        if verdict.verdict == VerdictWord.CANNOT_TELL:
            move(case, CaseState.TIED, actor=actor, details={"is_escalation": verdict.is_escalation})
            return
        outcome = Outcome.PASS if verdict.verdict == VerdictWord.PASS else Outcome.REJECT
        _close(case, ClosedBy.VERDICT, actor)
        dispose(
            part=case.part,
            outcome=outcome,
            source=Source.HUMAN,
            reason=Reason.VERDICT,
            person=verdict.person,
            note=verdict.note,
            actor=Actor.person(verdict.person),
        )


@transaction.atomic
def rule(*, case: Case, person: Person, grade: Grade, note: str) -> Ruling:
    """The quality expert decides a tie: good parts pass, bad parts are rejected."""
    if case.state != CaseState.TIED:
        raise TooLateError("This tie is decided already.")
    if case.deadline_at <= timezone.now():
        raise TooLateError("The deadline of this tie has passed; the fail-safe disposition is on its way.")
    actor = Actor.person(person)
    _close(case, ClosedBy.RULING, actor)
    ruling = Ruling.objects.create(case=case, person=person, grade=grade, note=note, ruled_at=timezone.now())
    dispose(
        part=case.part,
        outcome=Outcome.PASS if grade == Grade.GOOD else Outcome.REJECT,
        source=Source.HUMAN,
        reason=Reason.RULING,
        person=person,
        note=note,
        actor=actor,
    )
    return ruling


def _close(case: Case, closed_by: ClosedBy, actor: Actor) -> None:
    move(
        case,
        CaseState.CLOSED,
        actor=actor,
        details={"closed_by": closed_by},
        closed_at=timezone.now(),
        closed_by=closed_by,
        **_NO_LEASE,
    )


# --- time -------------------------------------------------------------------------------------------------
def sweep(*, now: datetime, actor: Actor) -> dict[str, int]:
    """Open cases, end leases, carry out verdicts whose window is over, and fail safe at the deadline."""
    done = {"opened": open_cases(actor=actor), "returned": 0, "committed": 0, "expired": 0}
    for case in queries.expired_leases(now)[:MOST_A_SWEEP]:
        done["returned"] += _if_first(_end_lease, case, actor)
    for verdict in queries.due_verdicts(now)[:MOST_A_SWEEP]:
        done["committed"] += _if_first(_commit, verdict, actor)
    for case in queries.expired_cases(now)[:MOST_A_SWEEP]:
        done["expired"] += _if_first(_expire, case, actor)
    return done


def _if_first(step: Callable[[Row, Actor], None], row: Row, actor: Actor) -> int:
    try:
        step(row, actor)
    except (StaleState, IllegalMove):  # a person was first, which is what we want
        return 0
    except Exception:
        # The rows behind this one have deadlines too.
        _log.exception("%s waits for the next turn", row)
        return 0
    return 1


@transaction.atomic
def _end_lease(case: Case, actor: Actor) -> None:
    now_held = Case.objects.select_for_update().get(pk=case.pk)
    if now_held.lease_expires_at == case.lease_expires_at:  # else it was renewed since we looked
        move(now_held, CaseState.WAITING, actor=actor, verb="lease_ended", **_NO_LEASE)


def _commit(verdict: Verdict, actor: Actor) -> None:
    commit_verdict(verdict=verdict, actor=actor)


@transaction.atomic
def _expire(case: Case, actor: Actor) -> None:
    """Silence is never PASS: past its deadline a part is rejected."""
    if case.part.state == PartState.DISPOSED:
        _close(case, ClosedBy.ELSEWHERE, actor)
        return
    _close(case, ClosedBy.DEADLINE, actor)
    dispose(
        part=case.part,
        outcome=Outcome.REJECT,
        source=Source.FAIL_SAFE,
        reason=Reason.DEADLINE,
        note="nobody decided in time",
        actor=actor,
    )
