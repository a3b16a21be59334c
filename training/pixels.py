"""How well defect maps find defect pixels: pixel AUROC and AUPRO, from counts in score bins. Numbers only.

A test set has tens of millions of pixels, so nothing is sorted: pixels are counted in bins whose edges are drawn from
the maps' own values. With 2,000 bins the figures are exact to about a thousandth.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from vision.predictor import FloatMap

BINS = 2000
AUPRO_LIMIT = 0.30
FARTHEST_LOGIT = 16.0


@dataclass
class PixelCounts:
    """Counts over all images; `edges` are rising bin edges."""

    edges: NDArray[np.float64]
    clean: NDArray[np.int64] = field(init=False)
    defect: NDArray[np.int64] = field(init=False)
    regions: list[NDArray[np.float64]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.clean = np.zeros(len(self.edges) + 1, np.int64)
        self.defect = np.zeros(len(self.edges) + 1, np.int64)

    @classmethod
    def for_maps(cls, maps: list[FloatMap]) -> "PixelCounts":
        """Edges at the quantiles of the maps' cells, so that every bin is used."""
        cells = np.concatenate([each.ravel() for each in maps]).astype(np.float64)
        return cls(np.unique(np.quantile(cells, np.linspace(0, 1, BINS))))

    @classmethod
    def by_log_odds(cls) -> "PixelCounts":
        """Edges for maps that are not all there at once: evenly in log odds, as calibrated maps are drawn."""
        return cls(expit(np.linspace(-FARTHEST_LOGIT, FARTHEST_LOGIT, BINS)))

    def add(self, defect_map: FloatMap, mask: NDArray[np.bool_]) -> None:
        """One image: the map in image pixels, and where its defect pixels are (all False for a good part)."""
        if defect_map.shape != mask.shape:
            raise ValueError(f"The map has {defect_map.shape} pixels, the mask {mask.shape}.")
        binned = np.searchsorted(self.edges, defect_map.ravel(), side="right").reshape(mask.shape)
        self.clean += self._count(binned[~mask])
        self.defect += self._count(binned[mask])
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            inside = self._count(binned[labels == label])
            self.regions.append(_from_above(inside) / inside.sum())

    def _count(self, binned: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.bincount(binned, minlength=len(self.edges) + 1).astype(np.int64)


def pixel_figures(counts: PixelCounts | None) -> dict[str, float | None]:
    """Both figures, rounded; None where nobody painted."""
    areas = (pixel_auroc(counts), aupro(counts)) if counts else (None, None)
    pixel, regions = (None if area is None else round(area, 4) for area in areas)
    return {"pixel_auroc": pixel, "aupro": regions}


def _from_above(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many lie in this bin or a higher one, from the highest bin down, beginning with none."""
    return np.concatenate([[0.0], np.cumsum(counts[::-1])])


def pixel_auroc(counts: PixelCounts) -> float | None:
    """Chance that a defect pixel scores above a clean one; None without both kinds."""
    if not counts.clean.sum() or not counts.defect.sum():
        return None
    false_alarms = _from_above(counts.clean) / counts.clean.sum()
    found = _from_above(counts.defect) / counts.defect.sum()
    return float(np.trapezoid(found, false_alarms))


def aupro(counts: PixelCounts) -> float | None:
    """Mean share found of each defect region, over the clean pixels wrongly marked up to 30 %; None without regions.

    Source: Bergmann et al., The MVTec Anomaly Detection Dataset (IJCV 2021), section 5.2: normalised to 0..1.
    """
    if not counts.regions or not counts.clean.sum():
        return None
    false_alarms = _from_above(counts.clean) / counts.clean.sum()
    overlap = np.mean(counts.regions, axis=0)
    inside = false_alarms <= AUPRO_LIMIT
    x = np.append(false_alarms[inside], AUPRO_LIMIT)
    y = np.append(overlap[inside], np.interp(AUPRO_LIMIT, false_alarms, overlap))
    return float(np.trapezoid(y, x) / AUPRO_LIMIT)
