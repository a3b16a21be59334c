"""A trigger makes a part, a capture gives it its image; nothing is lost and nothing is doubled."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit.queries import events_of
from inspection import actions, pixels
from inspection.models import Image, Part
from inspection.states import Mode, PartState, Reason
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_capture_makes_a_part_that_waits_for_its_inspection():
    station = factories.station()
    done = actions.capture(station=station, trigger_seq=1, data=factories.png(), actor=factories.TESTER)
    assert done.is_new
    assert done.part.state == PartState.CAPTURED
    assert done.part.plc_part_id == f"{station.code}-1-1"
    assert [event.verb for event in events_of("part", done.part.pk)] == ["triggered", "captured"]


def test_the_same_capture_twice_is_one_capture():
    station, data = factories.station(), factories.png()
    first = actions.capture(station=station, trigger_seq=1, data=data, actor=factories.TESTER)
    again = actions.capture(station=station, trigger_seq=1, data=data, actor=factories.TESTER)
    assert not again.is_new
    assert again.part == first.part
    assert Image.objects.count() == 1


def test_another_image_for_the_same_trigger_is_refused():
    station = factories.station()
    actions.capture(station=station, trigger_seq=1, data=factories.png(1), actor=factories.TESTER)
    with pytest.raises(actions.DifferentImageError, match="has another image"):
        actions.capture(station=station, trigger_seq=1, data=factories.png(2), actor=factories.TESTER)


def test_triggers_that_were_jumped_over_become_parts_without_image():
    station = factories.station()
    actions.capture(station=station, trigger_seq=1, data=factories.png(), actor=factories.TESTER)
    actions.capture(station=station, trigger_seq=4, data=factories.png(), actor=factories.TESTER)
    states = dict(Part.objects.values_list("trigger_seq", "state"))
    assert states == {1: "captured", 2: "triggered", 3: "triggered", 4: "captured"}


def test_a_late_out_of_order_trigger_fills_its_own_part():
    station = factories.station()
    for seq in (1, 3, 2):
        actions.capture(station=station, trigger_seq=seq, data=factories.png(), actor=factories.TESTER)
    assert set(Part.objects.values_list("trigger_seq", "state")) == {
        (1, "captured"),
        (2, "captured"),
        (3, "captured"),
    }


def test_a_late_image_still_says_what_its_part_is():
    station = factories.station()
    for seq in (1, 3):
        actions.capture(station=station, trigger_seq=seq, data=factories.png(), actor=factories.TESTER)
    done = actions.capture(
        station=station,
        trigger_seq=2,
        data=factories.png(),
        serial="SN-2",
        metadata={"group": "batch 9"},
        actor=factories.TESTER,
    )
    part = Part.objects.get(trigger_seq=2)
    assert (part.serial, part.metadata) == ("SN-2", {"group": "batch 9"})
    assert (done.part.serial, done.part.metadata) == (part.serial, part.metadata)


def test_an_image_that_comes_while_the_sweeper_gives_up_is_kept_with_its_held_part(monkeypatch):
    station = factories.station()
    part = actions.trigger(station=station, trigger_seq=1, actor=factories.TESTER)

    def slow_decoding(sha256, picture):
        """The sweeper's turn falls between our look at the part and our transaction."""
        actions.hold(
            part=Part.objects.get(pk=part.pk), reason=Reason.NO_IMAGE, actor=factories.TESTER, note="late"
        )

    monkeypatch.setattr(pixels, "offer", slow_decoding)
    done = actions.capture(station=station, trigger_seq=1, data=factories.png(), actor=factories.TESTER)
    assert done.is_new
    assert done.part.state == PartState.HELD
    assert Image.objects.get().part == part
    assert events_of("part", part.pk).last().verb == "image_added"


def with_views(*views):
    station = factories.station()
    station.views = list(views)
    station.save()
    return station


def take(station, view):
    return actions.capture(
        station=station, trigger_seq=1, view=view, data=factories.png(), actor=factories.TESTER
    ).part


def test_a_part_is_inspected_only_when_all_its_views_are_there():
    station = with_views("top", "side")
    assert take(station, "top").state == PartState.TRIGGERED
    assert take(station, "side").state == PartState.CAPTURED


def test_a_missing_view_never_passes():
    station = with_views("top", "side")
    part = take(station, "top")
    actions.sweep(now=timezone.now() + timedelta(seconds=4), actor=factories.TESTER)
    part.refresh_from_db()
    assert (part.state, part.hold_reason) == (PartState.HELD, Reason.NO_IMAGE)


def test_an_unreadable_second_view_holds_the_part():
    station = with_views("top", "side")
    take(station, "top")
    done = actions.capture(station=station, trigger_seq=1, view="side", data=b"?", actor=factories.TESTER)
    assert (done.part.state, done.part.hold_reason) == (PartState.HELD, Reason.UNREADABLE_IMAGE)


def test_a_view_that_the_station_does_not_have_is_refused():
    with pytest.raises(actions.UnknownViewError, match="it has: main"):
        take(factories.station(), "side")


@pytest.mark.django_db(transaction=True)
def test_views_of_one_trigger_that_come_at_the_same_moment_are_all_kept():
    views, problems, barrier = ("top", "left", "right", "back"), [], threading.Barrier(4)
    station = with_views(*views)

    def send(view):
        barrier.wait()
        try:
            actions.capture(
                station=station, trigger_seq=7, view=view, data=factories.png(), actor=factories.TESTER
            )
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[view]) for view in views]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert {image.view for image in Image.objects.all()} == set(views)
    assert Part.objects.get().state == PartState.CAPTURED


def test_a_counter_that_jumps_by_thousands_is_refused_with_what_to_do():
    station = factories.station()
    actions.capture(station=station, trigger_seq=1, data=factories.png(), actor=factories.TESTER)
    with pytest.raises(actions.TriggerGapError, match="next epoch"):
        actions.capture(station=station, trigger_seq=5000, data=factories.png(), actor=factories.TESTER)
    assert Part.objects.count() == 1


@pytest.mark.parametrize("data", [b"", b"this is no image", factories.png(3)[:200]])
@pytest.mark.parametrize(("mode", "state"), [(Mode.TWO_TIER, "held"), (Mode.AUTOMATIC, "disposed")])
def test_an_unreadable_image_is_kept_and_its_part_fails_safe(data, mode, state):
    station = factories.station(mode=mode)
    done = actions.capture(station=station, trigger_seq=1, data=data, actor=factories.TESTER)
    assert done.image.problem
    assert done.part.state == state
    disposition = done.part.dispositions.get()
    assert disposition.reason == Reason.UNREADABLE_IMAGE
    assert disposition.outcome == ("HOLD" if state == "held" else "REJECT")


@pytest.mark.django_db(transaction=True)
def test_eight_senders_of_one_capture_make_one_part():
    station, data = factories.station(), factories.png()
    results, barrier = [], threading.Barrier(8)

    def send():
        barrier.wait()
        try:
            results.append(
                actions.capture(station=station, trigger_seq=7, data=data, actor=factories.TESTER).is_new
            )
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert Part.objects.count() == 1
