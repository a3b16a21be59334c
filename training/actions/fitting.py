"""One run from the frozen version to a model file and its figures: load, fit, judge before and after, keep."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from inspection import storage
from inspection.models import GoldenConfiguration
from inspection.queries import active_golden
from labeling.queries import images_of
from training import learning
from training.learning import Division, Look, Sample
from training.models import Run
from training.pictures import named_by_hash, sample_of
from training.pixels import PixelCounts, pixel_figures
from training.recipes import read_recipe, used_options
from training.reliability import reliability
from training.reporting import Reporter
from training.teaching import Recipe, Taught, teach
from vision import model_file
from vision.predictor import Image, Predictor


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
    images = list(images_of(run.dataset_version))
    recipe = read_recipe(
        family=run.family,
        seed=run.seed,
        options=run.options,
        augment=run.augment,
        preprocess=run.preprocess,
        read=named_by_hash(images),
    )
    divided = learning.divide([sample_of(image) for image in images])
    learning.check_judges(divided)
    taught = teach(recipe, divided, progress=report.part(0.0, 0.65))
    judges = divided.held_out if _has_good(divided.held_out) else taught.divided.calibrating
    golden = active_golden(run.dataset_version.dataset.line)
    before = _judge_before(golden, judges, taught.device, report)
    pixels = learning.painted_counts(judges)
    looks = learning.looks_of(
        taught.predictor,
        judges,
        progress=report.part(0.8, 0.95),
        doing="Judging the candidate on held-out parts",
        pixels=pixels,
    )
    scores, samples = learning.judged(looks, judges)
    proposed = learning.thresholds_of(scores, samples)
    report(0.96, "Keeping the model file")
    metrics = {
        **before,
        **_after(looks, judges, pixels),
        **_counts(taught, judges),
        "reason": proposed.reason,
        "fit_s": taught.fit_s,
        "device": taught.device,
        "seed": run.seed,
        "recipe": _recipe_record(recipe, run),
        "golden_before": golden.number if golden else None,
        "band_before": [golden.grey_from, golden.grey_to] if golden else None,
    }
    references = [taught.reference(sample) for sample in learning.references_of(samples, scores)]
    return Fitted(
        model_name=f"{run.family} on {run.dataset_version}, run {run.pk}"[:100],
        model_sha256=_keep(taught.predictor, references),
        preprocessing=taught.predictor.preprocessing,
        grey_from=proposed.grey_from,
        grey_to=proposed.grey_to,
        metrics=metrics,
    )


def _recipe_record(recipe: Recipe, run: Run) -> dict[str, Any]:
    """What the model was made with, whatever the defaults of a later version are."""
    return {
        "family": recipe.family,
        "seed": recipe.seed,
        "options": used_options(recipe),
        "augment": recipe.augment.as_json() if recipe.augment.makes_any else {},
        "preprocess": run.preprocess,
    }


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
    pixels = learning.painted_counts(judges)
    looks = learning.looks_of(
        model,
        judges,
        progress=report.part(0.65, 0.8),
        doing="Judging the active model on held-out parts",
        pixels=pixels,
    )
    decisions = learning.banded_decisions(
        [look.score for look in looks], grey_from=golden.grey_from, grey_to=golden.grey_to
    )
    return _told("before", decisions, looks, judges, pixels)


def _unknown_before(reason: str) -> dict[str, Any]:
    names = ("review_rate", "review_rate_imported", "review_rate_graded", "underkill", "overkill")
    return {
        "auroc_before": None,
        "auroc_before_reason": reason,
        "auroc_by_defect_before": {},
        "reliability_before": [],
        "n_held_before": 0,
        "pixel_auroc_before": None,
        "aupro_before": None,
        **dict.fromkeys(f"{name}_before" for name in names),
    }


def _after(looks: list[Look], judges: list[Sample], pixels: PixelCounts | None) -> dict[str, Any]:
    scores, samples = learning.judged(looks, judges)
    said, is_cross_fitted = learning.cross_fitted_decisions(scores, samples)
    by_sample = dict(zip(map(id, samples), said, strict=True))
    decisions = [by_sample.get(id(sample), "GREY") for sample in judges]
    told = _told("after", decisions, looks, judges, pixels)
    return {
        **told,
        "underkill": told["underkill_after"],
        "overkill": told["overkill_after"],
        "figures": "Each held-out part was judged by thresholds drawn from the other half of the held-out groups."
        if is_cross_fitted
        else "Too few held-out groups for cross-fitting: the thresholds saw the very parts that they are judged on.",
        "is_cross_fitted": is_cross_fitted,
    }


def _told(
    when: str, decisions: list[str], looks: list[Look], judges: list[Sample], pixels: PixelCounts | None
) -> dict[str, Any]:
    """The figures of one model on all held-out parts; one that it could not judge is held, as on the line."""
    pairs = [
        (look.score, each) for look, each in zip(looks, judges, strict=True) if math.isfinite(look.score)
    ]
    scores, samples = [score for score, _ in pairs], [sample for _, sample in pairs]
    area, why_none = learning.auroc_or_reason(scores, samples)
    figures = learning.figures_of(decisions, judges)
    bins = reliability(scores, [sample.is_bad for sample in samples])
    return {
        f"auroc_{when}": area,
        f"auroc_{when}_reason": why_none,
        f"auroc_by_defect_{when}": learning.areas_by_defect(scores, samples),
        f"reliability_{when}": [each.as_json() for each in bins],
        f"n_held_{when}": len(looks) - len(pairs),
        **{f"{name}_{when}": area for name, area in pixel_figures(pixels).items()},
        **{f"{name}_{when}": figure for name, figure in figures.items()},
    }


def _counts(taught: Taught, judges: list[Sample]) -> dict[str, int]:
    divided: Division = taught.divided
    bad = sum(sample.is_bad for sample in judges)
    return {
        "n_good": len(judges) - bad,
        "n_bad": bad,
        "n_groups": len({sample.group for sample in judges}),
        "n_painted": sum(sample.is_painted for sample in judges),
        "n_bad_groups": len({sample.group for sample in judges if sample.is_bad}),
        "n_fit_good": len(divided.good),
        "n_fit_bad": len(divided.bad),
        "n_calibrating": len(divided.calibrating),
        "n_left_out": taught.left_out,
    }


def _has_good(samples: list[Sample]) -> bool:
    return any(not sample.is_bad for sample in samples)


def _keep(predictor: Predictor, references: list[Image]) -> str:
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="model-") as folder:
        path = Path(folder) / "model.safetensors"
        model_file.save(predictor, path, references=references)
        return storage.keep_model(path)
