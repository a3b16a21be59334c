"""The good part beside the case: which one, and its picture in the frame of the part that is judged."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from inspection import storage
from inspection.models import GoldenConfiguration, Image, Inspection, Line, Part, Station
from inspection.pictures import PictureError, stored_bytes
from inspection.queries import active_golden, deciding_view
from inspection.states import Decision
from review import queries
from review.models import Case
from vision import reference
from vision.images import ImageError
from vision.predictor import Image as Pixels

NEWEST = 200  # passes among which the one with the lowest score is the reference
KEPT_PICTURES = 2  # decoded references in memory, 15 MB each: neighbouring cases share one
_FOLDER = "references/1"  # another number whenever the registration changes


@dataclass(frozen=True, slots=True)
class ReferencePicture:
    """A JPEG of at most `vision.reference.LONGEST_PX` a side.

    is_registered  it lies in the frame of the case's picture, pixel over pixel once it is stretched to its size;
                   else it is the reference's own frame
    part           whose picture it is
    """

    data: bytes
    is_registered: bool
    part: int


def reference_part(
    line: Line,
    *,
    station: Station | None = None,
    golden: GoldenConfiguration | None = None,
    before: datetime | None = None,
    besides: tuple[int, ...] = (),
) -> Part | None:
    """What a part of this line should look like; None where the line has passed nothing yet.

    The part that the line's policy names; else, of the newest passes under the golden configuration (the active one
    unless named; the one before it while nothing has passed under it), the one with the lowest score. `before` and `besides` make the answer for one case stay the same.
    """
    named = queries.policy_of(line.pk).reference_part
    if named is not None and named.pk not in besides:
        return named
    golden = golden or active_golden(line)
    if golden is None:
        return None
    passes = Inspection.objects.filter(decision=Decision.GOOD, part__line=line)
    passes = passes.exclude(part__in=besides)
    if station is not None:
        passes = passes.filter(part__station=station)
    if before is not None:
        passes = passes.filter(finished_at__lt=before)
    # Right after an activation nothing has passed under the new configuration: what passed before still shows the part.
    under_it = passes.filter(golden=golden)
    shown = under_it if under_it.exists() else passes
    lowest = min(shown.order_by("-id").values_list("score", "part_id")[:NEWEST], default=None)
    return Part.objects.get(pk=lowest[1]) if lowest else None


def reference_picture(case: Case, view: str = "") -> ReferencePicture:
    """The reference of the line that the case is shown on, laid onto the case's own picture of this view.

    view  "" is the one whose score counts

    The first call for a case registers and keeps the picture, later ones read a file. Raises PictureError where there
    is no reference, or no picture of this view on either side.
    """
    part = _reference_of(case)
    if part is None:
        raise PictureError("There is no good part to compare with yet.")
    view = view or deciding_view(case.part)
    judged, good = (_image(each, view) for each in (case.part, part))
    for is_registered in (True, False):
        try:
            return ReferencePicture(
                storage.read(_name(judged, good, is_registered=is_registered)), is_registered, part.pk
            )
        except FileNotFoundError:
            continue
    try:
        laid = reference.laid_on(
            _good_pixels(good.pk, good.sha256, part.station.max_pixels),
            _pixels(judged, case.part.station.max_pixels),
        )
    except ImageError as problem:
        raise PictureError(str(problem)) from problem
    data = reference.to_jpeg(laid.pixels)
    storage.write_derived(_name(judged, good, is_registered=laid.is_registered), data)
    return ReferencePicture(data, laid.is_registered, part.pk)


def _reference_of(case: Case) -> Part | None:
    """By what the screen shows: a known part gets the reference of the line that it is slipped into."""
    shown = case.shown_part
    look = Inspection.objects.filter(part=shown).select_related("golden").first()
    return reference_part(
        shown.line,
        station=shown.station,
        golden=look.golden if look else None,
        before=case.opened_at,
        besides=(case.part_id, case.shown_part_id),
    )


def _image(part: Part, view: str) -> Image:
    image = next((each for each in part.images.all() if each.view == view and not each.problem), None)
    if image is None:
        raise PictureError(f"Part {part} has no image of view {view!r} that could be shown.")
    return image


def _name(judged: Image, good: Image, *, is_registered: bool) -> str:
    """By content: whatever part has the same two pictures has the same file."""
    kind = "registered" if is_registered else "plain"
    return f"{_FOLDER}/{judged.sha256[:2]}/{judged.sha256[:32]}-{good.sha256[:32]}.{kind}.jpg"


@lru_cache(maxsize=KEPT_PICTURES)
def _good_pixels(image_id: int, sha256: str, max_pixels: int) -> Pixels:
    pixels = _pixels(Image.objects.get(pk=image_id, sha256=sha256), max_pixels)
    pixels.setflags(write=False)  # shared by all who ask
    return pixels


def _pixels(image: Image, max_pixels: int) -> Pixels:
    assert image.width is not None  # an image without a problem has its size
    assert image.height is not None
    return reference.decode_reduced(
        stored_bytes(image), width=image.width, height=image.height, max_pixels=max_pixels
    )
