"""The model side of the inspect worker: the active golden configuration loaded once, then one look a part."""

import hashlib
import logging
import math
import time
from dataclasses import dataclass

import numpy as np
from django.conf import settings

from inspection import storage
from inspection.look import Look
from inspection.models import GoldenConfiguration, Image, Line, Part
from inspection.queries import active_golden
from inspection.states import Reason
from vision import maps, model_file
from vision.device import choose_device
from vision.images import ImageError, decode
from vision.predictor import Prediction, Predictor

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    golden: GoldenConfiguration
    predictor: Predictor


class Refused(Exception):  # noqa: N818 - read: "raise Refused(reason, sentence)"
    """Why the part cannot be scored; it will be held or rejected with this reason."""

    def __init__(self, reason: Reason, sentence: str, golden: GoldenConfiguration | None = None) -> None:
        super().__init__(sentence)
        self.reason, self.golden = reason, golden


class Eye:
    """One loaded predictor per line, replaced when another golden configuration becomes active."""

    def __init__(self) -> None:
        self._loaded: dict[int, Loaded] = {}

    def warm_up(self) -> None:
        """Load every line's model and look at one grey image, so that the first part does not pay for it."""
        for line in Line.objects.all():
            try:
                loaded = self._load(line)
            except Refused as refused:
                _log.error("line %s has no usable model: %s", line.code, refused)
                continue
            loaded.predictor.predict([np.full((64, 64, 3), 128, np.uint8)])
            _log.info("line %s: %s is warm on %s", line.code, loaded.golden, settings.DEVICE)

    def look(self, part: Part) -> Look:
        """Score every view of the part; the worst view counts. Never raises for what the image or the model is."""
        clock = Stopwatch()
        try:
            loaded = self._load(part.line)
            clock.lap("load")
            pixels = [_read(image, part.station.max_pixels) for image in _images(part)]
            clock.lap("decode")
            predictions = loaded.predictor.predict(pixels)
            clock.lap("forward")
            worst = _worst(predictions, loaded.golden)
            map_file = storage.write(f"maps/{part.pk % 256:02x}/{part.pk}.png", maps.to_png(worst.defect_map))
            clock.lap("map")
        except Refused as refused:
            return Look(refused.reason, golden=refused.golden, problem=str(refused), latency_ms=clock.laps)
        return Look(
            Reason.CLEAR, golden=loaded.golden, score=worst.score, map_file=map_file, latency_ms=clock.laps
        )

    def _load(self, line: Line) -> Loaded:
        golden = active_golden(line)
        if golden is None:
            self._loaded.pop(line.pk, None)
            raise Refused(Reason.NO_MODEL, f"Line {line.code} has no active golden configuration.")
        loaded = self._loaded.get(line.pk)
        if (
            loaded
            and loaded.golden.pk == golden.pk
            and loaded.golden.content_sha256 == golden.computed_sha256()
        ):
            return loaded
        if golden.computed_sha256() != golden.content_sha256:
            raise Refused(
                Reason.WRONG_MODEL, f"{golden} was changed after it was locked. Make a new one.", golden
            )
        try:
            predictor = model_file.load(
                storage.local_model(golden.model_sha256),
                expected_sha256=golden.model_sha256,
                device=choose_device(settings.DEVICE),
            )
        except (model_file.ModelFileError, OSError) as problem:
            raise Refused(Reason.WRONG_MODEL, str(problem), golden) from problem
        self._loaded[line.pk] = Loaded(golden, predictor)
        return self._loaded[line.pk]


class Stopwatch:
    """Milliseconds between laps, for the latency breakdown that each inspection keeps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1000, 3)
        self._last = now


def _images(part: Part) -> list[Image]:
    images = list(part.images.all())
    missing = set(part.station.views) - {image.view for image in images}
    if missing or not images:
        raise Refused(Reason.NO_IMAGE, f"The part has no image of the view {', '.join(sorted(missing))}.")
    return images


def _read(image: Image, max_pixels: int) -> np.ndarray:
    try:
        data = storage.read(image.file)
    except OSError as problem:
        raise Refused(Reason.CHANGED_IMAGE, f"The stored image cannot be opened: {problem}.") from problem
    # A flipped byte in a JPEG decodes cleanly into wrong pixels; only the hash tells.
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise Refused(
            Reason.CHANGED_IMAGE, f"The stored image of view {image.view!r} does not match its sha256."
        )
    try:
        return decode(data, max_pixels=max_pixels)
    except ImageError as problem:
        raise Refused(Reason.UNREADABLE_IMAGE, str(problem)) from problem


def _worst(predictions: list[Prediction], golden: GoldenConfiguration) -> Prediction:
    for prediction in predictions:
        if not math.isfinite(prediction.score) or not np.isfinite(prediction.defect_map).all():
            raise Refused(
                Reason.NON_FINITE_SCORE, f"The model returned the score {prediction.score}.", golden
            )
    return max(predictions, key=lambda prediction: prediction.score)
