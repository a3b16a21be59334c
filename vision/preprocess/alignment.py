"""Lay a picture onto the golden reference, so that every part is judged in the same place.

Corners are matched first: ORB (Rublee et al., ORB: an efficient alternative to SIFT or SURF, ICCV 2011) and RANSAC
(Fischler & Bolles, CACM 24(6), 1981) on a reduced picture; ECC makes the answer exact. Where a part has too few
corners, the pictures are laid over each other by their grey values alone (`vision.preprocess.correlation`). A gate
judges either answer by limits that are data; what does not pass it is no alignment.

The same picture gives the same bits: OpenCV's RANSAC draws from a generator of its own that starts anew at each call,
not from the global one, and no step's result depends on the number of threads (a test varies both).
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import Image, Mask, check_image
from vision.preprocess.correlation import Correlator, Reduced
from vision.preprocess.motion import MODELS, Matrix, Model, Motion, Points, fit_motion, inverse, mapped

MATCH_PX = 384  # longest side of the picture in which corners are looked for
FEATURES = 400
FAST_THRESHOLD = 12  # grey levels, once the picture's standard deviation is 48
FARTHEST_BITS = 80  # of 256: descriptors that differ more show different corners
TURN_SLACK_DEG = 20.0  # a corner's own direction is that uncertain
MATCH_ROWS = (
    64  # corners compared at once: larger arrays are mapped anew each time, which costs more than the sums
)
FLAT = 2.0  # standard deviation in grey levels below which a picture shows nothing

Method = Literal["corners", "grey values"]


class AlignmentError(ValueError):
    """The picture does not lie on the reference well enough to be judged; the message says why. The part is held."""


@dataclass(frozen=True)
class AlignmentOptions:
    """How to align, and from where on it is no alignment. Lengths are shares of the reference's longest side.

    model                homography | similarity | euclidean: what the part under the camera may do
    refine               make the answer of the corners exact by ECC (about a third of the time)
    most_shift           of the middle
    most_turn_deg        either way
    most_scale           .1: from 1/1.1 to 1.1 times as large
    most_perspective     how far a corner may lie from where shift, turn and scale alone put it
    most_residual        a matched corner so near to its place is an inlier
    fewest_inliers       else the grey values are asked
    lowest_inlier_share  of all matched corners, the same
    lowest_agreement     correlation of the two pictures, laid over each other, contrast made even
    """

    model: str = "similarity"
    refine: bool = True
    most_shift: float = 0.15
    most_turn_deg: float = 20.0
    most_scale: float = 0.15
    most_perspective: float = 0.05
    most_residual: float = 0.0065
    fewest_inliers: int = 15
    lowest_inlier_share: float = 0.15
    lowest_agreement: float = 0.6

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model is one of {', '.join(MODELS)}, not {self.model!r}.")
        limits = (
            self.most_shift,
            self.most_turn_deg,
            self.most_scale,
            self.most_perspective,
            self.most_residual,
        )
        if not all(0 <= limit < float("inf") for limit in limits) or self.most_turn_deg > 180:
            raise ValueError(
                "Limits of an alignment are finite and not below 0; most_turn_deg is at most 180."
            )
        if self.fewest_inliers < 4:
            raise ValueError(f"fewest_inliers is at least 4, not {self.fewest_inliers}.")
        if not (0 <= self.lowest_inlier_share <= 1 and 0 < self.lowest_agreement <= 1):
            raise ValueError("lowest_inlier_share lies in 0..1, lowest_agreement above 0 and at most at 1.")


@dataclass(frozen=True, eq=False)
class Alignment:
    """An alignment that passed the gate.

    matrix         3x3, picture pixels to reference pixels
    method         corners, or grey values where the corners did not suffice
    inliers        matched corners that lie in their places; 0 for grey values
    residual_px    their root mean square distance from there, in reference pixels
    agreement      correlation of the pictures laid over each other, contrast made even
    """

    matrix: Matrix
    motion: Motion
    method: Method
    inliers: int
    residual_px: float
    agreement: float


class Corners(NamedTuple):
    """N corners of one picture: where, which way they look, and what they look like."""

    points: NDArray[np.float32]  # Nx2, in the picture's own pixels
    looks: NDArray[np.float32]  # Nx2, of length 1
    signs: NDArray[
        np.float32
    ]  # Nx256 of -1 and 1: the dot product of two rows is 256 - 2 * (bits that differ)


class Aligner:
    """The golden reference, ready to be compared with.

    where  pixels of the reference by which it is aligned; None: all. A fixture that stays while the part moves must
           lie outside
    """

    def __init__(self, reference: Image, options: AlignmentOptions, *, where: Mask | None = None) -> None:
        """Raises ValueError if the reference shows nothing to align by."""
        check_image(reference)
        grey = _grey(reference)
        if where is not None and (where.shape != grey.shape or not where.any()):
            raise ValueError("The pixels to align by are not those of the reference, or there are none.")
        if grey[where if where is not None else ...].std() < FLAT:
            raise ValueError("The reference picture shows nothing to align by.")
        self.options = options
        self._model: Model = options.model  # type: ignore[assignment]  # __post_init__ checked it
        self._height, self._width = grey.shape
        self._longest = max(grey.shape)
        self._reach_px = _reach_px(options, height=self._height, width=self._width)
        self._factor = min(1.0, MATCH_PX / self._longest)
        small = Reduced.of(grey, self._factor)
        self._corners = _corners(small, where)
        self._correlator = Correlator(small, where=where, model=self._model)

    def align(self, image: Image) -> Alignment:
        """How the picture lies on the reference; raises AlignmentError, with a sentence, where it does not.

        The picture may be of another size than the reference, as far as the limits on shift and scale allow.
        """
        check_image(image)
        grey = _grey(image)
        if float(cv2.meanStdDev(grey)[1][0, 0]) < FLAT:
            raise AlignmentError("The picture shows nothing that could be laid on the reference.")
        small = Reduced.of(grey, self._factor)
        picture = self._correlator.picture(small)
        try:
            return self._by_corners(small, picture)
        except AlignmentError as problem:
            return self._by_grey_values(picture, problem)

    def _by_corners(self, small: Reduced, picture: Reduced) -> Alignment:
        source, target = self._matches(_corners(small, None))
        near_px = self.options.most_residual * self._longest
        matrix = fit_motion(source, target, model=self._model, near_px=near_px)
        if matrix is not None and self.options.refine:
            refined = self._correlator.refined(picture, matrix)
            matrix = matrix if refined is None else refined
        apart = np.zeros(0) if matrix is None else np.linalg.norm(mapped(matrix, source) - target, axis=1)
        apart = apart[apart <= near_px]
        fewest = max(self.options.fewest_inliers, round(self.options.lowest_inlier_share * len(source)))
        if matrix is None or len(apart) < fewest:
            raise AlignmentError(
                f"{len(apart)} of its corners lie where the reference has them; {fewest} are needed."
            )
        return self._judged(picture, matrix, "corners", len(apart), float(np.sqrt((apart**2).mean())))

    def _by_grey_values(self, picture: Reduced, problem: AlignmentError) -> Alignment:
        matrix = self._correlator.searched(
            picture, most_turn_deg=self.options.most_turn_deg, most_scale=self.options.most_scale
        )
        if matrix is None:
            raise AlignmentError(f"{problem} Its grey values do not lie on it either.") from problem
        try:
            return self._judged(picture, matrix, "grey values", 0, 0.0)
        except AlignmentError as second:
            raise AlignmentError(f"{problem} And by its grey values: {second}") from problem

    def _judged(
        self, picture: Reduced, matrix: Matrix, method: Method, inliers: int, residual_px: float
    ) -> Alignment:
        """The gate's second half: how far the part lies off, and whether the pictures agree."""
        limits = self.options
        try:
            motion = Motion.of(matrix, height=self._height, width=self._width)
        except ValueError as folded:
            raise AlignmentError(f"The picture does not lie on the reference: {folded}.") from folded
        if not abs(motion.turn_deg) <= limits.most_turn_deg:
            raise AlignmentError(
                f"The part is turned by {motion.turn_deg:.1f} degrees; at most {limits.most_turn_deg:g} are allowed."
            )
        if not motion.shift_share <= limits.most_shift:
            raise AlignmentError(
                f"The part lies {motion.shift_share:.1%} of the picture off its place; "
                f"at most {limits.most_shift:.1%} is allowed."
            )
        if not 1 / (1 + limits.most_scale) <= motion.scale <= 1 + limits.most_scale:
            raise AlignmentError(
                f"The part is {motion.scale:.3f} times as large as on the reference; at most {limits.most_scale:.1%} "
                f"either way are allowed."
            )
        if not motion.perspective_share <= limits.most_perspective:
            raise AlignmentError(
                f"The part is seen at a slant that moves a corner by {motion.perspective_share:.1%} of the picture; "
                f"at most {limits.most_perspective:.1%} is allowed."
            )
        agreement = self._correlator.agreement(picture, matrix)
        if not agreement >= limits.lowest_agreement:
            raise AlignmentError(
                f"Laid on the reference, the picture agrees with it to {agreement:.2f}; "
                f"{limits.lowest_agreement:.2f} is needed."
            )
        return Alignment(matrix, motion, method, inliers, residual_px, agreement)

    def _matches(self, seen: Corners) -> tuple[Points, Points]:
        """Pairs of points, picture and reference, that are each other's best within what the limits allow."""
        mine = self._corners
        if len(mine.points) == 0 or len(seen.points) == 0:
            return np.zeros((0, 2)), np.zeros((0, 2))
        least_alike_look = np.cos(np.radians(min(180.0, self.options.most_turn_deg + TURN_SLACK_DEG)))
        best_seen, best_value = np.zeros(len(mine.points), np.intp), np.zeros(len(mine.points), np.float32)
        best_mine, highest = (
            np.zeros(len(seen.points), np.intp),
            np.full(len(seen.points), -np.inf, np.float32),
        )
        for start in range(0, len(mine.points), MATCH_ROWS):
            rows = slice(start, start + MATCH_ROWS)
            likeness = mine.signs[rows] @ seen.signs.T  # whole numbers: exact in any order of summing
            across = np.subtract.outer(mine.points[rows, 0], seen.points[:, 0])
            down = np.subtract.outer(mine.points[rows, 1], seen.points[:, 1])
            likeness[across * across + down * down > self._reach_px**2] = -np.inf
            likeness[mine.looks[rows] @ seen.looks.T < least_alike_look] = -np.inf
            best_seen[rows], best_value[rows] = likeness.argmax(axis=1), likeness.max(axis=1)
            columns = likeness.max(axis=0)
            better = columns > highest
            best_mine[better] = start + likeness.argmax(axis=0)[better]
            highest[better] = columns[better]
        each = np.arange(len(mine.points))
        kept = (best_mine[best_seen] == each) & (best_value >= 256 - 2 * FARTHEST_BITS)
        return seen.points[best_seen[kept]].astype(np.float64), mine.points[kept].astype(np.float64)


