"""Train on an MVTec folder outside any page; the last line is JSON."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training import learning, named
from training.learning import LearningError, Sample
from training.teaching import Recipe, teach
from vision.augment import AugmentPlan
from vision.families import FAMILIES
from vision.folder import FolderImage, read_folder, read_mask
from vision.images import decode
from vision.predictor import Example, Image
from vision.preprocess.plan import read_preprocess


class Command(BaseCommand):
    help = "Fit a model on the train split of a folder in MVTec layout and keep it by name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--images", required=True, type=Path, help="folder with train/good (and train/<defect>)"
        )
        parser.add_argument("--family", default="patchcore", choices=sorted(FAMILIES))
        parser.add_argument("--out", required=True, help="name of the model")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set one of the family's options; may be given several times",
        )
        parser.add_argument(
            "--augment",
            type=Path,
            metavar="FILE.json",
            help="a plan of changed copies and synthetic bad parts to learn from as well (docs/performance.md: seldom)",
        )
        parser.add_argument(
            "--preprocess",
            type=Path,
            metavar="FILE.json",
            help="region of interest, alignment to a reference picture and crop (vision/preprocess/plan.py says how)",
        )

    def handle(
        self,
        *,
        images: Path,
        family: str,
        out: str,
        seed: int,
        option: list[str],
        augment: Path | None = None,
        preprocess: Path | None = None,
        **options: Any,
    ) -> None:
        try:
            named.path_of(out)
            recipe = Recipe(
                family,
                seed,
                _options(option),
                _plan(augment),
                read_preprocess(preprocess) if preprocess else None,
            )
            known = self._fit(images, out, recipe)
        except (LearningError, ValueError, OSError) as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(json.dumps(known))

    def _fit(self, images: Path, out: str, recipe: Recipe) -> dict[str, Any]:
        say = _Progress(self)
        pictures = [picture for picture in read_folder(images) if picture.split == "train"]
        taught = teach(recipe, learning.divide([_sample(picture) for picture in pictures]), progress=say)
        divided = taught.divided
        figures = {
            "model": out,
            "family": recipe.family,
            "device": taught.device,
            "images": str(images),
            "n_good": len(divided.good),
            "n_bad": len(divided.bad),
            "n_calibrating": len(divided.calibrating),
            "n_left_out": taught.left_out,
            "fit_s": taught.fit_s,
            "options": recipe.options,
            "augment": recipe.augment.as_json() if recipe.augment.makes_any else None,
            "preprocessing": taught.predictor.preprocessing,
            "grey_from": None,
            "grey_to": None,
        }
        references: list[Image] = []
        if divided.calibrating:
            looks = learning.looks_of(
                taught.predictor, divided.calibrating, progress=say, doing="Drawing the thresholds"
            )
            scores, samples = learning.judged(looks, divided.calibrating)
            drawn = learning.thresholds_of(scores, samples)
            figures |= {"grey_from": drawn.grey_from, "grey_to": drawn.grey_to}
            references = [taught.reference(sample) for sample in learning.references_of(samples, scores)]
        return named.keep(out, taught.predictor, figures, references=references)


def _options(words: list[str]) -> dict[str, str]:
    """Raises ValueError for a word without `=`."""
    for word in words:
        if "=" not in word:
            raise ValueError(f"An option is written NAME=VALUE, not {word!r}.")
    return dict(word.split("=", 1) for word in words)


def _plan(file: Path | None) -> AugmentPlan:
    """Raises ValueError with a sentence for a file that is no plan, OSError where it cannot be read."""
    if file is None:
        return AugmentPlan()
    try:
        return AugmentPlan.from_json(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as problem:
        raise ValueError(f"{file} is no augmentation plan: {problem}") from problem


def _sample(picture: FolderImage) -> Sample:
    is_bad = picture.truth == "bad"
    return Sample(partial(_example, picture), is_bad, picture.group, picture.defect if is_bad else "")


def _example(picture: FolderImage) -> Example:
    is_bad = picture.truth == "bad"
    return Example(
        decode(picture.path.read_bytes()),
        is_bad,
        defect=picture.defect if is_bad else "",
        mask=read_mask(picture),
        group=picture.group,
    )


class _Progress:
    """A line every two seconds."""

    def __init__(self, command: BaseCommand) -> None:
        self._command, self._said_at = command, float("-inf")

    def __call__(self, fraction: float, doing: str) -> None:
        if time.monotonic() - self._said_at >= 2:
            self._said_at = time.monotonic()
            self._command.stdout.write(f"{fraction:4.0%}  {doing}")
