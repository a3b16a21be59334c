"""Lay one picture over another by their grey values alone: a coarse search, then ECC.

Source: Evangelidis & Psarakis, Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization, IEEE
PAMI 30(10), 2008 (OpenCV findTransformECC). Contrast is made equal in each neighbourhood first, so that neither
exposure nor a slow change of the light counts.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.predictor import FloatMap, Mask
from vision.preprocess.motion import Matrix, Model, as_model, inverse, reduction

SIDE_PX = 192  # longest side of the pictures that are compared
COARSE_PX = 64  # and of those that are searched
NEIGHBOURHOOD = 6  # the contrast is made equal over a window of a sixth of the longest side
NOISE = 6.0  # grey levels; less contrast than that is no texture
HARDLY_REDUCED = 0.6  # a picture reduced no further is smoothed: its noise was not averaged away
TURN_STEP_DEG = 6.0
SCALE_STEP = 0.08
REFINED_STARTS = 3
ITERATIONS = 10
SMOOTHING_PX = 3
FEWEST_SHARED = 0.3  # of the compared pixels both pictures must show
_ECC_MOTIONS = {
    "homography": cv2.MOTION_HOMOGRAPHY,
    "similarity": cv2.MOTION_AFFINE,  # ECC knows no similarity; the nearest one is taken afterwards
    "euclidean": cv2.MOTION_EUCLIDEAN,
}


class Reduced(NamedTuple):
    """A picture, smaller; the matrix from its own pixels to these; and its own shape."""

    values: NDArray[Any]
    step: Matrix
    shape: tuple[int, ...]

    @classmethod
    def of(cls, grey: NDArray[np.uint8], factor: float) -> "Reduced":
        return cls(grey, np.eye(3), grey.shape).by(factor)

    def by(self, factor: float) -> "Reduced":
        """Smaller by about this factor; the matrix is exact, edges stay on edges."""
        height, width = self.values.shape
        size = max(1, round(width * factor)), max(1, round(height * factor))
        if size == (width, height):
            return self
        values = cv2.resize(self.values, size, interpolation=cv2.INTER_AREA)
        return Reduced(
            np.asarray(values), reduction(size[0] / width, size[1] / height) @ self.step, self.shape
        )


class Correlator:
    """The reference, ready to be compared with. All matrices are in the pixels of the unreduced pictures.

    grey   8 bit
    where  pixels of the reference that count; None: all
    """

    def __init__(self, grey: Reduced, *, where: Mask | None, model: Model) -> None:
        self._model: Model = model
        self._factor = min(1.0, SIDE_PX / max(grey.values.shape))
        self._coarse_factor = min(1.0, COARSE_PX / SIDE_PX)
        self._fine = self.picture(grey)
        self._coarse = self._fine.by(self._coarse_factor)
        self._where = _mask_like(where, self._fine.values)
        self._coarse_where = _mask_like(where, self._coarse.values)

    def picture(self, grey: Reduced) -> Reduced:
        """A picture made comparable. It must be reduced as the reference was."""
        smaller = grey.by(self._factor)
        values = smaller.values
        if smaller.step[0, 0] > HARDLY_REDUCED:
            values = np.asarray(cv2.GaussianBlur(values, (0, 0), 1.0), np.uint8)
        return smaller._replace(values=even_contrast(values))

    def refined(self, picture: Reduced, start: Matrix) -> Matrix | None:
        """The motion near `start` under which the two agree best; None if ECC found none."""
        return _ecc(self._fine, picture, self._where, start, model=self._model, iterations=ITERATIONS)

    def agreement(self, picture: Reduced, matrix: Matrix) -> float:
        """Correlation -1..1 of the reference with the picture laid over it; 0 where too little of it is shared."""
        return _agreement(self._fine, picture, self._where, matrix)

    def searched(self, picture: Reduced, *, most_turn_deg: float, most_scale: float) -> Matrix | None:
        """The best motion within turn and scale, found without corners; None if ECC found none.

        Each turn and scale of a grid is tried at 64 px, its shift by phase correlation (Kuglin & Hines 1975); the best
        few are refined, first there and then at full size.
        """
        coarse = picture.by(self._coarse_factor)
        best: tuple[float, Matrix] | None = None
        for start in _grid(self._coarse, coarse, self._coarse_where, most_turn_deg, most_scale):
            similar = _ecc(
                self._coarse, coarse, self._coarse_where, start, model="similarity", iterations=4 * ITERATIONS
            )
            found = self.refined(picture, start if similar is None else similar)
            if found is not None:
                agreement = self.agreement(picture, found)
                if best is None or agreement > best[0]:
                    best = agreement, found
        return best[1] if best else None


def even_contrast(grey: NDArray[np.uint8]) -> FloatMap:
    """Each pixel's distance from the mean of its neighbourhood, in standard deviations of the neighbourhood."""
    side = max(grey.shape) // NEIGHBOURHOOD | 1
    values = grey.astype(np.float32)
    mean = cv2.boxFilter(values, -1, (side, side))
    variance = cv2.boxFilter(values * values, -1, (side, side)) - mean * mean
    return np.asarray((values - mean) / np.sqrt(np.maximum(variance, 0) + np.float32(NOISE**2)), np.float32)


