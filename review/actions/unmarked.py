"""Cases that look like any other: probes, whose grade is known, and audits of automatic passes.

Both wear what a grey part of the line wears: its reason, one of its scores, a number from the line. Neither ever
reaches the PLC, because the part behind it was disposed long ago; docs/decisions/0013.
"""

import random
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from audit.actor import Actor
from audit.transitions import record
from inspection.models import Disposition, Line, Part
from inspection.queries import active_golden
from inspection.states import Outcome, PartState, Source
from review import queries
from review.models import AuditDraw, Case, Probe, ReviewPolicy
from review.states import CaseKind, CaseState
from review.urgency import cost_of_silence, slot_of

MOST_A_DRAW = 500
SETTLED = timedelta(seconds=5)  # older rows are committed: none with a smaller id can appear any more
MOST_PROBES_OPEN = 3
USUAL_LAG = timedelta(milliseconds=500)
LENT_FROM = 20  # the newest parts among which a probe finds a number
_dice = random.SystemRandom()


def slip_in_probe(*, line: Line, policy: ReviewPolicy, actor: Actor) -> Case | None:
    """Put one known part into the line's queue; None if there is none, or enough wait already."""
    open_probes = Case.objects.filter(kind=CaseKind.PROBE, shown_part__line=line).exclude(
        state=CaseState.CLOSED
    )
    if open_probes.count() >= MOST_PROBES_OPEN:
        return None  # an unattended queue must not fill up with probes
    probe = _probe_for(line)
    lender = _lender_on(line)
    if probe is None or lender is None:
        return None
    with transaction.atomic():
        case = Case.objects.create(
            kind=CaseKind.PROBE, part=probe.part, probe=probe, **_clothes(lender, line, policy)
        )
        record(case, "opened", actor=actor)
    return case


def _probe_for(line: Line) -> Probe | None:
    """Good and bad in turn by chance, and of those the one that was seen least."""
    fitting = Probe.objects.filter(retired_at=None, part__line__part_type=line.part_type_id)
    grades = sorted(set(fitting.values_list("grade", flat=True)))
    if not grades:
        return None
    return (
        fitting.filter(grade=_dice.choice(grades))
        .annotate(times=Count("cases"), newest=Max("cases__id"))
        .select_related("part")
        .order_by("times", "newest", "id")
        .first()
    )


def _lender_on(line: Line) -> Part | None:
    """A recent part that the model decided alone and that no screen shows: its number is real and says nothing."""
    recent = Part.objects.filter(line=line, state=PartState.DISPOSED, cases=None, shown_in=None)
    newest = list(recent.filter(held_at=None).order_by("-id")[:LENT_FROM])
    return _dice.choice(newest) if newest else None


@transaction.atomic
def draw_audits(*, line: Line, policy: ReviewPolicy, now: datetime, actor: Actor) -> int:
    """Give every new automatic pass its one chance to be judged by a person; returns how many were drawn."""
    settled = Disposition.objects.filter(part__line=line, decided_at__lt=now - SETTLED)
    draw = AuditDraw.objects.select_for_update().filter(line=line).first()
    if draw is None:
        newest = settled.aggregate(newest=Max("id"))["newest"] or 0
        AuditDraw.objects.create(line=line, seen_to=newest)  # what came before was never to be drawn
        return 0
    new = list(settled.filter(id__gt=draw.seen_to).order_by("id").select_related("part")[:MOST_A_DRAW])
    if not new:
        return 0
    passes = [row.part for row in new if row.outcome == Outcome.PASS and row.source == Source.MODEL]
    drawn = [part for part in passes if _dice.random() < policy.audit_share]
    for part in drawn:
        case = Case.objects.create(
            kind=CaseKind.AUDIT, part=part, draw_share=policy.audit_share, **_clothes(part, line, policy)
        )
        record(case, "opened", actor=actor)
    draw.seen_to = new[-1].pk
    draw.save(update_fields=["seen_to"])
    return len(drawn)


def _clothes(shown: Part, line: Line, policy: ReviewPolicy) -> dict[str, object]:
    """What this part would show if the model had held it."""
    opened_at = _held_at(shown, line)
    deadline_at = opened_at + timedelta(milliseconds=line.review_deadline_ms)
    score = _usual_score(line)
    return {
        "shown_part": shown,
        "shown_score": score,
        "opened_at": opened_at,
        "deadline_at": deadline_at,
        "deadline_slot": slot_of(deadline_at),
        "expected_cost": cost_of_silence(score, policy),
        "wants_opinions": 2 if _dice.random() < policy.double_share else 1,
    }


def _held_at(shown: Part, line: Line) -> datetime:
    """As long after its trigger as grey parts of the line are held: the two times stand side by side on the screen."""
    now = timezone.now()
    lags = queries.hold_lags(line)
    lag = _dice.choice(lags) if lags else USUAL_LAG
    # No part is so old that its deadline is lost: after an outage passes of hours are drawn at once.
    earliest = now - timedelta(milliseconds=line.review_deadline_ms / 10)
    return min(max(shown.triggered_at + lag, earliest), now)


def _usual_score(line: Line) -> float:
    golden = active_golden(line)
    band = (golden.grey_from, golden.grey_to) if golden else (0.0, 1.0)
    usual = [score for score in queries.grey_scores(line) if band[0] <= score < band[1]]
    # Not one of them: the very same figure on two parts would tell.
    near = _dice.choice(usual) if usual else _dice.uniform(*band)
    return min(max(near + _dice.gauss(0, 0.02) * (band[1] - band[0]), band[0]), band[1])
