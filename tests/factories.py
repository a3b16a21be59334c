"""Rows for tests, made by the product's own actions, so that a test starts from what can really be."""

import io
import itertools
import math

import numpy as np
from PIL import Image as PillowImage

from accounts.actions import add_person
from accounts.models import Person, Role
from audit.actor import Actor
from inspection import actions
from inspection.look import Look
from inspection.models import GoldenConfiguration, Part, Station
from inspection.states import Mode, Reason

TESTER = Actor.system("test")
PASSWORD = "a password for tests"
_numbers = itertools.count(1)


def station(*, mode: Mode = Mode.TWO_TIER, **line_fields) -> Station:
    number = next(_numbers)
    return actions.set_up_line(
        code=f"L{number}",
        name=f"Line {number}",
        part_type="disc",
        station=f"S{number}",
        hold_mailbox=f"H{number}",
        mode=mode,
        actor=TESTER,
        **line_fields,
    )


def person(*roles: Role, line_code: str = "", name: str = "") -> Person:
    number = next(_numbers)
    return add_person(
        username=name or f"person{number}",
        password=PASSWORD,
        name=f"Person {number}",
        roles=list(roles),
        line_code=line_code,
    )


def inspector(**fields) -> Person:
    return person(Role.MANUAL_INSPECTOR, **fields)


def expert(**fields) -> Person:
    return person(Role.QUALITY_EXPERT, **fields)


def golden(
    at: Station,
    *,
    grey_from: float = 0.3,
    grey_to: float = 0.7,
    model_sha256: str = "0" * 64,
    is_active: bool = True,
) -> GoldenConfiguration:
    """A locked and (unless told otherwise) active configuration; without a model file behind the hash."""
    row = actions.draft_golden(
        line=at.line,
        model_name="test",
        model_sha256=model_sha256,
        family="patchcore",
        grey_from=grey_from,
        grey_to=grey_to,
        preprocessing={},
        actor=TESTER,
    )
    actions.lock_golden(golden=row, actor=TESTER)
    if is_active:
        actions.activate_golden(golden=row, actor=TESTER)
    return row


def png(seed: int | None = None, *, size: int = 48) -> bytes:
    """A small valid PNG, different for every seed."""
    rng = np.random.default_rng(next(_numbers) if seed is None else seed)
    file = io.BytesIO()
    PillowImage.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def captured_part(at: Station | None = None, **fields) -> Part:
    return actions.capture(station=at or station(), data=png(), actor=TESTER, **fields).part


def decided_part(at: Station, score: float, **fields) -> Part:
    """A part that the model scored under the station's active golden configuration."""
    part = captured_part(at, **fields)
    active = GoldenConfiguration.objects.filter(line=at.line, state="active").first() or golden(at)
    look = (
        Look(Reason.CLEAR, golden=active, score=score)
        if math.isfinite(score)
        else Look(Reason.NON_FINITE_SCORE, golden=active, problem="not finite")
    )
    actions.decide(part=part, look=look, actor=TESTER)
    return part


def held_part(at: Station | None = None, **fields) -> Part:
    return decided_part(at or station(), 0.5, **fields)
