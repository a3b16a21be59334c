"""What an imported ONNX file does not say of itself: how to feed it, and what its outputs mean.

A manifest is a small JSON object:

    {"task": "classification",
     "input": {"name": "image", "height": 224, "width": 224},
     "outputs": {"scores": "logits"},
     "classes": [{"name": "good", "role": "good"}, {"name": "crack", "role": "bad"}],
     "activation": "softmax"}

input       name, height, width; and where the default does not fit: layout nchw|nhwc, colour rgb|bgr|grey,
            resize stretch|letterbox, interpolation linear|area, pad_value (letterbox), scale, mean, std.
            The network gets (pixel * scale - mean) / std, pixels being 0..255; scale is 1/255 by default
outputs     meaning -> name of the graph's output:
              classification  scores 1xC; map 1xCxhxw (optional: class-activation logits, for softmax)
              segmentation    map 1xCxhxw, or 1xhxwxC where the input is nhwc
              detection       boxes 1xKx4; scores 1xK or 1xKxC; classes 1xK (optional)
              anomaly         score 1; map 1x1xhxw in the score's unit; or both
              yolo            head 1x(4+C)xK ("v8") or 1xKx(5+C) ("v5"), told apart by its shape or by "head"
classes     in the network's order, each with its role, good or bad
activation  what turns the outputs into probabilities: none|sigmoid|softmax
box_format  xyxy|xywh (xy is the centre); box_unit  pixels|fraction; both of the network's input
score_threshold, iou_threshold   boxes below the one, and doubles above the other, are not drawn
typical_good, limit_good         anomaly with activation none and a score that is no probability: the score of the
                                 median good part (it becomes .1), and where hardly any good part lies (.5)
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

LARGEST_SIDE_PX = 8192
# What each task must name, and what it may name.
OUTPUTS: dict[str, tuple[set[str], set[str]]] = {
    "classification": ({"scores"}, {"map"}),
    "segmentation": ({"map"}, set()),
    "detection": ({"boxes", "scores"}, {"classes"}),
    "anomaly": (set(), {"score", "map"}),
    "yolo": ({"head"}, set()),
}


class ManifestError(ValueError):
    """The manifest cannot be used; the message is a sentence for the person who wrote it."""


@dataclass(frozen=True)
class ModelInput:
    """How an image becomes the network's input."""

    name: str
    height: int
    width: int
    layout: str = "nchw"
    colour: str = "rgb"
    resize: str = "stretch"
    interpolation: str = "linear"
    pad_value: int = 114
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The network's input for one image."""
        if self.layout == "nchw":
            return (1, self.channels, self.height, self.width)
        return (1, self.height, self.width, self.channels)


@dataclass(frozen=True)
class ModelClass:
    name: str
    is_bad: bool


