"""A candidate is accepted (its golden configuration is written and locked), activated, or declined."""

from django.db import transaction

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import move
from inspection.actions import activate_golden, draft_golden, lock_golden
from inspection.models import GoldenConfiguration
from training.models import Candidate
from training.states import CandidateState


@transaction.atomic
def accept(*, candidate: Candidate, actor: Actor) -> GoldenConfiguration:
    """Write the candidate's golden configuration and lock it; an accepted candidate returns the one it has.

    Raises IllegalMove for a declined candidate, StaleState if somebody else was first.
    """
    if candidate.golden is not None:
        return candidate.golden
    golden = draft_golden(
        line=candidate.run.dataset_version.dataset.line,
        model_name=candidate.model_name,
        model_sha256=candidate.model_sha256,
        family=candidate.run.family,
        grey_from=candidate.grey_from,
        grey_to=candidate.grey_to,
        preprocessing=candidate.preprocessing,
        actor=actor,
    )
    lock_golden(golden=golden, actor=actor)
    move(candidate, CandidateState.ACCEPTED, actor=actor, details={"golden": golden.pk}, golden=golden)
    return golden


@transaction.atomic
def activate(*, candidate: Candidate, actor: Actor, person: Person | None = None) -> GoldenConfiguration:
    """Accept the candidate if nobody has, and make its golden configuration the line's active one."""
    return make_active(golden=accept(candidate=candidate, actor=actor), actor=actor, person=person)


@transaction.atomic
def make_active(
    *, golden: GoldenConfiguration, actor: Actor, person: Person | None = None
) -> GoldenConfiguration:
    """Activate a locked golden configuration, or a retired one again (roll back)."""
    activate_golden(golden=golden, actor=actor, person=person)
    candidate = Candidate.objects.filter(golden=golden, state=CandidateState.ACCEPTED).first()
    if candidate:
        move(candidate, CandidateState.ACTIVATED, actor=actor, details={"golden": golden.pk})
    return golden


def decline(*, candidate: Candidate, actor: Actor) -> Candidate:
    move(candidate, CandidateState.DECLINED, actor=actor)
    return candidate
