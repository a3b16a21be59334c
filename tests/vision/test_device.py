"""Which device: the wanted one or a sentence, never another one silently."""

import pytest
import torch

from vision.device import DeviceError, choose_device


def test_the_cpu_is_always_there():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="must be"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_device_is_not_replaced():
    with pytest.raises(DeviceError, match="no CUDA device"):
        choose_device("cuda")
