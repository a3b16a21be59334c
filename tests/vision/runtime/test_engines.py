import numpy as np
import pytest
import torch
from torch import nn

from tests.vision.runtime.tiny import SIDE, TinyNetwork, tiles_of
from vision.runtime.cuda_engine import CudaEngine
from vision.runtime.engine import Engine, EngineError, OutOfMemoryError
from vision.runtime.onnx_engine import OnnxEngine
from vision.runtime.openvino_engine import OpenVinoEngine
from vision.runtime.torch_engine import TorchEngine, outputs_of, reference_engine

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


class OnTheCpu:
    """Stands where a CUDA graph stands: the same fixed batch, filled with zeros, run by torch on the CPU."""

    largest = 10**6
    made = 0

    def __init__(self, network, *, shape, device, precision):
        if shape[0] > self.largest:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        type(self).made += 1
        self._network, self._batch = network, torch.zeros(shape)

    @torch.inference_mode()
    def __call__(self, tiles):
        self._batch[: len(tiles)] = torch.from_numpy(np.stack(tiles))
        self._batch[len(tiles) :] = 0
        return tuple(output[: len(tiles)].numpy() for output in outputs_of(self._network(self._batch)))


def cuda_engine(network, *, largest=10**6, batch=4):
    return CudaEngine(
        network,
        device="cpu",
        batch=batch,
        record=type("Recorded", (OnTheCpu,), {"largest": largest, "made": 0}),
    )


@pytest.fixture(params=["torch", "ONNX Runtime", "OpenVINO", "fixed batches"])
def engine(request, tiny_onnx):
    network = TinyNetwork().eval()
    return {
        "torch": lambda: TorchEngine(network, device="cpu"),
        "ONNX Runtime": lambda: OnnxEngine(tiny_onnx),
        "OpenVINO": lambda: OpenVinoEngine(tiny_onnx),
        "fixed batches": lambda: cuda_engine(network),
    }[request.param]()


def test_every_runtime_speaks_the_protocol_and_names_itself(engine):
    assert isinstance(engine, Engine)
    assert engine.name


def test_every_runtime_gives_what_the_network_gives(engine):
    tiles = tiles_of(3)
    with torch.inference_mode():
        wanted = TinyNetwork().eval()(torch.from_numpy(tiles))
    (raw,) = engine.run([tiles])
    assert [output.dtype for output in raw] == [np.float32, np.float32]
    for output, expected in zip(raw, wanted, strict=True):
        np.testing.assert_allclose(output, expected.numpy(), atol=1e-5)


def test_an_image_gets_the_same_bits_alone_and_among_others(engine):
    images = [tiles_of(count, seed=count) for count in (1, 3, 2, 1, 5)]
    together = engine.run(images)
    for image, among_others in zip(images, together, strict=True):
        (alone,) = engine.run([image])
        assert [output.tobytes() for output in alone] == [output.tobytes() for output in among_others]


def test_no_images_are_no_answers(engine):
    assert engine.run([]) == []


def test_a_tile_of_nan_is_answered_with_nan_and_harms_no_neighbour(engine):
    broken = tiles_of(2)
    broken[1, 0, 0, 0] = np.nan
    sound = tiles_of(1, seed=9)
    first, second = engine.run([broken, sound])
    assert np.isnan(first[1][1])
    assert np.isfinite(first[1][0])
    assert np.isfinite(second[0]).all()


def test_answers_stay_as_they_are_when_the_engine_runs_again(engine):
    (first,) = engine.run([tiles_of(2, seed=1)])
    kept = [output.copy() for output in first]
    engine.run([tiles_of(2, seed=2)])
    assert all((now == then).all() for now, then in zip(first, kept, strict=True))


def test_tiles_of_another_shape_are_an_engine_error_with_a_sentence(engine):
    with pytest.raises(EngineError):
        engine.run([np.zeros((1, 5, SIDE, SIDE), dtype=np.float32)])


def test_a_graph_that_a_runtime_does_not_take_is_an_engine_error():
    with pytest.raises(EngineError, match="ONNX Runtime on cpu does not take this network"):
        OnnxEngine(b"no graph")
    with pytest.raises(EngineError, match="OpenVINO does not take this network"):
        OpenVinoEngine(b"no graph")


def test_a_gpu_without_room_for_the_batch_goes_on_with_half_of_it_and_keeps_to_it(caplog):
    engine = cuda_engine(TinyNetwork().eval(), largest=1)
    images = [tiles_of(3), tiles_of(2, seed=1)]
    wanted = TorchEngine(TinyNetwork().eval(), device="cpu").run(images)
    for _ in range(2):
        for got, expected in zip(engine.run(images), wanted, strict=True):
            np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
    assert [record.args[:2] for record in caplog.records] == [(4, 2), (2, 1)]


def test_a_gpu_without_room_for_one_tile_says_so():
    with pytest.raises(OutOfMemoryError, match="not enough free memory"):
        cuda_engine(TinyNetwork().eval(), largest=0).run([tiles_of(1)])


def test_a_batch_is_recorded_once_and_again_when_the_weights_have_moved():
    network = TinyNetwork().eval()
    engine = cuda_engine(network)
    for _ in range(3):
        engine.run([tiles_of(1)])
    assert engine._record.made == 1
    network.layers[0].weight = nn.Parameter(network.layers[0].weight.detach() * 2)
    (raw,) = engine.run([tiles_of(1)])
    assert engine._record.made == 2
    (wanted,) = TorchEngine(network, device="cpu").run([tiles_of(1)])
    np.testing.assert_allclose(raw[0], wanted[0], atol=1e-5)


def test_before_anything_was_measured_torch_runs_the_network():
    assert reference_engine(TinyNetwork(), device="cpu", is_static=True).name == "torch on cpu"


def test_a_network_whose_path_depends_on_the_data_is_never_recorded():
    assert isinstance(reference_engine(nn.Identity(), device="cuda", is_static=False), TorchEngine)


@needs_cuda
def test_a_recorded_graph_gives_the_same_bits_alone_and_among_others():
    engine = reference_engine(TinyNetwork().eval().cuda(), device="cuda", is_static=True)
    images = [tiles_of(count, seed=count) for count in (1, 20, 3)]
    together = engine.run(images)
    wanted = TorchEngine(TinyNetwork().eval(), device="cpu").run(images)
    for image, raw, expected in zip(images, together, wanted, strict=True):
        assert engine.run([image])[0][0].tobytes() == raw[0].tobytes()
        np.testing.assert_allclose(raw[0], expected[0], atol=1e-4)
