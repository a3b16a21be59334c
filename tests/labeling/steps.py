"""Steps that tests of labeling and training share: folders of pictures, and parts graded by people."""

import io
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from inspection.actions import capture, decide
from inspection.look import Look
from inspection.models import GoldenConfiguration, Part, Station
from inspection.states import Reason
from labeling import actions
from review.actions import commit_verdict, give_verdict, lease, open_cases, rule
from review.models import Case
from review.states import Grade, VerdictWord
from tests import factories
from tests.factories import TESTER


def disc(seed: int, *, is_bad: bool = False, size: int = 64) -> bytes:
    """A grey disc under light; a bad one has a dark scratch. Different bytes for every seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    inside = np.hypot(x - size / 2, y - size / 2) < size * 0.42
    pixels = np.where(inside, 150 + 20 * x / size, 40) + rng.normal(0, 3, (size, size))
    if is_bad:
        at = int(rng.integers(size // 3, 2 * size // 3))
        pixels[at : at + 4, size // 4 : 3 * size // 4] = 20
    file = io.BytesIO()
    PillowImage.fromarray(np.repeat(pixels.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)).save(
        file, "PNG"
    )
    return file.getvalue()


def scratch_mask(seed: int, *, size: int = 64) -> bytes:
    """Where `disc(seed, is_bad=True)` has its scratch."""
    rng = np.random.default_rng(seed)
    rng.normal(0, 3, (size, size))  # the disc draws its noise first
    at = int(rng.integers(size // 3, 2 * size // 3))
    mask = np.zeros((size, size), np.uint8)
    mask[at : at + 4, size // 4 : 3 * size // 4] = 255
    file = io.BytesIO()
    PillowImage.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def folder_of(where: Path, *, good: int = 8, test_good: int = 0, test_bad: int = 0) -> Path:
    """A folder in MVTec layout."""
    for name, count, is_bad, first in (
        ("train/good", good, False, 0),
        ("test/good", test_good, False, 1000),
        ("test/scratch", test_bad, True, 2000),
    ):
        (where / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (where / name / f"{number:03}.png").write_bytes(disc(first + number, is_bad=is_bad))
    return where


def held_disc(at: Station, *, seed: int, is_bad: bool, group: str = "", score: float = 0.5) -> Part:
    """A part whose picture is a disc, held in the grey band."""
    metadata = {"group": group} if group else {}
    part = capture(station=at, data=disc(seed, is_bad=is_bad), metadata=metadata, actor=TESTER).part
    active = GoldenConfiguration.objects.filter(line=at.line, state="active").first() or factories.golden(at)
    decide(part=part, look=Look(Reason.CLEAR, golden=active, score=score), actor=TESTER)
    return part


def close_by_verdict(part: Part, verdict: VerdictWord, *, defect_type: str = "", inspector=None) -> Case:
    person = inspector or factories.inspector()
    open_cases(actor=TESTER)
    case = lease(person=person, lines=None)
    assert case.part_id == part.pk, "only this part may wait when its case is leased"
    given = give_verdict(
        case=case,
        person=person,
        token=case.lease_token,
        verdict=verdict,
        defect_type=defect_type,
        idempotency_key=f"key-{part.pk}",
    )
    given.case.refresh_from_db()
    commit_verdict(verdict=given, actor=TESTER)
    return Case.objects.get(part=part)


def close_by_ruling(part: Part, grade: Grade) -> Case:
    case = close_by_verdict(part, VerdictWord.CANNOT_TELL)
    rule(case=case, person=factories.expert(), grade=grade, note="")
    return case


def graded_disc(at: Station, *, seed: int, is_bad: bool, group: str = "", inspector=None) -> Part:
    part = held_disc(at, seed=seed, is_bad=is_bad, group=group)
    word = VerdictWord.REJECT if is_bad else VerdictWord.PASS
    close_by_verdict(part, word, defect_type="scratch" if is_bad else "", inspector=inspector)
    actions.grade_closed_cases(actor=TESTER)
    return part
