import threading
from pathlib import Path

import numpy as np
import pytest
from django.utils import timezone

from config.management.commands import run_sweeper
from inspection import storage
from inspection.models import Image, Inspection
from review import appearances
from review.appearances import WANTED, alike_from, embed_waiting, point_of, want
from review.models import Appearance, Probe
from review.states import CaseKind, Grade
from tests.factories import captured_part, decided_part, station
from tests.review.looks import case_on, direction, give_point, ruled
from vision import maps
from vision.appearance import ALIKE_FROM, LENGTH, SPACE, Picture, from_bytes
from vision.appearance_network import Embedder
from vision.images import decode

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def embedder():
    return Embedder(None)


@pytest.fixture
def at():
    return station()


def open_case(at, **fields):
    return case_on(decided_part(at, 0.5), kind=CaseKind.HELD, is_closed=False, **fields)


def embedded():
    """Parts with a point, in the order in which they got it."""
    return list(Appearance.objects.filter(space=SPACE).order_by("made_at").values_list("part_id", flat=True))


def test_parts_of_open_cases_come_first_then_known_then_ruled_then_asked_for(at, embedder):
    asked, ruling = decided_part(at, 0.1), ruled(at, None)
    want([asked.pk])
    known = Probe.objects.create(part=decided_part(at, 0.9), grade=Grade.BAD, added_at=timezone.now())
    late, soon = open_case(at, deadline_slot=2), open_case(at, deadline_slot=1)
    wanted = [soon.part_id, late.part_id, known.part_id, ruling.case.part_id, asked.pk]
    assert embed_waiting(1, embedder=embedder, only_urgent=True) == 1
    assert embed_waiting(100, embedder=embedder, only_urgent=True) == 1
    assert embedded() == wanted[:2]
    assert embed_waiting(1, embedder=embedder) == 1
    assert embedded() == wanted[:3]
    assert embed_waiting(100, embedder=embedder) == 2
    assert embedded() == wanted
    assert embed_waiting(100, embedder=embedder) == 0


def test_every_kind_of_case_is_embedded_and_a_closed_one_is_not(at, embedder):
    known = Probe.objects.create(part=decided_part(at, 0.9), grade=Grade.BAD, added_at=timezone.now())
    parts = [
        case_on(known.part, kind=CaseKind.PROBE, is_closed=False, probe=known).part_id,
        case_on(decided_part(at, 0.1), kind=CaseKind.AUDIT, is_closed=False).part_id,
        case_on(decided_part(at, 0.1), kind=CaseKind.FLAGGED, is_closed=False).part_id,
    ]
    case_on(decided_part(at, 0.1))
    embed_waiting(100, embedder=embedder)
    assert sorted(embedded()) == sorted(parts)


def test_the_point_is_that_of_the_stored_picture_and_the_map(at, embedder):
    part = open_case(at).part
    spot = np.zeros((8, 8), np.float32)
    spot[6, 1] = 1
    map_file = storage.write_derived("maps/test.png", maps.to_png(spot))
    Inspection.objects.filter(part=part).update(map_file=map_file)
    embed_waiting(1, embedder=embedder)
    pixels = decode(storage.read(part.images.get().file))
    wanted = embedder.embed([Picture(pixels, spot)])
    assert np.allclose(from_bytes([point_of(part.pk)]), wanted, atol=1e-6)


def test_a_lost_or_damaged_map_costs_the_part_its_crop_and_not_its_point(at, embedder):
    lost, damaged = open_case(at).part, open_case(at).part
    Inspection.objects.filter(part=lost).update(map_file="maps/nowhere.png")
    Inspection.objects.filter(part=damaged).update(map_file=storage.write_derived("maps/bad.png", b"no png"))
    assert embed_waiting(2, embedder=embedder) == 2
    assert all(len(point_of(part.pk)) == 4 * LENGTH for part in (lost, damaged))


def test_a_picture_that_cannot_be_had_is_tried_once_and_keeps_nobody_waiting(at, embedder):
    gone, changed, broken, empty, whole = (open_case(at).part for _ in range(5))
    storage.default_storage.delete(gone.images.get().file)
    storage.write(changed.images.get().file, b"other bytes")
    Image.objects.filter(part=broken).update(problem="cut short")
    Image.objects.filter(part=empty).delete()
    assert embed_waiting(10, embedder=embedder) == 5
    assert [point_of(part.pk) for part in (gone, changed, broken, empty)] == [b""] * 4
    assert point_of(whole.pk)
    assert embed_waiting(10, embedder=embedder) == 0


def test_a_storage_that_does_not_answer_ends_the_turn_and_the_part_is_tried_again(at, embedder):
    part = open_case(at).part
    stored = Path(storage.default_storage.path(part.images.get().file))
    kept = stored.rename(stored.with_suffix(".kept"))
    stored.mkdir()  # reading it fails, and not because there is nothing
    with pytest.raises(OSError, match="directory"):
        embed_waiting(10, embedder=embedder)
    assert point_of(part.pk) is None
    stored.rmdir()
    kept.rename(stored)
    assert embed_waiting(10, embedder=embedder) == 1
    assert point_of(part.pk)


def test_a_point_of_an_older_space_is_made_anew_in_its_place(at, embedder):
    part = open_case(at).part
    Appearance.objects.create(part=part, space="lite0-whole/0", vector=b"old", made_at=timezone.now())
    assert embed_waiting(10, embedder=embedder) == 1
    assert Appearance.objects.get(part=part).space == SPACE


def test_nothing_is_loaded_while_nothing_waits(at):
    case_on(decided_part(at, 0.1))
    assert embed_waiting(10) == 0
    assert appearances._embedder.cache_info().currsize == 0


def test_a_stop_is_heeded_between_two_pictures(at, embedder):
    for _ in range(3):
        open_case(at)
    asked = iter([False, True])
    assert embed_waiting(3, embedder=embedder, is_stopped=lambda: next(asked)) == 1
    assert len(embedded()) == 1


def test_asking_twice_for_a_point_asks_once_and_never_for_one_that_is_there(at):
    new, there = captured_part(at), give_point(captured_part(at), direction(0))
    assert want([new.pk, there.pk]) == 1
    assert want([new.pk, there.pk]) == 0
    assert Appearance.objects.get(part=new).space == WANTED
    assert Appearance.objects.get(part=there).space == SPACE


def test_the_limit_of_likeness_is_taken_from_the_parts_of_the_type(at):
    part_type = at.line.part_type_id
    assert alike_from(part_type) == ALIKE_FROM
    for number in range(30):
        give_point(captured_part(at), direction(0.1 * number))
    assert ALIKE_FROM < 0.9999 < alike_from(part_type)


def test_the_sweeper_embeds_beside_its_sweeps_and_survives_trouble(monkeypatch, caplog):
    answers = [RuntimeError("no picture today"), 3, 0, 0]
    stop, asked = threading.Event(), []

    def answer(limit, *, only_urgent, is_stopped):
        asked.append((limit, only_urgent))
        said = answers.pop(0)
        if not answers:
            stop.set()
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(run_sweeper, "embed_waiting", answer)
    monkeypatch.setattr(run_sweeper, "EMBED_AFTER_TROUBLE_S", 0.01)
    thread = threading.Thread(target=run_sweeper.embed, args=(stop,))
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    # The others are asked for until none waits; after that for a while only the cases on their way.
    assert asked == [(run_sweeper.EMBED_AT_ONCE, only_urgent) for only_urgent in (False, False, False, True)]
    assert "embedding did not end" in caplog.text
