"""One run from the frozen version to a model file and its figures: load, fit, judge before and after, keep."""

import hashlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from inspection import storage
from inspection.models import GoldenConfiguration
from inspection.queries import active_golden
from labeling.models import DatasetImage
from labeling.queries import images_of
from labeling.states import GradeWord, Split
from training import learning
from training.learning import Division, LearningError, Sample
from training.models import Run
from training.reporting import Reporter
from vision import model_file
from vision.device import choose_device
from vision.families import new_predictor
from vision.images import decode
from vision.predictor import Example, Image, Predictor


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a run brings home; the model file is in the storage already."""

    model_name: str
    model_sha256: str
    preprocessing: dict[str, Any]
    grey_from: float
    grey_to: float
    metrics: dict[str, Any]


def fit_and_judge(run: Run, report: Reporter) -> Fitted:
    """Fit on the version's learning side, judge the line's active model and the new one on its held-out side."""
    device = choose_device(settings.DEVICE)
    weights = Path(settings.WEIGHTS_DIR) if settings.WEIGHTS_DIR else None
    predictor = new_predictor(run.family, device=device, weights_folder=weights)
    divided = learning.divide(_load(run, predictor.preprocessing, report))
    began = time.monotonic()
    learning.teach(predictor, divided, seed=run.seed, progress=report.part(0.15, 0.65))
    fit_s = round(time.monotonic() - began, 2)
    judges = [*divided.held_out] if _has_good(divided.held_out) else divided.calibrating
    golden = active_golden(run.dataset_version.dataset.line)
    before = _judge_before(golden, judges, device, report)
    scores = learning.scores_of(
        predictor, judges, progress=report.part(0.8, 0.95), doing="Judging the candidate on held-out parts"
    )
    proposed = learning.thresholds_of(scores, judges)
    report(0.96, "Keeping the model file")
    metrics = {
        **before,
        **_after(scores, judges),
        **_counts(divided, judges),
        "reason": proposed.reason,
        "fit_s": fit_s,
        "device": device,
        "seed": run.seed,
        "golden_before": golden.number if golden else None,
        "band_before": [golden.grey_from, golden.grey_to] if golden else None,
    }
    return Fitted(
        model_name=f"{run.family} on {run.dataset_version}, run {run.pk}"[:100],
        model_sha256=_keep(predictor, learning.references_of(judges, scores)),
        preprocessing=predictor.preprocessing,
        grey_from=proposed.grey_from,
        grey_to=proposed.grey_to,
        metrics=metrics,
    )


def _load(run: Run, preprocessing: dict[str, Any], report: Reporter) -> list[Sample]:
    images = list(images_of(run.dataset_version))
    progress = report.part(0.0, 0.15)
    samples = []
    for number, image in enumerate(images):
        progress(number / len(images), f"Loading picture {number + 1} of {len(images)}")
        samples.append(
            Sample(
                example=learning.shrunk(_example(image), preprocessing),
                is_held_out=image.split == Split.HOLDOUT,
                is_graded=image.part_id is not None,
            )
        )
    return samples


def _example(image: DatasetImage) -> Example:
    return Example(_read(image), is_bad=image.grade == GradeWord.BAD, group=image.group)


def _read(image: DatasetImage) -> Image:
    data = storage.read(image.file)
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise LearningError(
            f"The stored picture {image.file} does not match its sha256. Nothing was learned from it."
        )
    return decode(data)


def _judge_before(
    golden: GoldenConfiguration | None, judges: list[Sample], device: str, report: Reporter
) -> dict[str, Any]:
    """How the line's active model does on the same held-out parts, under its own thresholds."""
    if golden is None:
        return _unknown_before("The line has no active model yet.")
    try:
        model = model_file.load(
            storage.local_model(golden.model_sha256), expected_sha256=golden.model_sha256, device=device
        )
    except (model_file.ModelFileError, OSError) as problem:
        return _unknown_before(f"The active model cannot be judged: {problem}")
    scores = learning.scores_of(
        model, judges, progress=report.part(0.65, 0.8), doing="Judging the active model on held-out parts"
    )
    decisions = learning.banded_decisions(scores, grey_from=golden.grey_from, grey_to=golden.grey_to)
    area, why_none = learning.auroc_or_reason(scores, judges)
    figures = learning.figures_of(decisions, judges)
    return {
        "auroc_before": area,
        "auroc_before_reason": why_none,
        **{f"{name}_before": figure for name, figure in figures.items()},
    }


def _unknown_before(reason: str) -> dict[str, Any]:
    names = ("review_rate", "review_rate_imported", "review_rate_graded", "underkill", "overkill")
    return {
        "auroc_before": None,
        "auroc_before_reason": reason,
        **dict.fromkeys(f"{name}_before" for name in names),
    }


def _after(scores: list[float], judges: list[Sample]) -> dict[str, Any]:
    decisions, is_cross_fitted = learning.cross_fitted_decisions(scores, judges)
    area, why_none = learning.auroc_or_reason(scores, judges)
    figures = learning.figures_of(decisions, judges)
    return {
        "auroc_after": area,
        "auroc_after_reason": why_none,
        **{f"{name}_after": figure for name, figure in figures.items()},
        "underkill": figures["underkill"],
        "overkill": figures["overkill"],
        "figures": "Each held-out part was judged by thresholds drawn from the other half of the held-out groups."
        if is_cross_fitted
        else "Too few held-out groups for cross-fitting: the thresholds saw the very parts that they are judged on.",
        "is_cross_fitted": is_cross_fitted,
    }


def _counts(divided: Division, judges: list[Sample]) -> dict[str, int]:
    bad = sum(sample.is_bad for sample in judges)
    return {
        "n_good": len(judges) - bad,
        "n_bad": bad,
        "n_groups": len({sample.group for sample in judges}),
        "n_bad_groups": len({sample.group for sample in judges if sample.is_bad}),
        "n_fit_good": len(divided.good),
        "n_fit_bad": len(divided.bad),
        "n_calibrating": len(divided.calibrating),
    }


def _has_good(samples: list[Sample]) -> bool:
    return any(not sample.is_bad for sample in samples)


def _keep(predictor: Predictor, references: list[Image]) -> str:
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="model-") as folder:
        path = Path(folder) / "model.safetensors"
        model_file.save(predictor, path, references=references)
        return storage.keep_model(path)
