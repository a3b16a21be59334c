"""The worker's threads on real rows and a real model: nothing is lost, nobody waits for company in vain."""

import hashlib
import threading
import time

import numpy as np
import pytest
from django.db import connection

from inspection import actions, pixels, storage
from inspection.models import Disposition, GoldenConfiguration, Inspection, Part
from inspection.states import PartState, Reason
from inspection.worker.eye import Eye, Refused
from inspection.worker.pipeline import Pipeline
from tests import factories
from tests.inspection.test_worker import fitted, picture
from vision.models.patchcore import PatchCore
from vision.predictor import Prediction
from vision.runtime.engine import EngineError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def model(tmp_path_factory):
    return fitted(tmp_path_factory.getbasetemp())


@pytest.fixture
def station(model):
    station = factories.station()
    factories.golden(station, model_sha256=storage.keep_model(model))
    return station


@pytest.fixture
def eye():
    return Eye(actor=factories.TESTER, switches_in_background=True)


@pytest.fixture
def pipeline(eye):
    running = Pipeline(eye, name="w1", actor=factories.TESTER)
    yield running
    running.stop()
    connection.close()


def captured(station, *seeds):
    return [
        actions.capture(station=station, data=picture(seed), actor=factories.TESTER).part for seed in seeds
    ]


def wait_for(condition, *, within_s=20.0):
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def all_decided():
    return not Part.objects.filter(state__in=[PartState.CAPTURED, PartState.INSPECTED]).exists()


def test_every_waiting_part_is_decided_once_with_its_map(station, pipeline):
    parts = captured(station, *range(12))
    pipeline.start()
    wait_for(lambda: all_decided() and pipeline.busy_since() is None)
    wait_for(
        lambda: not Inspection.objects.filter(map_file="").exists()
    )  # maps are kept beside the decisions
    assert Inspection.objects.count() == len(parts)
    assert Disposition.objects.count() == len(parts)
    for inspection in Inspection.objects.all():
        assert storage.read(inspection.map_file).startswith(b"\x89PNG")
        assert inspection.view == "main"
        assert inspection.view_scores == {"main": inspection.score}


def test_a_part_without_a_ring_is_found_all_the_same(station, pipeline):
    pipeline.start()
    wait_for(lambda: True)
    captured(station, 1)
    wait_for(all_decided)


def test_company_gives_the_same_score_bit_for_bit(station, pipeline, model):
    captured(station, *([7] * 6), 8, 9)
    pipeline.start()
    wait_for(all_decided)
    same = Inspection.objects.filter(part__images__sha256=hashlib.sha256(picture(7)).hexdigest())
    assert len({inspection.score for inspection in same}) == 1


def test_what_a_dead_worker_left_is_looked_at_again(station, pipeline):
    captured(station, 1, 2)
    actions.claim_waiting(worker="w1", limit=5, actor=factories.TESTER)  # and then kill -9
    pipeline.start()
    wait_for(all_decided)


def test_a_worker_that_stops_finishes_what_it_has(station, pipeline):
    captured(station, *range(5))
    pipeline.start()
    wait_for(lambda: Part.objects.filter(claimed_at__isnull=False).exists())
    pipeline.stop()
    in_between = Part.objects.filter(state=PartState.INSPECTED)
    assert not in_between.exists()
    assert not Part.objects.filter(state=PartState.CAPTURED, claimed_at__isnull=False).exists()


class OutOfMemoryFor(PatchCore):
    """A family whose engine refuses one picture, as a device does that has too little memory."""

    @classmethod
    def take_over(cls, loaded, refused_tiles):
        engine = loaded.predictor.engine

        class Failing:
            name, batch = "failing", 8

            def run(self, tiles):
                if any(np.array_equal(each, refused_tiles) for each in tiles):
                    raise EngineError("The device has not enough memory.")
                return engine.run(tiles)

        loaded.predictor.engine = Failing()


def test_one_image_that_breaks_the_network_is_held_alone(station, pipeline, eye):
    from vision.images import decode

    loaded = eye.loaded_for(station.line)
    OutOfMemoryFor.take_over(loaded, loaded.predictor.prepare(decode(picture(3))))
    parts = captured(station, 1, 2, 3, 4, 5)
    pipeline.start()
    wait_for(all_decided)
    held = Part.objects.get(pk=parts[2].pk)
    assert (held.state, held.hold_reason) == ("held", Reason.INSPECTION_FAILED)
    assert "not enough memory" in held.inspections.get().problem
    scored = Inspection.objects.exclude(part=held)
    assert all(inspection.score is not None for inspection in scored)


