"""The inspect worker with a real model: from the ring to the disposition, and every way to fail safe."""

import functools
import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from celery import Celery
from django.conf import settings
from django.core.files.storage import default_storage
from PIL import Image as Pillow

from inspection import actions, storage, tasks
from inspection.models import GoldenConfiguration, Image
from inspection.states import Reason
from inspection.worker.eye import Eye
from tests import factories
from vision import model_file
from vision.families import new_predictor
from vision.predictor import Example
from vision.synthetic import render_part

pytestmark = pytest.mark.django_db


def picture(seed: int, defect: str | None = None) -> bytes:
    pixels, _mask = render_part(np.random.default_rng(seed), defect)
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@functools.cache
def fitted(folder: Path) -> Path:
    predictor = new_predictor("patchcore", device="cpu")
    good = [Example(render_part(np.random.default_rng(seed), None)[0], is_bad=False) for seed in range(12)]
    predictor.fit(good, seed=1, progress=lambda *_: None)
    path = folder / "model.safetensors"
    model_file.save(predictor, path)
    return path


@pytest.fixture
def model(tmp_path_factory):
    return fitted(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def _fresh_eye():
    tasks.eye_here.cache_clear()


def station_with(model: Path, **golden):
    station = factories.station()
    factories.golden(station, model_sha256=storage.keep_model(model), **golden)
    return station


def inspected(station, data=None):
    part = actions.capture(station=station, data=data or picture(900), actor=factories.TESTER).part
    tasks.inspect.run(part.pk)
    part.refresh_from_db()
    return part


def test_a_part_is_scored_under_the_active_golden_configuration(model):
    part = inspected(station_with(model, grey_from=0.99, grey_to=1.0))
    inspection = part.inspections.get()
    assert (part.state, inspection.decision) == ("disposed", "GOOD")
    assert 0 <= inspection.score <= 1
    assert storage.read(inspection.map_file).startswith(b"\x89PNG")
    assert set(inspection.latency_ms) == {"load", "decode", "prepare", "wait", "forward", "finish"}


def test_the_same_image_gives_the_same_score_bit_for_bit(model):
    station = station_with(model)
    scores = {inspected(station, picture(7)).inspections.get().score for _ in range(3)}
    assert len(scores) == 1


def test_a_repeated_ring_inspects_once(model):
    station = station_with(model)
    part = inspected(station)
    tasks.inspect.run(part.pk)
    assert part.inspections.count() == 1
    assert part.dispositions.count() == 1


def test_without_a_golden_configuration_the_part_is_held():
    part = inspected(factories.station())
    assert (part.state, part.hold_reason) == ("held", Reason.NO_MODEL)


def test_a_missing_model_file_holds_the_part():
    station = factories.station()
    factories.golden(station, model_sha256="f" * 64)
    part = inspected(station)
    assert (part.state, part.hold_reason) == ("held", Reason.WRONG_MODEL)


def test_a_model_file_with_other_bytes_holds_the_part(model):
    station = station_with(model, grey_from=0.99, grey_to=1.0)
    sha256 = GoldenConfiguration.objects.get().model_sha256
    path = Path(default_storage.path(storage.model_file_name(sha256)))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    part = inspected(station)
    assert (part.state, part.hold_reason) == ("held", Reason.WRONG_MODEL)


def test_thresholds_changed_behind_the_lock_hold_every_part(model):
    station = station_with(model)
    GoldenConfiguration.objects.update(grey_from=0.69)
    part = inspected(station)
    assert (part.state, part.hold_reason) == ("held", Reason.WRONG_MODEL)
    assert "changed after it was locked" in part.inspections.get().problem


def test_a_stored_image_with_one_flipped_byte_holds_the_part(model):
    station = station_with(model, grey_from=0.99, grey_to=1.0)
    part = actions.capture(station=station, data=picture(3), actor=factories.TESTER).part
    path = Path(default_storage.path(Image.objects.get().file))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    tasks.inspect.run(part.pk)
    part.refresh_from_db()
    assert (part.state, part.hold_reason) == ("held", Reason.CHANGED_IMAGE)


def test_a_vanished_image_holds_the_part(model):
    station = station_with(model)
    part = actions.capture(station=station, data=picture(3), actor=factories.TESTER).part
    Path(default_storage.path(Image.objects.get().file)).unlink()
    tasks.inspect.run(part.pk)
    part.refresh_from_db()
    assert (part.state, part.hold_reason) == ("held", Reason.CHANGED_IMAGE)


def test_a_model_that_returns_nan_holds_the_part(model, tmp_path):
    """The real model file with its numbers broken: a bank of NaN scores NaN, and NaN is held."""
    from safetensors.numpy import load, save

    content = model.read_bytes()
    length = int.from_bytes(content[:8], "little")
    import json

    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors = {
        name: np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else tensor
        for name, tensor in load(content).items()
    }
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(save(tensors, metadata=metadata))
    part = inspected(station_with(broken, grey_from=0.99, grey_to=1.0))
    assert part.state == "held"
    assert part.hold_reason in {Reason.NON_FINITE_SCORE, Reason.WRONG_MODEL}
    assert not part.dispositions.filter(outcome="PASS").exists()


def test_another_golden_configuration_is_taken_up_at_the_next_part(model):
    station = station_with(model, grey_from=0.99, grey_to=1.0)
    inspected(station)
    second = factories.golden(
        station, model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(), grey_from=0.0, grey_to=1.0
    )
    part = inspected(station, picture(901))
    assert part.inspections.get().golden == second
    assert part.state == "held"


@pytest.mark.parametrize("queue", ["train", "inspect"])
def test_only_a_worker_of_the_inspect_queue_takes_parts(queue, monkeypatch):
    app = Celery("worker of one queue")
    app.config_from_object(settings, namespace="CELERY")
    app.amqp.queues.select([queue])
    started = []

    def start(pipeline):
        started.append(pipeline)

    monkeypatch.setattr(tasks.Pipeline, "start", start)
    monkeypatch.setattr(tasks.Pulse, "start", lambda _: None)
    monkeypatch.setattr(tasks, "_pipeline", None)
    tasks.start(SimpleNamespace(app=app))
    assert len(started) == (queue == "inspect")


def test_the_warm_up_survives_a_line_without_a_model(model):
    factories.station()
    station_with(model)
    Eye(actor=factories.TESTER).warm_up()
