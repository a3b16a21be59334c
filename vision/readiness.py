"""May this model answer here? It must score its own reference images as it did when it was made, then it is warmed up."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vision.model_file import Reference
from vision.predictor import Image, Predictor
from vision.preprocess.prepared import Preprocessed
from vision.runtime.choice import choose_engine
from vision.staged import Stepwise

LARGEST_DIFFERENCE = (
    1e-3  # of a score; another processor rounds differently, another model differs by far more
)
WARM_UP_LOOKS = 2
GREY = np.full((64, 64, 3), 128, np.uint8)


class NotReadyError(ValueError):
    """The model does not answer as it should; the message is a sentence for the line page."""


@runtime_checkable
class HasSeats(Protocol):
    """A model of several members, each with a network, an input size and so a runtime of its own."""

    def seats(self) -> Mapping[str, Stepwise]:
        """Each member by its role, answering for the whole model."""
        ...


@dataclass(frozen=True)
class Ready:
    """What the proof gave.

    runtime              what runs the network, or each member's
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
    """Compare the references, choose the runtime of every network by measuring it on them, warm up.

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
    refused: dict[str, str] = {}
    runtime_difference = 0.0
    if isinstance(predictor, Stepwise) and references:
        torch_scores = _scores(predictor, images)
        for role, seat in _seats(predictor).items():
            choice = choose_engine(
                seat,
                images,
                cache=cache,
                model_sha256=_sha256_of(role, model_sha256),
                say=lambda line, role=role: say(f"{role}: {line}" if role else line),  # type: ignore[misc]
            )
            refused |= {f"{role}: {name}" if role else name: why for name, why in choice.refused.items()}
        runtime_difference = _furthest(_scores(predictor, images), torch_scores)
    for _ in range(WARM_UP_LOOKS):
        predictor.predict(images[:1])
    return Ready(
        runtime_of(predictor),
        _median_ms(predictor, images),
        len(references),
        difference,
        runtime_difference=runtime_difference,
        refused=refused,
    )


def runtime_of(predictor: Predictor) -> str:
    """Name of the engine, or of each member's; a predictor without one runs as it is."""
    if isinstance(predictor, Stepwise):
        seats = _seats(predictor)
        if len(seats) > 1:
            return ", ".join(f"{role}: {seat.engine.name}" for role, seat in seats.items())
    engine = getattr(predictor, "engine", None)
    return str(engine.name) if engine is not None else predictor.family


def _sample(predictor: Predictor) -> Image:
    """An image that the model takes, where its file carries none."""
    return predictor.sample_image() if isinstance(predictor, Stepwise) else GREY


def _seats(predictor: Stepwise) -> dict[str, Stepwise]:
    """Whatever has a network of its own: the predictor, or each member of it, behind the same preprocessing."""
    if isinstance(predictor, Preprocessed):
        inner = _seats(predictor.model)
        return {role: Preprocessed(seat, predictor.chain) for role, seat in inner.items()}  # type: ignore[arg-type]
    return dict(predictor.seats()) if isinstance(predictor, HasSeats) else {"": predictor}


def _sha256_of(role: str, model_sha256: str) -> str:
    """Under which a choice is kept: the model's, or one of its own for each member."""
    return hashlib.sha256(f"{model_sha256} {role}".encode()).hexdigest() if role else model_sha256


def _largest_difference(predictor: Predictor, references: Sequence[Reference]) -> float:
    scores = _scores(predictor, [reference.image for reference in references])
    return _furthest(scores, [reference.score for reference in references])


def _scores(predictor: Predictor, images: Sequence[Image]) -> list[float]:
    return [predictor.predict([image])[0].score for image in images]


def _furthest(one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.max(np.abs(np.subtract(one, other)), initial=0.0))


def _median_ms(predictor: Predictor, images: Sequence[Image]) -> float:
    took = []
    for image in images:
        began = time.perf_counter()
        predictor.predict([image])
        took.append((time.perf_counter() - began) * 1000)
    return round(float(np.median(took)), 3)
