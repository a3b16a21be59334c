"""The network may look while the part is written down; what it saw counts only for the same bytes and the same model."""

import pytest

from inspection import actions, pixels, storage, tasks
from inspection.doorbell import pixels_in
from inspection.models import Image
from inspection.states import Reason
from inspection.worker.eye import Eye
from inspection.worker.foresight import Foresight
from inspection.worker.steps import close_job, open_job, see
from tests import factories
from tests.inspection.test_worker import fitted, picture, station_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def station(tmp_path_factory):
    tasks.eye_here.cache_clear()
    return station_with(fitted(tmp_path_factory.getbasetemp()), grey_from=0.5, grey_to=1.0)


@pytest.fixture
def eye(station):
    eye = Eye(actor=factories.TESTER)
    eye.warm_up()
    return eye


@pytest.fixture
def foresight(eye):
    foresight = Foresight(eye)
    yield foresight
    foresight.close()


def captured(station, data):
    part = actions.capture(station=station, data=data, actor=factories.TESTER).part
    return part, Image.objects.get(part=part).sha256


def calls_of(engine, monkeypatch):
    """Every call of the network from here on."""
    calls, run = [], engine.run
    monkeypatch.setattr(engine, "run", lambda tiles: calls.append(len(tiles)) or run(tiles))
    return calls


def test_the_network_looks_once_and_the_score_is_the_same_bit_for_bit(station, eye, foresight, monkeypatch):
    first, _ = captured(station, picture(5))
    ordinary = open_job(first, eye)
    see([ordinary])
    expected = close_job(ordinary, actor=factories.TESTER).score
    calls = calls_of(eye.at_hand(station.line_id).predictor.engine, monkeypatch)
    second, sha256 = captured(station, picture(5))
    foresight.look(station.line_id, sha256)
    job = open_job(second, eye, foresight)
    see([job])
    assert close_job(job, actor=factories.TESTER).score == expected
    assert calls == [1]


def test_stored_bytes_that_changed_are_held_although_they_were_foreseen(station, eye, foresight):
    part, sha256 = captured(station, picture(6))
    foresight.look(station.line_id, sha256)
    storage.write(Image.objects.get(part=part).file, picture(7))
    job = open_job(part, eye, foresight)
    see([job])
    assert close_job(job, actor=factories.TESTER).decision == ""
    part.refresh_from_db()
    assert (part.state, part.hold_reason) == ("held", Reason.CHANGED_IMAGE)


def test_what_another_model_saw_counts_for_nothing(station, eye, foresight, monkeypatch):
    part, sha256 = captured(station, picture(8))
    foresight.look(station.line_id, sha256)
    eye._loaded.clear()  # the configuration was loaded anew: another object answers now
    job = open_job(part, eye, foresight)
    calls = calls_of(job.predictor.engine, monkeypatch)
    see([job])
    assert calls == [1]


def test_a_look_ahead_that_fails_leaves_the_part_to_the_ordinary_way(station, eye, foresight, monkeypatch):
    part, sha256 = captured(station, picture(9))
    predictor = eye.at_hand(station.line_id).predictor
    with monkeypatch.context() as broken:
        broken.setattr(predictor.engine, "run", lambda _: 1 / 0)
        foresight.look(station.line_id, sha256)
        job = open_job(part, eye, foresight)
    see([job])
    assert close_job(job, actor=factories.TESTER).decision != ""


def test_without_shared_pixels_nothing_is_foreseen(station, eye, foresight):
    part, sha256 = captured(station, picture(10))
    assert pixels.take(sha256) is not None
    foresight.look(station.line_id, sha256)
    assert not open_job(part, eye, foresight).raws


def test_a_hint_that_is_none_is_no_pixels():
    assert pixels_in("") is None
    assert pixels_in("7 abc") == (7, "abc")
    assert pixels_in("x abc") is None
