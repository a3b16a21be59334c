from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from django.utils import timezone

from inspection import actions, storage
from inspection.look import Look
from inspection.models import GoldenConfiguration, Image
from inspection.pictures import PictureError
from inspection.states import Reason
from review import references
from review.actions import set_policy
from review.references import reference_part, reference_picture
from review.states import CaseKind
from tests.factories import TESTER, decided_part, golden, station
from tests.review.looks import case_on
from vision.images import decode
from vision.reference import to_jpeg
from vision.synthetic import render_part

pytestmark = pytest.mark.django_db


@pytest.fixture
def at():
    return station()


def rendered(seed, *, shift=0):
    return np.roll(render_part(np.random.default_rng(seed))[0], shift, axis=1)


def part_showing(at, pixels, score):
    done = actions.capture(station=at, data=to_jpeg(pixels), actor=TESTER)
    actions.decide(part=done.part, look=Look(Reason.CLEAR, golden=golden_of(at), score=score), actor=TESTER)
    return done.part


def golden_of(at):
    return at.line.golden_configurations.filter(state="active").first() or golden(at)


def held_case(at, pixels, **fields):
    return case_on(part_showing(at, pixels, 0.5), kind=CaseKind.HELD, is_closed=False, **fields)


# --- which part -------------------------------------------------------------------------------------------
def test_a_line_that_has_passed_nothing_has_no_reference(at):
    assert reference_part(at.line) is None
    decided_part(at, 0.9)
    decided_part(at, 0.5)
    assert reference_part(at.line) is None


def test_the_pass_with_the_lowest_score_is_the_reference(at):
    decided_part(at, 0.2)
    lowest = decided_part(at, 0.05)
    decided_part(at, 0.1)
    decided_part(station(), 0.01)
    assert reference_part(at.line) == lowest
    assert reference_part(at.line, station=at) == lowest
    assert reference_part(at.line, besides=(lowest.pk,)).pk != lowest.pk


def test_what_the_policy_names_stands_before_all(at):
    named, lowest = decided_part(at, 0.2), decided_part(at, 0.05)
    set_policy(line=at.line, actor=TESTER, reference_part=named)
    assert reference_part(at.line) == named
    assert reference_part(at.line, besides=(named.pk,)) == lowest


def test_only_the_newest_passes_under_the_active_configuration_count(at, monkeypatch):
    decided_part(at, 0.01)
    golden(at)
    oldest, middle = decided_part(at, 0.02), decided_part(at, 0.1)
    decided_part(at, 0.2)
    assert reference_part(at.line) == oldest
    monkeypatch.setattr(references, "NEWEST", 2)
    assert reference_part(at.line) == middle


def test_the_reference_of_one_case_stays_the_same_while_better_parts_are_passed(at):
    first = part_showing(at, rendered(1), 0.1)
    case = held_case(at, rendered(2))
    assert reference_picture(case).part == first.pk
    part_showing(at, rendered(3), 0.01)
    assert reference_picture(case).part == first.pk
    assert reference_picture(held_case(at, rendered(4))).part != first.pk


def test_an_audited_pass_is_never_its_own_reference(at):
    other = part_showing(at, rendered(1), 0.1)
    lowest = part_showing(at, rendered(2), 0.01)
    case = case_on(lowest, kind=CaseKind.AUDIT, is_closed=False)
    assert reference_picture(case).part == other.pk


def test_a_known_part_gets_the_reference_of_the_line_that_it_is_slipped_into(at):
    elsewhere = station()
    part_showing(elsewhere, rendered(5), 0.01)
    known = part_showing(elsewhere, rendered(6), 0.9)
    here = part_showing(at, rendered(1), 0.1)
    shown = part_showing(at, rendered(2), 0.2)
    case = case_on(known, kind=CaseKind.HELD, is_closed=False, shown_part=shown)
    assert reference_picture(case).part == here.pk


# --- its picture ------------------------------------------------------------------------------------------
def test_the_reference_lies_on_the_picture_of_the_case(at):
    part_showing(at, rendered(1), 0.1)
    pixels = rendered(2, shift=12)
    shown = reference_picture(held_case(at, pixels))
    assert shown.is_registered
    seen = decode(shown.data)
    assert seen.shape == pixels.shape
    whole = np.abs(seen.astype(int) - pixels)[:, 40:-40].mean()
    assert whole < 0.6 * np.abs(rendered(1).astype(int) - pixels)[:, 40:-40].mean()


def test_a_reference_that_does_not_fit_is_shown_as_it_is_and_says_so(at):
    part_showing(at, rendered(1), 0.1)
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    shown = reference_picture(held_case(at, noise))
    assert not shown.is_registered
    assert decode(shown.data).shape == rendered(1).shape


@pytest.mark.parametrize("fits", [True, False])
def test_a_second_ask_reads_the_file_that_the_first_has_kept(at, fits, monkeypatch):
    part_showing(at, rendered(1), 0.1)
    case = held_case(at, rendered(2) if fits else cv2.rotate(rendered(2)[:, :300], cv2.ROTATE_180))
    first = reference_picture(case)
    assert first.is_registered == fits
    read = []
    monkeypatch.setattr(
        storage, "read", lambda name, read_it=storage.read: read.append(name) or read_it(name)
    )
    assert reference_picture(case) == first
    assert [name for name in read if not name.startswith("references/")] == []


def test_a_file_that_was_lost_is_made_again(at):
    part_showing(at, rendered(1), 0.1)
    case = held_case(at, rendered(2))
    first = reference_picture(case)
    for path in Path(storage.default_storage.path("references")).rglob("*.jpg"):
        path.unlink()
    assert reference_picture(case) == first


def test_without_a_reference_or_a_picture_on_either_side_there_is_none(at):
    case = held_case(at, rendered(2), opened_at=timezone.now() + timedelta(seconds=1))
    with pytest.raises(PictureError, match="no good part"):
        reference_picture(case)
    part_showing(at, rendered(1), 0.1)
    with pytest.raises(PictureError, match="view 'side'"):
        reference_picture(case, "side")
    stored = Image.objects.get(part=case.part)
    Image.objects.filter(pk=stored.pk).update(sha256="0" * 64)
    case.refresh_from_db()
    with pytest.raises(PictureError, match="sha256"):
        reference_picture(case)


def test_a_configuration_under_which_nothing_has_passed_borrows_the_reference_of_the_one_before():
    at = station()
    before = golden(at)
    passed = decided_part(at, 0.1)
    GoldenConfiguration.objects.filter(pk=before.pk).update(state="retired")
    fresh = golden(at)
    assert reference_part(at.line) == passed
    better = decided_part(at, 0.2)
    assert better.inspections.get().golden == fresh
    assert reference_part(at.line) == better
