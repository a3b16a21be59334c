"""What people change in the admin pages is told by the audit trail, and undoes nothing of a running process."""

import pytest
from django.contrib.admin import site
from django.forms import modelform_factory
from django.test import RequestFactory
from django.urls import reverse

from audit.models import Event
from audit.queries import events_of
from inspection.models import PartType
from plc.actions import set_up_link, take_lease
from plc.models import Mailbox, PlcLink
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(client):
    person = factories.person()
    person.is_staff = person.is_superuser = True
    person.save()
    client.force_login(person)
    return person


@pytest.fixture
def link():
    return set_up_link(
        code="PLC1", host="10.0.0.5", port=44818, station=factories.station(), actor=factories.TESTER
    )


def test_a_changed_deadline_is_in_the_audit_trail_with_its_person(client, administrator):
    line = factories.station().line
    fields = {
        name: getattr(line, name)
        for name in ("code", "name", "mode", "capture_deadline_ms", "inspect_deadline_ms", "lease_ms")
    }
    sent = {**fields, "part_type": line.part_type_id, "commit_window_ms": 0, "review_deadline_ms": 5000}
    answer = client.post(reverse("admin:inspection_line_change", args=[line.pk]), sent)
    assert answer.status_code == 302
    event = events_of("line", line.pk).last()
    assert (event.verb, event.person) == ("changed", administrator)
    assert event.details == {
        "before": {"review_deadline_ms": 600_000, "commit_window_ms": 3_000},
        "after": {"review_deadline_ms": 5000, "commit_window_ms": 0},
    }


def test_saving_without_a_change_writes_no_event(client, administrator):
    kind = factories.station().line.part_type
    before = Event.objects.count()
    client.post(
        reverse("admin:inspection_parttype_change", args=[kind.pk]), {"code": kind.code, "name": kind.name}
    )
    assert Event.objects.count() == before


def test_what_is_added_and_deleted_by_hand_is_told(client, administrator):
    client.post(reverse("admin:inspection_parttype_add"), {"code": "gear", "name": "Gear"})
    kind = PartType.objects.get(code="gear")
    client.post(reverse("admin:inspection_parttype_delete", args=[kind.pk]), {"post": "yes"})
    assert not PartType.objects.exists()
    assert [event.verb for event in events_of("parttype", kind.pk)] == ["added", "deleted"]


def changed_by_hand(row, person, **sent):
    """As the admin does it: the row was read before, other processes wrote since."""
    form = modelform_factory(type(row), fields=list(sent))(data=sent, instance=row)
    request = RequestFactory().post("/")
    request.user = person
    site.get_model_admin(type(row)).save_model(request, form.save(commit=False), form, change=True)


def test_a_new_address_does_not_take_the_lease_from_a_running_gateway(administrator, link):
    read_before = PlcLink.objects.get()
    take_lease(link=link, owner="gateway")
    changed_by_hand(read_before, administrator, host="10.0.0.6")
    now = PlcLink.objects.get()
    assert (now.host, now.lease_owner, now.fencing_number) == ("10.0.0.6", "gateway", 1)


def test_a_renamed_mailbox_keeps_the_number_that_the_gateway_gave_meanwhile(administrator, link):
    read_before = Mailbox.objects.first()
    Mailbox.objects.update(next_seq=9)
    changed_by_hand(read_before, administrator, code="X1")
    assert Mailbox.objects.get(code="X1").next_seq == 9
