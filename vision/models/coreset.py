"""The memory bank: which patches to keep, and how far a new patch is from the nearest of them."""

import torch
from torch import Tensor

PROJECTED_CHANNELS = 64  # distances survive a random projection (Johnson & Lindenstrauss), at half the work
BANK_BLOCK = 4096  # 784 patches x 4096 rows are 13 MB


@torch.inference_mode()
def greedy_coreset(patches: Tensor, *, size: int, seed: int) -> Tensor:
    """Choose patches so that no patch is far from a chosen one: each step takes the farthest yet.

    patches  NxC
    size     rows to keep; all are kept if there are no more

    Source: PatchCore algorithm 1 (k-centre greedy), on randomly projected rows.
    """
    if len(patches) <= size:
        return patches.clone()
    generator = torch.Generator().manual_seed(seed)
    projection = torch.randn(patches.shape[1], PROJECTED_CHANNELS, generator=generator).to(patches)
    rows = patches @ (projection / PROJECTED_CHANNELS**0.5)
    norms = (rows * rows).sum(dim=1)
    farthest = torch.full_like(norms, torch.inf)
    step = torch.empty_like(norms)  # reused: fresh buffers of this size are mapped and unmapped each step
    chosen = torch.empty(size, dtype=torch.long, device=patches.device)
    latest = torch.zeros((), dtype=torch.long, device=patches.device)
    for number in range(size):
        chosen[number] = latest
        row = rows[latest]
        torch.addmv(norms, rows, row, alpha=-2, out=step)
        step.add_(norms[latest])
        torch.minimum(farthest, step, out=farthest)
        latest = farthest.argmax()
    return patches[chosen]


def squared_distances(patches: Tensor, bank: Tensor, bank_norms: Tensor) -> Tensor:
    """Squared distance from each patch to its nearest bank row, exactly, by |a|^2 - 2ab + |b|^2.

    patches     BxNxC
    bank        MxC
    bank_norms  M, |b|^2 of each row

    Answers BxN; NaN in a patch gives NaN for that patch. The bank is taken in blocks, so that memory stays bounded
    whatever its size.
    """
    nearest = torch.full_like(patches[..., 0], torch.inf)
    for start in range(0, len(bank), BANK_BLOCK):
        rows = bank[start : start + BANK_BLOCK]
        block = bank_norms[start : start + BANK_BLOCK] - 2 * (patches @ rows.T)
        nearest = torch.minimum(nearest, block.amin(dim=-1))
    return (nearest + (patches * patches).sum(dim=-1)).clamp_min(0.0)
