"""Rulings on parts that look like this one: what was decided, and where it was decided both ways.

Each process keeps the ruled parts' points as matrices. They are read anew as soon as a ruling came or went, which one
cheap query tells each time: no process works with an old book for longer than one call.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Count, Max

from inspection.models import Part
from review.appearances import alike_from, point_of
from review.models import Appearance, Ruling
from review.states import Grade
from vision.appearance import LENGTH, SPACE, Vectors, from_bytes, nearest

PLAIN_RULINGS = 5_000  # newest rulings that are no precedents, searched for contradictions alone
SHOWN = 3
PENDING_ASKED = 200


@dataclass(frozen=True, slots=True)
class Precedent:
    """A ruling on a part that looks like the one in question.

    similarity  cosine of the two parts' points, -1..1
    criterion   the acceptance book's line that came of it, as long as it stands; "" where there is none
    """

    ruling: int
    case: int
    part: int
    grade: str
    defect_type: str
    note: str
    criterion: str
    similarity: float


def precedents(part: Part, k: int = SHOWN) -> list[Precedent]:
    """The k most alike precedents of the part's type, the most alike first; none while the part has no point yet.

    Never a ruling on the part itself, nor on another picture of the same physical part (its serial).
    """
    point = point_of(part.pk)
    if not point:
        return []
    query = from_bytes([point])[0]
    return _told(_PRECEDENTS.near(part, query, k), must_be_precedents=True)


def contradictions(part: Part, grade: Grade | None = None, *, k: int = SHOWN) -> list[Precedent]:
    """Rulings on unusually alike parts that do not agree: with `grade`, or with each other where it is None.

    Unusually alike: more than 99 of 100 pairs of different parts of this type. Up to k of each grade, the most alike
    first; an empty list where all that is so near was ruled one way.
    """
    point = point_of(part.pk)
    if not point:
        return []
    query = from_bytes([point])[0]
    limit = alike_from(part.part_type_id)
    # Enough of each shelf that the rarer grade is found among many of the other.
    near = [
        found
        for shelf in (_PRECEDENTS, _PLAIN)
        for found in shelf.near(part, query, 10 * k)
        if found.similarity >= limit
    ]
    told = sorted(_told(near, must_be_precedents=False), key=lambda each: -each.similarity)
    by_grade = {word: [each for each in told if each.grade == word][:k] for word in Grade.values}
    if grade is not None:
        del by_grade[grade]
        return next(iter(by_grade.values()))
    if not all(by_grade.values()):
        return []
    return sorted((each for some in by_grade.values() for each in some), key=lambda each: -each.similarity)


class _Near(NamedTuple):
    ruling: int
    similarity: float


@dataclass(slots=True)
class _Ruled:
    """The ruled parts of one part type: row i of `vectors` is what ruling i was about."""

    rulings: list[int] = field(default_factory=list)
    points: list[bytes] = field(default_factory=list)
    of_part: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    of_serial: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, LENGTH), np.float32))


class _Shelf:
    """Points of rulings of one kind, by part type.

    most  newest rulings that are kept; None: all
    """

    def __init__(self, *, is_precedent: bool, most: int | None) -> None:
        self._is_precedent = is_precedent
        self._most = most
        self._lock = threading.Lock()
        self._stamp: tuple[int, int | None, datetime | None] | None = None
        self._pending: list[int] = []  # ruled parts that had no point when we looked
        self._by_type: dict[int, _Ruled] = {}

    def near(self, part: Part, query: Vectors, k: int) -> list[_Near]:
        ruled = self._fresh().get(part.part_type_id)
        if ruled is None:
            return []
        own = {
            *ruled.of_part.get(part.pk, ()),
            *(ruled.of_serial.get(part.serial, ()) if part.serial else ()),
        }
        rows, similarities = nearest(query, ruled.vectors, k + len(own))
        near = [
            _Near(ruled.rulings[row], float(alike))
            for row, alike in zip(rows, similarities, strict=True)
            if row not in own
        ]
        return near[:k]

    def _fresh(self) -> dict[int, _Ruled]:
        stamp = self._stamp_now()
        if stamp != self._stamp or self._is_pending_over():
            with self._lock:  # of many threads one reads; the others would find the same
                if stamp != self._stamp or self._is_pending_over():
                    self._read()
                    self._stamp = stamp
        return self._by_type

    def _stamp_now(self) -> tuple[int, int | None, datetime | None]:
        now = Ruling.objects.filter(is_precedent=self._is_precedent).aggregate(
            count=Count("pk"), newest=Max("pk"), ruled_at=Max("ruled_at")
        )
        return now["count"], now["newest"], now["ruled_at"]

    def _is_pending_over(self) -> bool:
        if not self._pending:
            return False
        asked = self._pending[:PENDING_ASKED]
        return Appearance.objects.filter(part__in=asked, space=SPACE).exists()

    def _read(self) -> None:
        found: dict[int, _Ruled] = defaultdict(_Ruled)
        pending = []
        rulings = Ruling.objects.filter(is_precedent=self._is_precedent).order_by("-id").values_list(
            "pk", "case__part", "case__part__part_type", "case__part__serial",
            "case__part__appearance__space", "case__part__appearance__vector",
        )  # fmt: skip
        for ruling, part, part_type, serial, space, vector in rulings[: self._most]:
            if space != SPACE:
                pending.append(part)
            elif vector:  # empty where the picture cannot be had
                ruled = found[part_type]
                row = len(ruled.rulings)
                ruled.rulings.append(ruling)
                ruled.points.append(bytes(vector))
                ruled.of_part[part].append(row)
                ruled.of_serial[serial].append(row)
        for ruled in found.values():
            ruled.vectors, ruled.points = from_bytes(ruled.points), []
        self._by_type, self._pending = dict(found), pending


_PRECEDENTS = _Shelf(is_precedent=True, most=None)
_PLAIN = _Shelf(is_precedent=False, most=PLAIN_RULINGS)


def _told(near: Iterable[_Near], *, must_be_precedents: bool) -> list[Precedent]:
    """The rulings as they stand now, in the order given; one that stands no more is left out."""
    near = list(near)
    if not near:
        return []
    found: dict[int, Any] = Ruling.objects.select_related("case", "criterion").in_bulk(
        [each.ruling for each in near]
    )
    told = []
    for ruling_id, similarity in near:
        ruling = found.get(ruling_id)
        if ruling is None or (must_be_precedents and not ruling.is_precedent):
            continue
        criterion = getattr(ruling, "criterion", None)
        told.append(
            Precedent(
                ruling=ruling.pk,
                case=ruling.case_id,
                part=ruling.case.part_id,
                grade=ruling.grade,
                defect_type=ruling.defect_type,
                note=ruling.note,
                criterion=criterion.text if criterion and criterion.retired_at is None else "",
                similarity=similarity,
            )
        )
    return told
