"""What a camera may send, and what the answer tells it."""

import io
import json

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image as Pillow

from accounts.actions import add_device
from accounts.models import DeviceKind, Role
from inspection import storage
from inspection.models import Image, Part
from tests import factories

pytestmark = pytest.mark.django_db
URL = "/api/v1/captures/"


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def camera(client, station):
    token = add_device(name="camera", kind=DeviceKind.CAMERA, station_code=station.code)

    def post(data=None, *, headers=None, **fields):
        sent = {
            "image": SimpleUploadedFile("part.png", factories.png() if data is None else data),
            "station": station.code,
            "trigger_seq": 1,
            **fields,
        }
        return client.post(URL, sent, headers=headers or {"Authorization": f"Token {token}"})

    return post


def saved(pixels, kind, **options) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, kind, **options) if isinstance(pixels, np.ndarray) else pixels.save(
        file, kind, **options
    )
    return file.getvalue()


def test_a_capture_is_created_and_the_same_again_is_the_same(camera):
    data = factories.png(1)
    first, again = camera(data), camera(data)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert set(first.json()) == {"part", "inspection", "state"}


def test_another_image_for_the_same_trigger_is_a_conflict(camera):
    camera(factories.png(1))
    answer = camera(factories.png(2))
    assert answer.status_code == 409
    assert answer.json()["error"] == "different_image"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"no image at all", "picture"), (factories.png(5)[:300], "")],
    ids=["empty", "no image", "truncated"],
)
def test_an_unreadable_image_is_422_and_its_part_is_held(camera, data, words):
    answer = camera(data)
    assert answer.status_code == 422
    assert answer.json()["error"] == "unreadable_image"
    assert words in answer.json()["detail"].lower()
    assert Part.objects.get().state == "held"
    assert Image.objects.get().byte_count == len(data)


@pytest.mark.parametrize(
    "data",
    [
        saved(np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16), "PNG"),
        saved(Pillow.new("CMYK", (64, 64), (10, 20, 30, 40)), "JPEG"),
        saved(Pillow.new("RGBA", (64, 64), (10, 20, 30, 40)), "PNG"),
        saved(Pillow.new("L", (64, 32), 99), "TIFF"),
    ],
    ids=["16 bit", "CMYK", "alpha", "tiff"],
)
def test_unusual_but_readable_images_are_taken_and_shown_to_people(camera, client, data):
    assert camera(data).status_code == 201
    client.force_login(factories.person(Role.LINE_OPERATOR))
    shown = client.get(f"/api/v1/parts/{Part.objects.get().pk}/image/")
    assert shown.status_code == 200
    assert shown["Content-Type"].startswith("image/")


def test_an_image_with_more_pixels_than_the_station_allows_is_refused_and_held(camera, station):
    station.max_pixels = 1000
    station.save()
    assert camera(factories.png(1, size=64)).status_code == 422
    assert Part.objects.get().state == "held"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"trigger_seq": 0}, 400),
        ({"trigger_seq": "x"}, 400),
        ({"trigger_seq": 2**31}, 400),
        ({"station": "NOPE"}, 400),
        ({"metadata": "[1]"}, 400),
        ({"metadata": '{"a": NaN}'}, 400),
        ({"metadata": "{"}, 400),
        ({"metadata": '{"a": 1e999}'}, 400),
        ({"metadata": '{"a": [-1e999]}'}, 400),
        ({"metadata": '{"a": "\\u0000"}'}, 400),
        ({"metadata": '{"\\ud800": 1}'}, 400),
        ({"metadata": '{"a": ' + "[" * 4000 + "]" * 4000 + "}"}, 400),
        ({"station": "S1\0"}, 400),
        ({"metadata": '{"path": "C:\\\\u0000", "note": "\\u00e4 \\ud83d\\ude00"}'}, 201),
        ({"serial": "späce"}, 400),
        ({"view": "../x"}, 400),
        ({"metadata": json.dumps({"lot": "A7"}), "serial": "SN-0001", "epoch": 3}, 201),
    ],
)
def test_wrong_fields_are_answered_with_a_sentence(camera, fields, status):
    answer = camera(**fields)
    assert answer.status_code == status, answer.content
    if status == 400:
        assert set(answer.json()) == {"error", "detail"}
        assert not Part.objects.exists()


@pytest.mark.parametrize(
    "headers", [{"X-Nothing": "1"}, {"Authorization": "Token wrong"}, {"Authorization": "Token"}]
)
def test_nobody_sends_captures_without_a_camera_token(camera, headers):
    assert camera(headers=headers).status_code == 401
    assert not Part.objects.exists()


def test_a_camera_sends_only_for_its_own_station(camera):
    other = factories.station()
    answer = camera(station=other.code)
    assert answer.status_code == 403
    assert "belongs to station" in answer.json()["detail"]


def test_a_person_is_no_camera(client, station):
    client.force_login(factories.person(*Role))
    assert client.post(URL, {"station": station.code}).status_code == 403


def test_a_person_without_a_role_on_the_line_sees_no_image(client, station):
    part = factories.captured_part(station)
    client.force_login(factories.person(Role.LINE_OPERATOR, line_code="OTHER"))
    assert client.get(f"/api/v1/parts/{part.pk}/image/").status_code == 403


def test_an_image_that_changed_in_the_storage_is_shown_to_nobody(client, station):
    part = factories.captured_part(station)
    client.force_login(factories.person(Role.LINE_OPERATOR))
    image = Image.objects.get()
    storage.write(image.file, factories.png())
    answer = client.get(f"/api/v1/parts/{part.pk}/image/")
    assert answer.status_code == 404
    assert "does not match its sha256" in answer.json()["detail"]


@pytest.mark.parametrize("view", ["side", "a%00b", ""])
def test_a_view_that_was_not_taken_is_not_found(client, station, view):
    part = factories.captured_part(station)
    client.force_login(factories.person(Role.LINE_OPERATOR))
    assert client.get(f"/api/v1/parts/{part.pk}/image/?view={view}").status_code == 404
