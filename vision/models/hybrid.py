"""Hybrid: an anomaly model guards the unknown, a classifier knows the ruled cases, and one rule weighs both words.

The rule and its safety stand in `vision.models.fusion`. It is drawn from parts that neither member has learned from, nor
from another picture of them. With fewer than 5 bad parts, of 5 different physical parts, the hybrid is its anomaly
model alone.
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
from vision.models.pair_engine import PairEngine, pack, unpack_raw
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
from vision.staged import Staged, tensors_under

FEWEST_BAD_PARTS = 5
FEWEST_PAINTED = 8
HELD_SHARE = 0.2
FOLDS = 3
WORST_CELLS = 3


@dataclass(frozen=True)
class HybridOptions:
    """The members by family name, and their options.

    supervised  auto: unet where most bad parts are painted (at least 8), else probe
    """

    anomaly: str = "patchcore"
    supervised: str = "auto"
    anomaly_options: dict[str, Any] = field(default_factory=dict)
    supervised_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.anomaly, self.supervised):
            if name in ("hybrid", "onnx", "yolo"):
                raise ValueError(f"A member of a hybrid is a family that learns; {name} is not.")


class Hybrid(Staged):
    """The default once graded bad parts exist.

    Its members have networks and input sizes of their own, so each keeps its own engine: whoever chooses runtimes
    chooses one for every one of `members`, and the hybrid runs both.
    """

    family: ClassVar[str] = "hybrid"
    exports_to_onnx: ClassVar[bool] = False  # by itself; its members do

    def __init__(
        self,
        anomaly: Staged,
        supervised: Staged | None,
        *,
        device: str,
        options: HybridOptions,
        weights_folder: Path | None = None,
    ) -> None:
        self._options = options
        self._weights_folder = weights_folder
        self._fusion: Fusion | None = None
        self.device = device
        self._take_members(anomaly, supervised)

    @classmethod
    def new(cls, *, device: str, weights_folder: Path | None, options: Mapping[str, Any]) -> Self:
        chosen = read_options(HybridOptions, options)
        anomaly = _new(chosen.anomaly, device, weights_folder, chosen.anomaly_options)
        return cls(anomaly, None, device=device, options=chosen, weights_folder=weights_folder)

    @property
    def members(self) -> dict[str, Staged]:
        """By role; without a classifier the anomaly model alone."""
        found = {"anomaly": self._anomaly}
        if self._supervised is not None:
            found["supervised"] = self._supervised
        return found

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {role: {"family": m.family, **m.preprocessing} for role, m in self.members.items()}

    def fit(self, examples: Sequence[Example], *, seed: int, progress: Progress) -> None:
        """Fit both members and draw the rule from parts that were kept out of both.

        A U-Net is taught once, and a fifth of the groups is kept out; cheaper classifiers are taught three times more
        so that every part is once judged by members that have not seen it, and then by all parts.

        Raises ValueError where a member has too little to learn from.
        """
        good, bad = good_and_bad(examples)
        if _parts(bad) < FEWEST_BAD_PARTS:
            alone = self._new_anomaly()
            alone.fit(examples, seed=seed, progress=progress)
            self._take_members(alone, None)
            self._fusion = None
            return
        family = self._supervised_family(bad)
        if family == "unet":
            taught, held = kept_out(good, bad, share=HELD_SHARE, seed=seed)
            self._teach(family, taught, seed=seed, progress=_share(progress, 0, 0.95), spares=True)
            # The member has kept nobody out for its own line: these parts draw it too.
            for member in self.members.values():
                member.calibrate(held)
            words = self._words(held)
            judged = held
        else:
            words, judged = self._cross_words(family, examples, seed=seed, progress=_share(progress, 0, 0.7))
            self._teach(family, examples, seed=seed, progress=_share(progress, 0.7, 0.95), spares=False)
        progress(0.95, f"Weighing the two words on {len(judged)} parts that were kept out")
        is_bad = np.array([example.is_bad for example in judged])
        self._fusion = Fusion.of(words[~is_bad], words[is_bad])
        progress(1.0, f"Fitted: {self._anomaly.family} and {family}, whose share is {self._fusion.share:.0%}")

    def calibrate(self, examples: Sequence[Example]) -> None:
        """Both members' lines, then the rule; it remembers its bad parts where there are none among these."""
        for member in self.members.values():
            member.calibrate(examples)
        if self._fusion is not None:
            words, is_bad = self._words(examples), np.array([example.is_bad for example in examples])
            self._fusion = self._fusion.redrawn(words[~is_bad], words[is_bad])

    def prepare(self, image: Image) -> Tiles:
        if self._supervised is None:
            return self._anomaly.prepare(image)
        return pack(self._anomaly.prepare(image), self._supervised.prepare(image))

    def finish(self, raw: Raw, *, height: int, width: int) -> Prediction:
        if self._supervised is None:
            return self._anomaly.finish(raw, height=height, width=width)
        if self._fusion is None:
            raise NotFittedError("This hybrid model has not been fitted yet.")
        ours, theirs = unpack_raw(raw)
        anomaly = self._anomaly.finish(ours, height=height, width=width)
        supervised = self._supervised.finish(theirs, height=height, width=width)
        return fused(anomaly, supervised, self._fusion)

    def state(self) -> State:
        tensors: dict[str, NDArray[Any]] = {}
        metadata: dict[str, Any] = {"options": asdict(self._options), "members": {}}
        for role, member in self.members.items():
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
            for role in ("anomaly", "supervised"):
                kept = metadata["members"].get(role)
                if kept is not None:
                    inner = State(tensors_under(tensors, prefix=role), kept["metadata"])
                    members[role] = _staged(kept["family"]).from_state(inner, device=device)
            predictor = cls(members["anomaly"], members.get("supervised"), device=device, options=options)
            if (metadata["fusion"] is None) != ("supervised" not in members):
                raise ValueError("The model has a classifier without a rule, or a rule without a classifier.")
            if metadata["fusion"] is not None:
                predictor._fusion = Fusion.from_json(metadata["fusion"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"The model's state is not whole: {error}.") from error
        return predictor

    def _take_members(self, anomaly: Staged, supervised: Staged | None) -> None:
        self._anomaly, self._supervised = anomaly, supervised
        self._network = nn.ModuleList([member.network for member in self.members.values()])
        self.engine = PairEngine(anomaly, supervised)

    def _new_anomaly(self) -> Staged:
        return _new(self._options.anomaly, self.device, self._weights_folder, self._options.anomaly_options)

    def _supervised_family(self, bad: Sequence[Example]) -> str:
        if self._options.supervised != "auto":
            return self._options.supervised
        painted = sum(example.mask is not None and bool(example.mask.any()) for example in bad)
        return "unet" if painted >= FEWEST_PAINTED and 2 * painted >= len(bad) else "probe"

    def _teach(
        self, family: str, examples: Sequence[Example], *, seed: int, progress: Progress, spares: bool
    ) -> None:
        """New members, taught by these parts. `spares`: the caller keeps parts out, the U-Net need not."""
        options = {**({"held_share": 0.0} if spares else {}), **self._options.supervised_options}
        anomaly = self._new_anomaly()
        supervised = _new(family, self.device, self._weights_folder, options)
        anomaly.fit(examples, seed=seed, progress=_share(progress, 0, 0.3))
        supervised.fit(examples, seed=seed, progress=_share(progress, 0.3, 1))
        self._take_members(anomaly, supervised)

    def _cross_words(
        self, family: str, examples: Sequence[Example], *, seed: int, progress: Progress
    ) -> tuple[NDArray[np.float64], list[Example]]:
        """Both members' words on every part, each from members that have not seen it."""
        fold_of = _dealt(examples, seed=seed)
        words = np.full((len(examples), 2), np.nan)
        for fold in range(FOLDS):
            progress(fold / FOLDS, f"Judging parts that were kept out, round {fold + 1} of {FOLDS}")
            kept = [e for e, place in zip(examples, fold_of, strict=True) if place != fold]
            self._teach(family, kept, seed=seed, progress=no_progress, spares=False)
            left = [number for number, place in enumerate(fold_of) if place == fold]
            words[left] = self._words([examples[number] for number in left])
        return words, list(examples)

    def _words(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """N x 2: the anomaly model's, the classifier's."""
        assert self._supervised is not None
        found = [
            [member.predict([example.pixels])[0].score for member in (self._anomaly, self._supervised)]
            for example in examples
        ]
        return word_of(np.array(found, dtype=np.float64).reshape(-1, 2))


def fused(anomaly: Prediction, supervised: Prediction, fusion: Fusion) -> Prediction:
    """One prediction of two: the score by the rule, and a map that still points.

    The maps are mixed cell by cell at the finer resolution. Where the robust maximum of that is not the score, the
    cells above the median are stretched until it is; the background stays where it was.
    """
    words = word_of(np.array([anomaly.score, supervised.score]))
    evidence = float(fusion.evidence(words[None])[0])
    height, width = np.maximum(anomaly.defect_map.shape, supervised.defect_map.shape)
    if not np.isfinite(evidence):
        problem = anomaly.problem or supervised.problem
        return Prediction(np.nan, np.full((height, width), np.nan, np.float32), problem=problem)
    maps = [
        word_of(resize_to_image(each.defect_map, height=int(height), width=int(width)).astype(np.float64))
        for each in (anomaly, supervised)
    ]
    cells = _peaking_at(fusion.cells(maps[0], maps[1], words=words), evidence)
    return Prediction(
        float(fusion.calibration.probability(evidence)),
        fusion.calibration.probability(cells).astype(np.float32),
        supervised.defect or anomaly.defect,
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
