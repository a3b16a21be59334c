"""Folders in MVTec layout, real or rendered."""

import pytest

from vision.folder import FolderError, read_folder
from vision.predictor import no_progress
from vision.synthetic.folder import write_mvtec_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts")
    write_mvtec_folder(path, good=3, test_good=2, test_bad_per_defect=1, seed=5, progress=no_progress)
    return path


def test_a_rendered_folder_is_read_with_its_truth(folder):
    images = read_folder(folder)
    assert len(images) == 10
    assert {(image.split, image.truth) for image in images} == {
        ("train", "good"),
        ("test", "good"),
        ("test", "bad"),
    }
    assert all((image.mask is not None) == (image.truth == "bad") for image in images)
    assert len({image.group for image in images}) == 10


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    write_mvtec_folder(tmp_path, good=1, test_good=0, test_bad_per_defect=0, seed=5, progress=no_progress)
    name = "train/good/0000.png"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_groups_come_from_labels_csv(folder):
    table = folder / "labels.csv"
    table.write_text("file,group\ntrain/good/0000.png,7\ntrain/good/0001.png,7\n")
    try:
        groups = {image.path.name: image.group for image in read_folder(folder) if image.split == "train"}
    finally:
        table.unlink()
    assert groups == {"0000.png": "7", "0001.png": "7", "0002.png": "train/good/0002.png"}


def test_a_folder_of_another_layout_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(FolderError, match="no folder"):
        read_folder(tmp_path / "missing")
    with pytest.raises(FolderError, match="train/good"):
        read_folder(tmp_path)
    (tmp_path / "train" / "good").mkdir(parents=True)
    with pytest.raises(FolderError, match="holds no picture"):
        read_folder(tmp_path)
