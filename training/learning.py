"""What a run does with pixels: who teaches, who calibrates, who judges. Arrays and numbers only, no database.

Three kinds of groups, told apart by their names alone (labeling.splitting), so nothing leaks:
    learning     about 70 %: the predictor is fitted on them
    calibrating  a quarter of the learning groups that are wholly good: set the evidence-to-probability line
    held out     about 30 %: judge, and draw the thresholds

The thresholds that a candidate proposes are drawn from all held-out scores. The figures that are *reported* for it
must not be: each held-out part is judged by thresholds drawn from the other half of the groups (cross-fitting).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from labeling.splitting import share_of
from metrics.roc import auroc
from metrics.thresholds import Thresholds, decision, propose_thresholds
from training.pixels import PixelCounts
from vision.maps import resize_to_image
from vision.predictor import Example, Mask, Prediction, Predictor, Progress

CALIBRATING_SHARE = 0.25
FEWEST_CALIBRATING = 10
FEWEST_LEARNING = 20
PREDICT_AT_ONCE = 8
MOST_REFERENCES = 8


class LearningError(Exception):
    """Nothing can be learned from this; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with its truth, and what it is for.

    read       the photograph with its grade, defect, mask and group, read anew at each call: all pictures together,
               whole, might not fit into memory
    is_graded  by people on the line, else imported
    is_painted  somebody painted where its defect is
    """

    read: Callable[[], Example]
    is_bad: bool
    group: str
    defect: str = ""
    is_held_out: bool = False
    is_graded: bool = False
    is_painted: bool = False


class Look(NamedTuple):
    """What a model said of one picture. `problem`: why it could not judge it; then the score is NaN."""

    score: float
    problem: str


@dataclass(slots=True)
class Division:
    good: list[Sample] = field(default_factory=list)
    bad: list[Sample] = field(default_factory=list)
    calibrating: list[Sample] = field(default_factory=list)
    held_out: list[Sample] = field(default_factory=list)


def divide(samples: Sequence[Sample]) -> Division:
    """Give every picture its one purpose; with few pictures nobody is set apart for calibrating."""
    divided = Division(held_out=[sample for sample in samples if sample.is_held_out])
    learning = [sample for sample in samples if not sample.is_held_out]
    divided.bad = [sample for sample in learning if sample.is_bad]
    # The head learns from the bad parts, so the good ones of the same groups are no strangers to it.
    groups_with_bad = {sample.group for sample in divided.bad}
    for sample in learning:
        if sample.is_bad:
            continue
        apart = sample.group not in groups_with_bad
        apart = apart and share_of(sample.group, purpose="calibrating") < CALIBRATING_SHARE
        (divided.calibrating if apart else divided.good).append(sample)
    if len(divided.calibrating) < FEWEST_CALIBRATING or len(divided.good) < FEWEST_LEARNING:
        divided.good = [sample for sample in learning if not sample.is_bad]
        divided.calibrating = []
    return divided


def check_judges(divided: Division) -> None:
    """Raises LearningError if nobody could judge the model afterwards."""
    if not any(not sample.is_bad for sample in [*divided.held_out, *divided.calibrating]):
        raise LearningError(
            "No good part is held out, so nothing could say how the model does. Add pictures of other parts: about "
            "30 % of the groups are held out, chosen by name."
        )


def looks_of(
    predictor: Predictor,
    samples: Sequence[Sample],
    *,
    progress: Progress,
    doing: str,
    pixels: PixelCounts | None = None,
) -> list[Look]:
    """One look at each photograph, a few in memory at a time; `pixels` counts what the maps say of painted defects."""
    looks: list[Look] = []
    for start in range(0, len(samples), PREDICT_AT_ONCE):
        progress(start / len(samples), f"{doing}: {start} of {len(samples)}")
        batch = [sample.read() for sample in samples[start : start + PREDICT_AT_ONCE]]
        said = predictor.predict([example.pixels for example in batch])
        looks += [Look(prediction.score, prediction.problem) for prediction in said]
        for example, prediction in zip(batch, said, strict=True):
            if pixels is not None and math.isfinite(prediction.score):
                _count(pixels, example, prediction)
    return looks


def _count(pixels: PixelCounts, example: Example, prediction: Prediction) -> None:
    """Where a bad part's defect lies is not known unless somebody painted it."""
    height, width = example.pixels.shape[:2]
    mask = example.mask
    if mask is None and not example.is_bad:
        mask = np.zeros((height, width), np.bool_)
    if mask is not None:
        pixels.add(resize_to_image(prediction.defect_map, height=height, width=width), mask)


def painted_counts(samples: Sequence[Sample]) -> PixelCounts | None:
    """Empty counts for `looks_of`; None where nobody painted any of these, and nothing could be said of pixels."""
    return PixelCounts.by_log_odds() if any(sample.is_painted for sample in samples) else None


def judged(looks: Sequence[Look], samples: Sequence[Sample]) -> tuple[list[float], list[Sample]]:
    """Scores of the pictures that could be judged. The others' parts would be held: they say nothing of thresholds.

    Raises LearningError if there are none.
    """
    pairs = [(look.score, sample) for look, sample in zip(looks, samples, strict=True) if not look.problem]
    if not pairs:
        problem = looks[0].problem if looks else "There is none."
        raise LearningError(f"None of the {len(looks)} held-out pictures could be judged. {problem}")
    return [score for score, _ in pairs], [sample for _, sample in pairs]


