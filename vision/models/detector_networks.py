"""The networks of the detection families: torchvision's heads on a pyramid of our packaged backbone, or on its own.

All of them see one square image of fixed size that is normalised already, and say K boxes, strongest first.

Sources: SSD, Liu et al. (arXiv:1512.02325) with the depthwise heads of MobileNetV2 (arXiv:1801.04381, section 6.2);
FCOS, Tian et al. (arXiv:1904.01355); RetinaNet, Lin et al. (arXiv:1708.02002); Faster R-CNN, Ren et al.
(arXiv:1506.01497); Mask R-CNN, He et al. (arXiv:1703.06870); feature pyramid, Lin et al. (arXiv:1612.03144).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision.models.backbone import Backbone, load_backbone
from vision.models.trunk import Trunk
from vision.torchvision_cpu import prepare_torchvision
from vision.weights import RESNET50, WeightsError, read_weights, registered_weights

prepare_torchvision()

from torchvision.models.detection import (  # noqa: E402 - importable only once it is prepared
    FCOS,
    FasterRCNN,
    MaskRCNN,
    RetinaNet,
    ssdlite320_mobilenet_v3_large,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator  # noqa: E402
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone  # noqa: E402
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor  # noqa: E402
from torchvision.models.detection.ssd import SSD  # noqa: E402
from torchvision.models.detection.ssdlite import SSDLiteHead  # noqa: E402
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d, MultiScaleRoIAlign  # noqa: E402
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool  # noqa: E402

LEVEL_BLOCKS, LEVEL_CHANNELS = (4, 10, 14), (40, 112, 192)  # of lite0, at 1/8, 1/16 and 1/32
STRIDES = (8, 16, 32, 64)
FIRST_TAUGHT_BLOCK = 5
PYRAMID_CHANNELS = 64
KEPT_BOXES = 20
MASK_CELLS = 28
ANCHOR_SHAPES = (0.33, 1.0, 3.0)  # scratches and cracks are long

Target = dict[str, Tensor]  # boxes Nx4 in pixels of the input, labels N; for Mask R-CNN masks NxHxW


class Detecting(nn.Module):
    """A torchvision detector behind fixed shapes: batch Nx3xSxS -> boxes NxKx4, scores NxK, labels NxK (, masks).

    boxes   x1, y1, x2, y2 as fractions 0..1 of the image
    scores  strongest first; 0 where fewer boxes were found, NaN throughout where the arithmetic broke
    labels  0 for the first defect type
    masks   NxKx28x28, probability within the box (Mask R-CNN alone)

    Each image is looked at by itself: no bit of its answer depends on the others.
    """

    def __init__(
        self, detector: nn.Module, *, input_px: int, first_label: int, watched: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.detector = detector
        self.has_masks = isinstance(detector, MaskRCNN)
        self._input_px = input_px
        self._first_label = first_label
        self._is_finite = True
        # Broken arithmetic gives NaN scores, and boxes with NaN scores are dropped: it would look like a good part.
        for module in watched:
            module.register_forward_hook(self._watch)

    def losses(self, batch: Tensor, targets: Sequence[Target]) -> Tensor:
        """The sum of the detector's own losses; the module must be in training mode."""
        shifted = [{**target, "labels": target["labels"] + self._first_label} for target in targets]
        several: dict[str, Tensor] = self.detector(list(batch), shifted)
        return torch.stack(list(several.values())).sum()

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        found = [self._of_one(image) for image in batch]
        return tuple(torch.stack(each) for each in zip(*found, strict=True))

    def _of_one(self, image: Tensor) -> tuple[Tensor, ...]:
        self._is_finite = True
        found: dict[str, Tensor] = self.detector([image])[0]
        count = min(KEPT_BOXES, len(found["scores"]))
        boxes, scores = image.new_zeros(KEPT_BOXES, 4), image.new_zeros(KEPT_BOXES)
        labels = image.new_zeros(KEPT_BOXES)
        boxes[:count] = found["boxes"][:count] / self._input_px
        scores[:count] = found["scores"][:count]
        labels[:count] = found["labels"][:count] - self._first_label
        if not self._is_finite:
            scores.fill_(torch.nan)
        if not self.has_masks:
            return boxes, scores, labels
        masks = image.new_zeros(KEPT_BOXES, MASK_CELLS, MASK_CELLS)
        masks[:count] = found["masks"][:count, 0]
        return boxes, scores, labels, masks

    def _watch(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self._is_finite = self._is_finite and _all_finite(outputs)


class Pyramid(nn.Module):
    """Nx3xHxW -> "0", "1", "2", "pool": 64 channels each at 1/8, 1/16, 1/32 and 1/64."""

    out_channels = PYRAMID_CHANNELS

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=LEVEL_BLOCKS)
        self.pyramid = FeaturePyramidNetwork(list(LEVEL_CHANNELS), PYRAMID_CHANNELS, LastLevelMaxPool())

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        seen = self.trunk(batch)
        levels: dict[str, Tensor] = self.pyramid(
            OrderedDict((str(place), level) for place, level in enumerate(seen))
        )
        return levels