def _reach_px(options: AlignmentOptions, *, height: int, width: int) -> float:
    """How far the limits let a point of the frame move."""
    radius = math.hypot(height, width) / 2
    turn = math.radians(min(options.most_turn_deg, 180.0))
    shares = options.most_shift + options.most_perspective
    return radius * (2 * math.sin(turn / 2) + options.most_scale) + shares * max(height, width)


def _grey(image: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _corners(picture: Reduced, where: Mask | None) -> Corners:
    """ORB corners of a picture brought to one mean and contrast, whatever its exposure was."""
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(picture.values))
    levels = (np.arange(256) - mean) / max(deviation, 1.0) * 48 + 128
    even = cv2.LUT(picture.values, np.clip(levels, 0, 255).astype(np.uint8))
    mask = None
    if where is not None:
        size = (even.shape[1], even.shape[0])
        mask = cv2.resize(where.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
    orb = cv2.ORB.create(FEATURES, scaleFactor=1.2, nlevels=6, fastThreshold=FAST_THRESHOLD)
    found, bits = orb.detectAndCompute(even, mask)
    if not found:
        return Corners(
            np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), np.zeros((0, 256), np.float32)
        )
    points = mapped(inverse(picture.step), np.array([corner.pt for corner in found], np.float64))
    angles = np.radians([corner.angle for corner in found])
    looks = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    signs = np.unpackbits(np.asarray(bits, np.uint8), axis=1).astype(np.float32) * 2 - 1
    return Corners(points.astype(np.float32), looks, signs)
