"""Parts with points in the space of appearances, and rulings on them."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.utils import timezone

from accounts.models import Person
from inspection.models import Part, Station
from review.models import Appearance, Case, Ruling
from review.states import CaseKind, CaseState, ClosedBy, Grade
from tests.factories import decided_part, expert
from vision.appearance import LENGTH, SPACE, Vectors, to_bytes


def direction(degrees: float, *, plane: int = 0) -> Vectors:
    """A unit vector in a plane of its own: the cosine of two of them is that of the angle between."""
    vector = np.zeros(LENGTH, np.float32)
    vector[2 * plane : 2 * plane + 2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


def give_point(part: Part, vector: Vectors) -> Part:
    Appearance.objects.create(part=part, space=SPACE, vector=to_bytes(vector), made_at=timezone.now())
    return part


def case_on(part: Part, *, kind: str = CaseKind.AUDIT, is_closed: bool = True, **fields: Any) -> Case:
    """A case as the queue has it; closed by a verdict unless told otherwise."""
    now = timezone.now()
    fields = {
        "opened_at": now,
        "deadline_at": now + timedelta(hours=1),
        "deadline_slot": int(now.timestamp()) // 10,
        "shown_part": part,
        "draw_share": 0.5 if kind == CaseKind.AUDIT else None,
        **({"state": CaseState.CLOSED, "closed_at": now, "closed_by": ClosedBy.VERDICT} if is_closed else {}),
        **fields,
    }
    return Case.objects.create(part=part, kind=kind, **fields)


def ruled(
    at: Station,
    degrees: float | None,
    grade: str = Grade.BAD,
    *,
    is_precedent: bool = True,
    by: Person | None = None,
    ruled_at: datetime | None = None,
    serial: str = "",
    **fields: Any,
) -> Ruling:
    """A ruling on a part that looks that way; None: it has no point."""
    part = decided_part(at, 0.5, serial=serial)
    if degrees is not None:
        give_point(part, direction(degrees))
    return Ruling.objects.create(
        case=case_on(part, kind=CaseKind.HELD, closed_by=ClosedBy.RULING),
        person=by or expert(),
        grade=grade,
        is_precedent=is_precedent,
        ruled_at=ruled_at or timezone.now(),
        **fields,
    )
