"""Which runtime runs a fitted network fastest here: torch, ONNX Runtime, OpenVINO, and 8 bits with what they cost.

All runtimes take turns in one run, so that a neighbour's load falls on all alike; the figure is the fastest one's time
over plain torch's. Beside each family's whole network stands the bare backbone.
"""

# ruff: noqa: E402 - the project is put on the path before it is imported
import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from torch import nn

from vision.device import choose_device
from vision.families import new_predictor
from vision.folder import read_folder
from vision.images import decode
from vision.models.backbone import load_backbone
from vision.predictor import Example, Image, no_progress
from vision.runtime.choice import HeldOut, choose_engine
from vision.runtime.engine import Engine, EngineError, Raw, Tiles
from vision.runtime.export import parity, to_onnx
from vision.runtime.int8 import judge, quantised
from vision.runtime.machine import device_name, library_versions
from vision.runtime.measure import look_times
from vision.runtime.onnx_engine import OnnxEngine
from vision.runtime.openvino_engine import OpenVinoEngine
from vision.runtime.torch_engine import TorchEngine, outputs_of
from vision.staged import Begun, Staged
from vision.synthetic import DEFECTS, render_part

GOAL = 0.5  # of plain torch's time
EAGER, INT8 = "torch eager", "ONNX Runtime int8"
LEARNED, JUDGED = 60, 20  # pictures; enough for a bank of the usual size, few enough for a minute


class EagerEngine:
    """torch as one writes it down first: channels in front, no second thought."""

    name = EAGER

    def __init__(self, network: nn.Module) -> None:
        self._network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        return [
            tuple(
                output.numpy()
                for output in outputs_of(self._network(torch.from_numpy(np.ascontiguousarray(each))))
            )
            for each in tiles
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="patchcore")
    parser.add_argument("--images", type=Path, help="a folder in MVTec layout; without it parts are rendered")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--neighbours", type=int, default=0, help="busy processes beside the measurement")
    given = parser.parse_args()
    learned, good, bad = from_folder(given.images) if given.images else rendered()
    predictor = new_predictor(given.family, device=choose_device("cpu"))
    if not isinstance(predictor, Staged) or not predictor.exports_to_onnx:
        raise SystemExit(
            f"The network of {given.family} runs in its own runtime; there is nothing to compare."
        )
    say(f"Learning {given.family} from {len(learned)} pictures, with {torch.get_num_threads()} threads.")
    predictor.fit(learned, seed=1, progress=no_progress)
    calibrating = [example.pixels for example in learned if not example.is_bad][:JUDGED]
    begun = {
        kind: [predictor.begin(image) for image in images]
        for kind, images in {"good": good, "bad": bad}.items()
    }
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.neighbours)]
    try:
        detail = measure(predictor, begun, calibrating, rounds=given.rounds)
        detail["picked_by_the_worker"] = choose_engine(
            predictor,
            good[:4],
            cache=None,
            model_sha256="0" * 64,
            say=say,
            held_out=HeldOut(calibrating, good, bad),
        ).name
    finally:
        for process in busy:
            process.kill()
            process.wait()
    report(given, detail)
    return 0


def measure(
    predictor: Staged, begun: dict[str, list[Begun]], calibrating: list[Image], *, rounds: int
) -> dict[str, Any]:
    tiles = [each.tiles for each in (*begun["good"][:8], *begun["bad"][:8])]
    calibrated = [predictor.begin(image).tiles for image in calibrating]
    whole = engines_of(predictor.network, tiles[0], calibrated)
    backbone = engines_of(load_backbone(weights_folder=None, device="cpu"), tiles[0], calibrated)
    return {
        "whole_network": {**timed(whole, tiles, rounds=rounds), "against_torch": proofs(whole, begun)},
        "backbone": {**timed(backbone, tiles, rounds=rounds), "cosine_to_torch": cosines(backbone, tiles)},
    }


def engines_of(network: nn.Module, tiles: Tiles, calibrated: list[Tiles]) -> dict[str, Engine]:
    written = to_onnx(network, tile_shape=(tiles.shape[1], tiles.shape[2], tiles.shape[3]))
    say(
        f"{type(network).__name__}: written as ONNX in {written.seconds:.1f} s, {len(written.content) / 1e6:.1f} MB."
    )
    engines: dict[str, Engine] = {
        EAGER: EagerEngine(network),
        "torch channels-last": TorchEngine(
            copy.deepcopy(network).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            device="cpu",
        ),
        "ONNX Runtime": OnnxEngine(written.content),
        "OpenVINO": OpenVinoEngine(written.content),
    }
    try:
        engines[INT8] = OnnxEngine(quantised(written.content, calibrated), name=INT8)
    except EngineError as error:
        say(str(error))
    return engines


