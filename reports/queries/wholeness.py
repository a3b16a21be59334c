"""Is the evidence whole? The hash chain of the audit trail and the sha256 of every stored image."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from audit.models import Event, Seal
from audit.queries import broken_links
from inspection import storage
from inspection.models import Image

# Sealing follows writing by a second or so; an older event among sealed ones was slipped in or its seal removed.
SEALED_WITHIN = timedelta(seconds=60)


@dataclass
class Wholeness:
    seals: int = 0
    unsealed: int = 0
    head: str = ""
    images: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.problems


def wholeness(*, known_head: str = "") -> Wholeness:
    """Walk everything once.

    known_head  hash of a link that was written down outside earlier: it must still be in the chain
    """
    last = Seal.objects.select_related("event").order_by("-number").first()
    unsealed = Event.objects.filter(seal=None)
    found = Wholeness(seals=Seal.objects.count(), unsealed=unsealed.count(), head=last.hash if last else "")
    found.problems.extend(broken_links())
    if last:
        found.problems.extend(
            f"Event {event.pk} ({event.verb} of {event.subject_kind} {event.subject_id}) was never sealed."
            for event in unsealed.filter(pk__lt=last.event_id, at__lt=last.event.at - SEALED_WITHIN)
        )
    if known_head and not Seal.objects.filter(hash=known_head).exists():
        found.problems.append(
            f"The link {known_head} is no longer in the chain: its end was cut off or rewritten."
        )
    for problem in _image_problems():
        found.images += 1
        if problem:
            found.problems.append(problem)
    return found


def _image_problems() -> Iterator[str]:
    """One sentence an image, empty if its stored bytes are what was received."""
    for image in Image.objects.select_related("part").order_by("pk").iterator(chunk_size=500):
        name = f"Image {image.pk} of part {image.part.plc_part_id}"
        try:
            stored = hashlib.sha256(storage.read(image.file)).hexdigest()
        except OSError as problem:
            yield f"{name} cannot be read: {problem}."
            continue
        yield (
            ""
            if stored == image.sha256
            else f"{name} does not match its sha256: the stored bytes were changed."
        )
