"""How the U-Net learns: pixel loss on crops, and the word on the whole crop that the score will be drawn from."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d

from vision.models.unet_crops import Crops
from vision.models.unet_network import CELL_PX, let_learn
from vision.predictor import Progress

WORST_CELLS = 12  # the robust maximum of a map, in cells of 4x4 pixels
WARM_UP_STEPS = 20
MOST_GRADIENT = 5.0
WEIGHT_DECAY = 1e-2
TELL_EVERY = 5


@dataclass(frozen=True)
class Schedule:
    """Steps of AdamW with a cosine fall; the encoder, which knows a lot already, moves slower."""

    steps: int
    batch: int
    rate: float
    encoder_rate: float


def train(network: nn.Module, crops: Crops, schedule: Schedule, *, device: str, progress: Progress) -> None:
    """Teach the network in place; on a CPU the same crops give the same weights bit for bit.

    Raises ValueError if the loss is no number any more.
    """
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    encoder, others = let_learn(network)
    groups = [
        {"params": encoder, "lr": schedule.encoder_rate},
        {"params": others, "lr": schedule.rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    fall = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, schedule.steps))
    network.train()
    for step in range(schedule.steps):
        pixels, masks = crops.batch(schedule.batch)
        batch = torch.from_numpy(pixels.transpose(0, 3, 1, 2)).to(device)
        truth = max_pool2d(torch.from_numpy(masks).to(device)[:, None], CELL_PX)[:, 0]
        loss = segmentation_loss(network(batch)[0], truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([*encoder, *others], MOST_GRADIENT)
        optimizer.step()
        fall.step()
        if step % TELL_EVERY == 0:
            if not math.isfinite(float(loss.detach())):
                raise ValueError("The U-Net's loss is no number any more; a lower rate may help.")
            progress(step / schedule.steps, f"Step {step + 1} of {schedule.steps}")
    network.requires_grad_(requires_grad=False)
    network.eval()


def segmentation_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """NxHxW logits against NxHxW cells, 0 or 1.

    Four words: every cell alike; the painted cells of each crop alike, so that a pinhole weighs as much as a field;
    overlap (soft Dice, Milletari et al., V-Net, arXiv:1606.04797, section 3); and good or bad by the worst cells,
    which is what the score will be.
    """
    each = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    is_bad = truth.amax(dim=(1, 2)) > 0
    worst = logits.flatten(1).topk(WORST_CELLS, dim=1).values.mean(dim=1)
    loss = each.mean() + 0.3 * binary_cross_entropy_with_logits(worst, is_bad.float())
    if bool(is_bad.any()):
        bad_logits, bad_truth, bad_each = logits[is_bad].sigmoid(), truth[is_bad], each[is_bad]
        area = bad_truth.sum(dim=(1, 2))
        overlap = 2 * (bad_logits * bad_truth).sum(dim=(1, 2)) + 1
        dice = 1 - overlap / (bad_logits.sum(dim=(1, 2)) + area + 1)
        loss = loss + 0.3 * ((bad_each * bad_truth).sum(dim=(1, 2)) / area).mean() + 0.7 * dice.mean()
    return loss


def _share_of_rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + float(np.cos(np.pi * step / steps))) + 1e-3
