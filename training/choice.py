"""Which model family is taken if nobody chooses: what the pictures allow. The one place that says so."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from labeling.states import GradeWord, Split

AUTO = "auto"
FEWEST_BAD_PARTS = 5  # of vision.models.hybrid: with fewer it is its anomaly model alone


class _Picture(Protocol):
    grade: str
    group: str
    split: str
    mask_sha256: str


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to learn from: pictures, and of the bad ones how many parts they show and how many are painted."""

    good: int
    bad: int = 0
    bad_parts: int = 0
    painted: int = 0

    @classmethod
    def of(cls, pictures: Iterable[_Picture]) -> "Material":
        """The learning side of a version's pictures; what is held out teaches nobody."""
        learning = [picture for picture in pictures if picture.split == Split.TRAIN]
        bad = [picture for picture in learning if picture.grade == GradeWord.BAD]
        return cls(
            good=len(learning) - len(bad),
            bad=len(bad),
            bad_parts=len({picture.group for picture in bad}),
            painted=sum(picture.mask_sha256 != "" for picture in bad),
        )


class Choice(NamedTuple):
    family: str
    why: str


def choose_family(material: Material) -> Choice:
    """Good parts alone: patchcore. Graded bad parts too: hybrid. `why` is for the person who may choose otherwise."""
    good = _counted(material.good, "good picture")
    if not material.bad:
        return Choice(
            "patchcore",
            f"{good} and no bad one are there to learn from, and PatchCore learns from good parts alone.",
        )
    bad = _counted(material.bad, "bad picture") + f" of {_counted(material.bad_parts, 'part')}"
    painted = f", {material.painted} of them painted," if material.painted else ""
    if material.bad_parts < FEWEST_BAD_PARTS:
        use = f"With fewer than {FEWEST_BAD_PARTS} bad parts the Hybrid is its anomaly model alone; more grades add its classifier."
    else:
        use = "The Hybrid's anomaly model guards against what nobody has seen yet, its classifier knows the graded cases."
    return Choice("hybrid", f"{good} and {bad}{painted} are there to learn from. {use}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
