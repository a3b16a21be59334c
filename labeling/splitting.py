"""Which side of the split a group lies on: a pure function of its name, so nothing ever leaks later."""

import hashlib

HOLDOUT_SHARE = 0.30


def share_of(group: str, *, purpose: str) -> float:
    """A number 0..1, uniform over groups, the same for ever; another purpose gives an independent number."""
    digest = hashlib.sha256(f"{purpose}\n{group}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def is_held_out(group: str) -> bool:
    """True for about 30 % of the groups: their pictures judge and are never learned from, in any version."""
    return share_of(group, purpose="holdout") < HOLDOUT_SHARE