def thresholds_of(scores: Sequence[float], samples: Sequence[Sample]) -> Thresholds:
    """The proposal for these scores; raises LearningError for a score that is not finite."""
    wild = sum(not math.isfinite(score) for score in scores)
    if wild:
        raise LearningError(
            f"The model gave {wild} of {len(scores)} held-out parts a score that is not a number."
        )
    return propose_thresholds(
        [score for score, sample in zip(scores, samples, strict=True) if not sample.is_bad],
        [score for score, sample in zip(scores, samples, strict=True) if sample.is_bad],
    )


def cross_fitted_decisions(scores: Sequence[float], samples: Sequence[Sample]) -> tuple[list[str], bool]:
    """Judge each part by thresholds drawn from the other half of the groups; False if the halves are too small.

    Then the decisions are those of the proposal itself, which saw the very parts that it judges.
    """
    halves = [share_of(sample.group, purpose="half") < 0.5 for sample in samples]
    bands = {}
    for half in (True, False):
        inside = [number for number, each in enumerate(halves) if each is half]
        good = sum(not samples[number].is_bad for number in inside)
        bad = len(inside) - good
        needs_bad = any(sample.is_bad for sample in samples)
        if good == 0 or (needs_bad and bad == 0):
            whole = thresholds_of(scores, samples)
            return _decisions(scores, [(whole.grey_from, whole.grey_to)] * len(scores)), False
        drawn = thresholds_of([scores[n] for n in inside], [samples[n] for n in inside])
        bands[not half] = (drawn.grey_from, drawn.grey_to)
    return _decisions(scores, [bands[half] for half in halves]), True


def banded_decisions(scores: Sequence[float], *, grey_from: float, grey_to: float) -> list[str]:
    return _decisions(scores, [(grey_from, grey_to)] * len(scores))


def _decisions(scores: Sequence[float], bands: Sequence[tuple[float, float]]) -> list[str]:
    """GOOD, GREY or BAD; a score that is not finite holds the part, as it does on the line."""
    return [
        decision(score, grey_from=band[0], grey_to=band[1]) if math.isfinite(score) else "GREY"
        for score, band in zip(scores, bands, strict=True)
    ]


def figures_of(decisions: Sequence[str], samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """Review rate, underkill (bad parts passed / bad) and overkill (good rejected / good), each as k of n.

    The review rate is told apart by origin: graded parts are here *because* an earlier model found them grey.
    """
    pairs = list(zip(decisions, samples, strict=True))

    def rate(word: str, of: Callable[[Sample], bool]) -> dict[str, int]:
        seen = [said for said, sample in pairs if of(sample)]
        return {"k": seen.count(word), "n": len(seen)}

    return {
        "review_rate": rate("GREY", lambda _: True),
        "review_rate_imported": rate("GREY", lambda sample: not sample.is_graded),
        "review_rate_graded": rate("GREY", lambda sample: sample.is_graded),
        "underkill": rate("GOOD", lambda sample: sample.is_bad),
        "overkill": rate("BAD", lambda sample: not sample.is_bad),
    }


def auroc_or_reason(scores: Sequence[float], samples: Sequence[Sample]) -> tuple[float | None, str]:
    """The AUROC, or None and the sentence why there is none. It is never invented."""
    good = [score for score, sample in zip(scores, samples, strict=True) if not sample.is_bad]
    bad = [score for score, sample in zip(scores, samples, strict=True) if sample.is_bad]
    if not good or not bad:
        missing = "bad" if good else "good"
        return None, f"No graded {missing} part is held out yet, so there is no AUROC."
    try:
        return round(auroc(good, bad), 4), ""
    except ValueError as problem:
        return None, str(problem)


def areas_by_defect(scores: Sequence[float], samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """AUROC of each named defect type against all good parts, with how many there were of it; empty without names."""
    good = [score for score, sample in zip(scores, samples, strict=True) if not sample.is_bad]
    found: dict[str, list[float]] = {}
    for score, sample in zip(scores, samples, strict=True):
        if sample.is_bad and sample.defect:
            found.setdefault(sample.defect, []).append(score)
    if not good or not np.isfinite(scores).all():
        return {}
    return {name: {"auroc": round(auroc(good, bad), 4), "n": len(bad)} for name, bad in sorted(found.items())}


def shrunk(example: Example, preprocessing: dict[str, Any]) -> Example:
    """The picture at the model's input size, if that is the model's own first step: the same scores, little memory.

    A few hundred pictures of 5 megapixels would not fit into memory whole.
    """
    size = preprocessing.get("input_px")
    if not size or not str(preprocessing.get("resize", "")).startswith("area, whole image"):
        return example
    height, width = size
    pixels = cv2.resize(example.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return replace(
        example, pixels=np.asarray(pixels, np.uint8), mask=_shrunk_mask(example.mask, height, width)
    )


def _shrunk_mask(mask: Mask | None, height: int, width: int) -> Mask | None:
    """A cell is defect if any pixel of it was painted: a hair crack must not vanish."""
    if mask is None:
        return None
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(covered > 0, np.bool_)


def references_of(samples: Sequence[Sample], scores: Sequence[float]) -> list[Sample]:
    """A few pictures from the least to the most suspicious: by them a model file proves what it answers."""
    order = np.argsort(scores, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, MOST_REFERENCES).round().astype(int))
    return [samples[order[place]] for place in places] if len(order) else []