def timed(engines: dict[str, Engine], tiles: list[Tiles], *, rounds: int) -> dict[str, Any]:
    """Milliseconds an image, for calls of one image and of eight."""
    eights = [np.concatenate([tiles[(start + n) % len(tiles)] for n in range(8)]) for start in range(2)]
    batches = {1: ([[each] for each in tiles], rounds), 8: ([[each] for each in eights], max(5, rounds // 4))}
    found: dict[str, Any] = {}
    for size, (calls, count) in batches.items():
        times = look_times(engines, calls, rounds=count, most_s=120)
        found[f"batch_{size}"] = {
            name: {f"p{p}": round(float(np.percentile(each, p)) / size, 2) for p in (50, 90)}
            for name, each in times.items()
        }
    return found


def proofs(engines: dict[str, Engine], begun: dict[str, list[Begun]]) -> dict[str, Any]:
    """How far each runtime's predictions are from torch's, and what held-out parts say of 8 bits."""
    reference = engines[EAGER]
    every = [*begun["good"], *begun["bad"]]
    found: dict[str, Any] = {}
    for name, engine in engines.items():
        near = parity(reference, engine, every)
        found[name] = {"max_score_difference": near.max_score_difference, "images": near.n}
    if INT8 in engines:
        judgement = judge(
            reference,
            engines[INT8],
            **begun,
            max_auroc_loss=HeldOut.max_auroc_loss,
            max_score_difference=HeldOut.max_score_difference,
        )
        say(f"8 bits are {'admitted' if judgement.is_accepted else 'refused'}: {judgement.sentence}")
        found[INT8] |= {"auroc": judgement.auroc_int8, "auroc_torch": judgement.auroc_float32}
    return found


def cosines(engines: dict[str, Engine], tiles: list[Tiles]) -> dict[str, float]:
    """The least cosine of any image's features to plain torch's."""
    wanted = [flat(raw) for raw in engines[EAGER].run(tiles)]
    return {
        name: round(
            min(
                float(a @ b / np.sqrt((a @ a) * (b @ b)))
                for a, b in zip(wanted, map(flat, engine.run(tiles)), strict=True)
            ),
            5,
        )
        for name, engine in engines.items()
    }


def flat(raw: Raw) -> Any:
    return np.concatenate([output.ravel() for output in raw]).astype(np.float64)


def from_folder(folder: Path) -> tuple[list[Example], list[Image], list[Image]]:
    """Every so many pictures of each kind, so that all groups and defects have a share; train and test stay apart."""
    pictures = read_folder(folder)
    train = [each for each in pictures if each.split == "train" and each.truth == "good"]
    test = {
        truth: [each for each in pictures if each.split == "test" and each.truth == truth]
        for truth in ("good", "bad")
    }
    learned = [
        Example(decode(each.path.read_bytes()), is_bad=False, group=each.group)
        for each in spread(train, LEARNED)
    ]
    good, bad = (
        [decode(each.path.read_bytes()) for each in spread(test[truth], JUDGED)] for truth in ("good", "bad")
    )
    return learned, good, bad


def rendered() -> tuple[list[Example], list[Image], list[Image]]:
    def part(number: int, *defect: Any) -> Image:
        return render_part(np.random.default_rng(number), *defect)[0]

    learned = [Example(part(number), is_bad=False) for number in range(LEARNED)]
    good = [part(1000 + number) for number in range(JUDGED)]
    bad = [part(2000 + number, DEFECTS[number % len(DEFECTS)]) for number in range(JUDGED)]
    return learned, good, bad


def spread(several: list[Any], count: int) -> list[Any]:
    return [
        several[place] for place in np.linspace(0, len(several) - 1, min(count, len(several))).astype(int)
    ]


def report(given: argparse.Namespace, detail: dict[str, Any]) -> None:
    for subject in ("whole_network", "backbone"):
        say(f"\n{subject.replace('_', ' ')}, ms an image (median / p90)      one image        of eight")
        for name, alone in detail[subject]["batch_1"].items():
            eight = detail[subject]["batch_8"][name]
            say(
                f"  {name:44} {alone['p50']:7.2f} / {alone['p90']:6.2f} {eight['p50']:7.2f} / {eight['p90']:6.2f}"
            )
    times = detail["whole_network"]["batch_1"]
    exact = [name for name in times if name != INT8]
    best = min(exact, key=lambda name: times[name]["p50"])
    figure = round(times[best]["p50"] / times[EAGER]["p50"], 3)
    say(f"\n{best} wins among those with torch's scores: {figure:.2f} of plain torch's time for one image.")
    print(
        json.dumps(
            {
                "benchmark": "runtimes",
                "figure": figure,
                "unit": f"ms an image of {best} / of {EAGER}, whole network of {given.family}",
                "goal": GOAL,
                "holds": figure <= GOAL,
                "detail": {
                    **detail,
                    "processor": device_name("cpu"),
                    "threads": torch.get_num_threads(),
                    "neighbours": given.neighbours,
                    "libraries": library_versions(),
                    "images": "a folder" if given.images else "rendered",
                },
            }
        )
    )


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
