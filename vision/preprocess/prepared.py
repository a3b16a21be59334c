"""Any model family behind a preprocessing: it sees parts in their place, and its map comes back into the picture."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from torch import nn

from vision.families import family_class
from vision.predictor import Example, FloatMap, Image, Prediction, Predictor, Progress, State, no_progress
from vision.preprocess.alignment import AlignmentError
from vision.preprocess.chain import Placement, Preprocess
from vision.runtime.engine import Engine, Raw
from vision.staged import Begun, Stepwise, tensors_under

CELL_FRACTION = 4  # the map that comes back has cells of a quarter of the model's, or the picture's pixels
MODEL, PREPROCESS = "model", "preprocess"  # names that the state is nested under


class Preprocessed(Stepwise):
    """A predictor and what is done to pictures before it; its family is the model's own.

    An example that cannot be aligned teaches nothing and is counted in `left_out`. At `begin` such a picture raises
    AlignmentError; `predict` answers for it with the score NaN and the sentence, and the others of the batch get theirs.
    """

    def __init__(self, model: Predictor, chain: Preprocess, *, left_out: int = 0) -> None:
        """Raises TypeError for a model whose steps cannot be told apart."""
        if not isinstance(model, Stepwise):
            raise TypeError(f"The family {model.family} cannot be put behind a preprocessing.")
        self.model: Any = model  # both a Predictor and Stepwise
        self.chain = chain
        self.left_out = left_out

    @property
    def family(self) -> str:  # type: ignore[override]  # of the model inside, so of the instance
        return str(self.model.family)

    @property
    def exports_to_onnx(self) -> bool:  # type: ignore[override]
        return bool(self.model.exports_to_onnx)

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        network: nn.Module = self.model.network
        return network

    @property
    def engine(self) -> Engine:  # type: ignore[override]
        engine: Engine = self.model.engine
        return engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self.model.engine = engine

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {**self.chain.as_json(), MODEL: self.model.preprocessing}

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        placed = self._placed(examples, lambda fraction, doing: progress(0.2 * fraction, doing))
        self.left_out = len(examples) - len(placed)
        self.model.fit(
            placed, seed=seed, progress=lambda fraction, doing: progress(0.2 + 0.8 * fraction, doing)
        )

    def calibrate(self, examples: Sequence[Example]) -> None:
        self.model.calibrate(self._placed(examples, no_progress))

    def begin(self, image: Image) -> Begun:
        """Raises AlignmentError if the picture does not lie on the reference."""
        seen, placement = self.chain.apply(image)
        begun = self.model.begin(seen)

        def finish(raw: Raw) -> Prediction:
            return laid_back(begun.finish(raw), placement)

        return Begun(begun.tiles, finish)

    def predict(self, images: Sequence[Image]) -> list[Prediction]:
        begun: list[Begun | AlignmentError] = []
        for image in images:
            try:
                begun.append(self.begin(image))
            except AlignmentError as problem:
                begun.append(problem)
        raws = iter(self.engine.run([each.tiles for each in begun if isinstance(each, Begun)]))
        return [
            each.finish(next(raws)) if isinstance(each, Begun) else _unjudged(image, str(each))
            for each, image in zip(begun, images, strict=True)
        ]

    def sample_image(self) -> Image:
        return self.chain.sample_image()

    def state(self) -> State:
        inner = self.model.state()
        tensors = {f"{MODEL}.{name}": value for name, value in inner.tensors.items()}
        tensors |= {f"{PREPROCESS}.{name}": value for name, value in self.chain.tensors().items()}
        metadata = {
            "family": self.family,
            "left_out": self.left_out,
            MODEL: inner.metadata,
            PREPROCESS: self.chain.as_json(),
        }
        return State(tensors, metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        """Raises ValueError for a state that is not whole, FamilyError for a family that is not here."""
        try:
            metadata = state.metadata
            chain = Preprocess.from_json(
                metadata[PREPROCESS], tensors_under(state.tensors, prefix=PREPROCESS)
            )
            inner = State(tensors_under(state.tensors, prefix=MODEL), metadata[MODEL])
            model: Predictor = family_class(metadata["family"]).from_state(inner, device=device)
            return cls(model, chain, left_out=int(metadata["left_out"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error

    def _placed(self, examples: Sequence[Example], progress: Progress) -> list[Example]:
        placed = []
        for number, example in enumerate(examples, start=1):
            try:
                placed.append(place(example, self.chain))
            except AlignmentError:
                continue  # counted by who asked
            finally:
                progress(number / len(examples), f"Aligned {number} of {len(examples)} pictures")
        return placed


def place(example: Example, chain: Preprocess) -> Example:
    """The example as the model sees it; raises AlignmentError."""
    pixels, placement = chain.apply(example.pixels)
    mask = None if example.mask is None else placement.forth(example.mask)
    return replace(example, pixels=pixels, mask=mask)


def laid_back(prediction: Prediction, placement: Placement) -> Prediction:
    """The prediction with its map in the picture, as fine as the model's own cells need, never finer than the picture."""
    cells_high, cells_wide = prediction.defect_map.shape
    seen_height, seen_width = placement.judged.shape
    finest = max(cells_high / seen_height, cells_wide / seen_width) * CELL_FRACTION
    height = min(placement.image_height, math.ceil(placement.image_height * finest))
    width = min(placement.image_width, math.ceil(placement.image_width * finest))
    return replace(prediction, defect_map=placement.back(prediction.defect_map, height, width))


def _unjudged(image: Image, problem: str) -> Prediction:
    nowhere: FloatMap = np.full((1, 1), np.nan, np.float32)
    return Prediction(math.nan, nowhere, problem=problem)
