"""Painted masks: from a labeler or a folder, through a frozen version, into every export."""

import io
import json
import zipfile

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image as PillowImage

from accounts.models import Role
from audit.models import Event
from inspection import storage
from labeling import actions, export, queries
from labeling.masks import MaskError, mask_of
from labeling.models import ImportedImage, Label
from labeling.states import ExportFormat
from tests import factories
from tests.factories import TESTER
from tests.labeling import steps
from vision.folder import read_folder, read_mask

pytestmark = pytest.mark.django_db


@pytest.fixture
def station():
    return factories.station()


@pytest.fixture
def dataset(station):
    return actions.make_dataset(line=station.line, name="discs", actor=TESTER)


@pytest.fixture
def labeler():
    return factories.person(Role.IMAGE_LABELER)


def paint(part, mask, labeler) -> Label:
    return actions.paint_label(part=part, mask=mask, person=labeler, actor=TESTER)


def png(mask) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(np.asarray(mask, np.uint8) * 255).save(file, "PNG")
    return file.getvalue()


def pixels_of(data: bytes):
    return np.asarray(PillowImage.open(io.BytesIO(data))) > 127


def test_a_painted_scratch_is_fixed_in_the_version_pixel_by_pixel(station, dataset, labeler):
    part = steps.graded_disc(station, seed=7, is_bad=True, group="tile 7")
    label = paint(part, steps.scratch_mask(7), labeler)

    image = actions.freeze_version(dataset=dataset, actor=TESTER).images.get()

    assert np.array_equal(mask_of(image), pixels_of(steps.scratch_mask(7)))
    assert (image.grade, image.defect_type, image.group) == ("bad", "scratch", "tile 7")
    assert label.defect_pixels == pixels_of(steps.scratch_mask(7)).sum()
    assert Event.objects.filter(subject_kind="label", verb="painted").count() == 1


def test_a_repaint_belongs_to_the_next_version(station, dataset, labeler):
    part = steps.graded_disc(station, seed=7, is_bad=True)
    paint(part, steps.scratch_mask(7), labeler)
    first = actions.freeze_version(dataset=dataset, actor=TESTER)
    wider = pixels_of(steps.scratch_mask(7))
    wider[:10, :10] = True

    paint(part, png(wider), labeler)
    assert queries.news_since(dataset, first)["labels"] == 1
    second = actions.freeze_version(dataset=dataset, actor=TESTER)

    assert (first.number, second.number) == (1, 2)
    assert first.manifest_sha256 != second.manifest_sha256
    assert np.array_equal(mask_of(first.images.get()), pixels_of(steps.scratch_mask(7)))
    assert np.array_equal(mask_of(second.images.get()), wider)
    assert second.counts["painted"] == 1


def test_the_same_mask_is_stored_once_and_painting_it_again_changes_nothing(station, dataset, labeler):
    parts = [steps.graded_disc(station, seed=seed, is_bad=True) for seed in (1, 2)]
    mask = np.zeros((64, 64), bool)
    mask[30:34, 16:48] = True

    first, other = (paint(part, png(mask), labeler) for part in parts)
    again = paint(parts[0], png(mask), labeler)

    assert first.mask_file == other.mask_file
    assert len(default_storage.listdir(f"masks/{first.mask_sha256[:2]}")[1]) == 1
    assert again == first


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (png(np.ones((32, 64), bool)), "The mask has 64x32 pixels, its picture 64x64."),
        (png(np.zeros((64, 64), bool)), "Nothing is painted."),
        (b"no picture", "The mask cannot be read."),
        (steps.scratch_mask(7)[:60], "The mask cannot be read."),
    ],
)
def test_a_mask_that_is_none_is_refused_and_the_standing_one_still_stands(station, labeler, mask, sentence):
    part = steps.graded_disc(station, seed=7, is_bad=True)
    standing = paint(part, steps.scratch_mask(7), labeler)

    with pytest.raises(MaskError, match=sentence):
        paint(part, mask, labeler)

    assert queries.standing_label(part) == standing


def test_only_a_part_that_people_found_bad_has_a_defect_to_paint(station, labeler):
    good = steps.graded_disc(station, seed=1, is_bad=False)
    ungraded = steps.held_disc(station, seed=2, is_bad=True)

    with pytest.raises(actions.NotPaintableError, match="was graded good"):
        paint(good, steps.scratch_mask(7), labeler)
    with pytest.raises(actions.NotPaintableError, match="has no grade yet"):
        paint(ungraded, steps.scratch_mask(7), labeler)


def folder_with_masks(where, *, good=2, bad=3):
    folder = steps.folder_of(where, good=good)
    for name in ("train/scratch", "ground_truth/scratch"):
        (folder / name).mkdir(parents=True)
    for number in range(bad):
        (folder / f"train/scratch/{number:03}.png").write_bytes(steps.disc(number, is_bad=True))
        (folder / f"ground_truth/scratch/{number:03}_mask.png").write_bytes(steps.scratch_mask(number))
    return folder


def test_a_folders_masks_are_imported_and_ones_of_another_size_or_empty_are_left_out_and_named(
    dataset, tmp_path
):
    folder = folder_with_masks(tmp_path)
    masks = folder / "ground_truth" / "scratch"
    masks.joinpath("001_mask.png").write_bytes(png(np.ones((9, 9), bool)))
    masks.joinpath("002_mask.png").write_bytes(png(np.zeros((64, 64), bool)))

    report = actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)

    assert (report.new, report.known) == (3, 0)
    assert [problem.partition(".")[0] for problem in report.unreadable] == ["001", "002"]
    assert "9x9" in report.unreadable[0]
    assert "Nothing is painted" in report.unreadable[1]
    [bad] = ImportedImage.objects.filter(grade="bad")
    assert np.array_equal(mask_of(bad), pixels_of(steps.scratch_mask(0)))


