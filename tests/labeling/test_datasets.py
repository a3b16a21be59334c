import pytest

from labeling import actions, queries
from labeling.models import DatasetImage, FrozenVersionError
from labeling.splitting import is_held_out
from labeling.states import Split
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def dataset(station):
    return actions.make_dataset(line=station.line, name="discs", actor=TESTER)


def test_a_folder_is_imported_once(dataset, tmp_path):
    folder = steps.folder_of(tmp_path, good=5)

    first = actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)
    again = actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)

    assert (first.new, first.known, first.unreadable) == (5, 0, [])
    assert (again.new, again.known) == (0, 5)


def test_a_picture_that_cannot_be_read_is_left_out_and_named(dataset, tmp_path):
    folder = steps.folder_of(tmp_path, good=2)
    (folder / "train/good/cut.png").write_bytes(steps.disc(9)[:200])

    report = actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)

    assert report.new == 2
    assert len(report.unreadable) == 1
    assert report.unreadable[0].startswith("cut.png: ")


def test_a_version_holds_imported_pictures_and_graded_parts(station, dataset, tmp_path):
    actions.import_folder(dataset=dataset, folder=steps.folder_of(tmp_path, good=3), actor=TESTER)
    part = steps.graded_disc(station, seed=50, is_bad=True, group="tile 7")

    version = actions.freeze_version(dataset=dataset, actor=TESTER)

    assert (version.counts["good"], version.counts["bad"]) == (3, 1)
    assert (version.counts["imported"], version.counts["graded"]) == (3, 1)
    graded = version.images.get(part=part)
    assert (graded.grade, graded.defect_type, graded.group) == ("bad", "scratch", "tile 7")


def test_no_group_is_on_both_sides_and_none_ever_changes_its_side(station, dataset):
    inspector = factories.inspector()
    for seed in range(12):
        steps.graded_disc(station, seed=seed, is_bad=False, group=f"tile {seed % 5}", inspector=inspector)
    first = actions.freeze_version(dataset=dataset, actor=TESTER)
    for seed in range(12, 20):
        steps.graded_disc(station, seed=seed, is_bad=True, group=f"tile {seed % 7}", inspector=inspector)
    second = actions.freeze_version(dataset=dataset, actor=TESTER)

    sides = set(DatasetImage.objects.filter(version__in=[first, second]).values_list("group", "split"))

    assert len(sides) == len({group for group, _ in sides})
    assert all((split == Split.HOLDOUT) == is_held_out(group) for group, split in sides)


def test_freezing_without_news_returns_the_version_that_is_there(station, dataset):
    steps.graded_disc(station, seed=1, is_bad=False)

    first = actions.freeze_version(dataset=dataset, actor=TESTER)

    assert actions.freeze_version(dataset=dataset, actor=TESTER) == first
    assert queries.news_since(dataset, first) == {"grades": 0, "imported": 0, "labels": 0}


def test_a_picture_graded_differently_by_two_people_is_left_out(station, dataset):
    for seed, is_bad in ((1, False), (2, False)):
        steps.graded_disc(station, seed=seed, is_bad=is_bad)
    again = steps.held_disc(station, seed=1, is_bad=False)
    steps.close_by_verdict(again, "REJECT")
    actions.grade_closed_cases(actor=TESTER)

    version = actions.freeze_version(dataset=dataset, actor=TESTER)

    assert version.images.count() == 1
    assert version.counts["contradicting"] == 1


def test_a_frozen_version_refuses_every_change(station, dataset):
    steps.graded_disc(station, seed=1, is_bad=False)
    version = actions.freeze_version(dataset=dataset, actor=TESTER)
    image = version.images.get()

    for row in (version, image):
        with pytest.raises(FrozenVersionError):
            row.save()
        with pytest.raises(FrozenVersionError):
            row.delete()


def test_a_part_without_a_readable_image_is_graded_but_never_trained_on(station, dataset):
    from inspection.actions import capture

    part = capture(station=station, data=b"no picture", actor=TESTER).part
    steps.close_by_verdict(part, "REJECT")
    assert actions.grade_closed_cases(actor=TESTER) == 1

    with pytest.raises(actions.NothingToFreezeError):
        actions.freeze_version(dataset=dataset, actor=TESTER)
