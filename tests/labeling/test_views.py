import pytest
from django.test import Client

from accounts.models import Role
from labeling import actions
from labeling.models import DatasetVersion
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def client():
    client = Client()
    client.force_login(factories.person(Role.VISION_DEVELOPER))
    return client


def test_the_gallery_shows_who_graded_which_part(client, station):
    part = steps.graded_disc(station, seed=1, is_bad=True)

    page = client.get("/labels/").content.decode()

    assert part.plc_part_id in page
    assert "scratch" in page
    assert f"/parts/{part.pk}/image/" in page
    assert part.plc_part_id not in client.get("/labels/?grade=good").content.decode()


def test_the_gallery_asks_equally_often_for_one_and_three_grades(client, station, django_assert_num_queries):
    for seed in range(3):
        steps.graded_disc(station, seed=seed, is_bad=False)
        with django_assert_num_queries(8):
            client.get("/labels/")


def test_a_button_freezes_a_version(client, station):
    dataset = actions.make_dataset(line=station.line, name="discs", actor=TESTER)
    steps.graded_disc(station, seed=1, is_bad=True)
    assert "1 grade and" in client.get("/datasets/").content.decode()

    client.post(f"/datasets/{dataset.pk}/freeze/")

    assert DatasetVersion.objects.get().dataset == dataset
    assert "0 grades and" in client.get("/datasets/?fragment=datasets").content.decode()


def test_freezing_an_empty_dataset_says_so_on_the_page(client, station):
    dataset = actions.make_dataset(line=station.line, name="discs", actor=TESTER)

    page = client.post(f"/datasets/{dataset.pk}/freeze/", follow=True).content.decode()

    assert "holds no picture yet" in page