@dataclass(frozen=True)
class Manifest:
    """One validated manifest; the module's docstring explains the fields."""

    task: str
    input: ModelInput
    outputs: Mapping[str, str]
    classes: tuple[ModelClass, ...]
    activation: str = "none"
    head: str = "auto"
    box_format: str = "xyxy"
    box_unit: str = "pixels"
    score_threshold: float = 0.05
    iou_threshold: float = 0.45
    typical_good: float | None = None
    limit_good: float | None = None

    @classmethod
    def from_json(cls, given: Any) -> Self:
        """Raises ManifestError, with a sentence, for anything missing, unknown or out of range."""
        fields = _Fields(given, "The manifest")
        task = fields.word("task", choices=tuple(OUTPUTS))
        is_yolo = task == "yolo"
        manifest = cls(
            task=task,
            input=_input(fields.take("input"), is_yolo=is_yolo),
            outputs=_outputs(fields.take("outputs"), task),
            classes=_classes(fields.take("classes", []), task),
            activation=fields.word("activation", choices=("none", "sigmoid", "softmax"), default="none"),
            head=fields.word("head", choices=("auto", "v5", "v8"), default="auto"),
            box_format=fields.word("box_format", choices=("xyxy", "xywh"), default="xyxy"),
            box_unit=fields.word("box_unit", choices=("pixels", "fraction"), default="pixels"),
            score_threshold=fields.number("score_threshold", least=0, most=1, default=0.05),
            iou_threshold=fields.number("iou_threshold", least=0, most=1, default=0.45),
            typical_good=fields.number_or_none("typical_good"),
            limit_good=fields.number_or_none("limit_good"),
        )
        fields.refuse_the_rest()
        manifest._check_sense()
        return manifest

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads back, with every default written out."""
        written = asdict(self)
        written["classes"] = [
            {"name": each.name, "role": "bad" if each.is_bad else "good"}
            for each in self.classes
            if each.name  # an anomaly model without classes has a nameless one
        ]
        written["input"] |= {"mean": list(self.input.mean), "std": list(self.input.std)}
        return written

    @property
    def bad(self) -> list[int]:
        """Numbers of the classes that make a part bad."""
        return [number for number, each in enumerate(self.classes) if each.is_bad]

    @property
    def good(self) -> list[int]:
        return [number for number, each in enumerate(self.classes) if not each.is_bad]

    def _check_sense(self) -> None:
        if not self.bad:
            raise ManifestError(
                "The manifest names no class with the role bad, so no part could ever be bad."
            )
        compares_classes = self.task in {"classification", "segmentation"} and self.activation != "sigmoid"
        if compares_classes and not self.good and not (len(self.classes) == 1 and self.activation == "none"):
            raise ManifestError("The manifest names no class with the role good, so every part would be bad.")
        if self.task in {"detection", "anomaly", "yolo"} and self.activation == "softmax":
            raise ManifestError(f"The activation softmax does not fit the task {self.task}.")
        if self.task == "classification" and "map" in self.outputs and self.activation != "softmax":
            raise ManifestError("A classification's map holds class-activation logits: it needs softmax.")
        if (self.typical_good is None) != (self.limit_good is None):
            raise ManifestError("typical_good and limit_good belong together.")
        if self.typical_good is not None and self.limit_good is not None:
            if self.task != "anomaly" or self.activation != "none":
                raise ManifestError("typical_good and limit_good are for anomaly with activation none.")
            if self.limit_good <= self.typical_good:
                raise ManifestError(
                    "limit_good must lie above typical_good: a worse part has a higher score."
                )


def _input(given: Any, *, is_yolo: bool) -> ModelInput:
    fields = _Fields(given, "The manifest's input")
    read = ModelInput(
        name=fields.word("name"),
        height=fields.size("height"),
        width=fields.size("width"),
        layout=fields.word("layout", choices=("nchw", "nhwc"), default="nchw"),
        colour=fields.word("colour", choices=("rgb", "bgr", "grey"), default="rgb"),
        resize=fields.word(
            "resize", choices=("stretch", "letterbox"), default="letterbox" if is_yolo else "stretch"
        ),
        interpolation=fields.word("interpolation", choices=("linear", "area"), default="linear"),
        pad_value=int(fields.number("pad_value", least=0, most=255, default=114)),
        scale=fields.number("scale", least=0, default=1 / 255),
        mean=fields.numbers("mean", default=(0.0,)),
        std=fields.numbers("std", default=(1.0,)),
    )
    fields.refuse_the_rest()
    for name, values in (("mean", read.mean), ("std", read.std)):
        if len(values) not in {1, read.channels}:
            raise ManifestError(
                f"The manifest's {name} has {len(values)} numbers; the input has {read.channels} channels."
            )
    if min(read.std) <= 0 or read.scale == 0:
        raise ManifestError("The manifest's scale and std must be above 0.")
    return read


def _outputs(given: Any, task: str) -> dict[str, str]:
    fields = _Fields(given, "The manifest's outputs")
    must, may = OUTPUTS[task]
    named = {meaning: fields.word(meaning) for meaning in sorted(must)}
    named |= {meaning: fields.word(meaning) for meaning in sorted(may) if fields.has(meaning)}
    fields.refuse_the_rest()
    if not named:
        raise ManifestError(f"The task {task} needs at least one output: {' or '.join(sorted(may))}.")
    return named


def _classes(given: Any, task: str) -> tuple[ModelClass, ...]:
    if not isinstance(given, list):
        raise ManifestError("The manifest's classes are a list of objects with name and role.")
    if not given and task == "anomaly":
        return (ModelClass("", is_bad=True),)
    if not given:
        raise ManifestError(f"The task {task} needs its classes, in the network's order.")
    read = []
    for number, each in enumerate(given):
        fields = _Fields(each, f"Class {number} of the manifest")
        read.append(ModelClass(fields.word("name"), fields.word("role", choices=("good", "bad")) == "bad"))
        fields.refuse_the_rest()
    return tuple(read)


class _Fields:
    """One JSON object, read field by field; what nobody took is refused at the end."""

    def __init__(self, given: Any, whose: str) -> None:
        if not isinstance(given, Mapping):
            raise ManifestError(f"{whose} must be a JSON object, not {type(given).__name__}.")
        self._rest, self._whose = dict(given), whose

    def has(self, name: str) -> bool:
        return name in self._rest

    def take(self, name: str, default: Any = None) -> Any:
        if name not in self._rest and default is None:
            raise ManifestError(f"{self._whose} lacks {name!r}.")
        return self._rest.pop(name, default)

    def word(self, name: str, *, choices: tuple[str, ...] = (), default: str | None = None) -> str:
        value = self.take(name, default)
        if not isinstance(value, str) or not value or (choices and value not in choices):
            wanted = f"one of {', '.join(choices)}" if choices else "a word"
            raise ManifestError(f"{self._whose}: {name} must be {wanted}, not {value!r}.")
        return value

    def number(self, name: str, *, least: float, default: float, most: float = math.inf) -> float:
        value = self.take(name, default)
        if not _is_number(value) or not least <= value <= most:
            raise ManifestError(
                f"{self._whose}: {name} must be a number from {least} to {most}, not {value!r}."
            )
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        value = self._rest.pop(name, None)
        if value is not None and not _is_number(value):
            raise ManifestError(f"{self._whose}: {name} must be a number, not {value!r}.")
        return None if value is None else float(value)

    def numbers(self, name: str, *, default: tuple[float, ...]) -> tuple[float, ...]:
        values = self.take(name, default)
        if not isinstance(values, list | tuple) or not values or not all(_is_number(each) for each in values):
            raise ManifestError(f"{self._whose}: {name} must be a list of numbers, not {values!r}.")
        return tuple(float(each) for each in values)

    def size(self, name: str) -> int:
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIDE_PX:
            raise ManifestError(
                f"{self._whose}: {name} must be whole pixels from 1 to {LARGEST_SIDE_PX}, not {value!r}."
            )
        return value

    def refuse_the_rest(self) -> None:
        if self._rest:
            raise ManifestError(
                f"{self._whose} has fields that mean nothing: {', '.join(sorted(self._rest))}."
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
