"""The same case of every kind: a held part, an audit of a pass, a probe, each on a line of its own with a past."""

import itertools
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from django.utils import timezone

from audit.actor import Actor
from inspection import actions as floor
from inspection import storage
from inspection.look import Look
from inspection.models import Part, Station
from inspection.states import Reason
from review import actions, queries
from review.actions.unmarked import slip_in_probe
from review.models import Case, Probe, ReviewPolicy
from review.states import CaseKind, Grade
from tests.factories import TESTER, captured_part, golden, station
from vision import maps

UNMARKED = (CaseKind.HELD, CaseKind.AUDIT, CaseKind.PROBE)
GREY_FROM, GREY_TO = 0.3, 0.7
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Floor:
    """A line on which grey parts have been judged, parts have passed, and two parts of known grade lie."""

    station: Station
    known_good: Part
    known_bad: Part

    def policy(self, **changes) -> ReviewPolicy:
        """What is in force, with the shares that this test sets."""
        found = queries.policy_of(self.station.line_id)
        for name, value in changes.items():
            setattr(found, name, value)
        return found


def looked_at_part(at: Station, score: float, **fields) -> Part:
    """A part with an image and a map, decided by the active golden configuration."""
    part = captured_part(at, **{"serial": f"{at.code}-{next(_numbers)}", **fields})
    active = at.line.golden_configurations.filter(state="active").get()
    seen = np.full((8, 8), score / 3, np.float32)
    seen[2:4, 2:4] = score
    look = Look(Reason.CLEAR, golden=active, score=score, view="main")
    floor.decide(
        part=part, look=look.with_map(storage.write(f"maps/{part.pk}.png", maps.to_png(seen))), actor=TESTER
    )
    return part


def a_floor(**policy) -> Floor:
    at = station()
    golden(at, grey_from=GREY_FROM, grey_to=GREY_TO)
    reference, _ = (looked_at_part(at, score) for score in (0.41, 0.63))
    known_good, known_bad = looked_at_part(at, 0.05), looked_at_part(at, 0.95)
    for number in range(3):
        looked_at_part(at, 0.1 + number / 100)
    actions.open_cases(actor=TESTER)
    actions.sweep(now=timezone.now() + timedelta(hours=1), actor=TESTER)  # what was held is closed
    actions.set_policy(line=at.line, actor=TESTER, **{**CALM, "reference_part": reference, **policy})
    actions.add_probe(part=known_good, grade=Grade.GOOD, person=None, actor=TESTER)
    actions.add_probe(part=known_bad, grade=Grade.BAD, person=None, actor=TESTER, defect_type="scratch")
    settled = timezone.now() + timedelta(seconds=10)
    actions.draw_audits(line=at.line, policy=PLAIN_AUDIT, now=settled, actor=TESTER)  # counts from here on
    return Floor(at, known_good, known_bad)


CALM = {"double_share": 0.0, "newcomer_days": 0, "probe_share": 0.0, "audit_share": 0.0}
PLAIN_AUDIT = ReviewPolicy(audit_share=1.0, double_share=0.0, overkill_cost=1.0)


def case_of_kind(kind: str, at: Floor, *, grade: str = Grade.GOOD, score: float = 0.5) -> Case:
    """A case that has just joined the queue."""
    if kind == CaseKind.HELD:
        part = looked_at_part(at.station, score)
        actions.open_cases(actor=TESTER)
        return Case.objects.get(part=part, kind=kind)
    policy = at.policy(audit_share=1.0)
    if kind == CaseKind.AUDIT:
        part = looked_at_part(at.station, 0.1)
        later = timezone.now() + timedelta(seconds=10)
        actions.draw_audits(line=at.station.line, policy=policy, now=later, actor=TESTER)
        return Case.objects.get(part=part, kind=kind)
    Probe.objects.exclude(grade=grade).update(retired_at=timezone.now())
    case = slip_in_probe(line=at.station.line, policy=policy, actor=Actor.system("test"))
    assert case is not None
    return case
