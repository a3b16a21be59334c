"""A page of a person on `/ws/live/`, with what a database holds done in threads."""

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client

from accounts.models import Person
from tests.audit.websocket import Page


async def page_of(person: Person) -> Page:
    """An open page of this person; its first words have been heard."""
    page = Page(await cookie_of(person))
    assert await page.connect()
    await page.hear_out()
    return page


@sync_to_async
def cookie_of(person: Person) -> bytes:
    client = Client()
    client.force_login(person)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


async def cases_heard(page: Page, *, until_version: int) -> list[dict]:
    """The messages up to the one of a case with this version; heartbeats are left out."""
    heard: list[dict] = []
    while not heard or heard[-1]["version"] < until_version:
        message = await page.hear()
        if message["kind"] != "heartbeat":
            heard.append(message)
    return heard
