"""The U-Net's networks: a light decoder on the packaged backbone, or any encoder of segmentation-models-pytorch.

Source: Ronneberger et al., U-Net (arXiv:1505.04597), figure 1: a contracting path, an expanding one, and skips between
them. The decoder is the lighter one of Lin et al., Feature Pyramid Networks (arXiv:1612.03144), section 3: 1x1 lateral
convolutions, added top-down; each level is then smoothed by a depthwise and a pointwise convolution.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from vision.models.backbone import Backbone, load_backbone
from vision.weights import RegisteredWeights, WeightsError, read_weights

CELL_PX = 4  # side of one cell of the answer, in pixels of the tile
LITE0 = "lite0"
LEVELS, LEVEL_CHANNELS = (2, 4, 10, 14), (24, 40, 112, 192)  # of lite0, at 1/4, 1/8, 1/16 and 1/32
WIDTH = 48
FIRST_TAUGHT_BLOCK = (
    3  # edges and textures stay as ImageNet taught them: a third of a step's time, nothing lost
)
USUAL_LOGIT = -3.0  # painted pixels are rare: the first answer is "clean" nearly everywhere


class LiteUNet(nn.Module):
    """Batch Nx3xSxS, -1..1 -> N x S/4 x S/4 logits of "defect here". S is a multiple of 32."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.laterals = nn.ModuleList([nn.Conv2d(channels, WIDTH, 1) for channels in LEVEL_CHANNELS])
        self.smooth = nn.ModuleList([_smoothing() for _ in LEVEL_CHANNELS])
        self.head = nn.Conv2d(WIDTH, 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, USUAL_LOGIT)

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        levels = self._levels(batch)
        x: Tensor = self.smooth[3](self.laterals[3](levels[3]))
        for number in (2, 1, 0):
            x = interpolate(x, scale_factor=2.0, mode="bilinear") + self.laterals[number](levels[number])
            x = self.smooth[number](x)
        return (self.head(x)[:, 0],)

    def _levels(self, batch: Tensor) -> list[Tensor]:
        net = self.backbone
        x = net.relu6(net.stem_norm(net.stem(batch)))
        seen = []
        for number, block in enumerate(net.blocks):
            x = block(x)
            if number in LEVELS:
                seen.append(x)
        return seen


class EncoderUNet(nn.Module):
    """The U-Net of segmentation-models-pytorch behind the same shapes; a crack one pixel wide keeps its cell."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Tensor) -> tuple[Tensor]:
        return (max_pool2d(self.net(batch), CELL_PX)[:, 0],)


def new_network(encoder: str, *, weights_folder: Path | None, weights_sha256: str) -> tuple[nn.Module, str]:
    """An untaught network on the CPU, and one sentence that says where its encoder comes from.

    weights_sha256  of ENCODER.pth in the folder, a state dict of that encoder as timm or torchvision publish it;
                    "" starts an encoder of the extra set from chance

    Raises ValueError for an unknown encoder or a missing library, WeightsError where the file is not that one.
    """
    if encoder == LITE0:
        network = LiteUNet(load_backbone(weights_folder=weights_folder, device="cpu"))
        return network, "Encoder lite0 with its packaged ImageNet weights."
    net = _published(encoder)
    if not weights_sha256:
        return EncoderUNet(
            net
        ), f"Encoder {encoder} from chance: no weights were named, so it needs far more parts."
    # timm's encoders are wrapped: the published names are those of the network inside.
    inside = net.encoder.model if encoder.startswith("tu-") else net.encoder
    named = _registered(encoder, weights_folder=weights_folder, sha256=weights_sha256)
    named = {name: value for name, value in named.items() if name in inside.state_dict()}
    try:
        inside.load_state_dict(named)
    except RuntimeError as error:
        raise WeightsError(f"The weights {encoder}.pth are not of the encoder {encoder}.") from error
    return EncoderUNet(net), f"Encoder {encoder} with the weights {weights_sha256}."


def empty_network(encoder: str) -> nn.Module:
    """The same shape, about to be filled from a model file; raises ValueError as `new_network` does."""
    if encoder != LITE0:
        return EncoderUNet(_published(encoder))
    backbone = Backbone()
    backbone.fold_batch_norms()
    return LiteUNet(backbone)


def let_learn(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(encoder's, the others'): what training may change. Lite0's first blocks stay as they are."""
    network.requires_grad_(requires_grad=True)
    if isinstance(network, LiteUNet):
        network.backbone.requires_grad_(requires_grad=False)
        network.backbone.blocks[FIRST_TAUGHT_BLOCK:].requires_grad_(requires_grad=True)
        encoder: nn.Module = network.backbone
    else:
        assert isinstance(network, EncoderUNet)
        encoder = getattr(network.net, "encoder")  # noqa: B009  # a Module's attributes are typed Tensor | Module
    pretrained = [each for each in encoder.parameters() if each.requires_grad]
    known = {id(each) for each in pretrained}
    others = [each for each in network.parameters() if each.requires_grad and id(each) not in known]
    return pretrained, others


def _smoothing() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False),
        nn.GroupNorm(8, WIDTH),
        nn.Conv2d(WIDTH, WIDTH, 1),
        nn.ReLU(),
    )


def _published(encoder: str) -> Any:
    """The U-Net of segmentation-models-pytorch with this encoder and no weights."""
    from vision.torchvision_cpu import (
        MissingExtraError,
        prepare_torchvision,
    )  # the extra set is not always there

    try:
        prepare_torchvision()
        smp = import_module("segmentation_models_pytorch")
    except (MissingExtraError, ModuleNotFoundError) as error:
        raise ValueError(
            f"The encoder {encoder!r} needs more libraries: install requirements-models.txt beside the base set."
        ) from error
    try:
        return smp.Unet(encoder, encoder_weights=None, in_channels=3, classes=1)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"segmentation-models-pytorch knows no encoder {encoder!r}.") from error


def _registered(encoder: str, *, weights_folder: Path | None, sha256: str) -> dict[str, Tensor]:
    path = (weights_folder or Path()) / f"{encoder}.pth"
    if weights_folder is None or not path.is_file():
        raise WeightsError(f"The encoder {encoder} needs {path.name} in the folder SECONDLOOK_WEIGHTS.")
    return read_weights(RegisteredWeights(encoder, path.name, sha256), path)
