import pytest

from tests.vision.runtime.tiny import SIDE, TinyNetwork
from vision.runtime.export import to_onnx


@pytest.fixture(scope="session")
def tiny_onnx():
    """The tiny network as ONNX; writing one takes seconds on a busy machine."""
    return to_onnx(TinyNetwork(), tile_shape=(3, SIDE, SIDE)).content
