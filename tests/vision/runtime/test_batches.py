import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vision.runtime.batches import (
    TILES_A_CALL,
    in_fixed_batches,
    is_out_of_memory,
    one_image_a_call,
    run_halving,
)
from vision.runtime.engine import EngineError, OutOfMemoryError


def fits(limit):
    """Something that runs out of memory above `limit` tiles at once, and notes what it was asked for."""
    asked = []

    def run(batch):
        asked.append(batch)
        if batch > limit:
            raise MemoryError
        return "done"

    return run, asked


def test_a_batch_that_fits_runs_as_it_is():
    run, asked = fits(16)
    assert run_halving(16, run) == ("done", 16)
    assert asked == [16]


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_every_attempt_is_logged(caplog):
    run, asked = fits(5)
    assert run_halving(16, run) == ("done", 4)
    assert asked == [16, 8, 4]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_memory_of_the_failed_attempt_is_given_back_before_the_next_one():
    released = []
    run, _ = fits(4)
    run_halving(16, run, release=lambda: released.append(True))
    assert len(released) == 2


def test_one_tile_that_does_not_fit_is_an_error_with_a_sentence():
    run, asked = fits(0)
    with pytest.raises(OutOfMemoryError, match="not enough free memory for one tile"):
        run_halving(4, run)
    assert asked == [4, 2, 1]


def test_another_error_is_not_tried_again():
    def broken(batch):
        raise EngineError("The graph is broken.")

    with pytest.raises(EngineError, match="The graph is broken"):
        run_halving(4, broken)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 40"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_each_runtime_says_out_of_memory_in_its_own_words(error, expected):
    assert is_out_of_memory(error) == expected


@given(counts=st.lists(st.integers(1, 7), max_size=6), size=st.integers(1, 5))
def test_every_tile_comes_back_to_its_own_image_whatever_the_batches(counts, size):
    total = sum(counts)
    tiles = np.arange(total, dtype=np.float32).reshape(total, 1, 1, 1)
    images, start = [], 0
    for count in counts:
        images.append(tiles[start : start + count])
        start += count
    seen = []

    def call(few):
        seen.append(len(few))
        together = np.stack(few)
        return together * 10, together[:, 0, 0, 0]

    raws = in_fixed_batches(images, call, size=size)

    assert [raw[0].tolist() for raw in raws] == [(image * 10).tolist() for image in images]
    assert [raw[1].tolist() for raw in raws] == [image[:, 0, 0, 0].tolist() for image in images]
    assert all(count == size for count in seen[:-1])


def test_an_image_of_many_tiles_runs_in_pieces_that_bound_the_memory():
    tiles = np.arange(20, dtype=np.float32).reshape(20, 1, 1, 1)
    asked = []

    def call(piece):
        asked.append(len(piece))
        return (piece,)

    (raw,) = one_image_a_call([tiles], call)
    assert asked == [TILES_A_CALL, TILES_A_CALL, 4]
    assert (raw[0] == tiles).all()


def test_an_image_too_large_for_the_memory_is_finished_in_smaller_pieces():
    tiles = np.arange(20, dtype=np.float32).reshape(20, 1, 1, 1)

    def call(piece):
        if len(piece) > 3:
            raise MemoryError
        return (piece,)

    (raw,) = one_image_a_call([tiles], call)
    assert (raw[0] == tiles).all()
