"""How a recipe becomes a fitted model: the one way, for a run of the training page and for fit_model."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from training.learning import Division, LearningError, Sample, shrunk
from vision.augment import AugmentPlan, grown
from vision.device import choose_device
from vision.families import FAMILIES, new_predictor
from vision.predictor import Example, Image, Predictor, Progress
from vision.preprocess.alignment import AlignmentError
from vision.preprocess.chain import Preprocess
from vision.preprocess.prepared import Preprocessed, place

MEMORY_SHARE = 0.5  # of this machine's memory that the pictures to learn from may take


@dataclass(frozen=True)
class Recipe:
    """What a model is made with, beside the pictures."""

    family: str
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    augment: AugmentPlan = field(default_factory=AugmentPlan)
    chain: Preprocess | None = None

    def check(self) -> None:
        """Raises LearningError for an augmentation that cannot teach this family anything."""
        if self.augment.synthetic_bad and FAMILIES[self.family].learns_from == "good parts":
            raise LearningError(
                f"{self.family} learns from good parts alone: synthetic bad ones would teach it nothing."
            )


@dataclass(frozen=True)
class Taught:
    """A fitted model and what it was made of.

    predictor  takes photographs: it stands behind its preprocessing, where it has one
    divided    who taught and who calibrated; without the pictures that could not be aligned, which left_out counts
    """

    predictor: Predictor
    divided: Division
    left_out: int
    fit_s: float
    device: str

    def reference(self, sample: Sample) -> Image:
        """The picture as the model file may keep it: small where the model's own first step is to make it so."""
        return shrunk(sample.read(), self.predictor.preprocessing).pixels


def teach(recipe: Recipe, divided: Division, *, progress: Progress) -> Taught:
    """Read, align, augment, fit and calibrate.

    Raises LearningError or ValueError with a sentence if there is too little to learn from, or too much for the memory.
    """
    recipe.check()
    device = choose_device(settings.DEVICE)
    weights = Path(settings.WEIGHTS_DIR) if settings.WEIGHTS_DIR else None
    model = new_predictor(recipe.family, device=device, weights_folder=weights, options=recipe.options)
    reader = _Reader(recipe.chain, model.preprocessing, divided, progress)
    good, bad, calibrating = (reader.read(each) for each in (divided.good, divided.bad, divided.calibrating))
    if not good:
        raise LearningError(
            "No good part to learn from. Import a folder with train/good, or grade some good parts."
            if not divided.good
            else f"None of the {len(divided.good)} good pictures could be aligned."
        )
    if recipe.augment.makes_any and not calibrating:
        raise LearningError(
            "Too few good parts of their own groups are here to calibrate on, and pictures that were made must not: "
            "add good parts or leave the augmentation away."
        )
    began = time.monotonic()
    # A family calibrates itself first on examples that it keeps out, and made ones are among them; real ones mend that.
    examples = grown([example for _, example in [*good, *bad]], recipe.augment, recipe.seed)
    model.fit(
        examples,
        seed=recipe.seed,
        progress=lambda fraction, doing: progress(0.2 + 0.7 * fraction, doing),
    )
    if calibrating:
        progress(0.9, f"Calibrating on {len(calibrating)} good parts of other groups")
        model.calibrate([example for _, example in calibrating])
    fit_s = round(time.monotonic() - began, 2)
    progress(1.0, "Fitted")
    return Taught(
        predictor=Preprocessed(model, recipe.chain, left_out=reader.left_out) if recipe.chain else model,
        divided=replace(
            divided,
            good=[sample for sample, _ in good],
            bad=[sample for sample, _ in bad],
            calibrating=[sample for sample, _ in calibrating],
        ),
        left_out=reader.left_out,
        fit_s=fit_s,
        device=device,
    )


class _Reader:
    """Pictures as the model learns from them, aligned and made small one by one. `left_out` could not be aligned."""

    def __init__(
        self, chain: Preprocess | None, preprocessing: dict[str, Any], divided: Division, progress: Progress
    ) -> None:
        self.left_out = 0
        self._chain, self._preprocessing, self._progress = chain, preprocessing, progress
        self._all = len(divided.good) + len(divided.bad) + len(divided.calibrating)
        self._done = self._bytes = 0
        self._most_bytes = MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def read(self, samples: Sequence[Sample]) -> list[tuple[Sample, Example]]:
        """Raises LearningError if the pictures together do not fit into memory."""
        found = []
        for sample in samples:
            self._done += 1
            self._progress(0.2 * self._done / self._all, f"Reading picture {self._done} of {self._all}")
            try:
                example = sample.read() if self._chain is None else place(sample.read(), self._chain)
            except AlignmentError:
                self.left_out += 1
                continue
            example = shrunk(example, self._preprocessing)
            self._bytes += example.pixels.nbytes
            if self._bytes > self._most_bytes:
                raise LearningError(
                    f"The {self._all} pictures to learn from do not fit into the memory of this trainer. Cut them to "
                    f"their region by a preprocessing, or choose a family that makes them small first."
                )
            found.append((sample, example))
        return found
