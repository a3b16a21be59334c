"""The operator's alarms over REST."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role
from plc import actions, queries
from plc.models import Delivery, PlcLink
from tests.factories import TESTER, decided_part, golden, person, station

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    at = station()
    golden(at)
    link = actions.set_up_link(code="PLC1", host="127.0.0.1", port=44818, station=at, actor=TESTER)
    lease = actions.take_lease(link=link, owner="gateway")
    soon = timezone.now() + timedelta(minutes=5)  # a slow machine must not let it look dead
    PlcLink.objects.update(state="connected", plc_hb_at=soon, lease_expires_at=soon)
    decided_part(at, 0.1)
    with actions.held_fence(lease=lease, actor=TESTER) as fence:
        rows = list(queries.undelivered_dispositions(link))
        (delivery,) = actions.enqueue_deliveries(dispositions=rows, fence=fence)
        actions.mark_sent(delivery=delivery, fence=fence)
        actions.mark_refused(delivery=delivery, code=4, at=timezone.now(), fence=fence)
    link.refresh_from_db()
    actions.raise_notice(link=link, sentence="Numbers were lost.", actor=TESTER)
    return at


def sentences(client) -> list[str]:
    return [alarm["sentence"] for alarm in client.get("/api/v1/alarms/").json()]


def test_the_operator_sees_the_alarms_and_takes_note_of_them(client, at):
    client.force_login(person(Role.LINE_OPERATOR, line_code=at.line.code))
    part_id = Delivery.objects.get().disposition.part.plc_part_id
    assert sentences(client) == [
        "Numbers were lost.",
        f"{part_id} PASS: too late, the part had already been routed.",
    ]
    assert client.post("/api/v1/links/PLC1/reset/").status_code == 204
    assert client.post(f"/api/v1/deliveries/{Delivery.objects.get().pk}/seen/").status_code == 204
    assert sentences(client) == []
    assert Delivery.objects.get().state == "refused"


def test_the_operator_of_another_line_sees_and_resets_nothing(client, at):
    client.force_login(person(Role.LINE_OPERATOR, line_code="OTHER"))
    assert sentences(client) == []
    assert client.post("/api/v1/links/PLC1/reset/").status_code == 404
    assert client.post(f"/api/v1/deliveries/{Delivery.objects.get().pk}/seen/").status_code == 404


def test_an_inspector_may_not_reset_alarms(client, at):
    client.force_login(person(Role.MANUAL_INSPECTOR))
    assert client.post("/api/v1/links/PLC1/reset/").status_code == 403


def test_a_link_whose_name_no_database_could_hold_is_not_found(client):
    client.force_login(person(Role.LINE_OPERATOR))

    assert client.post("/api/v1/links/a%00/reset/").status_code == 404
