"""A small classifier on frozen features: learned by scikit-learn, kept as two arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

REGULARISATION_C = 0.01  # strong: a few graded parts, several hundred features


@dataclass(frozen=True)
class Head:
    """logit = weight . features + bias; positive means bad. weight float64 C, bias float64 scalar."""

    weight: NDArray[Any]
    bias: NDArray[Any]

    def logit(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """features: C, or NxC."""
        answer: NDArray[np.float64] = np.asarray(features.astype(np.float64) @ self.weight + self.bias)
        return answer


def fit_head(good: NDArray[Any], bad: NDArray[Any]) -> Head:
    """Class-balanced logistic regression on standardised features, with the standardisation folded in.

    good, bad  NxC features of graded parts
    """
    # scikit-learn is needed to train, not to inspect, and takes a second to import.
    from sklearn.linear_model import LogisticRegression

    features = np.concatenate([good, bad]).astype(np.float64)
    truth = np.r_[np.zeros(len(good)), np.ones(len(bad))]
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    model = LogisticRegression(C=REGULARISATION_C, class_weight="balanced", max_iter=1000)
    model.fit((features - centre) / scale, truth)
    weight = model.coef_[0] / scale
    return Head(weight, np.asarray(model.intercept_[0] - weight @ centre))
