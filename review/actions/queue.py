"""The queue: held parts get their case, and a case goes onto one screen until a time."""

import random
import secrets
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState, move, record
from inspection.models import Part
from review import queries
from review.actions.errors import LeaseError
from review.actions.unmarked import slip_in_probe
from review.models import Case, ReviewPolicy
from review.states import CaseKind, CaseState
from review.urgency import cost_of_silence, slot_of

MOST_A_SWEEP = 200
MOST_TRIED = 20
GONE_FOR_S = 10  # a page that has lost its connection has so long to come back before its case goes to others
NO_LEASE: dict[str, Any] = {"reviewer": None, "lease_token": "", "leased_at": None, "lease_expires_at": None}
_dice = random.SystemRandom()


# --- opening ----------------------------------------------------------------------------------------------
def open_cases(*, actor: Actor) -> int:
    """Give every held part its case; returns how many are new. With some of them a probe joins the queue."""
    found = list(queries.parts_without_case()[:MOST_A_SWEEP])
    policies = queries.policies_of(part.line_id for part in found)
    opened = 0
    for part in found:
        policy = policies[part.line_id]
        with transaction.atomic():
            case, is_new = _open(part, policy)
            if not is_new:
                continue
            record(case, "opened", actor=actor)
            opened += 1
        if _dice.random() < policy.probe_share:
            slip_in_probe(line=part.line, policy=policy, actor=actor)
    return opened


def _open(part: Part, policy: ReviewPolicy) -> tuple[Case, bool]:
    held_at = cast(datetime, part.held_at)  # a_held_part_says_why_and_since_when
    deadline_at = held_at + timedelta(milliseconds=part.line.review_deadline_ms)
    inspection = next(iter(part.inspections.all()), None)
    score = inspection.score if inspection else None
    return Case.objects.get_or_create(
        part=part,
        kind=CaseKind.HELD,
        defaults={
            "shown_part": part,
            "shown_score": score,
            "opened_at": held_at,
            "deadline_at": deadline_at,
            "deadline_slot": slot_of(deadline_at),
            "expected_cost": cost_of_silence(score, policy),
            "wants_opinions": 2 if _dice.random() < policy.double_share else 1,
        },
    )


# --- leases -----------------------------------------------------------------------------------------------
def lease(*, person: Person, lines: queries.Lines) -> Case | None:
    """The next case for this person: the one already on the screen, or the most urgent one; None if none waits.

    Nobody chooses: a case that was given back comes again, and nobody judges the same case twice.
    """
    case = _lease(person, lines)
    # The sweeper opens cases all the time; only who would go away empty-handed looks for new ones.
    if case is None and open_cases(actor=Actor.system("review")):
        case = _lease(person, lines)
    return case


@transaction.atomic
def _lease(person: Person, lines: queries.Lines) -> Case | None:
    take_turns(person)
    now = timezone.now()
    mine = queries.leased_case(person.pk)
    if mine and mine.lease_expires_at and min(mine.lease_expires_at, mine.deadline_at) > now:
        return renew_lease(case=mine, person=person, token=mine.lease_token)
    if mine:
        _give_up(mine, person)
    for case_id, _ in queries.next_in_turn(lines, person.pk, now=now, most=MOST_TRIED):
        case = queries.bare_cases().get(pk=case_id)
        try:
            put_on_screen(case, person)
        except (StaleState, IllegalMove):  # another inspector was first
            continue
        return case
    return None


def lease_in_hand(*, person: Person, code: str, lines: queries.Lines) -> Case:
    """The case of the very part that the person holds in the hand and has scanned.

    Raises LeaseError if no such case is open, if it is on another screen, or if the person has judged it.
    """
    open_cases(actor=Actor.system("review"))
    with transaction.atomic():
        take_turns(person)
        case = queries.case_in_hand(code, lines)
        if case is None:
            raise LeaseError(f"No part {code} waits for a verdict on your lines. Scan its code again.")
        if case.state == CaseState.LEASED and case.reviewer_id == person.pk:
            return renew_lease(case=case, person=person, token=case.lease_token)
        if case.state != CaseState.WAITING or case.verdicts.filter(person=person, undone_at=None).exists():
            raise LeaseError(f"Part {code} is on another screen, or you have judged it already.")
        clear_screen(person)
        put_on_screen(case, person)
        return case


def take_turns(person: Person) -> None:
    """Two tabs of one person lease one after the other, so that the second finds what the first has taken."""
    Person.objects.select_for_update().values_list("pk").get(pk=person.pk)


def clear_screen(person: Person) -> None:
    """Return what this person has on the screen to the queue."""
    if case := queries.leased_case(person.pk):
        _give_up(case, person)


def _give_up(case: Case, person: Person) -> None:
    move(case, CaseState.WAITING, actor=Actor.person(person), verb="lease_ended", **NO_LEASE)


def put_on_screen(case: Case, person: Person, *, verb: str = "leased") -> None:
    now = timezone.now()
    move(
        case,
        CaseState.LEASED,
        actor=Actor.person(person),
        verb=verb,
        reviewer=person,
        lease_token=secrets.token_urlsafe(24),
        leased_at=now,
        lease_expires_at=now + timedelta(milliseconds=case.shown_part.line.lease_ms),
    )


def renew_lease(*, case: Case, person: Person, token: str) -> Case:
    """Keep the case on the screen; LeaseError if it is no longer this person's."""
    now = timezone.now()
    expires_at = now + timedelta(milliseconds=case.shown_part.line.lease_ms)
    kept = Case.objects.filter(
        pk=case.pk, state=CaseState.LEASED, reviewer=person, lease_token=token, lease_expires_at__gt=now
    ).update(lease_expires_at=expires_at)
    if not kept:
        raise LeaseError("This case is no longer on your screen. Take the next one.")
    case.lease_expires_at = expires_at
    return case


def release_soon(*, person_id: int) -> None:
    """The person's last page has closed its connection: unless it comes back soon, the case is for others."""
    soon = timezone.now() + timedelta(seconds=GONE_FOR_S)
    Case.objects.filter(state=CaseState.LEASED, reviewer=person_id).update(
        lease_expires_at=Least(F("lease_expires_at"), soon)
    )


def return_case(*, case: Case, person: Person, token: str = "") -> None:
    """Give the case back to the queue undecided; with a token, only if it is the lease of that token."""
    if case.state != CaseState.LEASED or case.reviewer_id != person.pk or token not in {"", case.lease_token}:
        raise LeaseError("This case is not on your screen.")
    move(case, CaseState.WAITING, actor=Actor.person(person), verb="returned", **NO_LEASE)
