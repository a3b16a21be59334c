"""What the demo prints while the line runs: a line per part, and how far everything is."""

from collections.abc import Callable

from audit.models import Event
from inspection.models import Disposition, Inspection, Part
from inspection.states import Reason, Source

SHOWN_VERBS = ("held", "pass", "reject")


class PartPrinter:
    """Prints each hold and each final disposition once, in the order of the audit trail."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._seen = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0

    def print_new(self) -> None:
        events = Event.objects.filter(id__gt=self._seen, subject_kind="part", verb__in=SHOWN_VERBS).order_by(
            "id"
        )
        for event in events[:500]:
            self._seen = event.pk
            part = Part.objects.filter(pk=event.subject_id).first()
            if part:
                self._say(describe(part, event))


def describe(part: Part, event: Event) -> str:
    inspection = Inspection.objects.filter(part=part).first()
    score = f"score {inspection.score:.3f}" if inspection and inspection.score is not None else "no score   "
    if event.verb == "held":
        what, why = "HOLD  ", Reason(part.hold_reason).label if part.hold_reason is not None else ""
    else:
        disposition = Disposition.objects.filter(part=part, is_final=True).first()
        what = event.verb.upper().ljust(6)
        why = f"by {Source(disposition.source).label.lower()}" if disposition else ""
    took_ms = (event.at - part.triggered_at).total_seconds() * 1000
    took = f"{took_ms:6.0f} ms" if took_ms < 10_000 else f"{took_ms / 1000:6.1f} s "
    return f"  {event.at:%H:%M:%S}  {part.plc_part_id:<14} {what} {score}  {took}  {why}"
