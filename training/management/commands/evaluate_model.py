"""Score every test image of a folder with a model that fit_model kept; the last line is JSON."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics.roc import auroc
from training import named
from training.pixels import PixelCounts, aupro, pixel_auroc
from vision.folder import FolderImage, read_folder
from vision.images import decode
from vision.maps import resize_to_image
from vision.predictor import FloatMap, Prediction, Predictor


class Command(BaseCommand):
    help = "Evaluate a model on the test split of a folder in MVTec layout."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name given to fit_model --out")
        parser.add_argument("--images", required=True, type=Path)
        parser.add_argument("--scores", type=Path, help="write file,score,truth as CSV")

    def handle(self, *, name: str, images: Path, scores: Path | None, **options: Any) -> None:
        try:
            predictor, known = named.load(name)
            pictures = [picture for picture in read_folder(images) if picture.split == "test"]
        except (ValueError, OSError) as problem:
            raise CommandError(str(problem)) from problem
        if not pictures:
            raise CommandError(f"{images} has no test/ pictures.")
        predictor.predict([decode(pictures[0].path.read_bytes())])  # the first look warms the model up
        looks = [self._look(predictor, picture) for picture in pictures]
        if scores:
            _write_scores(scores, images, pictures, [prediction.score for prediction, _ in looks])
        judged = [number for number, (prediction, _) in enumerate(looks) if not prediction.problem]
        if not judged:
            raise CommandError(f"None of the {len(looks)} pictures could be judged. {looks[0][0].problem}")
        figures = _figures(
            name,
            known,
            [pictures[number] for number in judged],
            [(looks[number][0].score, looks[number][0].defect_map, looks[number][1]) for number in judged],
        )
        held = {"n_held": len(looks) - len(judged)}  # not judged, as on the line: the part would be held
        self.stdout.write(json.dumps(figures | held, allow_nan=False))

    def _look(self, predictor: Predictor, picture: FolderImage) -> tuple[Prediction, float]:
        data = picture.path.read_bytes()
        began = time.perf_counter()
        [prediction] = predictor.predict([decode(data)])
        return prediction, (time.perf_counter() - began) * 1000


def _figures(
    name: str, known: dict[str, Any], pictures: list[FolderImage], looks: list[tuple[float, FloatMap, float]]
) -> dict[str, Any]:
    """All figures of the contract; None where there is nothing to take them from."""
    good = [score for picture, (score, _, _) in zip(pictures, looks, strict=True) if picture.truth == "good"]
    by_defect: dict[str, list[float]] = {}
    for picture, (score, _, _) in zip(pictures, looks, strict=True):
        if picture.truth == "bad":
            by_defect.setdefault(picture.defect, []).append(score)
    bad = [score for scores in by_defect.values() for score in scores]
    p50, p99 = np.percentile([took_ms for _, _, took_ms in looks], [50, 99])
    pixels = _pixel_counts(pictures, [defect_map for _, defect_map, _ in looks])
    return {
        "model": name,
        "family": known["family"],
        "n_good": len(good),
        "n_bad": len(bad),
        "image_auroc": _area(good, bad),
        "pixel_auroc": _rounded(pixel_auroc(pixels)) if pixels else None,
        "aupro": _rounded(aupro(pixels)) if pixels else None,
        "per_defect_auroc": {
            defect: {"auroc": _area(good, scores), "n": len(scores)}
            for defect, scores in sorted(by_defect.items())
        },
        "fit_s": known["fit_s"],
        "ms_per_image": {"p50": round(float(p50), 2), "p99": round(float(p99), 2)},
        "device": known["device"],
    }


def _pixel_counts(pictures: list[FolderImage], maps: list[FloatMap]) -> PixelCounts | None:
    """Counts over good pictures and over bad ones whose mask somebody painted; None without any mask."""
    if not any(picture.mask for picture in pictures):
        return None
    counts = PixelCounts.for_maps(maps)
    for picture, defect_map in zip(pictures, maps, strict=True):
        if picture.truth == "bad" and picture.mask is None:
            continue  # where its defect lies is not known
        height, width = decode(picture.path.read_bytes()).shape[:2]
        mask = np.zeros((height, width), np.bool_)
        if picture.mask:
            mask = decode(picture.mask.read_bytes())[:, :, 0] > 127
            if mask.shape != (height, width):
                resized = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
                mask = resized.astype(np.bool_)
        counts.add(resize_to_image(defect_map, height=height, width=width), mask)
    return counts


def _area(good: list[float], bad: list[float]) -> float | None:
    return _rounded(auroc(good, bad)) if good and bad else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _write_scores(path: Path, images: Path, pictures: list[FolderImage], scores: list[float]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "score", "truth"])
        for picture, score in zip(pictures, scores, strict=True):
            table.writerow([picture.path.relative_to(images).as_posix(), repr(score), picture.truth])
