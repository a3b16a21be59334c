"""May this model answer here? It must score its own reference images as it did when it was made, then it is warmed up."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vision.model_file import Reference
from vision.predictor import Image, Predictor
from vision.runtime.choice import choose_engine
from vision.staged import Stepwise

LARGEST_DIFFERENCE = (
    1e-3  # of a score; another processor rounds differently, another model differs by far more
)
WARM_UP_LOOKS = 2
GREY = np.full((64, 64, 3), 128, np.uint8)


class NotReadyError(ValueError):
    """The model does not answer as it should; the message is a sentence for the line page."""


@dataclass(frozen=True)
class Ready:
    """What the proof gave.

    runtime              what runs the network
    ms                   one look at one image, median
    reference_count      images that the model file carries as its own proof
    largest_difference   between a reference's score now and when the model was made; 0 without references
    runtime_difference   between a reference's score in the chosen runtime and in torch; 0 where torch itself runs
    refused              runtimes that may not run this model here, each with a sentence
    """

    runtime: str
    ms: float
    reference_count: int
    largest_difference: float
    runtime_difference: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.runtime}, {self.ms:.1f} ms a look; {self.reference_count} reference images differ by at most "
            f"{self.largest_difference:.1e}, and by {self.runtime_difference:.1e} from torch"
        )


def make_ready(
    predictor: Predictor,
    *,
    references: Sequence[Reference],
    model_sha256: str,
    cache: Path,
    say: Callable[[str], None],
) -> Ready:
    """Compare the references, choose the runtime by measuring it on them, warm up.

    Raises NotReadyError if a reference is scored differently than when the model was made: then the weights, the
    library or the processor are not what was accepted.
    """
    images: list[Image] = [reference.image for reference in references] or [_sample(predictor)]
    difference = _largest_difference(predictor, references)
    if not difference <= LARGEST_DIFFERENCE:  # NaN is not below the limit either
        raise NotReadyError(
            f"The model scores its own reference images differently here than when it was made (by up to "
            f"{difference:.3g}, allowed {LARGEST_DIFFERENCE:g}). It was accepted as another model."
        )
    choice = None
    if isinstance(predictor, Stepwise) and references:
        choice = choose_engine(predictor, images, cache=cache, model_sha256=model_sha256, say=say)
    for _ in range(WARM_UP_LOOKS):
        predictor.predict(images[:1])
    return Ready(
        runtime_of(predictor),
        _median_ms(predictor, images),
        len(references),
        difference,
        runtime_difference=choice.parity.max_score_difference if choice and choice.parity else 0.0,
        refused=choice.refused if choice else {},
    )


def runtime_of(predictor: Predictor) -> str:
    """Name of the engine; a predictor without one runs as it is."""
    engine = getattr(predictor, "engine", None)
    return str(engine.name) if engine is not None else predictor.family


def _sample(predictor: Predictor) -> Image:
    """An image that the model takes, where its file carries none."""
    return predictor.sample_image() if isinstance(predictor, Stepwise) else GREY


def _largest_difference(predictor: Predictor, references: Sequence[Reference]) -> float:
    differences = [
        abs(predictor.predict([reference.image])[0].score - reference.score) for reference in references
    ]
    return float(np.max(differences)) if differences else 0.0


def _median_ms(predictor: Predictor, images: Sequence[Image]) -> float:
    took = []
    for image in images:
        began = time.perf_counter()
        predictor.predict([image])
        took.append((time.perf_counter() - began) * 1000)
    return round(float(np.median(took)), 3)
