"""Which processor the models run on."""

import torch


class DeviceError(ValueError):
    """The wanted device is unknown or not there."""


def choose_device(wanted: str = "auto") -> str:
    """Turn `auto`, `cpu` or `cuda` into a device that is really there.

    Raises DeviceError with a sentence for the operator: a station never falls back to a slower device silently.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return "cpu"
    if wanted == "cuda":
        if torch.cuda.is_available():
            return "cuda"
        raise DeviceError("SECONDLOOK_DEVICE is 'cuda', but torch sees no CUDA device on this machine.")
    raise DeviceError(f"SECONDLOOK_DEVICE must be 'auto', 'cpu' or 'cuda', not {wanted!r}.")
