"""Region of interest, alignment and crop as one frozen thing: how a picture becomes what the model sees, and back."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.options import read_options
from vision.predictor import FloatMap, Image, Mask, check_image
from vision.preprocess.alignment import Aligner, AlignmentError, AlignmentOptions
from vision.preprocess.motion import Matrix, inverse, reduction
from vision.preprocess.region import Curtain, Rectangle, RegionOfInterest

DEFAULT_ALIGNMENT = AlignmentOptions()
UNSEEN = 0.005  # of the region of interest may lie beyond the picture's edge; more is a part that was not looked at


@dataclass(frozen=True, eq=False)
class Placement:
    """Where what the model saw lies in the picture.

    matrix         3x3, picture pixels to pixels of what the model saw
    judged         HxW of what the model saw, False where it is hidden: the map says 0 there
    image_height, image_width  of the picture
    """

    matrix: Matrix
    judged: Mask
    image_height: int
    image_width: int

    def back(self, defect_map: FloatMap, height: int, width: int) -> FloatMap:
        """The model's map laid over the whole picture, as height x width cells; 0 where nothing was judged.

        defect_map  at any resolution, edge to edge over what the model saw. A NaN stays a NaN
        """
        seen_height, seen_width = self.judged.shape
        to_cells = reduction(width / self.image_width, height / self.image_height)
        from_map = inverse(reduction(defect_map.shape[1] / seen_width, defect_map.shape[0] / seen_height))
        onward = to_cells @ inverse(self.matrix)  # what the model saw -> cells
        size = (width, height)
        laid = cv2.warpPerspective(
            defect_map.astype(np.float32), onward @ from_map, size, borderMode=cv2.BORDER_REPLICATE
        )
        judged = cv2.warpPerspective(self.judged.astype(np.uint8), onward, size, flags=cv2.INTER_NEAREST)
        return np.where((judged > 0) | np.isnan(laid), laid, np.float32(0)).astype(np.float32)

    def forth(self, mask: Mask) -> Mask:
        """A mask of the picture as the model sees it; what is not judged is not in it."""
        height, width = self.judged.shape
        laid = cv2.warpPerspective(mask.astype(np.float32), self.matrix, (width, height))
        return np.asarray(
            (laid > 0.25) & self.judged, np.bool_
        )  # a hair crack must not vanish between pixels


@dataclass(frozen=True, eq=False)
class Preprocess:
    """What is done to every picture before the model.

    region     what counts, in pixels of the golden reference; None: all
    reference  the golden reference, HxWx3, to align pictures to; None: they are taken as they lie
    alignment  how, and within which limits
    align_by   pixels of the reference to align by; None: the region's, or all
    crop       what the model sees of the reference; None: all

    Raises ValueError, with a sentence, for what does not fit together.
    """

    region: RegionOfInterest | None = None
    reference: Image | None = None
    alignment: AlignmentOptions = DEFAULT_ALIGNMENT
    align_by: RegionOfInterest | None = None
    crop: Rectangle | None = None

    def __post_init__(self) -> None:
        frames = [(each.height, each.width) for each in (self.region, self.align_by) if each is not None]
        if self.reference is not None:
            check_image(self.reference)
            frames.append((self.reference.shape[0], self.reference.shape[1]))
        elif self.align_by is not None:
            raise ValueError("There are pixels to align by, but no reference picture.")
        if not frames:
            raise ValueError(
                "A preprocessing needs a region of interest, a reference picture to align to, or both."
            )
        if len(set(frames)) > 1:
            raise ValueError(f"Region and reference are of different sizes: {sorted(set(frames))}.")
        height, width = frames[0]
        seen = self.crop or Rectangle(0, 0, width, height)
        if min(seen.x, seen.y) < 0 or min(seen.width, seen.height) < 1:
            raise ValueError(f"{seen} cannot be cut out.")
        if seen.x + seen.width > width or seen.y + seen.height > height:
            raise ValueError(f"{seen} does not lie in the frame of {height}x{width} pixels.")
        if not self._counts.any():
            raise ValueError("Nothing of the region of interest lies in the crop.")
        _ = self._aligner  # a reference that shows nothing to align by is refused now, not at the first part

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the golden reference."""
        if self.reference is not None:
            return self.reference.shape[0], self.reference.shape[1]
        assert self.region is not None
        return self.region.height, self.region.width

    def apply(self, image: Image) -> tuple[Image, Placement]:
        """What the model is to see of the picture, and the way back.

        Raises AlignmentError, with a sentence, if the picture does not lie on the reference, or lies so that a part of
        the region of interest is not in it.
        """
        check_image(image)
        seen = self._seen
        if self._aligner is None:
            if image.shape[:2] != self.frame:
                raise AlignmentError(
                    f"The region of interest was drawn on {self.frame[1]}x{self.frame[0]} pixels; "
                    f"the picture has {image.shape[1]}x{image.shape[0]}."
                )
            cut = image[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width]
            placement = Placement(self._to_crop, self._counts, image.shape[0], image.shape[1])
            return np.ascontiguousarray(self._curtain.over(cut)), placement
        matrix = self._to_crop @ self._aligner.align(image).matrix
        size = (seen.width, seen.height)
        cut = np.asarray(cv2.warpPerspective(image, matrix, size), np.uint8)
        if _is_covered(image, matrix, seen):
            return self._curtain.over(cut), Placement(matrix, self._counts, image.shape[0], image.shape[1])
        whole = np.ones(image.shape[:2], np.uint8)
        shown = cv2.warpPerspective(whole, matrix, size, flags=cv2.INTER_NEAREST) > 0
        judged = self._counts & np.asarray(cv2.erode(shown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        unseen = 1 - judged.sum() / self._counts.sum()
        if self.region is not None and unseen > UNSEEN:
            raise AlignmentError(f"{unseen:.1%} of the region of interest lies beyond the picture's edge.")
        if not judged.any():
            raise AlignmentError("Nothing of what the model is to see lies in the picture.")
        return Curtain(judged).over(cut), Placement(matrix, judged, image.shape[0], image.shape[1])

    def sample_image(self) -> Image:
        """A picture that `apply` takes."""
        return self.reference if self.reference is not None else np.full((*self.frame, 3), 128, np.uint8)

    def as_json(self) -> dict[str, Any]:
        """All of it; pictures and painted areas by their sha256. Part of the golden configuration."""
        align = None
        if self.reference is not None:
            align = {
                "reference_sha256": hashlib.sha256(self.reference.tobytes()).hexdigest(),
                "reference_px": [self.reference.shape[0], self.reference.shape[1]],
                "by": self.align_by.as_json() if self.align_by else None,
                **asdict(self.alignment),
            }
        crop = [self.crop.x, self.crop.y, self.crop.width, self.crop.height] if self.crop else None
        return {"region": self.region.as_json() if self.region else None, "align": align, "crop": crop}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The pictures that `as_json` names: `reference` HxWx3 and `mask.<sha256>` HxW, all uint8."""
        found: dict[str, NDArray[Any]] = {}
        if self.reference is not None:
            found["reference"] = np.ascontiguousarray(self.reference)
        for region in (self.region, self.align_by):
            if region is not None:
                found |= {f"mask.{name}": mask for name, mask in region.tensors().items()}
        return found

    @classmethod
    def from_json(cls, known: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> "Preprocess":
        """Back from `as_json` and `tensors`; raises ValueError, with a sentence, where they are not whole."""
        masks = {name.removeprefix("mask."): value for name, value in tensors.items() if name != "reference"}
        try:
            region = RegionOfInterest.from_json(known["region"], masks) if known["region"] else None
            crop = Rectangle(*known["crop"]) if known["crop"] else None
            if known["align"] is None:
                made = cls(region=region, crop=crop)
            else:
                align = dict(known["align"])
                by = align.pop("by")
                del align["reference_sha256"], align["reference_px"]
                made = cls(
                    region=region,
                    reference=np.array(tensors["reference"]),
                    alignment=read_options(AlignmentOptions, align),
                    align_by=RegionOfInterest.from_json(by, masks) if by else None,
                    crop=crop,
                )
        except (KeyError, TypeError) as error:
            raise ValueError(f"The preprocessing is not whole: {error}.") from error
        if made.as_json() != known:
            raise ValueError("The preprocessing's pictures are not those that it names.")
        return made

    @cached_property
    def _seen(self) -> Rectangle:
        return self.crop or Rectangle(0, 0, self.frame[1], self.frame[0])

    @cached_property
    def _to_crop(self) -> Matrix:
        return np.array([[1, 0, -self._seen.x], [0, 1, -self._seen.y], [0, 0, 1]], np.float64)

    @cached_property
    def _counts(self) -> Mask:
        """Which pixels of the crop count."""
        whole = np.ones(self.frame, np.bool_) if self.region is None else self.region.mask()
        seen = self._seen
        return np.ascontiguousarray(whole[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width])

    @cached_property
    def _curtain(self) -> Curtain:
        return Curtain(self._counts)

    @cached_property
    def _aligner(self) -> Aligner | None:
        if self.reference is None:
            return None
        by = self.align_by or self.region
        return Aligner(self.reference, self.alignment, where=None if by is None else by.mask())


def _is_covered(image: Image, matrix: Matrix, seen: Rectangle) -> bool:
    """Whether the picture reaches over the whole crop: a frame without bends lies inside if its corners do."""
    corners = np.array(
        [[0, 0, 1], [seen.width, 0, 1], [0, seen.height, 1], [seen.width, seen.height, 1]], np.float64
    )
    there = corners @ inverse(matrix).T
    places = there[:, :2] / there[:, 2:]
    height, width = image.shape[:2]
    return bool(
        (places >= 0).all() and (places[:, 0] <= width - 1).all() and (places[:, 1] <= height - 1).all()
    )
