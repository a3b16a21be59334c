"""Held parts as a real line makes them: a rendered part, its stored image, a defect map beside it."""

import io
from functools import cache

import cv2
import numpy as np
from PIL import Image as PillowImage

from inspection import actions, storage
from inspection.look import Look
from inspection.models import GoldenConfiguration, Part, Station
from inspection.states import Reason
from tests.factories import TESTER, golden
from vision.maps import to_png
from vision.synthetic import DEFECTS, render_part


def held_parts(at: Station, count: int) -> list[Part]:
    configuration = GoldenConfiguration.objects.filter(line=at.line).first() or golden(at)
    return [_held_part(at, configuration, seed) for seed in range(count)]


def _held_part(at: Station, configuration: GoldenConfiguration, seed: int) -> Part:
    image, heat = _rendered(seed)
    part = actions.capture(station=at, data=image, serial=f"SN-{at.code}-{seed:04}", actor=TESTER).part
    name = storage.write(f"maps/{part.pk}.png", heat)
    look = Look(Reason.CLEAR, golden=configuration, score=0.42 + 0.04 * (seed % 6), map_file=name)
    actions.decide(part=part, look=look, actor=TESTER)
    return part


@cache
def _rendered(seed: int) -> tuple[bytes, bytes]:
    """Image and defect map as PNG files."""
    image, mask = render_part(np.random.default_rng(seed), list(DEFECTS)[seed % len(DEFECTS)])
    found = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 9)
    heat = (0.62 * found / max(float(found.max()), 1e-6)).astype(np.float32)
    return _png(image), to_png(heat)


def held_part_without_image(at: Station) -> Part:
    part = actions.trigger(station=at, trigger_seq=900, actor=TESTER)
    actions.hold_or_reject(part=part, reason=Reason.NO_IMAGE, actor=TESTER)
    return part


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
