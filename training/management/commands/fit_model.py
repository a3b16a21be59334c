"""Train on an MVTec folder outside any page; the last line is JSON."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from training import learning, named
from training.learning import Division, LearningError, Sample
from vision.augment import AugmentPlan, grown
from vision.device import choose_device
from vision.families import FAMILIES, new_predictor
from vision.folder import FolderImage, read_folder, read_mask
from vision.images import decode
from vision.predictor import Example, Image, Progress
from vision.preprocess.alignment import AlignmentError
from vision.preprocess.chain import Preprocess
from vision.preprocess.plan import read_preprocess
from vision.preprocess.prepared import Preprocessed, place


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
            chain = read_preprocess(preprocess) if preprocess else None
            known = self._fit(images, family, out, seed, _options(option), _plan(augment), chain)
        except (LearningError, ValueError, OSError) as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(json.dumps(known))

    def _fit(
        self,
        images: Path,
        family: str,
        out: str,
        seed: int,
        chosen: dict[str, str],
        plan: AugmentPlan,
        chain: Preprocess | None,
    ) -> dict[str, Any]:
        device = choose_device(settings.DEVICE)
        weights = Path(settings.WEIGHTS_DIR) if settings.WEIGHTS_DIR else None
        predictor = new_predictor(family, device=device, weights_folder=weights, options=chosen)
        say = _Progress(self)
        read = _Pictures(
            [picture for picture in read_folder(images) if picture.split == "train"],
            preprocessing=predictor.preprocessing,
            chain=chain,
            progress=say,
        )
        divided = learning.divide(read.samples)
        began = time.monotonic()
        learning.fit(predictor, _grown(divided, plan, family=family, seed=seed), seed=seed, progress=say)
        fit_s = round(time.monotonic() - began, 2)
        kept = Preprocessed(predictor, chain, left_out=read.left_out) if chain else predictor
        figures = {
            "model": out,
            "family": family,
            "device": device,
            "images": str(images),
            "n_good": len(divided.good),
            "n_bad": len(divided.bad),
            "n_calibrating": len(divided.calibrating),
            "n_left_out": read.left_out,
            "fit_s": fit_s,
            "options": chosen,
            "augment": plan.as_json() if plan.makes_any else None,
            "preprocessing": kept.preprocessing,
            "grey_from": None,
            "grey_to": None,
        }
        references: list[Image] = []
        if divided.calibrating:
            scores = learning.scores_of(
                predictor, divided.calibrating, progress=say, doing="Drawing the thresholds"
            )
            drawn = learning.thresholds_of(scores, divided.calibrating)
            figures |= {"grey_from": drawn.grey_from, "grey_to": drawn.grey_to}
            references = read.photographs(learning.references_of(divided.calibrating, scores))
        return named.keep(out, kept, figures, references=references)


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


def _grown(divided: Division, plan: AugmentPlan, *, family: str, seed: int) -> Division:
    """The learning side with what the plan makes of it; who calibrates stays as photographed.

    A family calibrates itself first on examples that it keeps out, and made ones would be among them. So real parts
    must be set apart to calibrate it anew; raises LearningError where they are too few.
    """
    if not plan.makes_any:
        return divided
    if plan.synthetic_bad and FAMILIES[family].learns_from == "good parts":
        raise LearningError(
            f"{family} learns from good parts alone: synthetic bad ones would teach it nothing."
        )
    if not divided.calibrating:
        raise LearningError(
            "Too few good parts of their own groups are here to calibrate on, and pictures that were made must not: "
            "add good parts or leave the augmentation away."
        )
    examples = grown([sample.example for sample in [*divided.good, *divided.bad]], plan, seed)
    samples = [Sample(example, is_held_out=False, is_graded=False) for example in examples]
    return replace(
        divided,
        good=[sample for sample in samples if not sample.is_bad],
        bad=[sample for sample in samples if sample.is_bad],
    )


class _Pictures:
    """A folder's pictures as the model learns from them, aligned and made small one by one: all together, whole,
    they might not fit into memory. `left_out` counts those that could not be aligned.
    """

    def __init__(
        self,
        pictures: list[FolderImage],
        *,
        preprocessing: dict[str, Any],
        chain: Preprocess | None,
        progress: Progress,
    ) -> None:
        self.samples: list[Sample] = []
        self.left_out = 0
        self._chain = chain
        self._paths: dict[int, Path] = {}  # by the identity of the pixels, which `samples` keeps alive
        for number, picture in enumerate(pictures):
            progress(number / len(pictures), f"Reading picture {number + 1} of {len(pictures)}")
            try:
                example = _example(picture) if chain is None else place(_example(picture), chain)
            except AlignmentError:
                self.left_out += 1
                continue
            sample = Sample(learning.shrunk(example, preprocessing), is_held_out=False, is_graded=False)
            self.samples.append(sample)
            self._paths[id(sample.example.pixels)] = picture.path

    def photographs(self, references: list[Image]) -> list[Image]:
        """What a camera would send of these: a model behind a preprocessing aligns its references itself."""
        if self._chain is None:
            return references
        return [decode(self._paths[id(pixels)].read_bytes()) for pixels in references]


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
