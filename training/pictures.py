"""A dataset version's pictures as a run takes them: read anew each time, their hashes checked."""

import hashlib
from collections.abc import Iterable
from functools import partial

from inspection import storage
from labeling.masks import MaskError, mask_bytes, mask_of
from labeling.models import DatasetImage
from labeling.states import GradeWord, Split
from training.learning import LearningError, Sample
from vision.images import decode
from vision.predictor import Example
from vision.preprocess.plan import ReadPicture


def sample_of(image: DatasetImage) -> Sample:
    return Sample(
        read=partial(_example, image),
        is_bad=image.grade == GradeWord.BAD,
        group=image.group,
        defect=image.defect_type,
        is_held_out=image.split == Split.HOLDOUT,
        is_graded=image.part_id is not None,
        is_painted=image.mask_sha256 != "",
    )


def named_by_hash(images: Iterable[DatasetImage]) -> ReadPicture:
    """How a preprocessing names pictures of a version: by the sha256 of a picture, or of a painted mask."""
    pictures = list(images)

    def read(name: str) -> bytes:
        for image in pictures:
            if name == image.sha256:
                return _bytes(image)
            if name == image.mask_sha256:
                return mask_bytes(image) or b""
        raise ValueError(
            f"No picture or mask of this dataset has the sha256 {name!r}. Pictures are named by their sha256."
        )

    return read


def _example(image: DatasetImage) -> Example:
    """Raises LearningError if a stored file is not the one that was frozen, or a mask is not its picture's."""
    pixels = decode(_bytes(image))
    try:
        mask = mask_of(image)
    except MaskError as problem:
        raise LearningError(str(problem)) from problem
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise LearningError(f"The mask of {image.file} is not as large as its picture.")
    return Example(
        pixels,
        is_bad=image.grade == GradeWord.BAD,
        defect=image.defect_type,
        mask=mask,
        group=image.group,
    )


def _bytes(image: DatasetImage) -> bytes:
    data = storage.read(image.file)
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise LearningError(
            f"The stored picture {image.file} does not match its sha256. Nothing was learned from it."
        )
    return data
