"""The model families by name. A family's file is imported only when it is asked for: some need the extra set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from vision.predictor import Predictor

LearnsFrom = Literal["good parts", "graded parts", "painted labels", "a file"]


class FamilyError(ValueError):
    """There is no such family here; the message says which there are, or what to install."""


@dataclass(frozen=True)
class Family:
    """One line of the list.

    place        module:class
    title        one line for the person who chooses
    options      module:class of what it lets one set
    needs_extra  True where requirements-models.txt must be installed
    """

    name: str
    place: str
    title: str
    learns_from: LearnsFrom
    needs_extra: bool = False
    options: str = field(kw_only=True)

    @property
    def is_available(self) -> bool:
        return not self.needs_extra or (
            find_spec("torchvision") is not None and find_spec("timm") is not None
        )


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "patchcore",
            "vision.models.patchcore:PatchCore",
            "PatchCore: distance to the nearest good patch ever seen",
            "good parts",
            options="vision.models.patchcore:PatchCoreOptions",
        ),
        Family(
            "spade",
            "vision.models.spade:Spade",
            "SPADE: each place compared with the good parts that look most alike",
            "good parts",
            options="vision.models.spade:SpadeOptions",
        ),
        Family(
            "fastflow",
            "vision.models.fastflow:FastFlow",
            "FastFlow: how likely each place is, by a flow learned from good parts",
            "good parts",
            options="vision.models.fastflow:FastFlowOptions",
        ),
        Family(
            "efficientad",
            "vision.models.efficientad:EfficientAd",
            "EfficientAD: where a student of good parts alone contradicts its teacher",
            "good parts",
            options="vision.models.efficientad:EfficientAdOptions",
        ),
        Family(
            "probe",
            "vision.models.classifier:Probe",
            "Probe: good or bad, or which defect, by a linear layer on the frozen backbone",
            "graded parts",
            options="vision.models.classifier:ProbeOptions",
        ),
        Family(
            "peaks",
            "vision.models.peaks:Peaks",
            "Peaks: good or bad by what the frozen backbone sees at most, in two sizes; for small defects",
            "graded parts",
            options="vision.models.peaks:PeaksOptions",
        ),
        Family(
            "cells",
            "vision.models.cells:Cells",
            "Cells: painted defects, cell by cell, on the frozen backbone; for few painted parts",
            "painted labels",
            options="vision.models.cells:CellsOptions",
        ),
        Family(
            "unet",
            "vision.models.unet:UNet",
            "U-Net: painted defects, pixel by pixel, in tiles at native resolution",
            "painted labels",
            options="vision.models.unet:UNetOptions",
        ),
        Family(
            "efficientnet",
            "vision.models.classifier_tuned:EfficientNetClassifier",
            "EfficientNet: the probe, then the network's last blocks learn too",
            "graded parts",
            options="vision.models.classifier_tuned:TunedOptions",
        ),
        Family(
            "resnet",
            "vision.models.classifier_tuned:ResNetClassifier",
            "ResNet: good or bad, or which defect; wants weights of its own",
            "graded parts",
            needs_extra=True,
            options="vision.models.classifier_tuned:ResNetOptions",
        ),
        Family(
            "vit",
            "vision.models.classifier_tuned:ViTClassifier",
            "Vision transformer: good or bad, or which defect; wants weights of its own",
            "graded parts",
            needs_extra=True,
            options="vision.models.classifier_tuned:ViTOptions",
        ),
        Family(
            "hybrid",
            "vision.models.hybrid:Hybrid",
            "Hybrid: an anomaly model for the unknown and a classifier for the ruled cases, never less safe than either",
            "graded parts",
            options="vision.models.hybrid:HybridOptions",
        ),
        Family(
            "onnx",
            "vision.models.imported:Imported",
            "Any ONNX file, with a manifest that says what its outputs mean",
            "a file",
            options="vision.models.imported:NoOptions",
        ),
        Family(
            "yolo",
            "vision.models.yolo:Yolo",
            "YOLO (v5, v8, 11): boxes from an ONNX file",
            "a file",
            options="vision.models.imported:NoOptions",
        ),
        Family(
            "ssdlite",
            "vision.models.detector:SSDLite",
            "SSDLite: boxes around painted defects, the lightest detector",
            "painted labels",
            needs_extra=True,
            options="vision.models.detector:DetectorOptions",
        ),
        Family(
            "fcos",
            "vision.models.detector:FCOS",
            "FCOS: boxes around painted defects, without anchors",
            "painted labels",
            needs_extra=True,
            options="vision.models.detector:DetectorOptions",
        ),
        Family(
            "retinanet",
            "vision.models.detector:RetinaNet",
            "RetinaNet: boxes around painted defects, few among much background",
            "painted labels",
            needs_extra=True,
            options="vision.models.detector:DetectorOptions",
        ),
        Family(
            "faster_rcnn",
            "vision.models.detector:FasterRCNN",
            "Faster R-CNN: boxes around painted defects, in two looks",
            "painted labels",
            needs_extra=True,
            options="vision.models.detector:DetectorOptions",
        ),
        Family(
            "mask_rcnn",
            "vision.models.detector:MaskRCNN",
            "Mask R-CNN: painted defects with their outlines, in two looks",
            "painted labels",
            needs_extra=True,
            options="vision.models.detector:DetectorOptions",
        ),
    )
}


def family_class(name: str) -> type[Any]:
    """The class behind the name; raises FamilyError if there is none, or its libraries are not installed."""
    family = FAMILIES.get(name)
    if family is None:
        raise FamilyError(f"No model family is called {name!r}; there are: {', '.join(sorted(FAMILIES))}.")
    if not family.is_available:
        raise FamilyError(
            f"The family {name!r} needs more libraries: install requirements-models.txt beside the base set."
        )
    module, class_name = family.place.split(":")
    found: type[Any] = getattr(import_module(module), class_name)
    return found


def options_of(name: str) -> type[Any]:
    """The dataclass of what the family lets one set, with its defaults; raises FamilyError as `family_class` does."""
    family_class(name)  # says what is missing here
    module, class_name = FAMILIES[name].options.split(":")
    found: type[Any] = getattr(import_module(module), class_name)
    return found


def new_predictor(
    name: str,
    *,
    device: str,
    weights_folder: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Predictor:
    """An unfitted predictor.

    options  what the family lets one set; every option has a default

    Raises FamilyError for a family that is not here, ValueError for an unknown option or a bad value,
    WeightsError for a bad backbone.
    """
    predictor: Predictor = family_class(name).new(
        device=device, weights_folder=weights_folder, options=options or {}
    )
    return predictor
