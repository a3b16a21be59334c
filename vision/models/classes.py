"""Which classes a classifier tells apart, and the linear layer that a probe learns for them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.predictor import Example

FEWEST_OF_A_TYPE = 5  # named examples before a defect type is a class of its own
GOOD = "good"


class Linear(NamedTuple):
    """logits = weight @ features + bias: KxC, K."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def classes_of(examples: Sequence[Example]) -> list[str]:
    """The word good first; then the defect types with enough examples, where there are two or more; "" for the rest.

    With fewer types there is one class of defects, named if all bad parts have the same name.
    """
    bad = [example.defect for example in examples if example.is_bad]
    counted = Counter(bad)
    types = sorted(name for name, count in counted.items() if name and count >= FEWEST_OF_A_TYPE)
    if len(types) < 2:
        return [GOOD, bad[0] if len(counted) == 1 else ""]
    return [GOOD, *types, *([""] if sum(counted[name] for name in types) < len(bad) else [])]


def numbers_of(examples: Sequence[Example], classes: Sequence[str]) -> NDArray[np.intp]:
    """Each example's class."""
    types = {name: number for number, name in enumerate(classes) if number}
    other = types.get("", 1)
    return np.array([types.get(each.defect, other) if each.is_bad else 0 for each in examples], dtype=np.intp)


def balanced_weights(numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    """Good and bad weigh alike, whatever their counts; the mean weight is 1."""
    is_bad = numbers > 0
    share = np.where(is_bad, 0.5 / max(1, is_bad.sum()), 0.5 / max(1, (~is_bad).sum()))
    return np.asarray(share * len(numbers))


def fit_linear(
    features: NDArray[np.float64], numbers: NDArray[np.intp], *, classes: int, regularisation_c: float
) -> Linear:
    """Multinomial logistic regression on standardised features, the standardisation folded in.

    A class without an example in `numbers` gets logits so low that it is never the likely one.
    """
    # scikit-learn is needed to train, not to inspect, and takes a second to import.
    from sklearn.linear_model import LogisticRegression

    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    model = LogisticRegression(C=regularisation_c, max_iter=2000)
    model.fit((features - centre) / scale, numbers, sample_weight=balanced_weights(numbers))
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps the second class's half alone
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.r_[0.0, intercept]
    weight = np.zeros((classes, features.shape[1]))
    bias = np.full(classes, -30.0)
    weight[model.classes_] = coefficients / scale
    bias[model.classes_] = intercept - weight[model.classes_] @ centre
    return Linear(weight, bias)


def bad_evidence(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit of "not good" for N rows of class logits, good first; NaN stays NaN."""
    with np.errstate(invalid="ignore"):  # NaN is an answer here: the caller holds that part
        return np.asarray(np.logaddexp.reduce(logits[..., 1:], axis=-1) - logits[..., 0])
