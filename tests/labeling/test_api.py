import io
import json
import zipfile

import pytest
from django.test import AsyncClient, Client

from accounts.models import Role
from labeling import actions
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps
from vision.folder import read_folder

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def client():
    client = Client()
    client.force_login(factories.person(Role.VISION_DEVELOPER))
    return client


@pytest.fixture
def version(station, tmp_path):
    dataset = actions.make_dataset(line=station.line, name="discs", actor=TESTER)
    actions.import_folder(dataset=dataset, folder=steps.folder_of(tmp_path, good=9), actor=TESTER)
    inspector = factories.inspector()
    for seed in range(6):
        steps.graded_disc(station, seed=seed + 60, is_bad=True, group=f"tile {seed}", inspector=inspector)
    return actions.freeze_version(dataset=dataset, actor=TESTER)


def test_a_dataset_is_made_frozen_and_listed(client, station, tmp_path):
    made = client.post("/api/v1/datasets/", {"line": station.line.code, "name": "tiles"}, "application/json")
    assert made.status_code == 201
    steps.graded_disc(station, seed=1, is_bad=True)

    frozen = client.post(f"/api/v1/datasets/{made.json()['id']}/versions/")

    assert frozen.status_code == 201
    assert frozen.json()["counts"]["bad"] == 1
    [listed] = client.get("/api/v1/datasets/").json()["results"]
    assert (listed["name"], listed["new"]) == ("tiles", {"grades": 0, "imported": 0, "labels": 0})
    assert [each["number"] for each in listed["versions"]] == [1]


def test_freezing_an_empty_dataset_is_a_conflict_with_a_sentence(client, station):
    dataset = actions.make_dataset(line=station.line, name="d", actor=TESTER)

    answer = client.post(f"/api/v1/datasets/{dataset.pk}/versions/")

    assert (answer.status_code, answer.json()["error"]) == (409, "nothing_to_freeze")


def archive_of(answer) -> zipfile.ZipFile:
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    assert archive.testzip() is None
    return archive


def export(client, version, layout) -> zipfile.ZipFile:
    address = f"/api/v1/datasets/{version.dataset_id}/versions/{version.number}/export/?format={layout}"
    return archive_of(client.get(address))


def test_an_mvtec_export_is_read_back_with_the_same_sides_and_groups(client, version, tmp_path):
    export(client, version, "mvtec").extractall(tmp_path / "out")

    pictures = read_folder(tmp_path / "out")

    wanted = {(each.sha256[:24], each.grade, each.group, each.split) for each in version.images.all()}
    found = {
        (each.path.stem, each.truth, each.group, "holdout" if each.split == "test" else "train")
        for each in pictures
    }
    assert found == wanted


def test_a_coco_export_gives_each_picture_one_category_and_says_what_is_missing(client, version):
    archive = export(client, version, "coco")
    sides = [json.loads(archive.read(f"annotations/{split}.json")) for split in ("train", "holdout")]

    assert sum(len(side["annotations"]) for side in sides) == version.images.count()
    assert all(image["width"] == 64 for side in sides for image in side["images"])
    assert "0 of 6 bad pictures carry the mask" in archive.read("README.txt").decode()


def test_a_yolo_export_has_one_folder_per_class(client, version):
    names = export(client, version, "yolo").namelist()

    assert {name.split("/")[1] for name in names if name.endswith(".png")} == {"good", "scratch"}


def test_the_same_version_exports_the_same_bytes(client, version):
    address = f"/api/v1/datasets/{version.dataset_id}/versions/1/export/"
    first, second = (b"".join(client.get(address).streaming_content) for _ in range(2))

    assert first == second


@pytest.mark.django_db(transaction=True)
async def test_an_asgi_server_streams_the_export(station, version):
    client = AsyncClient()
    await client.aforce_login(await _developer())

    answer = await client.get(f"/api/v1/datasets/{version.dataset_id}/versions/1/export/")

    data = b"".join([chunk async for chunk in answer.streaming_content])
    assert len(zipfile.ZipFile(io.BytesIO(data)).namelist()) == len(version_files(version)) + 2


def version_files(version):
    return [None] * (version.counts["good"] + version.counts["bad"])


async def _developer():
    from asgiref.sync import sync_to_async

    return await sync_to_async(factories.person)(Role.VISION_DEVELOPER)


def test_an_unknown_layout_is_refused(client, version):
    answer = client.get(f"/api/v1/datasets/{version.dataset_id}/versions/1/export/?format=tar")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")


@pytest.mark.parametrize("role", [Role.MANUAL_INSPECTOR, Role.LINE_OPERATOR, Role.MANAGER])
def test_other_roles_see_no_datasets(role):
    client = Client()
    client.force_login(factories.person(role))

    assert client.get("/api/v1/datasets/").status_code == 403
    assert client.get("/datasets/").status_code == 403


def test_a_role_on_another_line_sees_nothing_of_this_one(version):
    client = Client()
    client.force_login(factories.person(Role.VISION_DEVELOPER, line_code="OTHER"))

    assert client.get("/api/v1/datasets/").json()["results"] == []
    assert client.post(f"/api/v1/datasets/{version.dataset_id}/versions/").status_code == 404


def test_a_labeler_may_look_but_not_freeze(version):
    client = Client()
    client.force_login(factories.person(Role.IMAGE_LABELER))

    assert client.get("/api/v1/datasets/").status_code == 200
    assert client.post(f"/api/v1/datasets/{version.dataset_id}/versions/").status_code == 403
    assert b"Freeze a version" not in client.get("/datasets/").content