def test_masks_painted_after_the_import_come_with_the_next_one(dataset, tmp_path):
    folder = folder_with_masks(tmp_path)
    masks = folder / "ground_truth" / "scratch"
    later = masks.joinpath("001_mask.png").read_bytes()
    masks.joinpath("001_mask.png").unlink()
    actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)
    first = actions.freeze_version(dataset=dataset, actor=TESTER)
    masks.joinpath("001_mask.png").write_bytes(later)

    again = actions.import_folder(dataset=dataset, folder=folder, actor=TESTER)
    second = actions.freeze_version(dataset=dataset, actor=TESTER)

    assert (again.new, again.known, again.painted) == (0, 5, 1)
    assert (first.counts["painted"], second.counts["painted"]) == (2, 3)


def test_a_labelers_mask_replaces_the_folders(station, dataset, labeler, tmp_path):
    actions.import_folder(dataset=dataset, folder=folder_with_masks(tmp_path, bad=1), actor=TESTER)
    part = steps.graded_disc(station, seed=0, is_bad=True)  # the very picture of the folder
    mine = np.zeros((64, 64), bool)
    mine[5, 5] = True
    paint(part, png(mine), labeler)

    version = actions.freeze_version(dataset=dataset, actor=TESTER)

    assert np.array_equal(mask_of(version.images.get(grade="bad")), mine)


def test_a_changed_mask_file_is_never_used(station, dataset, labeler):
    part = steps.graded_disc(station, seed=7, is_bad=True)
    label = paint(part, steps.scratch_mask(7), labeler)
    image = actions.freeze_version(dataset=dataset, actor=TESTER).images.get()
    storage.write(label.mask_file, steps.scratch_mask(8))

    with pytest.raises(MaskError, match="does not match its sha256"):
        mask_of(image)


def exported(version, layout) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(export.zip_chunks(version, layout))))


def test_an_mvtec_export_gives_back_the_masks_of_the_version(station, dataset, labeler, tmp_path):
    actions.import_folder(dataset=dataset, folder=folder_with_masks(tmp_path / "in", good=9), actor=TESTER)
    paint(steps.graded_disc(station, seed=40, is_bad=True), steps.scratch_mask(40), labeler)
    steps.graded_disc(station, seed=41, is_bad=True)
    version = actions.freeze_version(dataset=dataset, actor=TESTER)
    exported(version, ExportFormat.MVTEC).extractall(tmp_path / "out")

    pictures = {picture.path.stem: picture for picture in read_folder(tmp_path / "out")}

    for image in version.images.all():
        wanted, found = mask_of(image), read_mask(pictures[image.sha256[:24]])
        assert (found is None) == (wanted is None)
        assert wanted is None or np.array_equal(found, wanted)
    assert version.counts["painted"] == 4


def test_a_coco_export_tells_the_same_masks_in_run_lengths(station, dataset, labeler):
    mask = np.zeros((64, 64), bool)
    mask[0, 0] = mask[10:13, 20:25] = True
    paint(steps.graded_disc(station, seed=40, is_bad=True), png(mask), labeler)
    version = actions.freeze_version(dataset=dataset, actor=TESTER)
    archive = exported(version, ExportFormat.COCO)
    sides = [json.loads(archive.read(f"annotations/{split}.json")) for split in ("train", "holdout")]

    [told] = [annotation for side in sides for annotation in side["annotations"]]

    counts = told["segmentation"]["counts"]
    columns = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    assert np.array_equal(columns.reshape(64, 64).T, mask)
    assert (told["bbox"], told["area"]) == ([0, 0, 25, 13], 16)


# --- REST ---------------------------------------------------------------------------------------------------
def client_of(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def send(client, part, mask):
    return client.post("/api/v1/labels/", {"part": part.pk, "mask": SimpleUploadedFile("mask.png", mask)})


def test_a_labeler_paints_over_rest_and_gets_the_mask_back(station, labeler):
    client = client_of(labeler)
    part = steps.graded_disc(station, seed=7, is_bad=True)

    answer = send(client, part, steps.scratch_mask(7))

    assert (answer.status_code, answer.json()["part"]) == (201, part.pk)
    [listed] = client.get(f"/api/v1/labels/?part={part.pk}").json()["results"]
    assert listed["id"] == answer.json()["id"]
    assert np.array_equal(pixels_of(client.get(listed["mask_url"]).content), pixels_of(steps.scratch_mask(7)))


def test_a_mask_of_another_size_is_a_400_with_both_sizes(station, labeler):
    part = steps.graded_disc(station, seed=7, is_bad=True)

    answer = send(client_of(labeler), part, png(np.ones((10, 20), bool)))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")
    assert "20x10 pixels, its picture 64x64" in answer.json()["detail"]


def test_a_good_part_cannot_be_painted_over_rest(station, labeler):
    answer = send(client_of(labeler), steps.graded_disc(station, seed=7, is_bad=False), steps.scratch_mask(7))

    assert (answer.status_code, answer.json()["error"]) == (409, "not_paintable")


def test_other_roles_and_other_lines_paint_nothing(station):
    part = steps.graded_disc(station, seed=7, is_bad=True)
    inspector, stranger = factories.inspector(), factories.person(Role.IMAGE_LABELER, line_code="OTHER")

    assert send(client_of(inspector), part, steps.scratch_mask(7)).status_code == 403
    assert send(client_of(stranger), part, steps.scratch_mask(7)).status_code == 404
    assert not Label.objects.exists()
