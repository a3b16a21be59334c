"""Rulings on parts that look like this one: what was decided, and where it was decided both ways.

Each process keeps the ruled parts' points as matrices. They are read anew as soon as there is a newer ruling, or a ruled
part got its point, which a cheap query tells at each call; a change of an old ruling is seen within seconds. What a
ruling says is never kept: it is read when it is shown.
"""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
from django.db.models import QuerySet

from inspection.models import Part
from review.appearances import alike_from, point_of
from review.models import Appearance, Ruling
from review.states import Grade
from vision.appearance import LENGTH, SPACE, Vectors, from_bytes, nearest

PLAIN_RULINGS = 5_000  # newest rulings that are no precedents, searched for contradictions alone
SHOWN = 3
PENDING_ASKED = 200
COUNT_EVERY_S = 5.0


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
        self._newest: tuple[int, datetime] | None = None
        self._count = 0
        self._counted_at = -COUNT_EVERY_S
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
        if self._is_old():
            with self._lock:  # of many threads one reads; the others would find the same
                if self._is_old():
                    self._read()
        return self._by_type

    def _is_old(self) -> bool:
        if self._newest_now() != self._newest or self._is_pending_over():
            return True
        if time.monotonic() - self._counted_at < COUNT_EVERY_S:
            return False
        self._counted_at = time.monotonic()
        return self._rulings().count() != self._count

    def _rulings(self) -> QuerySet[Ruling]:
        return Ruling.objects.filter(is_precedent=self._is_precedent).order_by("-pk")

    def _newest_now(self) -> tuple[int, datetime] | None:
        return self._rulings().values_list("pk", "ruled_at").first()

    def _is_pending_over(self) -> bool:
        if not self._pending:
            return False
        asked = self._pending[:PENDING_ASKED]
        return Appearance.objects.filter(part__in=asked, space=SPACE).exists()

    def _read(self) -> None:
        found: dict[int, _Ruled] = defaultdict(_Ruled)
        pending = []
        newest, count = self._newest_now(), self._rulings().count()
        rulings = self._rulings().values_list(
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
        self._newest, self._count, self._counted_at = newest, count, time.monotonic()


_PRECEDENTS = _Shelf(is_precedent=True, most=None)
_PLAIN = _Shelf(is_precedent=False, most=PLAIN_RULINGS)


def _told(near: list[_Near], *, must_be_precedents: bool) -> list[Precedent]:
    """The rulings as they stand now, in the order given; one that stands no more is left out."""
    if not near:
        return []
    rows = Ruling.objects.filter(pk__in=[each.ruling for each in near]).values(
        "pk", "grade", "defect_type", "note", "is_precedent", "case", "case__part", "criterion__text",
        "criterion__retired_at",
    )  # fmt: skip
    found = {row["pk"]: row for row in rows if row["is_precedent"] or not must_be_precedents}
    return [
        Precedent(
            ruling=row["pk"],
            case=row["case"],
            part=row["case__part"],
            grade=row["grade"],
            defect_type=row["defect_type"],
            note=row["note"],
            criterion=(row["criterion__text"] or "") if row["criterion__retired_at"] is None else "",
            similarity=each.similarity,
        )
        for each in near
        if (row := found.get(each.ruling))
    ]
