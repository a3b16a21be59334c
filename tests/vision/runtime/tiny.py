"""A predictor with a network of two layers: the runtimes do with it what they do with a large one, in milliseconds."""

from functools import partial

import numpy as np
import torch
from torch import nn

from vision.predictor import Prediction
from vision.runtime.torch_engine import TorchEngine
from vision.staged import Begun, Stepwise

SIDE = 32


class TinyNetwork(nn.Module):
    """Nx3x32x32 -> (Nx16x16, N): a map and its mean."""

    def __init__(self, *, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU6(), nn.Conv2d(8, 1, 3, padding=1)
        )

    def forward(self, batch):
        cells = self.layers(batch)[:, 0]
        return cells, cells.mean(dim=(1, 2))


class UnsureNetwork(TinyNetwork):
    """What it does depends on what it sees, as in a detector: it cannot be exported."""

    def forward(self, batch):
        return super().forward(batch) if batch.sum().item() > 0 else super().forward(-batch)


class TinyPredictor(Stepwise):
    family = "tiny"

    def __init__(self, network=None):
        self.network = (network or TinyNetwork()).eval()
        self.engine = TorchEngine(self.network, device="cpu")

    def begin(self, image):
        tiles = (image[:SIDE, :SIDE].astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        return Begun(tiles, partial(self.finish))

    def finish(self, raw):
        cells = 1 / (1 + np.exp(-raw[0].mean(axis=0)))
        return Prediction(float(cells.max()), cells.astype(np.float32))


def pictures(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8) for _ in range(count)]


def tiles_of(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, SIDE, SIDE)).astype(np.float32)
