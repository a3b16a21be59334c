"""Scores for every graded part from a model that has never seen it: what thresholds may be drawn from.

A plain hold-out spends scarce bad parts; here each part is judged once, in the fold that left it out.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.predictor import Image, Predictor, Progress, no_progress

CALIBRATION_SHARE = 0.2


class HeldOutScores(NamedTuple):
    """One score for each part, in the order given."""

    good: NDArray[np.float64]
    bad: NDArray[np.float64]


def cross_scores(
    new: Callable[[], Predictor],
    good: Sequence[Image],
    bad: Sequence[Image],
    *,
    good_groups: Sequence[str],
    bad_groups: Sequence[str],
    folds: int = 3,
    seed: int,
    progress: Progress,
) -> HeldOutScores:
    """Fit once for each fold and score the parts that were left out of it.

    new                      makes an unfitted predictor
    good_groups, bad_groups  one for each image; images of one physical part share a group and stay together

    Raises ValueError if there are fewer groups than folds, or groups do not match the images.
    """
    if len(good_groups) != len(good) or len(bad_groups) != len(bad):
        raise ValueError("Every image needs its group.")
    rng = np.random.default_rng(seed)
    fold_of = _folds([*good_groups, *bad_groups], folds=folds, rng=rng)
    good_scores, bad_scores = np.full(len(good), np.nan), np.full(len(bad), np.nan)
    for fold in range(folds):
        progress(fold / folds, f"Judging parts that were kept out, round {fold + 1} of {folds}")
        predictor = new()
        kept_good = [number for number, group in enumerate(good_groups) if fold_of[group] != fold]
        kept_bad = [number for number, group in enumerate(bad_groups) if fold_of[group] != fold]
        fit_by_group(
            predictor,
            [good[number] for number in kept_good],
            [bad[number] for number in kept_bad],
            good_groups=[good_groups[number] for number in kept_good],
            bad_groups=[bad_groups[number] for number in kept_bad],
            seed=seed,
            progress=no_progress,
        )
        for images, groups, scores in ((good, good_groups, good_scores), (bad, bad_groups, bad_scores)):
            left_out = [number for number, group in enumerate(groups) if fold_of[group] == fold]
            scores[left_out] = [p.score for p in predictor.predict([images[number] for number in left_out])]
    progress(1.0, "Judged every part once")
    return HeldOutScores(good_scores, bad_scores)


def fit_by_group(
    predictor: Predictor,
    good: Sequence[Image],
    bad: Sequence[Image] = (),
    *,
    good_groups: Sequence[str],
    bad_groups: Sequence[str] = (),
    seed: int,
    progress: Progress,
) -> None:
    """Fit, then calibrate on good groups that the fit has not seen: a fifth of those without a bad part.

    With fewer than 5 such groups the predictor's own hold-out has to do.
    """
    names = sorted(set(good_groups) - set(bad_groups))
    if len(names) < 5:
        predictor.fit(good, bad, seed=seed, progress=progress)
        return
    chosen = np.random.default_rng(seed).permutation(len(names))[
        : max(1, round(CALIBRATION_SHARE * len(names)))
    ]
    held = {names[number] for number in chosen}
    taught = [image for image, group in zip(good, good_groups, strict=True) if group not in held]
    calibrating = [image for image, group in zip(good, good_groups, strict=True) if group in held]
    predictor.fit(taught, bad, seed=seed, progress=progress)
    predictor.calibrate(calibrating)


def _folds(groups: list[str], *, folds: int, rng: np.random.Generator) -> dict[str, int]:
    """Deal the groups out like cards."""
    names = sorted(set(groups))
    if not 2 <= folds <= len(names):
        raise ValueError(f"{len(names)} groups cannot be dealt into {folds} folds.")
    return {names[card]: place % folds for place, card in enumerate(rng.permutation(len(names)))}
