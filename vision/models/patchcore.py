"""PatchCore on EfficientNet-Lite0: how far is each patch from the nearest good patch ever seen?

Source: Roth et al., Towards Total Recall in Industrial Anomaly Detection (arXiv:2106.08265), sections 3.1-3.3:
locally aware patch features, greedy coreset, distance to the nearest neighbour in the memory bank.

With graded bad parts the same family carries a second piece of evidence, the *head*: a class-balanced
logistic regression on frozen pooled features. The head's word is weighed by how many bad parts taught it,
it may raise suspicion freely, and it may lower the anomaly evidence by at most MAX_RELIEF logits: a strongly
anomalous part never becomes a clear GOOD because the head likes it.

Evidence is kept in logits and turned into a probability once:
    anomaly  = slope * (mean distance of the 3 worst patches) + offset
    evidence = max(anomaly + weight * head, anomaly - MAX_RELIEF)
    score    = sigmoid(evidence)
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.models.backbone import (
    PATCH_CHANNELS,
    Backbone,
    Features,
    backbone_from_tensors,
    backbone_tensors,
)
from vision.models.coreset import greedy_coreset, squared_distances
from vision.models.head import Head, fit_head
from vision.predictor import FloatMap, Image, NotFittedError, Prediction, Progress, State, check_image

INPUT_PX = 224
GRID = 28
BANK_SIZE = 2000
POOL_SIZE = 40_000  # patches the coreset chooses from; bounds memory and time whatever the number of images
WORST_PATCHES = 3  # the robust maximum: one odd patch alone does not decide
MAX_RELIEF = 1.0  # logits
HALF_TRUST_BAD = 20
TYPICAL_GOOD = 0.1  # score of the median held-out good part
LIMIT_GOOD = 0.5  # score where hardly any good part lies (see _limit)
MAX_INTERNAL_HELD = 100


@dataclass(frozen=True)
class Calibration:
    """The straight line from patch distance to logit, and the good parts' usual head logit."""

    slope: float
    offset: float
    head_centre: float
    head_spread: float
    head_weight: float


@dataclass
class _Evidence:
    distances: Tensor  # Nx784
    head: Tensor  # N, raw logit of the head; zeros without one


