"""What aligning pictures is worth, and what it costs.

Rendered parts lie turned, shifted and in another light; the same family learns and judges them as they were rendered,
as they lie, and laid on a golden reference. The ratio is the time of an alignment over that of a look.
"""

# ruff: noqa: E402 - the project is put on the path before it is imported
import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np
import torch

from metrics.roc import auroc
from vision.families import new_predictor
from vision.predictor import Example, Image, Predictor, no_progress
from vision.preprocess.chain import Preprocess
from vision.preprocess.motion import Matrix
from vision.preprocess.prepared import Preprocessed
from vision.synthetic import DEFECTS, SIZE_PX, render_part

MOST_TURN_DEG, MOST_SHIFT = 8.0, 0.03  # the shift as a share of the picture's side


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="patchcore")
    parser.add_argument("--parts", type=int, default=40, help="learned; as many good and bad ones are judged")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    alignment(given.family, count=given.parts)
    return 0


def alignment(family: str, *, count: int) -> None:
    reference = render_part(np.random.default_rng(0))[0]
    good = [render_part(np.random.default_rng(1000 + n))[0] for n in range(2 * count)]
    bad = [render_part(np.random.default_rng(5000 + n), DEFECTS[n % len(DEFECTS)])[0] for n in range(count)]
    lying = [as_it_lies(part, seed=n) for n, part in enumerate([*good, *bad])]
    chain = Preprocess(reference=reference)
    figures = {
        "as rendered": judged(new_predictor(family, device="cpu"), [*good, *bad], count=count),
        "as they lie": judged(new_predictor(family, device="cpu"), lying, count=count),
        "aligned": judged(Preprocessed(new_predictor(family, device="cpu"), chain), lying, count=count),
    }
    for name, (area, look_ms, refused) in figures.items():
        say(f"{name:12s} AUROC {area:.3f}, {look_ms:.1f} ms a look, {refused} pictures refused")
    aligning_ms = median_ms([lambda part=part: chain.apply(part) for part in lying[:count]])
    large = [cv2.resize(part, (2048, 2048), interpolation=cv2.INTER_CUBIC) for part in lying[:10]]
    wide = Preprocess(reference=cv2.resize(reference, (2048, 2048), interpolation=cv2.INTER_CUBIC))
    large_ms = median_ms([lambda part=part: wide.apply(part) for part in large])
    say(f"aligning takes {aligning_ms:.1f} ms at {SIZE_PX} px, {large_ms:.1f} ms at 2048 px")
    say(f"aligning / looking: {aligning_ms / figures['as rendered'][1]:.2f}")


def judged(predictor: Predictor, parts: Sequence[Image], *, count: int) -> tuple[float, float, int]:
    """AUROC of the parts behind those that are learned, median ms a look, and how many could not be judged."""
    predictor.fit([Example(part, is_bad=False) for part in parts[:count]], seed=0, progress=no_progress)
    scores, times = [], []
    for part in parts[count:]:
        start = time.perf_counter()
        scores.append(predictor.predict([part])[0].score)
        times.append((time.perf_counter() - start) * 1e3)
    good = [score for score in scores[:count] if np.isfinite(score)]
    bad = [score for score in scores[count:] if np.isfinite(score)]
    return auroc(good, bad), float(np.median(times)), len(scores) - len(good) - len(bad)


def as_it_lies(part: Image, *, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    middle = (SIZE_PX - 1) / 2
    matrix: Matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(
        (middle, middle), rng.uniform(-MOST_TURN_DEG, MOST_TURN_DEG), rng.uniform(0.98, 1.02)
    )
    matrix[:2, 2] += rng.uniform(-MOST_SHIFT, MOST_SHIFT, 2) * SIZE_PX
    moved = cv2.warpPerspective(
        part, matrix, (SIZE_PX, SIZE_PX), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    light = moved * rng.uniform(0.85, 1.1) + rng.normal(0, 2, moved.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def median_ms(looks: Sequence[Callable[[], object]]) -> float:
    times = []
    for look in looks:
        start = time.perf_counter()
        look()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