class Shrinking(nn.Module):
    """Nx3xHxW -> the trunk's three levels and two more at 1/64 and 1/128, as SSD wants them."""

    channels = (*LEVEL_CHANNELS, 128, 128)

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, levels=LEVEL_BLOCKS)
        self.extra = nn.ModuleList([_halving(LEVEL_CHANNELS[-1], 128), _halving(128, 128)])

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        levels = list(self.trunk(batch))
        for block in self.extra:
            levels.append(block(levels[-1]))
        return OrderedDict((str(place), level) for place, level in enumerate(levels))


class _Untouched(nn.Module):
    """In place of torchvision's transform: our images are normalised and of one size, our masks are pasted later."""

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> tuple[ImageList, Any]:
        return ImageList(torch.stack(images), [(each.shape[-2], each.shape[-1]) for each in images]), targets

    def postprocess(
        self, found: list[Target], sizes: list[tuple[int, int]], originals: list[tuple[int, int]]
    ) -> list[Target]:
        return found


def build_detector(architecture: str, *, backbone: nn.Module | None, types: int, input_px: int) -> Detecting:
    """An unfitted network.

    architecture  ssdlite, fcos, retinanet, faster_rcnn or mask_rcnn
    backbone      ours, or a pyramid of torchvision's; None for SSDLite's own MobileNetV3
    types         number of defect types, at least 1
    """
    if architecture == "ssdlite":
        detector: Any = _ssdlite(backbone, types=types, input_px=input_px)
        watched, first_label = [detector.head], 1
    elif architecture in ("fcos", "retinanet"):
        detector = (_fcos if architecture == "fcos" else _retinanet)(_pyramid(backbone), types=types)
        watched, first_label = [detector.head], 0
    else:
        detector = (_mask_rcnn if architecture == "mask_rcnn" else _faster_rcnn)(
            _pyramid(backbone), types=types
        )
        watched, first_label = [detector.rpn.head, detector.roi_heads.box_predictor], 1
        if architecture == "mask_rcnn":
            watched.append(detector.roi_heads.mask_predictor)
    detector.transform = _Untouched()
    return Detecting(detector, input_px=input_px, first_label=first_label, watched=watched)


def resnet_pyramid(*, weights_folder: Path | None, is_pretrained: bool, is_empty: bool = False) -> nn.Module:
    """ResNet-50 with a pyramid at 1/8 to 1/64, its first stages frozen if it is pretrained.

    is_empty  its weights are about to be read from a model file

    Raises WeightsError if the registered file is not in the folder (SECONDLOOK_WEIGHTS), or is another.
    """
    net: Any = resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=None,
        norm_layer=FrozenBatchNorm2d if is_pretrained else _group_norm,
        trainable_layers=3 if is_pretrained else 5,
        returned_layers=[2, 3, 4],
    )
    if is_pretrained and not is_empty:
        named = _resnet50_weights(weights_folder)
        body = {name: value for name, value in named.items() if not name.startswith("fc.")}
        net.body.load_state_dict(body)
    pyramid: nn.Module = net
    return pyramid


def lite0(*, weights_folder: Path | None, is_pretrained: bool) -> Backbone:
    """Our backbone, ready to be taught: all of it, or what stands behind edges and textures if it is pretrained."""
    if is_pretrained:
        backbone = load_backbone(weights_folder=weights_folder, device="cpu")
    else:
        backbone = Backbone()
        backbone.fold_batch_norms()
    for block in list(backbone.blocks)[FIRST_TAUGHT_BLOCK if is_pretrained else 0 :]:
        block.requires_grad_(requires_grad=True)
    return backbone


