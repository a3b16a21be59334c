"""On what a choice of runtime was made: the same file in the same runtime gives the same bits only on the same machine."""

import platform
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

import torch
from torch import nn

# A GPU build of ONNX Runtime is another distribution with the same module.
_DISTRIBUTIONS = {
    "torch": ("torch",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
}


def device_of(network: nn.Module) -> str:
    """`cpu` or `cuda`: where the network's weights lie."""
    first = next(chain(network.parameters(), network.buffers()), None)
    return "cpu" if first is None else first.device.type


def device_name(device: str) -> str:
    """The processor's own name, so that a cache that was copied to another machine is not believed."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return _processor() or platform.processor() or platform.machine()


def library_versions() -> dict[str, str]:
    """Of every library that has a part in the bits; "absent" where it is not installed."""
    return {name: _version(*distributions) for name, distributions in _DISTRIBUTIONS.items()}


def _version(*distributions: str) -> str:
    for distribution in distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "absent"


def _processor() -> str:
    """Linux says it here; `platform.processor` is empty there."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