def _grid(
    reference: Reduced, picture: Reduced, where: NDArray[np.uint8], most_turn_deg: float, most_scale: float
) -> list[Matrix]:
    """The few best of all turns and scales about the middle, each with its best shift."""
    height, width = reference.values.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shown = (
        reference.values * window
    )  # phaseCorrelate would multiply its window into the very pictures it is given
    middle = (np.array(picture.values.shape[::-1]) - 1) / 2
    centre = (np.array([width, height]) - 1) / 2
    found = []
    for turn in _steps(math.radians(most_turn_deg), math.radians(TURN_STEP_DEG)):
        for growth in _steps(math.log1p(most_scale), SCALE_STEP):
            cos, sin = math.exp(growth) * math.cos(turn), math.exp(growth) * math.sin(turn)
            matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            matrix[:2, 2] = centre - matrix[:2, :2] @ middle
            laid = cv2.warpPerspective(picture.values, matrix, (width, height))
            shift, _ = cv2.phaseCorrelate(laid * window, shown)
            matrix[:2, 2] += shift
            full = inverse(reference.step) @ matrix @ picture.step
            found.append((_agreement(reference, picture, where, full), full))
    found.sort(key=lambda pair: -pair[0])
    return [matrix for _, matrix in found[:REFINED_STARTS]]


def _steps(most: float, step: float) -> list[float]:
    """0 first, then outwards on both sides, up to the limit."""
    count = math.ceil(most / step)
    rising = [most * number / max(1, count) for number in range(1, count + 1)]
    return [0.0, *(sign * value for value in rising for sign in (1, -1))]


def _ecc(
    reference: Reduced,
    picture: Reduced,
    where: NDArray[np.uint8],
    start: Matrix,
    *,
    model: Model,
    iterations: int,
) -> Matrix | None:
    """OpenCV's ECC looks for the matrix from reference to picture, so it is turned round on its way in and out."""
    try:
        backward = inverse(reference.step @ start @ inverse(picture.step))
        backward = as_model(backward, model=model, shape=reference.values.shape)
        rows = 3 if model == "homography" else 2
        _, found = cv2.findTransformECCWithMask(
            reference.values,
            picture.values,
            where,
            np.full(picture.values.shape, 255, np.uint8),
            backward[:rows].astype(np.float32),
            _ECC_MOTIONS[model],
            (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, iterations, 1e-4),
            SMOOTHING_PX,
        )
        whole = np.eye(3)
        whole[:rows] = found
        found_full = inverse(picture.step) @ whole @ reference.step
        nearest = as_model(inverse(found_full), model=model, shape=picture.shape)
    except (cv2.error, np.linalg.LinAlgError):  # OpenCV says so where the pictures have nothing in common
        return None
    return nearest if np.isfinite(nearest).all() else None


def _agreement(reference: Reduced, picture: Reduced, where: NDArray[np.uint8], matrix: Matrix) -> float:
    size = (reference.values.shape[1], reference.values.shape[0])
    small = reference.step @ matrix @ inverse(picture.step)
    laid = cv2.warpPerspective(picture.values, small, size)
    shown = cv2.warpPerspective(
        np.full(picture.values.shape, 255, np.uint8), small, size, flags=cv2.INTER_NEAREST
    )
    shared = (where > 0) & (shown > 0)
    if not shared.any() or shared.sum() < FEWEST_SHARED * (where > 0).sum():
        return 0.0
    a, b = reference.values[shared].astype(np.float64), laid[shared].astype(np.float64)
    a -= a.mean()
    b -= b.mean()
    power = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / power if power > 0 else 0.0


def _mask_like(where: Mask | None, picture: FloatMap) -> NDArray[np.uint8]:
    if where is None:
        return np.full(picture.shape, 255, np.uint8)
    size = (picture.shape[1], picture.shape[0])
    mask = cv2.resize(where.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.where(mask > 127, 255, 0), np.uint8)
