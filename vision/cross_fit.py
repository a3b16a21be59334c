"""Scores for every graded part from a model that has never seen it, nor another picture of it.

A plain hold-out spends scarce bad parts; here each part is judged once, in the fold that left it out.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vision.holdout import deal_folds
from vision.predictor import Example, Predictor, Progress, no_progress


def cross_scores(
    new: Callable[[], Predictor],
    examples: Sequence[Example],
    *,
    folds: int = 3,
    seed: int,
    progress: Progress,
) -> NDArray[np.float64]:
    """Fit once for each fold and score the parts that were left out of it; one score an example, in their order.

    new  makes an unfitted predictor

    Raises ValueError if there are fewer groups than folds.
    """
    fold_of = deal_folds([example.group for example in examples], folds=folds, seed=seed)
    scores = np.full(len(examples), np.nan)
    for fold in range(folds):
        progress(fold / folds, f"Judging parts that were kept out, round {fold + 1} of {folds}")
        predictor = new()
        kept = [example for example, place in zip(examples, fold_of, strict=True) if place != fold]
        predictor.fit(kept, seed=seed, progress=no_progress)
        left_out = [number for number, place in enumerate(fold_of) if place == fold]
        scores[left_out] = [p.score for p in predictor.predict([examples[n].pixels for n in left_out])]
    progress(1.0, "Judged every part once")
    return scores
