"""Models fitted outside any page, kept by name under the data folder: for benchmarks and first looks at a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from vision import model_file
from vision.device import choose_device
from vision.predictor import Image, Predictor


class UnknownModelError(ValueError):
    """No model of this name was fitted here."""


def path_of(name: str) -> Path:
    if not name or not all(each.isalnum() or each in "-_." for each in name) or name.startswith("."):
        raise UnknownModelError(f"A model name has letters, digits, '-', '_' and '.', not {name!r}.")
    return Path(settings.DATA_DIR) / "models-by-name" / f"{name}.safetensors"


def keep(
    name: str, predictor: Predictor, figures: dict[str, Any], *, references: Sequence[Image] = ()
) -> dict[str, Any]:
    """Write the model and, beside it, what is known of it; returns the latter with the file's sha256."""
    path = path_of(name)
    known = {**figures, "sha256": model_file.save(predictor, path, references=references)}
    path.with_suffix(".json").write_text(json.dumps(known, indent=1))
    return known


def load(name: str) -> tuple[Predictor, dict[str, Any]]:
    path = path_of(name)
    if not path.exists():
        raise UnknownModelError(
            f"No model is called {name!r}. Fit one with: manage.py fit_model --out {name}"
        )
    known = json.loads(path.with_suffix(".json").read_text())
    device = choose_device(settings.DEVICE)
    return model_file.load(path, expected_sha256=known["sha256"], device=device), known
