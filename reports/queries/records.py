"""Parts with everything that is known of them, in a fixed number of queries whatever the number of parts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from audit.models import Event
from inspection.models import Disposition, Image, Inspection, Part
from inspection.states import Outcome, PartState
from plc.models import Delivery
from review.models import Case, Ruling, Verdict
from review.states import CaseKind, ClosedBy


@dataclass
class Record:
    """One part and all rows that tell its story; events of the part and of its case, oldest first."""

    part: Part
    images: list[Image] = field(default_factory=list)
    inspections: list[Inspection] = field(default_factory=list)
    dispositions: list[Disposition] = field(default_factory=list)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    rulings: dict[int, Ruling] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def finals(self) -> list[Disposition]:
        return [row for row in self.dispositions if row.is_final]

    @property
    def final(self) -> Disposition | None:
        return next(iter(self.finals), None)

    @property
    def hold(self) -> Disposition | None:
        return next((row for row in self.dispositions if row.outcome == Outcome.HOLD), None)

    @property
    def standing(self) -> Disposition | None:
        """What counts for the part now: its final disposition, else its HOLD."""
        return self.final or self.hold

    @property
    def case(self) -> Case | None:
        """The case that the part was held for."""
        return next((case for case in self.cases if case.kind == CaseKind.HELD), None)

    @property
    def is_correctable(self) -> bool:
        """A person has decided the held part, and the PLC is not known to have carried it out."""
        case, final = self.case, self.final
        return (
            case is not None
            and case.closed_by in {ClosedBy.VERDICT, ClosedBy.RULING}
            and case.late_at is None
            and final is not None
            and final.applied_at is None
        )

    @property
    def ruling(self) -> Ruling | None:
        """The ruling that disposed the part; else the newest for the record."""
        if self.case and self.case.pk in self.rulings:
            return self.rulings[self.case.pk]
        return self.rulings[max(self.rulings)] if self.rulings else None

    @property
    def inspection(self) -> Inspection | None:
        return next(iter(self.inspections), None)

    @property
    def standing_verdicts(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.undone_at is None]

    @property
    def image(self) -> Image | None:
        """The picture to show: the first view that can be read."""
        return next((image for image in self.images if not image.problem), None)

    @property
    def outcome_word(self) -> str:
        """PASS, REJECT or HOLD; empty while the part is on its way."""
        if self.final is not None:
            return str(self.final.outcome)
        return "HOLD" if self.part.state == PartState.HELD else ""


def records(parts: QuerySet[Part] | Iterable[Part], *, with_events: bool = False) -> list[Record]:
    """The records of these parts, in their order."""
    found = {part.pk: Record(part) for part in parts}
    ids = list(found)
    for image in Image.objects.filter(part__in=ids).order_by("view"):
        found[image.part_id].images.append(image)
    for inspection in (
        Inspection.objects.filter(part__in=ids).select_related("golden", "golden__line").order_by("id")
    ):
        found[inspection.part_id].inspections.append(inspection)
    for disposition in Disposition.objects.filter(part__in=ids).select_related("person").order_by("id"):
        found[disposition.part_id].dispositions.append(disposition)
    for delivery in (
        Delivery.objects.filter(disposition__part__in=ids)
        .select_related("mailbox", "disposition")
        .order_by("id")
    ):
        found[delivery.disposition.part_id].deliveries[delivery.disposition_id] = delivery
    part_of: dict[int, int] = {}
    for case in told_cases(ids).select_related("reviewer"):
        found[case.part_id].cases.append(case)
        part_of[case.pk] = case.part_id
    for verdict in Verdict.objects.filter(case__in=part_of).select_related("person", "case").order_by("id"):
        found[part_of[verdict.case_id]].verdicts.append(verdict)
    for ruling in Ruling.objects.filter(case__in=part_of).select_related("person").order_by("id"):
        found[part_of[ruling.case_id]].rulings[ruling.case_id] = ruling
    if with_events:
        for part_id, events in events_by_part(ids).items():
            found[part_id].events = events
    return list(found.values())


def told_cases(part_ids: Sequence[int]) -> QuerySet[Case]:
    """The cases that belong to the story of these parts: not the probes that borrow their pictures."""
    return Case.objects.filter(part__in=part_ids).exclude(kind=CaseKind.PROBE).order_by("id")


def events_by_part(part_ids: Sequence[int]) -> dict[int, list[Event]]:
    """Events of the parts and of their cases, oldest first, with their seals."""
    part_of = dict(told_cases(part_ids).values_list("pk", "part"))
    grouped: dict[int, list[Event]] = defaultdict(list)
    of_parts = Q(subject_kind="part", subject_id__in=part_ids)
    of_cases = Q(subject_kind="case", subject_id__in=list(part_of))
    for event in Event.objects.filter(of_parts | of_cases).select_related("seal").order_by("id"):
        is_case = event.subject_kind == "case"
        grouped[part_of[event.subject_id] if is_case else event.subject_id].append(event)
    return grouped
