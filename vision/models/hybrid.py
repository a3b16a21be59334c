"""Hybrid: an anomaly model guards the unknown, classifiers know the ruled cases, and one rule weighs their words.

Where most bad parts are painted there are two classifiers: a U-Net, which looks closely, and the family peaks, which
sees the whole part; else the latter alone. The rule and its safety stand in `vision.models.fusion`. It is drawn from parts that no
member has learned from, nor from another picture of them. With fewer than 5 bad parts, of 5 different physical parts,
the hybrid is its anomaly model alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from vision.families import family_class
from vision.holdout import deal_folds
from vision.maps import resize_to_image
from vision.models.fusion import Fusion, word_of
from vision.models.members import MembersEngine, Seat, pack, unpack_raw
from vision.models.unet import kept_out
from vision.options import read_options
from vision.predictor import (
    Example,
    Image,
    NotFittedError,
    Prediction,
    Progress,
    State,
    good_and_bad,
    no_progress,
)
from vision.runtime.engine import Raw, Tiles
from vision.staged import Staged, Stepwise, tensors_under

ANOMALY = "anomaly"  # the role of the member that learns from good parts; classifiers go by their family
PAINTED = frozenset({"cells", "unet"})  # they look at much of a picture: taught once, not four times
FEWEST_BAD_PARTS = 5
FEWEST_PAINTED = 8
HELD_SHARE = 0.2
FOLDS = 3
WORST_CELLS = 3


@dataclass(frozen=True)
class HybridOptions:
    """The members by family name, and their options.

    supervised          families joined by "+"; auto: unet+peaks where most bad parts are painted (at least 8), else peaks
    supervised_options  by family
    """

    anomaly: str = "patchcore"
    supervised: str = "auto"
    anomaly_options: dict[str, Any] = field(default_factory=dict)
    supervised_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        families = self.supervised.split("+")
        for name in (self.anomaly, *families):
            if name in ("hybrid", "onnx", "yolo"):
                raise ValueError(f"A member of a hybrid is a family that learns; {name} is not.")
        if len(set(families)) < len(families) or ANOMALY in families:
            raise ValueError(f"The classifiers of a hybrid are different families, not {self.supervised}.")
        wild = [name for name in self.supervised_options if families != ["auto"] and name not in families]
        if wild:
            raise ValueError(f"There are options for {wild[0]}, which is no classifier of this hybrid.")


class Hybrid(Staged):
    """The default once graded bad parts exist.

    Its members have networks and input sizes of their own, so each keeps its own engine: whoever chooses runtimes
    chooses one for every one of `seats`, and the hybrid runs them all.
    """

    family: ClassVar[str] = "hybrid"
    exports_to_onnx: ClassVar[bool] = False  # by itself; its members do

    def __init__(
        self,
        members: dict[str, Staged],
        *,
        device: str,
        options: HybridOptions,
        weights_folder: Path | None = None,
    ) -> None:
        self._options = options
        self._weights_folder = weights_folder
        self._fusion: Fusion | None = None
        self.device = device
        self._take_members(members)

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        chosen = read_options(HybridOptions, options)
        anomaly = _new(chosen.anomaly, device, weights_folder, chosen.anomaly_options)
        return cls({ANOMALY: anomaly}, device=device, options=chosen, weights_folder=weights_folder)

    @property
    def members(self) -> dict[str, Staged]:
        """By role; without graded bad parts the anomaly model alone."""
        return dict(self._members)

    def seats(self) -> dict[str, Stepwise]:
        """Every member by role, as those see it who choose its runtime."""
        return {role: Seat(role, self._members, self._judged) for role in self._members}

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {role: {"family": m.family, **m.preprocessing} for role, m in self._members.items()}

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Fit the members and draw the rule from parts that were kept out of all of them.

        With a classifier of painted labels all are taught once, and a fifth of the groups is kept out; cheaper
        classifiers are taught three times more so that every part is once judged by members that have not seen it, and
        then by all parts.

        Raises ValueError where a member has too little to learn from.
        """
        good, bad = good_and_bad(examples)
        self._fusion = None
        if _parts(bad) < FEWEST_BAD_PARTS:
            alone = self._new_anomaly()
            alone.fit(examples, seed=seed, progress=progress)
            self._take_members({ANOMALY: alone})
            return
        families = self._classifiers(bad)
        if PAINTED.intersection(families):
            taught, held = kept_out(good, bad, share=HELD_SHARE, seed=seed)
            self._teach(families, taught, seed=seed, progress=_share(progress, 0, 0.95), spares=True)
            # Those of painted labels have kept nobody out for their own line: these parts draw it too.
            for member in self._members.values():
                member.calibrate(held)
            words, judged = self._words(held), held
        else:
            words, judged = self._cross_words(
                families, examples, seed=seed, progress=_share(progress, 0, 0.7)
            )
            self._teach(families, examples, seed=seed, progress=_share(progress, 0.7, 0.95), spares=False)
        progress(0.95, f"Weighing the members' words on {len(judged)} parts that were kept out")
        is_bad = np.array([example.is_bad for example in judged])
        self._fusion = Fusion.of(words[~is_bad], words[is_bad])
        shares = zip(self._members.values(), self._fusion.weights, strict=True)
        progress(
            1.0, "Fitted: " + ", ".join(f"{member.family} weighs {share:.0%}" for member, share in shares)
        )

    def calibrate(self, examples: Sequence[Example]) -> None:
        """The members' lines, then the rule; it remembers its bad parts where there are none among these."""
        for member in self._members.values():
            member.calibrate(examples)
        if self._fusion is not None:
            words, is_bad = self._words(examples), np.array([example.is_bad for example in examples])
            self._fusion = self._fusion.redrawn(words[~is_bad], words[is_bad])

    def prepare(self, image: Image) -> Tiles:
        return pack([member.prepare(image) for member in self._members.values()])

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        return self._judged(unpack_raw(raw), height=height, width=width)

    def state(self) -> State:
        tensors: dict[str, NDArray[Any]] = {}
        metadata: dict[str, Any] = {"options": asdict(self._options), "members": {}}
        for role, member in self._members.items():
            inner = member.state()
            tensors |= {f"{role}.{name}": value for name, value in inner.tensors.items()}
            metadata["members"][role] = {"family": member.family, "metadata": inner.metadata}
        metadata["fusion"] = None if self._fusion is None else self._fusion.as_json()
        return State(tensors, metadata)

    @classmethod
    def from_state(cls, state: State, *, device: str) -> Self:
        tensors, metadata = state
        try:
            options = read_options(HybridOptions, metadata["options"])
            members: dict[str, Staged] = {}
            for role, kept in metadata["members"].items():
                inner = State(tensors_under(tensors, prefix=role), kept["metadata"])
                members[role] = _staged(kept["family"]).from_state(inner, device=device)
            if next(iter(members), "") != ANOMALY:
                raise ValueError("The model's state is not whole: its first member is no anomaly model.")
            predictor = cls(members, device=device, options=options)
            if metadata["fusion"] is not None:
                predictor._fusion = Fusion.from_json(metadata["fusion"])
            if len(members) != (1 if predictor._fusion is None else len(predictor._fusion.lines)):
                raise ValueError(
                    "The model has classifiers without a rule, or a rule without its classifiers."
                )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _judged(self, raws: Sequence[Raw], *, height: int, width: int) -> Prediction:
        """The whole model's prediction of all members' answers."""
        said = [
            member.finish(raw, height=height, width=width)
            for member, raw in zip(self._members.values(), raws, strict=True)
        ]
        if len(said) == 1:
            return said[0]
        if self._fusion is None:
            raise NotFittedError("This hybrid model has not been fitted yet.")
        return fused(said, self._fusion)

    def _take_members(self, members: dict[str, Staged]) -> None:
        self._members = members
        self._network = nn.ModuleList([member.network for member in members.values()])
        self.engine = MembersEngine(members)

    def _new_anomaly(self) -> Staged:
        return _new(self._options.anomaly, self.device, self._weights_folder, self._options.anomaly_options)

    def _classifiers(self, bad: Sequence[Example]) -> list[str]:
        if self._options.supervised != "auto":
            return self._options.supervised.split("+")
        painted = sum(example.mask is not None and bool(example.mask.any()) for example in bad)
        return ["unet", "peaks"] if painted >= FEWEST_PAINTED and 2 * painted >= len(bad) else ["peaks"]

    def _teach(
        self,
        families: Sequence[str],
        examples: Sequence[Example],
        *,
        seed: int,
        progress: Progress,
        spares: bool,
    ) -> None:
        """New members, taught by these parts. `spares`: the caller keeps parts out, no member need."""
        members = {ANOMALY: self._new_anomaly()}
        for family in families:
            options = dict(self._options.supervised_options.get(family, {}))
            if family in PAINTED and spares:
                options = {"held_share": 0.0, **options}
            members[family] = _new(family, self.device, self._weights_folder, options)
        for number, member in enumerate(members.values()):
            share = _share(progress, number / len(members), (number + 1) / len(members))
            member.fit(examples, seed=seed, progress=share)
        self._take_members(members)

    def _cross_words(
        self, families: Sequence[str], examples: Sequence[Example], *, seed: int, progress: Progress
    ) -> tuple[NDArray[np.float64], list[Example]]:
        """The members' words on every part, each from members that have not seen it."""
        fold_of = _dealt(examples, seed=seed)
        words = np.full((len(examples), 1 + len(families)), np.nan)
        for fold in range(FOLDS):
            progress(fold / FOLDS, f"Judging parts that were kept out, round {fold + 1} of {FOLDS}")
            kept = [e for e, place in zip(examples, fold_of, strict=True) if place != fold]
            self._teach(families, kept, seed=seed, progress=no_progress, spares=False)
            left = [number for number, place in enumerate(fold_of) if place == fold]
            words[left] = self._words([examples[number] for number in left])
        return words, list(examples)

    def _words(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """N x M, in the members' order."""
        found = [
            [member.predict([example.pixels])[0].score for member in self._members.values()]
            for example in examples
        ]
        return word_of(np.array(found, dtype=np.float64).reshape(-1, len(self._members)))


def fused(said: Sequence[Prediction], fusion: Fusion) -> Prediction:
    """One prediction of the members': the score by the rule, and a map that still points.

    The maps are mixed cell by cell at the finest resolution. Where the robust maximum of that is not the score, the
    cells above the median are stretched until it is; the background stays where it was. The defect's type is that of
    the last member that names one.
    """
    words = word_of(np.array([each.score for each in said]))
    evidence = float(fusion.evidence(words[None])[0])
    height, width = np.max([each.defect_map.shape for each in said], axis=0)
    if not np.isfinite(evidence):
        problem = next((each.problem for each in said if each.problem), "")
        return Prediction(np.nan, np.full((height, width), np.nan, np.float32), problem=problem)
    maps = [
        word_of(resize_to_image(each.defect_map, height=int(height), width=int(width)).astype(np.float64))
        for each in said
    ]
    cells = _peaking_at(fusion.cells(maps, words=words), evidence)
    return Prediction(
        float(fusion.calibration.probability(evidence)),
        fusion.calibration.probability(cells).astype(np.float32),
        next((each.defect for each in reversed(said) if each.defect), ""),
    )


def _peaking_at(cells: NDArray[np.float64], evidence: float) -> NDArray[np.float64]:
    ranked = np.sort(cells, axis=None)
    peak, middle = float(ranked[-WORST_CELLS:].mean()), float(np.median(ranked))
    if evidence <= middle or peak - middle < 1e-9:
        return cells + (evidence - peak)
    above = np.maximum(cells - middle, 0.0)
    return np.asarray(np.minimum(cells, middle) + above * ((evidence - middle) / (peak - middle)))


def _parts(examples: Sequence[Example]) -> int:
    """How many physical parts these pictures are of."""
    return len({example.group or f"#{number}" for number, example in enumerate(examples)})


def _dealt(examples: Sequence[Example], *, seed: int) -> list[int]:
    """Folds by group, those with a bad part dealt apart so that every fold has some."""
    names = [example.group or f"#{number}" for number, example in enumerate(examples)]
    with_bad = {name for name, example in zip(names, examples, strict=True) if example.is_bad}
    fold_of = [0] * len(examples)
    for is_wanted in (True, False):
        chosen = [number for number, name in enumerate(names) if (name in with_bad) is is_wanted]
        groups = [names[number] for number in chosen]
        if len(set(groups)) < FOLDS:
            groups = [""] * len(groups)  # too few to deal: single pictures then, which flatters
        for number, fold in zip(chosen, deal_folds(groups, folds=FOLDS, seed=seed), strict=True):
            fold_of[number] = fold
    return fold_of


def _staged(family: str) -> type[Staged]:
    """Raises ValueError for a family whose prediction has no steps, or a hybrid in a hybrid."""
    found = family_class(family)
    if issubclass(found, Staged) and not issubclass(found, Hybrid):
        return found
    raise ValueError(f"The family {family!r} cannot be a member of a hybrid.")


def _new(family: str, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Staged:
    made: Staged = _staged(family).new(device=device, weights_folder=weights_folder, options=options)  # type: ignore[attr-defined]
    return made


def _share(progress: Progress, start: float, end: float) -> Progress:
    return lambda fraction, doing: progress(start + (end - start) * fraction, doing)
