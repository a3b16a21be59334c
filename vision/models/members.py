"""Several networks with input sizes of their own behind one engine: their tiles travel in one array, each to its own."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from torch import nn

from vision.predictor import Image, Prediction
from vision.runtime.engine import Engine, Raw, Tiles
from vision.staged import Begun, Staged, Stepwise

_DIMENSIONS = 4  # of every array of tiles; whole numbers this small are exact in float32


def pack(tiles: Sequence[Tiles]) -> Tiles:
    """All arrays as one, 1x1x1xK."""
    shapes = np.array([len(tiles), *(side for each in tiles for side in each.shape)], np.float32)
    return np.concatenate([shapes, *(each.ravel() for each in tiles)]).reshape(1, 1, 1, -1)


def unpack(packed: Tiles) -> list[Tiles]:
    flat = packed.ravel()
    start = 1 + _DIMENSIONS * int(flat[0])
    shapes = flat[1:start].astype(np.int64).reshape(-1, _DIMENSIONS)
    found = []
    for shape in shapes:
        end = start + int(np.prod(shape))
        found.append(flat[start:end].reshape(shape))
        start = end
    return found


def unpack_raw(raw: Raw) -> list[Raw]:
    """Each member's own answer; the first array says how many arrays are whose."""
    found, start = [], 1
    for count in raw[0].astype(np.int64):
        found.append(raw[start : start + count])
        start += count
    return found


class MembersEngine:
    """Runs the members' engines as they are at that moment: a faster one put into a member is used at once."""

    def __init__(self, members: Mapping[str, Staged]) -> None:
        self._members = members
        self.name = "each member's own engine"

    def run(self, tiles: Sequence[Tiles]) -> list[Raw]:
        each = [unpack(packed) for packed in tiles]
        answers = [
            member.engine.run([one[number] for one in each])
            for number, member in enumerate(self._members.values())
        ]
        return [
            (np.array([len(raw) for raw in raws], np.float32), *(array for raw in raws for array in raw))
            for raws in zip(*answers, strict=True)
        ]


class Seat(Stepwise):
    """One member as those see it who choose its runtime: its own tiles and network, and the whole model's answer.

    So a runtime is admitted by what it does to the score that counts, not to a word that the rule may stretch.

    members  all of them, by role
    judged   makes the whole model's prediction of all members' raw answers, and the image's height and width
    """

    def __init__(
        self,
        role: str,
        members: Mapping[str, Staged],
        judged: Callable[..., Prediction],
    ) -> None:
        self._member, self._role, self._members, self._judged = members[role], role, members, judged

    @property
    def family(self) -> str:  # type: ignore[override]  # of the member
        return self._member.family

    @property
    def exports_to_onnx(self) -> bool:  # type: ignore[override]
        return self._member.exports_to_onnx

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        return self._member.network

    @property
    def engine(self) -> Engine:  # type: ignore[override]
        return self._member.engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._member.engine = engine

    def begin(self, image: Image) -> Begun:
        others = {
            role: member.engine.run([member.prepare(image)])[0]
            for role, member in self._members.items()
            if role != self._role
        }
        height, width = image.shape[:2]
        return Begun(
            self._member.prepare(image), partial(self._finish, others=others, height=height, width=width)
        )

    def _finish(self, raw: Raw, *, others: dict[str, Raw], height: int, width: int) -> Prediction:
        raws = [others.get(role, raw) for role in self._members]
        return self._judged(raws, height=height, width=width)
