"""Somebody paints where a bad part's defect is."""

import numpy as np
from django.db import transaction
from django.utils import timezone

from accounts.models import Person
from audit.actor import Actor
from audit.transitions import record
from inspection import storage
from inspection.models import Image, Part
from labeling import queries
from labeling.masks import MaskError, keep_mask, read_mask
from labeling.models import Grade, Label
from labeling.states import GradeWord
from review.models import Verdict
from vision.images import ImageError, decode
from vision.predictor import Mask


class NotPaintableError(Exception):
    """This part has no defect to paint, or no picture to paint it on."""


def paint_label(*, part: Part, mask: bytes, person: Person, actor: Actor) -> Label:
    """Keep where the defect is on the part's picture; the same painting again is the label that stands.

    mask  a picture as large as the part's, white where the defect is

    Raises NotPaintableError for a part that is not graded bad or has no readable picture, MaskError for a mask that
    cannot be read, is of another size or empty. Then the label that stood still stands.
    """
    picture = _picture(part)
    try:
        height, width = decode(storage.read(picture.file)).shape[:2]
        painted = read_mask(mask, height=height, width=width)
    except ImageError as problem:
        raise MaskError(f"The mask cannot be read. {problem}") from problem
    return _keep_label(part, picture, painted, person, actor)


def take_proposal(*, verdict: Verdict, person: Person, actor: Actor) -> Label:
    """Keep the boxes that an inspector marked as the part's label: coarse, and better than none.

    Raises NotPaintableError as `paint_label` does, MaskError if no box lies on the picture.
    """
    part = verdict.case.part
    picture = _picture(part)
    height, width = decode(storage.read(picture.file)).shape[:2]
    painted: Mask = np.zeros((height, width), dtype=bool)
    for x, y, box_width, box_height in verdict.marks:
        painted[y : y + box_height, x : x + box_width] = True
    if not painted.any():
        raise MaskError("The marks lie outside of the picture. Paint the defect instead.")
    return _keep_label(part, picture, painted, person, actor)


def _keep_label(part: Part, picture: Image, painted: Mask, person: Person, actor: Actor) -> Label:
    file, sha256 = keep_mask(painted)  # durable before a row names it
    with transaction.atomic():
        standing = queries.standing_label(part)
        if standing and (standing.mask_sha256, standing.picture_sha256) == (sha256, picture.sha256):
            return standing
        label = Label.objects.create(
            part=part,
            picture_sha256=picture.sha256,
            mask_file=file,
            mask_sha256=sha256,
            defect_pixels=int(painted.sum()),
            person=person,
            painted_at=timezone.now(),
        )
        details = {"part": part.pk, "mask_sha256": sha256, "defect_pixels": label.defect_pixels}
        record(label, "painted", actor=actor, details=details)
    return label


def _picture(part: Part) -> Image:
    grade = Grade.objects.filter(part=part).first()
    if grade is None:
        raise NotPaintableError(f"Part {part} has no grade yet: a person must have found it bad first.")
    if grade.grade != GradeWord.BAD:
        raise NotPaintableError(f"Part {part} was graded good: there is no defect to paint.")
    picture = part.images.filter(view="main", problem="").first()
    if picture is None:
        raise NotPaintableError(f"Part {part} has no readable picture to paint on.")
    return picture
