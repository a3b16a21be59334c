"""A body that is too long is refused before anything of it is kept, whoever sends it."""

import asyncio
import json

import pytest

from config.asgi import application
from config.body_limit import CAPTURES, MOST_BYTES, MOST_CAPTURE_BYTES


def post(path: str, *, announced: int | None = None, sent: int = 0, piece: int = 2**20):
    """Status and body of one POST; how many bytes were taken."""
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/octet-stream")]
    if announced is not None:
        headers.append((b"content-length", str(announced).encode()))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    taken, answers = 0, []

    async def receive():
        nonlocal taken
        if taken >= sent:
            await asyncio.sleep(3600)
        taken += piece
        return {"type": "http.request", "body": bytes(piece), "more_body": taken < sent}

    async def send(message):
        answers.append(message)

    asyncio.run(asyncio.wait_for(application(scope, receive, send), timeout=20))
    body = b"".join(each.get("body", b"") for each in answers[1:])
    return answers[0]["status"], body, taken


@pytest.mark.parametrize(("path", "most"), [("/login/", MOST_BYTES), (CAPTURES, MOST_CAPTURE_BYTES)])
def test_a_body_that_says_it_is_too_long_is_not_read(path, most):
    status, body, taken = post(path, announced=most + 1, sent=most + 1)
    assert (status, taken) == (413, 0)
    assert json.loads(body)["error"] == "too_large"


@pytest.mark.parametrize("path", ["/login/", "/api/v1/cases/lease/"])
def test_a_body_that_turns_out_too_long_is_read_no_further(path):
    status, body, taken = post(path, sent=50 * MOST_BYTES)
    assert status == 413
    assert taken <= MOST_BYTES + 2**20
    assert json.loads(body)["error"] == "too_large"


@pytest.mark.django_db
def test_a_capture_may_be_as_long_as_an_image():
    status, _, taken = post(CAPTURES, sent=3 * MOST_BYTES)
    assert status == 401  # read to its end, and then nobody was known
    assert taken == 3 * MOST_BYTES
