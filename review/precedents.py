"""Rulings on parts that look like this one: what was decided, and where it was decided both ways.

Each process keeps the ruled parts' points as matrices. They are read anew as soon as there is a newer ruling, or a ruled
part got its point, which a cheap query tells at each call; a change of an old ruling is seen within seconds. What a
ruling says is never kept: it is read when it is shown.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import QuerySet

from inspection.models import Part
from review.appearances import alike_from
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


class Evidence(NamedTuple):
    """What the rulings so far say of one part: `precedents` and `contradictions`."""

    precedents: list[Precedent]
    contradictions: list[Precedent]


def precedents(part: Part, k: int = SHOWN) -> list[Precedent]:
    """The k most alike precedents of the part's type, the most alike first; none while the part has no point yet.

    Never a ruling on the part itself, nor on another picture of the same physical part (its serial).
    """
    query = _points([part.pk]).get(part.pk)
    if query is None:
        return []
    near = _PRECEDENTS.near([(part, query)], k)[part.pk]
    return _standing(near, _told(near))


def contradictions(part: Part, grade: Grade | None = None, *, k: int = SHOWN) -> list[Precedent]:
    """Rulings on unusually alike parts that do not agree: with `grade`, or with each other where it is None.

    Unusually alike: more than 99 of 100 pairs of different parts of this type. Up to k of each grade, the most alike
    first; an empty list where all that is so near was ruled one way.
    """
    query = _points([part.pk]).get(part.pk)
    if query is None:
        return []
    near = _unusually_alike([(part, query)], k)[part.pk]
    return _disagreeing(near, _told(near), grade, k)


def evidence_of(parts: Iterable[Part], *, k: int = SHOWN) -> dict[int, Evidence]:
    """Both for each of these parts, by the part's id, in a number of queries that does not grow with them."""
    parts = list(parts)
    points = _points([part.pk for part in parts])
    asked = [(part, points[part.pk]) for part in parts if part.pk in points]
    near = _PRECEDENTS.near(asked, k)
    alike = _unusually_alike(asked, k)
    told = _told([each for some in (*near.values(), *alike.values()) for each in some])
    return {
        part.pk: Evidence(
            _standing(near.get(part.pk, []), told), _disagreeing(alike.get(part.pk, []), told, None, k)
        )
        for part in parts
    }


def _points(part_ids: list[int]) -> dict[int, Vectors]:
    """The points of those parts that have one."""
    kept = Appearance.objects.filter(part__in=part_ids, space=SPACE).values_list("part", "vector")
    return {part_id: from_bytes([bytes(vector)])[0] for part_id, vector in kept if vector}


def _unusually_alike(asked: Sequence["_Asked"], k: int) -> dict[int, list["_Near"]]:
    limits = {part_type: alike_from(part_type) for part_type in {part.part_type_id for part, _ in asked}}
    # Enough of each shelf that the rarer grade is found among many of the other.
    found = [shelf.near(asked, 10 * k) for shelf in (_PRECEDENTS, _PLAIN)]
    near = {}
    for part, _ in asked:
        alike = [each for shelf in found for each in shelf[part.pk]]
        alike = [each for each in alike if each.similarity >= limits[part.part_type_id]]
        near[part.pk] = sorted(alike, key=lambda each: -each.similarity)
    return near


def _standing(near: list["_Near"], told: dict[int, dict[str, Any]]) -> list[Precedent]:
    """Rulings that are precedents still, in the order given."""
    return [
        _precedent(told[each.ruling], each.similarity)
        for each in near
        if each.ruling in told and told[each.ruling]["is_precedent"]
    ]


def _disagreeing(
    near: list["_Near"], told: dict[int, dict[str, Any]], grade: Grade | None, k: int
) -> list[Precedent]:
    found = [_precedent(told[each.ruling], each.similarity) for each in near if each.ruling in told]
    by_grade = {word: [each for each in found if each.grade == word][:k] for word in Grade.values}
    if grade is not None:
        del by_grade[grade]
    elif not all(by_grade.values()):
        return []
    return sorted((each for some in by_grade.values() for each in some), key=lambda each: -each.similarity)


_Asked = tuple[Part, Vectors]


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

    def near(self, asked: Sequence[_Asked], k: int) -> dict[int, list[_Near]]:
        """The k most alike rulings for each part, the most alike first."""
        by_type = self._fresh() if asked else {}
        return {part.pk: self._near(by_type.get(part.part_type_id), part, query, k) for part, query in asked}

    def _near(self, ruled: _Ruled | None, part: Part, query: Vectors, k: int) -> list[_Near]:
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


def _told(near: list[_Near]) -> dict[int, dict[str, Any]]:
    """What these rulings say now, by id; one that is gone is left out."""
    if not near:
        return {}
    rows = Ruling.objects.filter(pk__in={each.ruling for each in near}).values(
        "pk", "grade", "defect_type", "note", "is_precedent", "case", "case__part", "criterion__text",
        "criterion__retired_at",
    )  # fmt: skip
    return {row["pk"]: dict(row) for row in rows}


def _precedent(row: dict[str, Any], similarity: float) -> Precedent:
    return Precedent(
        ruling=row["pk"],
        case=row["case"],
        part=row["case__part"],
        grade=row["grade"],
        defect_type=row["defect_type"],
        note=row["note"],
        criterion=(row["criterion__text"] or "") if row["criterion__retired_at"] is None else "",
        similarity=similarity,
    )