class PatchCore:
    """The default family: needs only good parts, gets better with graded bad ones."""

    family: ClassVar[str] = "patchcore"

    def __init__(self, backbone: Backbone, *, device: str = "cpu", bank_size: int = BANK_SIZE) -> None:
        self._backbone = backbone
        self._device = device
        self._bank_size = bank_size
        self._bank: Tensor | None = None
        self._bank_norms: Tensor | None = None
        self._head: Head | None = None
        self._calibration: Calibration | None = None
        self._bad_seen = 0
        # One image at a time on the CPU: as fast there, and the bits cannot depend on the batch.
        self._micro_batch = 1 if device == "cpu" else 16

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "colour": "RGB",
            "input_px": [INPUT_PX, INPUT_PX],
            "resize": "area, whole image, aspect not kept",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        }

    def fit(self, good: Sequence[Image], bad: Sequence[Image] = (), *, seed: int, progress: Progress) -> None:
        """Build the memory bank, the head if bad parts are given, and a first calibration.

        A fifth of the good parts (at most 100, drawn by seed) stays out of the bank and calibrates it.
        Where frames of one physical part repeat, call `calibrate` afterwards with parts from other groups.

        Raises ValueError for fewer than 5 good parts.
        """
        if len(good) < 5:
            raise ValueError(f"PatchCore needs at least 5 good parts to learn from, not {len(good)}.")
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(good))
        held = min(MAX_INTERNAL_HELD, max(1, len(good) // 5))
        held_images = [good[i] for i in order[:held]]
        taught_images = [good[i] for i in order[held:]]
        total = len(taught_images) + len(bad)
        per_image = max(1, min(GRID * GRID, POOL_SIZE // len(taught_images)))

        pool, good_pooled, bad_pooled = [], [], []
        for number, image in enumerate(taught_images, start=1):
            seen = list(self._features(_views(image) if bad else [image]))
            chosen = torch.from_numpy(rng.permutation(GRID * GRID)[:per_image]).to(self._device)
            pool.append(seen[0].patches[0][chosen])
            good_pooled += [features.pooled[0].cpu().numpy() for features in seen]
            progress(0.8 * number / total, f"Looked at {number} of {len(taught_images)} good parts")
        for number, image in enumerate(bad, start=1):
            bad_pooled += [features.pooled[0].cpu().numpy() for features in self._features(_views(image))]
            progress(
                0.8 * (len(taught_images) + number) / total, f"Looked at {number} of {len(bad)} bad parts"
            )

        self._bad_seen = len(bad)
        self._head = fit_head(np.stack(good_pooled), np.stack(bad_pooled)) if bad else None
        progress(0.8, "Choosing the memory bank")
        self._set_bank(greedy_coreset(torch.cat(pool)[:POOL_SIZE], size=self._bank_size, seed=seed))
        progress(0.9, "Calibrating on good parts that were kept out")
        self.calibrate(held_images)
        progress(1.0, "Fitted")

    def calibrate(self, good: Sequence[Image], bad: Sequence[Image] = ()) -> None:
        """Draw the line through two points: the median held-out good part and the good parts' limit.

        Bad parts do not bend the line: the few that exist early would; they move the thresholds instead
        (`metrics.thresholds`), which are judged on the very scores this line gives.

        Raises ValueError without good parts, and where the evidence is not finite.
        """
        if not good:
            raise ValueError("Calibration needs at least one good part.")
        evidence = self._evidence(good)
        worst = _robust_maximum(evidence.distances).double().cpu().numpy()
        head = evidence.head.double().cpu().numpy()
        if not (np.isfinite(worst).all() and np.isfinite(head).all()):
            raise ValueError("The held-out good parts give evidence that is not finite.")
        middle, limit = float(np.median(worst)), _limit(worst)
        slope = (_logit(LIMIT_GOOD) - _logit(TYPICAL_GOOD)) / (limit - middle)
        self._calibration = Calibration(
            slope=slope,
            offset=_logit(TYPICAL_GOOD) - slope * middle,
            head_centre=float(np.median(head)),
            head_spread=max(_spread(head), 1e-6),
            head_weight=_head_weight(self._bad_seen) if self._head else 0.0,
        )

    def predict(self, images: Sequence[Image]) -> list[Prediction]:
        calibration = self._fitted_calibration()
        evidence = self._evidence(images)
        predictions = []
        for distances, head in zip(evidence.distances, evidence.head, strict=True):
            cells = calibration.slope * distances + calibration.offset
            anomaly = _robust_maximum(cells[None])[0]
            total = fuse(anomaly, head, calibration)
            # Shifting every cell alike keeps the score what it claims to be: the map's robust maximum.
            cells = torch.sigmoid(cells + (total - anomaly))
            defect_map: FloatMap = cells.reshape(GRID, GRID).cpu().numpy().astype(np.float32)
            predictions.append(Prediction(score=float(torch.sigmoid(total)), defect_map=defect_map))
        return predictions

    def state(self) -> State:
        if self._bank is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        tensors = {f"backbone.{name}": value for name, value in backbone_tensors(self._backbone).items()}
        tensors["bank"] = self._bank.cpu().numpy()
        if self._head:
            tensors["head.weight"], tensors["head.bias"] = self._head.weight, self._head.bias
        return State(
            tensors,
            {
                "preprocessing": self.preprocessing,
                "calibration": asdict(self._fitted_calibration()),
                "bad_seen": self._bad_seen,
            },
        )

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        prefix = "backbone."
        weights = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        try:
            predictor = cls(
                backbone_from_tensors(weights, device=device), device=device, bank_size=len(tensors["bank"])
            )
            if predictor.preprocessing != metadata["preprocessing"]:
                raise ValueError("The model was made with another preprocessing than this version has.")
            predictor._set_bank(torch.from_numpy(np.array(tensors["bank"])))
            predictor._calibration = Calibration(**metadata["calibration"])
            predictor._bad_seen = int(metadata["bad_seen"])
            if "head.weight" in tensors:
                predictor._head = Head(np.array(tensors["head.weight"]), np.array(tensors["head.bias"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _set_bank(self, bank: Tensor) -> None:
        if (
            bank.ndim != 2
            or bank.shape[1] != PATCH_CHANNELS
            or len(bank) == 0
            or not bool(torch.isfinite(bank).all())
        ):
            raise ValueError("The memory bank must be finite rows of 152 numbers.")
        self._bank = bank.to(self._device, torch.float32).contiguous()
        self._bank_norms = (self._bank * self._bank).sum(dim=1)

    def _fitted_calibration(self) -> Calibration:
        if self._calibration is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        return self._calibration

    @torch.inference_mode()
    def _evidence(self, images: Sequence[Image]) -> _Evidence:
        """Distances and head logits; raises NotFittedError before `fit`."""
        if self._bank is None or self._bank_norms is None:
            raise NotFittedError("This PatchCore has not been fitted yet.")
        distances, logits = [], []
        for features in self._features(images):
            nearest = squared_distances(features.patches[0], self._bank, self._bank_norms)
            distances.append(nearest.sqrt())
            logits.append(self._head_logit(features.pooled[0]))
        if not distances:
            return _Evidence(torch.empty(0, GRID * GRID), torch.empty(0))
        return _Evidence(torch.stack(distances), torch.stack(logits))

    def _head_logit(self, pooled: Tensor) -> Tensor:
        if self._head is None:
            return pooled.new_zeros(())
        return torch.from_numpy(self._head.logit(pooled.cpu().numpy())).to(pooled)

    def _features(self, images: Sequence[Image]) -> Iterator[Features]:
        """One Features of length 1 for each image, computed in micro-batches."""
        for start in range(0, len(images), self._micro_batch):
            batch = torch.from_numpy(
                np.stack([prepare(image) for image in images[start : start + self._micro_batch]])
            )
            batch = batch.to(self._device).permute(0, 3, 1, 2)  # NHWC memory seen as NCHW: channels last
            with torch.inference_mode():
                seen = self._backbone(batch)
            for number in range(len(batch)):
                yield Features(seen.patches[number : number + 1], seen.pooled[number : number + 1])


def prepare(image: Image) -> NDArray[np.float32]:
    """Resize the whole image to 224x224 and normalise to -1..1."""
    check_image(image)
    small = cv2.resize(image, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return (small.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)


def _views(image: Image) -> list[Image]:
    """The image, mirrored and upside down: few graded parts teach the head more (+.01 AUROC)."""
    return [image, np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(image[::-1])]


def fuse(anomaly: Tensor, head: Tensor, calibration: Calibration) -> Tensor:
    """The rule of this family: the head may raise freely and lower by at most MAX_RELIEF; NaN stays NaN."""
    if calibration.head_weight == 0.0:
        return anomaly
    word = calibration.head_weight * (head - calibration.head_centre) / calibration.head_spread
    return anomaly + torch.clamp(word, min=-MAX_RELIEF)


def _robust_maximum(cells: Tensor) -> Tensor:
    """Mean of the three largest of each row. NaN sorts as largest in torch, so it is never lost."""
    return cells.topk(WORST_PATCHES, dim=1).values.mean(dim=1)


def _head_weight(bad_seen: int) -> float:
    """Logits for each good spread of the head: 5 graded bad parts give .2, 20 give .5, 80 give .8."""
    return bad_seen / (bad_seen + HALF_TRUST_BAD)


def _limit(worst: NDArray[np.float64]) -> float:
    """Where hardly any good part lies: the 99 % point, or median + 3 robust sigmas where that is further."""
    middle = float(np.median(worst))
    return max(float(np.quantile(worst, 0.99)), middle + 3 * _spread(worst), middle + 1e-3)


def _spread(values: NDArray[np.float64]) -> float:
    """Robust sigma: 1.4826 * median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
