"""What the workstation hears of its line: worker, camera, PLC and model."""

from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Role
from audit.transitions import record
from inspection import actions
from inspection.models import GoldenConfiguration, Part
from inspection.queries import REFUSED
from plc.models import PlcLink
from plc.states import LinkState
from reports.queries.line_state import line_state
from reports.queries.pulse import PULSE_KEY
from tests import factories
from tests.factories import TESTER
from tests.reports.rows import link_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    station = factories.station()
    factories.golden(station)
    link_for(station)
    return station


@pytest.fixture
def pulse():
    broker = redis.Redis.from_url(settings.REDIS_URL)
    broker.delete(PULSE_KEY)
    yield broker
    broker.delete(PULSE_KEY)


def states(at):
    return {name: sign.state for name, sign in line_state(at.line, timezone.now()).items()}


def sentence(at, name):
    return line_state(at.line, timezone.now())[name].sentence


def test_a_line_in_order_is_ok_everywhere(at, pulse):
    factories.captured_part(at)
    pulse.set(PULSE_KEY, "1", ex=5)
    assert states(at) == {"worker": "ok", "camera": "ok", "plc": "ok", "model": "ok"}


def test_a_silent_worker_is_a_fault_and_a_silent_broker_unknown(at, pulse, settings):
    assert states(at)["worker"] == "fault"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert states(at)["worker"] == "unknown"


def test_the_camera_is_judged_by_the_newest_trigger(at):
    assert (states(at)["camera"], sentence(at, "camera")) == ("unknown", "No part has come yet.")
    actions.trigger(station=at, trigger_seq=1, actor=TESTER)
    assert states(at)["camera"] == "unknown"
    Part.objects.filter(line=at.line).update(triggered_at=timezone.now() - timedelta(minutes=5))
    assert (states(at)["camera"], sentence(at, "camera")) == ("fault", "The newest trigger brought no image.")


def test_a_camera_whose_image_came_is_ok_while_the_next_trigger_waits_for_its_own(at):
    factories.captured_part(at)
    actions.trigger(station=at, trigger_seq=2, actor=TESTER)
    assert states(at)["camera"] == "ok"
    assert sentence(at, "camera").startswith("The newest image came")


def test_a_camera_that_nobody_triggered_for_an_hour_is_unknown(at):
    factories.captured_part(at)
    Part.objects.update(captured_at=timezone.now() - timedelta(hours=2))
    assert states(at)["camera"] == "unknown"


def test_the_plc_is_a_fault_when_down_and_unknown_without_a_link(at):
    PlcLink.objects.update(state=LinkState.DISCONNECTED, alarm="the cable is out")
    assert (states(at)["plc"], sentence(at, "plc")) == ("fault", "the cable is out")
    assert states(factories.station())["plc"] == "unknown"


def test_a_model_that_is_missing_or_refused_is_a_fault(at):
    assert states(factories.station())["model"] == "fault"
    golden = GoldenConfiguration.objects.get(line=at.line)
    record(golden, REFUSED, actor=TESTER, details={"problem": "its file is gone."})
    assert states(at)["model"] == "fault"
    assert sentence(at, "model").endswith("its file is gone.")


def test_every_role_on_the_line_may_ask_and_nobody_else(at):
    elsewhere = factories.station()
    for role in Role:
        api = APIClient()
        api.force_login(factories.person(role, line_code=at.line.code))
        answer = api.get(f"/api/v1/lines/{at.line.code}/state/")
        assert answer.status_code == 200
        assert set(answer.json()) == {"worker", "camera", "plc", "model"}
        assert set(answer.json()["plc"]) == {"state", "sentence"}
        assert api.get(f"/api/v1/lines/{elsewhere.line.code}/state/").status_code == 403
    assert APIClient().get(f"/api/v1/lines/{at.line.code}/state/").status_code in {401, 403}
    assert api.get("/api/v1/lines/NONE/state/").status_code == 404


def test_it_takes_five_queries_whatever_the_number_of_parts(at, django_assert_num_queries):
    factories.captured_part(at)
    with django_assert_num_queries(5):
        states(at)
    factories.decided_part(at, 0.1)
    factories.held_part(at)
    with django_assert_num_queries(5):
        states(at)
