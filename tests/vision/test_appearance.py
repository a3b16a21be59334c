import numpy as np
import pytest

from vision import appearance
from vision.appearance import ALIKE_FROM, INPUT_PX, LENGTH, Picture, crop_at, nearest, peak_of, tiles_of
from vision.appearance_network import Embedder
from vision.synthetic import DEFECTS, render_part

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def torch_embedder():
    return Embedder(None)


@pytest.fixture(scope="module")
def looks():
    return [
        Picture(render_part(np.random.default_rng(n), DEFECTS[n % 3])[0], spot_at(5, n)) for n in range(4)
    ]


def spot_at(row, column, *, cells=28):
    spot = np.zeros((cells, cells), np.float32)
    spot[row, column] = 0.9
    return spot


def unit_rows(count, length=LENGTH, *, rng=RNG):
    rows = rng.standard_normal((count, length)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# --- what the network is given ----------------------------------------------------------------------------
def test_the_crop_lies_around_the_peak_of_the_map():
    image = np.zeros((100, 200, 3), np.uint8)
    image[70:72, 40:42] = 255
    peak = peak_of(spot_at(20, 5))
    assert peak == (20.5 / 28, 5.5 / 28)
    crop = crop_at(image, peak)
    assert crop.shape == (40, 40, 3)
    assert crop.max() == 255
    assert np.shares_memory(crop, image)  # nothing of the size of a picture is copied


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 27), (27, 0), (27, 27)])
def test_a_crop_at_the_edge_stays_inside_the_picture(row, column):
    assert crop_at(np.zeros((50, 90, 3), np.uint8), peak_of(spot_at(row, column))).shape == (20, 20, 3)


def test_one_odd_pixel_is_not_the_spot_that_a_whole_region_is():
    uneven = np.zeros((280, 280), np.float32)
    uneven[10, 10] = 1.0
    uneven[200:220, 200:220] = 0.6
    row, column = peak_of(uneven)
    assert (round(row, 1), round(column, 1)) == (0.7, 0.7)


def test_without_a_map_or_with_a_flat_one_there_is_only_the_whole():
    image = np.zeros((60, 60, 3), np.uint8)
    assert tiles_of(Picture(image)).shape == (1, 3, INPUT_PX, INPUT_PX)
    assert tiles_of(Picture(image, np.full((8, 8), 0.2, np.float32))).shape == (1, 3, INPUT_PX, INPUT_PX)
    assert tiles_of(Picture(image, spot_at(3, 3))).shape == (2, 3, INPUT_PX, INPUT_PX)


@pytest.mark.parametrize(
    "broken", [np.zeros((0, 0), np.float32), np.full((4, 4), np.nan, np.float32), np.zeros(5, np.float32)]
)
def test_a_broken_map_is_refused(broken):
    with pytest.raises(ValueError, match="defect map"):
        peak_of(broken)


# --- the vectors ------------------------------------------------------------------------------------------
def test_vectors_are_of_unit_length_and_the_same_whatever_is_beside_them(torch_embedder, looks):
    together = torch_embedder.embed(looks)
    assert together.shape == (4, LENGTH)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([torch_embedder.embed([look]) for look in looks])
    assert (alone == together).all()


def test_another_spot_of_the_same_picture_is_another_point(torch_embedder, looks):
    here, there = torch_embedder.embed(
        [looks[0]._replace(defect_map=spot_at(14, 14)), looks[0]._replace(defect_map=spot_at(2, 25))]
    )
    assert (here[: LENGTH // 2] == there[: LENGTH // 2]).all()  # the whole picture is the same
    assert here @ there < 0.999


def test_a_network_that_answers_nan_gives_no_vector():
    with pytest.raises(ValueError, match="not finite"):
        appearance.joined(np.full((2, 384), np.nan, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        appearance.joined(np.zeros((1, 384), np.float32))


def test_onnx_runtime_gives_the_vectors_of_torch_from_a_file_that_is_written_once(
    torch_embedder, looks, tmp_path
):
    first = Embedder(tmp_path)
    assert first.engine == "ONNX Runtime"
    assert np.abs(first.embed(looks) - torch_embedder.embed(looks)).max() < 1e-5
    (written,) = tmp_path.iterdir()
    damaged = written.with_name(written.name.replace("1-", "1-0"))
    damaged.write_bytes(written.read_bytes()[:-1])
    again = Embedder(tmp_path)
    assert (again.embed(looks) == first.embed(looks)).all()
    assert list(tmp_path.iterdir()) == [written]  # the damaged one is not believed


def test_vectors_survive_being_bytes():
    rows = unit_rows(3)
    assert (appearance.from_bytes([appearance.to_bytes(row) for row in rows]) == rows).all()
    assert appearance.from_bytes([]).shape == (0, LENGTH)
    with pytest.raises(ValueError, match="768 numbers"):
        appearance.from_bytes([b"short"])


# --- neighbours -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("k", [1, 3, 200, 500])
def test_nearest_is_what_sorting_all_similarities_gives(k):
    rows, query = unit_rows(200), unit_rows(1)[0]
    found = nearest(query, rows, k)
    alike = rows @ query
    assert list(found.rows) == list(np.argsort(-alike, kind="stable")[:k])
    assert (found.similarities == alike[found.rows]).all()


def test_of_equally_alike_rows_the_earlier_one_comes_first():
    row = unit_rows(1)
    assert list(nearest(row[0], np.repeat(row, 9, axis=0), 3).rows) == [0, 1, 2]


def test_nothing_is_near_where_there_is_nothing():
    assert nearest(unit_rows(1)[0], np.zeros((0, LENGTH), np.float32), 3).rows.size == 0


def test_a_line_whose_parts_are_all_alike_has_a_higher_limit():
    rng = np.random.default_rng(3)
    alike = unit_rows(1, rng=rng) + 0.02 * unit_rows(60, rng=rng)
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    bodies = np.arange(60)
    limit = appearance.alike_from(alike, bodies)
    pairs = (alike @ alike.T)[np.triu_indices(60, 1)]
    assert limit > ALIKE_FROM
    assert 0.005 < (pairs >= limit).mean() < 0.02
    assert appearance.alike_from(alike[:29], bodies[:29]) == ALIKE_FROM


def test_pictures_of_one_physical_part_say_nothing_of_how_alike_parts_are():
    rng = np.random.default_rng(4)
    parts = unit_rows(40, rng=rng)
    twice = np.concatenate([parts, parts])
    limit = appearance.alike_from(twice, np.tile(np.arange(40), 2))
    assert limit < 0.5  # not 1, which each part is to itself
