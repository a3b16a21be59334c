"""Time: cases open, leases end, verdicts are carried out, deadlines fail safe, passes are drawn for audits."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction

from audit.actor import Actor
from audit.transitions import IllegalMove, StaleState, move
from inspection.actions import dispose
from inspection.models import Line
from inspection.states import Outcome, PartState, Reason, Source
from review import queries
from review.actions.load import weigh_load
from review.actions.queue import MOST_A_SWEEP, NO_LEASE, open_cases
from review.actions.unmarked import draw_audits
from review.actions.verdicts import close, commit_verdict
from review.models import Case, Verdict
from review.states import CaseKind, CaseState, ClosedBy
from review.urgency import slot_of

Row = TypeVar("Row")
_log = logging.getLogger(__name__)


def sweep(*, now: datetime, actor: Actor) -> dict[str, int]:
    """Open cases, end leases, carry out verdicts whose window is over, and fail safe at the deadline."""
    done = {"opened": open_cases(actor=actor), "returned": 0, "committed": 0, "expired": 0}
    for case in queries.expired_leases(now)[:MOST_A_SWEEP]:
        done["returned"] += _if_first(_end_lease, case, actor)
    for verdict in queries.due_verdicts(now)[:MOST_A_SWEEP]:
        done["committed"] += _if_first(_commit, verdict, actor)
    for case in queries.expired_cases(now)[:MOST_A_SWEEP]:
        done["expired"] += _if_first(_expire, case, actor)
    lines = list(Line.objects.all())
    policies = queries.policies_of(line.pk for line in lines)
    for line in lines:
        if policies[line.pk].audit_share:
            draw_audits(line=line, policy=policies[line.pk], now=now, actor=actor)
        weigh_load(line=line, policy=policies[line.pk], now=now, actor=actor)
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
        move(now_held, CaseState.WAITING, actor=actor, verb="lease_ended", **NO_LEASE)


def _commit(verdict: Verdict, actor: Actor) -> None:
    commit_verdict(verdict=verdict, actor=actor)


@transaction.atomic
def _expire(case: Case, actor: Actor) -> None:
    """Silence is never PASS: past its deadline a part is rejected. Its case goes on, at the end, for the record."""
    if case.late_at:
        close(case, ClosedBy.DEADLINE, actor)
        return
    is_held = case.kind == CaseKind.HELD
    if is_held and case.part.state == PartState.DISPOSED:
        close(case, ClosedBy.ELSEWHERE, actor)
        return
    _go_on_for_the_record(case, actor)
    if is_held:
        dispose(
            part=case.part,
            outcome=Outcome.REJECT,
            source=Source.FAIL_SAFE,
            reason=Reason.DEADLINE,
            note="nobody decided in time",
            actor=actor,
        )


def _go_on_for_the_record(case: Case, actor: Actor) -> None:
    policy = queries.policy_of(case.shown_part.line_id)
    if not policy.late_grading_h:
        close(case, ClosedBy.DEADLINE, actor)
        return
    until = case.deadline_at + timedelta(hours=policy.late_grading_h)
    move(
        case,
        case.state,
        actor=actor,
        verb="deadline_passed",
        late_at=case.deadline_at,
        deadline_at=until,
        deadline_slot=slot_of(until),
    )
