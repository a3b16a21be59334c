"""What the family cells learns: a small head that says of one cell of the frozen backbone whether a defect is painted there.

Few parts are ever painted, so the backbone stays as it is and the head is small; what it must tell apart is drawn evenly
from all parts. Beside the painted cells it learns from the word on the whole picture: the mean of its worst cells, which
the score will be (multiple-instance learning, Dietterich, Lathrop & Lozano-Perez, Artificial Intelligence 89, 1997,
section 3: a bag is positive through its most positive members).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from vision.predictor import Progress

WIDTH = 64
WORST_CELLS = 3
DROPPED = 0.3
USUAL_LOGIT = -3.0  # painted cells are rare
BATCH = 16  # pictures, half of them bad
RATE, WEIGHT_DECAY = 2e-3, 0.05
WHOLE_WEIGHT, PAINTED_WEIGHT = 0.5, 0.3
NARROWEST = 1e-3  # spread of a channel
TELL_EVERY = 20


@dataclass(frozen=True)
class Seen:
    """One picture as the frozen backbone sees it.

    cells    NxC, 16 bits
    painted  N, whether any pixel of the cell is painted
    part     pictures of one physical part have the same
    """

    cells: NDArray[np.float16]
    painted: NDArray[np.bool_]
    is_bad: bool
    part: str


class CellHead(nn.Module):
    """Cells ...xC -> logits ...: a linear layer and a hidden one beside it, on channels of like spread."""

    middle: Tensor
    spread: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))
        self.line = nn.Linear(channels, 1, bias=False)
        self.hidden = nn.Linear(channels, WIDTH)
        self.last = nn.Linear(WIDTH, 1)
        self.drop = nn.Dropout(DROPPED)
        nn.init.zeros_(self.line.weight)
        nn.init.constant_(self.last.bias, USUAL_LOGIT)

    def forward(self, cells: Tensor) -> Tensor:
        x = (cells - self.middle) / self.spread
        found: Tensor = self.line(x) + self.last(self.drop(relu(self.hidden(self.drop(x)))))
        return found[..., 0]


def taught_head(pictures: Sequence[Seen], *, steps: int, seed: int, progress: Progress) -> CellHead:
    """A head on the CPU that these pictures taught; the same pictures and seed give the same weights bit for bit.

    Every part counts alike, however many pictures there are of it. Raises ValueError if the loss is no number any more.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = CellHead(pictures[0].cells.shape[1])
        some = np.concatenate([each.cells[::7] for each in pictures]).astype(np.float32)
        head.middle.copy_(torch.from_numpy(some.mean(axis=0)))
        head.spread.copy_(torch.from_numpy(np.maximum(some.std(axis=0), NARROWEST)))
        _teach(head, pictures, steps=steps, rng=np.random.default_rng(seed), progress=progress)
    return head.eval().requires_grad_(requires_grad=False)


def _teach(
    head: CellHead, pictures: Sequence[Seen], *, steps: int, rng: np.random.Generator, progress: Progress
) -> None:
    kinds = [_by_part([each for each in pictures if each.is_bad is is_bad]) for is_bad in (True, False)]
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(steps, 2))
    head.train()
    for step in range(steps):
        drawn = [_pick(kinds[number % 2], rng) for number in range(BATCH)]
        cells = torch.from_numpy(np.concatenate([each.cells for each in drawn]).astype(np.float32))
        logits = torch.split(head(cells), [len(each.cells) for each in drawn])
        loss = torch.stack([_loss(*pair) for pair in zip(logits, drawn, strict=True)]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pace.step()
        if step % TELL_EVERY == 0:
            if not math.isfinite(float(loss.detach())):
                raise ValueError("The loss of the family cells is no number any more.")
            progress(step / steps, f"Step {step + 1} of {steps}")


def _loss(logits: Tensor, picture: Seen) -> Tensor:
    """Of every cell; of the worst cells, against the picture's grade; of the painted cells once more."""
    truth = torch.from_numpy(picture.painted).to(logits)
    each = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    worst = logits.topk(min(WORST_CELLS, len(logits))).values.mean()
    whole = binary_cross_entropy_with_logits(worst, worst.new_tensor(float(picture.is_bad)))
    loss = each.mean() + WHOLE_WEIGHT * whole
    if picture.painted.any():
        # Twice the weight: half of the pictures of a batch are good.
        loss = loss + 2 * PAINTED_WEIGHT * (each * truth).sum() / truth.sum()
    return loss


def _by_part(pictures: Sequence[Seen]) -> list[list[Seen]]:
    parts: dict[str, list[Seen]] = {}
    for picture in pictures:
        parts.setdefault(picture.part, []).append(picture)
    return list(parts.values())


def _pick(parts: list[list[Seen]], rng: np.random.Generator) -> Seen:
    part = parts[rng.integers(len(parts))]
    return part[rng.integers(len(part))]