def test_the_old_model_answers_until_the_new_one_is_warm(station, eye, model):
    before = eye.loaded_for(station.line).golden
    second = factories.golden(
        station, model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(), grey_from=0.0, grey_to=1.0
    )
    assert eye.loaded_for(station.line).golden == before
    wait_for(lambda: eye.loaded_for(station.line).golden == second)


def test_a_model_that_cannot_be_used_holds_the_parts_and_says_why(station, pipeline):
    pipeline.start()
    captured(station, 1)
    wait_for(all_decided)
    bad = factories.golden(station, model_sha256="f" * 64)
    captured(station, 2)
    wait_for(
        lambda: Part.objects.filter(hold_reason=Reason.WRONG_MODEL).exists() or captured(station, 3) is None
    )
    from audit.models import Event

    word = Event.objects.filter(subject_kind="goldenconfiguration", subject_id=bad.pk).order_by("-id").first()
    assert word.verb == "refused"
    assert "cannot be read" in word.details["problem"]


def test_a_refused_model_is_never_stood_in_for_by_the_one_before(station, eye, monkeypatch):
    eye.loaded_for(station.line)
    factories.golden(station, model_sha256="f" * 64)
    wait_for(lambda: is_refused(eye, station.line))
    monkeypatch.setattr("inspection.worker.eye.TRY_AGAIN_S", 0.0)
    assert all(is_refused(eye, station.line) for _ in range(5))


def is_refused(eye, line):
    try:
        eye.loaded_for(line)
    except Refused:
        return True
    return False


def test_a_warm_model_leaves_its_word_on_the_golden_configuration(station, eye):
    from audit.models import Event

    eye.loaded_for(station.line)
    word = Event.objects.get(verb="warmed")
    assert word.subject_id == GoldenConfiguration.objects.get().pk
    assert word.details["ms"] > 0


def test_the_pixels_of_the_capture_are_handed_over_once(station):
    [part] = captured(station, 5)
    sha256 = part.images.get().sha256
    shared = pixels.take(sha256)
    from vision.images import decode

    assert np.array_equal(shared, decode(picture(5)))
    assert pixels.take(sha256) is None


def test_a_lone_part_does_not_wait_for_company(station, pipeline, eye):
    class Slow:
        name, batch = "slow", 32

        def __init__(self, engine):
            self.engine = engine

        def run(self, tiles):
            return self.engine.run(tiles)

    loaded = eye.loaded_for(station.line)
    loaded.predictor.engine = Slow(loaded.predictor.engine)
    pipeline.start()
    for seed in range(3):
        captured(station, seed)
        pipeline.ring()
        wait_for(all_decided)
    waits = [inspection.latency_ms["wait"] for inspection in Inspection.objects.all()]
    assert min(waits) < 50


def test_the_worst_view_counts_and_is_named(eye):
    calm = Prediction(0.1, np.full((4, 4), 0.1, np.float32))
    alarming = Prediction(0.6, np.full((4, 4), 0.6, np.float32), defect="scratch")
    from inspection.worker.steps import Job, close_job

    station = factories.station()
    station.views = ["top", "side"]
    station.save()
    golden = factories.golden(station)
    part = actions.trigger(station=station, trigger_seq=1, actor=factories.TESTER)
    for view, seed in (("top", 1), ("side", 2)):
        actions.capture(station=station, trigger_seq=1, view=view, data=picture(seed), actor=factories.TESTER)
    [part] = actions.claim_waiting(worker="w1", limit=1, actor=factories.TESTER)
    from inspection.worker.eye import Loaded

    images = list(part.images.order_by("view"))  # side, top
    job = Job(part, images=images, predictions=[alarming, calm], loaded=Loaded(golden, None, None))
    inspection = close_job(job, actor=factories.TESTER)
    assert (inspection.view, inspection.score, inspection.defect) == ("side", 0.6, "scratch")
    assert inspection.view_scores == {"side": 0.6, "top": 0.1}


def test_two_workers_decide_each_part_once(station, model):
    captured(station, *range(10))
    workers = [
        Pipeline(Eye(actor=factories.TESTER), name=name, actor=factories.TESTER) for name in ("w1", "w2")
    ]
    starts = [threading.Thread(target=worker.start) for worker in workers]
    for start in starts:
        start.start()
    wait_for(all_decided)
    for worker in workers:
        worker.stop()
    assert Inspection.objects.count() == Disposition.objects.count() == 10
