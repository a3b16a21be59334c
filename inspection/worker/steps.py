"""What happens to one part in the worker, step by step; the pipeline runs the steps in threads, a shell one by one."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from audit.actor import Actor
from inspection import actions, pixels, storage
from inspection.look import Look
from inspection.models import GoldenConfiguration, Image, Inspection, Part
from inspection.states import Decision, Reason
from inspection.worker.eye import Eye, Loaded, Refused
from inspection.worker.foresight import Foresight
from vision import maps
from vision.images import ImageError, decode
from vision.predictor import Image as Pixels
from vision.predictor import Prediction, Predictor
from vision.runtime.engine import EngineError, Raw
from vision.staged import Begun, Stepwise

Later = Callable[[Callable[[], None]], object]


def call_now(work: Callable[[], None]) -> None:
    work()


@dataclass(slots=True)
class Job:
    """One claimed part on its way through the worker. A job with a `refused` goes straight to its end."""

    part: Part
    images: list[Image] = field(default_factory=list)
    pictures: list[Pixels] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    raws: list[Raw] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    loaded: Loaded | None = None
    refused: Refused | None = None
    laps: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        """Milliseconds since the last lap, for the latency breakdown that each inspection keeps."""
        now = time.perf_counter()
        self.laps[name] = round((now - self.since) * 1000, 3)
        self.since = now

    @property
    def predictor(self) -> Predictor | None:
        return self.loaded.predictor if self.loaded else None


def open_job(part: Part, eye: Eye, foresight: Foresight | None = None) -> Job:
    """Everything before the network: which model, whole images, pixels, tiles. Never raises for what they are.

    foresight  may have put the network to the same pixels already; then the job has its raws too
    """
    job = Job(part)
    try:
        job.loaded = eye.loaded_for(part.line)
        job.lap("load")
        job.images = _images(part)
        stored = [_whole(image) for image in job.images]
        foreseen = foresight.take([image.sha256 for image in job.images], job.loaded) if foresight else None
        if foreseen:
            job.begun, job.raws = foreseen
            job.lap("forward")
            return job
        job.pictures = [
            _pixels(image, data, part.station.max_pixels)
            for image, data in zip(job.images, stored, strict=True)
        ]
        job.lap("decode")
        if isinstance(job.loaded.predictor, Stepwise):
            job.begun = [job.loaded.predictor.begin(picture) for picture in job.pictures]
        job.lap("prepare")
    except Refused as refused:
        job.refused = refused
    except ValueError as problem:  # the model's own word on a picture that it cannot take
        job.refused = Refused(Reason.UNFIT_IMAGE, str(problem), job.loaded.golden if job.loaded else None)
    except MemoryError:
        job.refused = Refused(Reason.UNFIT_IMAGE, "The image is too large for this machine's memory.")
    return job


def see(jobs: Sequence[Job]) -> None:
    """The network on all views of these parts, which share one loaded model. An image that breaks it breaks alone."""
    waiting = [job for job in jobs if job.refused is None and not job.raws]
    for job in waiting:
        job.lap("wait")
    if not waiting:
        return
    predictor = waiting[0].predictor
    assert predictor is not None
    try:
        _see(predictor, waiting)
    except (EngineError, MemoryError, ValueError) as problem:
        if len(waiting) > 1:
            for job in waiting:
                see([job])
            return
        waiting[0].refused = Refused(
            Reason.INSPECTION_FAILED, f"The model could not look at the part: {problem}"
        )
    for job in waiting:
        job.lap("forward")


def _see(predictor: Predictor, jobs: Sequence[Job]) -> None:
    if isinstance(predictor, Stepwise):
        raws = iter(predictor.engine.run([begun.tiles for job in jobs for begun in job.begun]))
        for job in jobs:
            job.raws = [next(raws) for _ in job.begun]
    else:
        predictions = iter(predictor.predict([picture for job in jobs for picture in job.pictures]))
        for job in jobs:
            job.predictions = [next(predictions) for _ in job.pictures]


def close_job(job: Job, *, actor: Actor, later: Later = call_now) -> Inspection:
    """Decide. A clear part is decided first and its map kept afterwards; a grey one waits for a person anyway.

    later  takes what need not be done before the next part is decided
    """
    if job.refused is None:
        try:
            return _decide(job, actor, later)
        except Refused as refused:
            job.refused = refused
    look = Look(job.refused.reason, golden=job.refused.golden, problem=str(job.refused), latency_ms=job.laps)
    return actions.decide(part=job.part, look=look, actor=actor)


def _decide(job: Job, actor: Actor, later: Later) -> Inspection:
    assert job.loaded is not None
    golden = job.loaded.golden
    if job.begun:
        job.predictions = [begun.finish(raw) for begun, raw in zip(job.begun, job.raws, strict=True)]
        job.lap("finish")
    _refuse_non_finite(job, golden)
    worst = max(range(len(job.predictions)), key=lambda number: job.predictions[number].score)
    prediction = job.predictions[worst]
    look = Look(
        Reason.CLEAR,
        golden=golden,
        score=prediction.score,
        view=job.images[worst].view,
        view_scores={image.view: seen.score for image, seen in zip(job.images, job.predictions, strict=True)},
        defect=prediction.defect,
        latency_ms=job.laps,
    )
    if look.decision == Decision.GREY:
        look = look.with_map(_keep_map(job, prediction))
        return actions.decide(part=job.part, look=look, actor=actor)
    inspection = actions.decide(part=job.part, look=look, actor=actor)
    later(lambda: actions.add_map(inspection=inspection, map_file=_keep_map(job, prediction)))
    return inspection


def _keep_map(job: Job, prediction: Prediction) -> str:
    kept = storage.write_derived(
        f"maps/{job.part.pk % 256:02x}/{job.part.pk}.png", maps.to_png(prediction.defect_map)
    )
    job.lap("map")
    return kept


def _refuse_non_finite(job: Job, golden: GoldenConfiguration) -> None:
    for seen in job.predictions:
        if not math.isfinite(seen.score) or not np.isfinite(seen.defect_map).all():
            sentence = seen.problem or f"The model returned the score {seen.score}."
            raise Refused(Reason.NON_FINITE_SCORE, sentence, golden)


def _images(part: Part) -> list[Image]:
    images = list(part.images.all())
    missing = set(part.station.views) - {image.view for image in images}
    if missing or not images:
        raise Refused(Reason.NO_IMAGE, f"The part has no image of the view {', '.join(sorted(missing))}.")
    return images


def _whole(image: Image) -> bytes:
    """The stored bytes, if they are those that came from the camera."""
    try:
        data = storage.read(image.file)
    except OSError as problem:
        raise Refused(Reason.CHANGED_IMAGE, f"The stored image cannot be opened: {problem}.") from problem
    # A flipped byte in a JPEG decodes cleanly into wrong pixels; only the hash tells.
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise Refused(
            Reason.CHANGED_IMAGE, f"The stored image of view {image.view!r} does not match its sha256."
        )
    return data


def _pixels(image: Image, data: bytes, max_pixels: int) -> Pixels:
    """The picture that the capture decoded, if it is still in memory here; else the stored bytes, decoded."""
    shared = pixels.take(image.sha256)
    if shared is not None:
        return shared
    try:
        return decode(data, max_pixels=max_pixels)
    except ImageError as problem:
        raise Refused(Reason.UNREADABLE_IMAGE, str(problem)) from problem