def _resnet50_weights(folder: Path | None) -> dict[str, Tensor]:
    registered = registered_weights(RESNET50.architecture, folder=folder)
    if folder is None or registered is None:
        raise WeightsError(
            f"The backbone resnet50 needs {RESNET50.file_name} in the folder SECONDLOOK_WEIGHTS, or a line of its "
            "weights.json; without weights the option pretrained=no starts from chance."
        )
    return read_weights(registered, folder / registered.file_name)


def _ssdlite(backbone: nn.Module | None, *, types: int, input_px: int) -> nn.Module:
    kept = {"score_thresh": 0.0, "nms_thresh": 0.5, "topk_candidates": 100, "detections_per_img": KEPT_BOXES}
    if backbone is None:
        published: nn.Module = ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=types + 1, **kept
        )
        return published
    shrinking = Shrinking(_ours(backbone))
    anchors = DefaultBoxGenerator([[2, 3]] * 5, scales=[0.06, 0.12, 0.25, 0.45, 0.7, 1.0])
    head = SSDLiteHead(
        list(Shrinking.channels), anchors.num_anchors_per_location(), types + 1, norm_layer=_group_norm
    )
    size = (input_px, input_px)
    made: nn.Module = SSD(shrinking, anchors, size, types + 1, head=head, **kept)
    return made


def _fcos(pyramid: nn.Module, *, types: int) -> nn.Module:
    anchors = AnchorGenerator(tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES))
    made: nn.Module = FCOS(
        pyramid,
        types,
        anchor_generator=anchors,
        score_thresh=0.0,
        nms_thresh=0.5,
        topk_candidates=100,
        detections_per_img=KEPT_BOXES,
    )
    return made


def _retinanet(pyramid: nn.Module, *, types: int) -> nn.Module:
    made: nn.Module = RetinaNet(
        pyramid,
        types,
        anchor_generator=_anchors(),
        score_thresh=0.0,
        nms_thresh=0.5,
        topk_candidates=100,
        detections_per_img=KEPT_BOXES,
    )
    return made


def _faster_rcnn(
    pyramid: nn.Module, *, types: int, kind: Callable[..., nn.Module] = FasterRCNN, **more: Any
) -> nn.Module:
    channels = _channels(pyramid)
    return kind(
        pyramid,
        rpn_anchor_generator=_anchors(),
        rpn_pre_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=100,
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(channels * 7 * 7, 256),
        box_predictor=FastRCNNPredictor(256, types + 1),
        box_score_thresh=0.0,
        box_detections_per_img=KEPT_BOXES,
        box_batch_size_per_image=64,
        **more,
    )


def _mask_rcnn(pyramid: nn.Module, *, types: int) -> nn.Module:
    channels = _channels(pyramid)
    return _faster_rcnn(
        pyramid,
        types=types,
        kind=MaskRCNN,
        mask_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], output_size=MASK_CELLS // 2, sampling_ratio=2),
        mask_head=MaskRCNNHeads(channels, (channels, channels), 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, types + 1),
    )


def _anchors() -> AnchorGenerator:
    """Three sizes and three shapes at each level: from 16 pixels at the finest to 200 at the coarsest."""
    sizes = tuple(tuple(round(2 * stride * 2 ** (third / 3)) for third in range(3)) for stride in STRIDES)
    return AnchorGenerator(sizes, (ANCHOR_SHAPES,) * len(STRIDES))


def _pyramid(backbone: nn.Module | None) -> nn.Module:
    if isinstance(backbone, Backbone):
        return Pyramid(backbone)
    if backbone is None:
        raise ValueError("This detector needs a backbone.")
    return backbone


def _channels(pyramid: nn.Module) -> int:
    channels: Any = pyramid.out_channels
    return int(channels)


def _ours(backbone: nn.Module) -> Backbone:
    if not isinstance(backbone, Backbone):
        raise TypeError("SSDLite takes our backbone or its own.")
    return backbone


def _halving(channels: int, wanted: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, wanted, kernel_size=1),
        nn.ReLU6(),
        nn.Conv2d(wanted, wanted, kernel_size=3, stride=2, padding=1, groups=wanted),
        nn.ReLU6(),
        nn.Conv2d(wanted, wanted, kernel_size=1),
        nn.ReLU6(),
    )


def _group_norm(channels: int) -> nn.Module:
    """In place of batch norm, which a batch of a few images would teach nonsense."""
    return nn.GroupNorm(8, channels)


def _all_finite(outputs: Any) -> bool:
    if isinstance(outputs, Tensor):
        return bool(torch.isfinite(outputs).all())
    values = outputs.values() if isinstance(outputs, dict) else outputs
    return all(_all_finite(each) for each in values)
