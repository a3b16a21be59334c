"""A wake-up between processes: heard at once, counted once, and a plain sleep where there is no broker."""

import threading
import time

import pytest

from audit import bell


@pytest.fixture
def listener():
    ear = bell.Bell("test")
    ear.wait(0.01)  # subscribes
    yield ear
    ear.close()


def test_a_ring_wakes_who_listens_at_once(listener):
    def ring_soon():
        time.sleep(0.05)
        bell.ring("test")

    thread = threading.Thread(target=ring_soon)
    thread.start()
    began = time.monotonic()
    assert listener.wait(5.0) == [""]
    assert time.monotonic() - began < 2.0
    thread.join()


def test_rings_that_came_before_are_heard_together_once(listener):
    assert [bell.ring("test", hint) for hint in "abc"] == [1, 1, 1]
    assert listener.wait(1.0) == ["a", "b", "c"]
    assert not listener.wait(0.02)


def test_nobody_hears_another_bell(listener):
    assert bell.ring("another") == 0
    assert not listener.wait(0.02)


def test_without_a_broker_a_ring_is_not_heard_and_does_not_wait_for_it_twice(settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(bell, "_ringer", None)
    monkeypatch.setattr(bell, "_quiet_until", 0.0)
    assert bell.ring("test") == 0
    assert bell._quiet_until > time.monotonic()
    assert bell.ring("test") == 0


def test_without_a_broker_a_listener_sleeps_and_hears_again_when_it_is_back(settings, monkeypatch):
    monkeypatch.setattr(bell, "SILENT_S", 0.05)
    here = settings.REDIS_URL
    ear = bell.Bell("test")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    began = time.monotonic()
    assert not ear.wait(0.1)
    assert time.monotonic() - began >= 0.09
    settings.REDIS_URL = here
    time.sleep(0.06)
    ear.wait(0.01)
    bell.ring("test")
    assert ear.wait(1.0)
    ear.close()
