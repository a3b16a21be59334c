"""Who has a page open: only the last one that closes counts."""

import itertools
import time

import pytest
import redis

from audit import presence

_people = itertools.count(900_000_000)  # numbers that no row of the tests has


@pytest.fixture
def gone(monkeypatch):
    told: list[int] = []
    monkeypatch.setattr(presence, "_on_gone", [lambda person_id: told.append(person_id)])  # noqa: PLW0108 - it is called by name
    return told


def test_closing_one_of_two_pages_changes_nothing(gone):
    person = next(_people)
    presence.is_here(person, "one")
    presence.is_here(person, "two")

    presence.leaves(person, "one")

    assert gone == []


def test_closing_the_last_page_is_told_once(gone):
    person, other = next(_people), next(_people)
    presence.is_here(person, "one")
    presence.is_here(person, "two")
    presence.is_here(other, "three")

    presence.leaves(person, "one")
    presence.leaves(person, "two")
    presence.leaves(person, "two")

    assert gone == [person]


def test_a_page_whose_web_process_was_killed_is_forgotten(gone, monkeypatch):
    person = next(_people)
    monkeypatch.setattr(presence, "FORGOTTEN_AFTER_S", 0.6)
    presence.is_here(person, "of a process that died")
    time.sleep(0.7)
    presence.is_here(person, "alive")

    presence.leaves(person, "alive")

    assert gone == [person]


def test_a_page_that_goes_on_beating_is_not_forgotten(gone):
    person = next(_people)
    presence.is_here(person, "one")
    presence.is_here(person, "one")
    presence.is_here(person, "two")

    presence.leaves(person, "two")

    assert gone == []


def test_without_a_broker_nobody_is_told_that_anybody_left(gone, monkeypatch):
    person = next(_people)
    presence.is_here(person, "one")
    monkeypatch.setattr(presence, "_broker", lambda: redis.Redis(port=1, socket_connect_timeout=0.1))

    presence.is_here(person, "two")
    presence.leaves(person, "one")

    assert gone == []
