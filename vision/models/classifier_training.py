"""Teaching a classifier's trunk: balanced batches, changed copies, and the best epoch by parts it never saw."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision.augment import AllowedRange, augmented
from vision.holdout import hold_out
from vision.models.classes import balanced_weights
from vision.models.classifier_network import ClassifierNetwork
from vision.predictor import Example, Image, Progress

Augment = Callable[[Image, np.random.Generator], Image]

HELD_SHARE = 0.2
LARGEST_GRADIENT = 1.0
WEIGHT_DECAY = 1e-4
HEAD_SPEED = 3.0  # the linear layer learns this many times as fast as the trunk


@dataclass(frozen=True)
class Pace:
    """How long and how fast.

    epochs         at most so many times through the examples
    patience       stops when so many epochs in a row were no better than the best
    learning_rate  of the trunk
    """

    epochs: int
    patience: int
    learning_rate: float
    batch: int = 16


@dataclass(frozen=True)
class Pictures:
    """Images at the network's size, with their classes (0 is good)."""

    images: Sequence[Image]
    numbers: NDArray[np.intp]


def taught_and_held(examples: Sequence[Example], *, seed: int) -> tuple[list[Example], list[Example]]:
    """A fifth of the groups that hold a bad part, and a fifth of the others, is kept out: both sides know both kinds."""
    names = [example.group or f"#{number}" for number, example in enumerate(examples)]
    with_bad = {name for name, example in zip(names, examples, strict=True) if example.is_bad}
    taught: list[Example] = []
    held: list[Example] = []
    for has_bad in (True, False):
        of_kind = [e for e, name in zip(examples, names, strict=True) if (name in with_bad) is has_bad]
        if not of_kind:
            continue
        ours, theirs = hold_out(of_kind, share=HELD_SHARE, seed=seed)
        taught += ours
        held += theirs
    return taught, held


def gentle(*, mirror: bool) -> Augment:
    """Mirrored, turned by a few degrees, in another light: what a fixture and a lamp let happen anyway."""
    allowed = AllowedRange(
        flip_horizontal=mirror,
        flip_vertical=mirror,
        rotation_deg=5,
        shift=0.03,
        exposure_stops=0.4,
        gamma=0.2,
    )

    def changed(image: Image, rng: np.random.Generator) -> Image:
        return augmented(Example(image, is_bad=False), allowed, rng).pixels

    return changed


def fine_tune(
    network: ClassifierNetwork,
    taught: Pictures,
    held: Pictures,
    *,
    taught_parts: Sequence[nn.Module],
    learns_statistics: bool,
    pace: Pace,
    augment: Augment,
    normalise: Callable[[Image], NDArray[np.float32]],
    seed: int,
    device: str,
    progress: Progress,
) -> list[float]:
    """Teach the network in place and leave it as it was after its best epoch; the held error before and after each.

    taught_parts       what may change beside the linear layer
    learns_statistics  for a trunk that starts from chance; else batch norms keep theirs, which few parts would bend
    The best epoch puts the held parts into the best order; how sure it is does not count, as calibration mends that
    afterwards. The start counts too: a network that only gets worse stays as it began.
    """
    rng = np.random.default_rng(seed)
    network.eval().requires_grad_(requires_grad=False)
    trunk = [each for part in taught_parts for each in part.requires_grad_(requires_grad=True).parameters()]
    linear = [
        *network.layers.requires_grad_(requires_grad=True).parameters(),
        *network.top_layers.requires_grad_(requires_grad=True).parameters(),
        network.bias.requires_grad_(),
    ]
    rates = [pace.learning_rate, HEAD_SPEED * pace.learning_rate]
    optimiser = torch.optim.AdamW(
        [{"params": trunk, "lr": rates[0]}, {"params": linear, "lr": rates[1]}], weight_decay=WEIGHT_DECAY
    )
    steps = max(1, -(-len(taught.images) // pace.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rates, total_steps=steps * pace.epochs + 1, pct_start=0.2
    )
    errors = [_held_error(network, held, normalise=normalise, device=device)]
    best, best_weights = 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, pace.epochs + 1):
        batches = _balanced_batches(taught.numbers, steps=steps, batch=pace.batch, rng=rng)
        network.train(mode=learns_statistics)
        for step, chosen in enumerate(batches):
            views = np.stack([normalise(augment(taught.images[number], rng)) for number in chosen])
            logits, _ = network(torch.from_numpy(views).to(device))
            loss = cross_entropy(logits, torch.from_numpy(taught.numbers[chosen]).to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([*trunk, *linear], LARGEST_GRADIENT)
            optimiser.step()
            schedule.step()
            done = (epoch - 1 + (step + 1) / steps) / pace.epochs
            progress(done, f"Epoch {epoch} of at most {pace.epochs}, held-out AUROC {1 - errors[-1]:.3f}")
        network.eval()
        errors.append(_held_error(network, held, normalise=normalise, device=device))
        if errors[-1] < errors[best]:
            best, best_weights = epoch, copy.deepcopy(network.state_dict())
        if epoch - best >= pace.patience:
            break
    network.load_state_dict(best_weights)
    network.eval().requires_grad_(requires_grad=False)
    return errors


def _balanced_batches(
    numbers: NDArray[np.intp], *, steps: int, batch: int, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Drawn with replacement so that good and bad are equally likely."""
    weights = balanced_weights(numbers)
    for _ in range(steps):
        yield rng.choice(len(numbers), size=batch, p=weights / weights.sum())


@torch.no_grad()
def _held_error(
    network: ClassifierNetwork,
    held: Pictures,
    *,
    normalise: Callable[[Image], NDArray[np.float32]],
    device: str,
) -> float:
    """Share of the held pairs of a good and a bad part in the wrong order, ties half: 1 - AUROC.

    Infinite where the arithmetic broke, so that it is never the best.
    """
    evidence = []
    for image in held.images:
        logits: Tensor = network(torch.from_numpy(normalise(image)[None]).to(device))[0]
        evidence.append(float(torch.logsumexp(logits[0, 1:], dim=0) - logits[0, 0]))
    found, is_bad = np.array(evidence), held.numbers > 0
    if not np.isfinite(found).all():
        return float("inf")
    margins = found[is_bad][:, None] - found[~is_bad][None, :]
    return float((np.sign(-margins) + 1).mean() / 2) if margins.size else 0.0
