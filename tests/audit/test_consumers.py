"""`/ws/live/`: who may listen, what is rung, and how a page catches up."""

import json

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from audit import consumers
from audit.consumers import NOT_LOGGED_IN
from audit.models import Event
from audit.queries import RESYNC_OVERLAP, newest_seq
from tests.audit.websocket import Page
from tests.factories import captured_part, expert, inspector

pytestmark = pytest.mark.django_db(transaction=True)


@sync_to_async
def cookie_of(who) -> bytes:
    client = Client()
    client.force_login(who())
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


@pytest.fixture
async def page():
    """A page of an expert that is connected."""
    opened = Page(await cookie_of(expert))
    assert await opened.connect()
    yield opened
    await opened.leave()


async def test_an_anonymous_page_is_told_to_log_in_and_hears_nothing():
    opened = Page()

    assert await opened.connect()
    assert await opened.output() == {"type": "websocket.close", "code": NOT_LOGGED_IN}


async def test_a_page_of_another_site_is_refused():
    opened = Page(await cookie_of(inspector), origin=b"http://evil.example")

    assert not await opened.connect()


async def test_the_first_word_is_a_heartbeat_with_the_newest_number(page):
    newest = await sync_to_async(newest_seq)()

    assert await page.hear() == {"seq": newest, "kind": "heartbeat", "id": 0, "version": 0}


async def test_a_committed_change_rings_with_four_fields_only(page):
    await page.hear_out()
    part = await sync_to_async(captured_part)()

    heard = []
    while len([message for message in heard if message["kind"] == "part"]) < 2:
        heard.append(await page.hear())

    seqs = await sync_to_async(
        lambda: list(Event.objects.filter(subject_kind="part").values_list("pk", flat=True))
    )()
    rung = [message for message in heard if message["kind"] == "part"]
    assert [set(message) for message in rung] == [{"seq", "kind", "id", "version"}] * 2
    assert sorted(message["seq"] for message in rung) == sorted(seqs)
    assert {message["id"] for message in rung} == {part.pk}


async def test_since_is_answered_with_what_came_after_and_then_a_heartbeat(page):
    await sync_to_async(captured_part)()
    newest = await sync_to_async(newest_seq)()
    await page.hear_out()

    await page.ask_since(newest - 1)

    *missed, beat = await page.hear_until("heartbeat")
    assert missed[-1]["seq"] == newest
    assert missed[0]["seq"] > newest - 1 - RESYNC_OVERLAP
    assert beat["seq"] == newest


async def test_a_page_that_missed_too_much_is_told_to_read_everything_again(page, monkeypatch):
    monkeypatch.setattr(consumers, "MOST_RESYNC_MESSAGES", 3)
    for _ in range(2):
        await sync_to_async(captured_part)()
    await page.hear_out()

    await page.ask_since(0)

    assert (await page.hear())["kind"] == "resync"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "null",
        '{"since": "1"}',
        '{"since": true}',
        '{"since": 1e999}',
        '{"since": NaN}',
        "{}",
        "",
    ],
)
async def test_nonsense_from_a_page_is_ignored(page, text):
    await page.hear_out()
    await page.say(text)
    await page.say(data=b"\x00\xff")

    await page.ask_since(10**30)
    assert (await page.hear_until("heartbeat"))[-1]["kind"] == "heartbeat"


async def test_heartbeats_go_on_until_a_logout_closes_the_page(monkeypatch):
    monkeypatch.setattr(consumers, "HEARTBEAT_S", 0.05)
    opened = Page(await cookie_of(inspector))
    await opened.connect()
    assert [(await opened.hear())["kind"] for _ in range(3)] == ["heartbeat"] * 3

    await sync_to_async(Session.objects.all().delete)()

    while (output := await opened.output())["type"] == "websocket.send":
        assert json.loads(output["text"])["kind"] == "heartbeat"
    assert output == {"type": "websocket.close", "code": NOT_LOGGED_IN}
