"""Keep somebody else's ONNX model by name, as fit_model keeps ours; the last line is JSON."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from training import named
from vision.device import choose_device
from vision.folder import read_folder
from vision.images import decode
from vision.manifest import Manifest
from vision.models.imported import Imported
from vision.models.yolo import Yolo
from vision.predictor import Example

MOST_REFERENCES = 8


class Command(BaseCommand):
    help = "Check an ONNX model against its manifest (vision/manifest.py explains it) and keep it by name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.onnx")
        parser.add_argument(
            "--manifest", required=True, type=Path, help="JSON: task, input, outputs, classes"
        )
        parser.add_argument("--out", required=True, help="name of the model")
        parser.add_argument(
            "--calibrate",
            type=Path,
            metavar="DIR",
            help="folder in MVTec layout whose train split, good and bad, puts the score on our scale",
        )

    def handle(self, *, file: Path, manifest: Path, out: str, calibrate: Path | None, **options: Any) -> None:
        try:
            named.path_of(out)
            known = self._import(file, manifest, out, calibrate)
        except (ValueError, OSError) as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(json.dumps(known))

    def _import(self, file: Path, manifest: Path, out: str, calibrate: Path | None) -> dict[str, Any]:
        read = Manifest.from_json(_json(manifest))
        family = Yolo if read.task == "yolo" else Imported
        device = choose_device(settings.DEVICE)
        predictor = family.from_onnx(file.read_bytes(), read, device=device)
        examples = _graded(calibrate) if calibrate else []
        if examples:
            self.stdout.write(f"Calibrating on {len(examples)} graded parts")
            predictor.calibrate(examples)
        state = predictor.state()
        figures = {
            "model": out,
            "family": predictor.family,
            "device": device,
            "file": file.name,
            "manifest": read.as_json(),
            "preprocessing": predictor.preprocessing,
            "calibration": state.metadata["calibration"],
            "n_calibrating": len(examples),
            # Its fit was elsewhere; thresholds belong to graded parts of this line (evaluate_model, the golden page).
            "fit_s": None,
            "grey_from": None,
            "grey_to": None,
        }
        step = max(1, len(examples) // MOST_REFERENCES)
        references = [example.pixels for example in examples[::step]][:MOST_REFERENCES]
        return named.keep(out, predictor, figures, references=references)


def _json(file: Path) -> Any:
    """Raises ValueError with a sentence for a file that is no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"The manifest {file} is not JSON: {problem}.") from problem


def _graded(folder: Path) -> list[Example]:
    """The train split: what is in test stays unseen, so that evaluate_model judges fairly."""
    return [
        Example(decode(picture.path.read_bytes()), picture.truth == "bad", group=picture.group)
        for picture in read_folder(folder)
        if picture.split == "train"
    ]
