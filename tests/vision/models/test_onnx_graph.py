"""A stranger's ONNX file: what is refused, with which sentence, and that nothing of it ran."""

import pickle

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.vision.models.onnx_files import SIZE, brightness_classifier, fixed_answers, model_of
from vision.models import onnx_graph
from vision.models.onnx_graph import OnnxFileError, OnnxNetwork, read_graph
from vision.runtime.engine import EngineError


def network(content, **changes):
    wanted = {
        "input_name": "image",
        "input_shape": (1, 3, SIZE, SIZE),
        "is_channels_last": False,
        "output_names": ["logits"],
        "device": "cpu",
    }
    return OnnxNetwork(content, **(wanted | changes))


def classifier(**more):
    return brightness_classifier(**more).SerializeToString()


class _Alarm:
    """Unpickling this would make the test fail."""

    def __reduce__(self):
        return pytest.fail, ("the pickle was executed",)


def test_a_whole_graph_runs_each_image_by_itself():
    graph = network(classifier())
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    together = graph(images)[0]
    alone = torch.cat([graph(image[None])[0] for image in images])
    assert torch.equal(together, alone)
    assert np.allclose(together[:, 1], 8 * (images.mean(dim=(1, 2, 3)) - 0.5), atol=1e-5)
    assert graph.provider == "CPUExecutionProvider"


def test_free_dimensions_are_fixed_to_the_manifest():
    free = classifier(shape=("batch", 3, "height", "width"))
    assert network(free)(torch.ones(1, 3, SIZE, SIZE))[0].shape == (1, 2)


def test_a_graph_that_wants_channels_last_gets_them():
    content = fixed_answers({"logits": np.zeros((1, 2))}, shape=(1, SIZE, SIZE + 2, 3))
    graph = network(content, input_shape=(1, SIZE, SIZE + 2, 3), is_channels_last=True)
    assert graph(torch.zeros(1, 3, SIZE, SIZE + 2))[0].shape == (1, 2)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(share):
    content = classifier()
    with pytest.raises(OnnxFileError, match="cut short"):
        read_graph(content[: int(share * len(content))])


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 100, b"\xff" * 100, b"{}"])
def test_bytes_of_another_kind_are_refused(content):
    with pytest.raises(OnnxFileError, match="of another kind"):
        read_graph(content)


def test_a_pickle_named_onnx_is_refused_and_never_executed(tmp_path):
    with pytest.raises(OnnxFileError, match="pickle"):
        read_graph(pickle.dumps(_Alarm()))
    torch.save({"weights": torch.zeros(2)}, tmp_path / "model.onnx")
    with pytest.raises(OnnxFileError, match="PyTorch file"):
        read_graph((tmp_path / "model.onnx").read_bytes())


def test_a_file_over_the_stated_size_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_graph, "MAX_BYTES", 100)
    with pytest.raises(OnnxFileError, match="at most 0 MiB"):
        read_graph(classifier())


def test_weights_in_another_file_are_refused_wherever_they_hide(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\0" * 64)
    elsewhere = TensorProto(name="elsewhere", data_type=TensorProto.FLOAT, dims=[1])
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value="../secret.bin")

    as_weights = brightness_classifier()
    as_weights.graph.initializer.append(elsewhere)
    as_constant = brightness_classifier()
    as_constant.graph.node.append(helper.make_node("Constant", [], ["c"], value=elsewhere))
    branch = helper.make_graph(
        [helper.make_node("Identity", ["elsewhere"], ["b"])],
        "branch",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])],
        [elsewhere],
    )
    in_a_branch = brightness_classifier()
    in_a_branch.graph.node.append(
        helper.make_node("If", ["which"], ["out"], then_branch=branch, else_branch=branch)
    )
    for model in (as_weights, as_constant, in_a_branch):
        with pytest.raises(OnnxFileError, match="another file"):
            read_graph(model.SerializeToString())


def test_foreign_operators_are_refused_and_functions_of_the_file_itself_are_not():
    foreign = model_of(
        [helper.make_node("Magic", ["image"], ["logits"], domain="com.example")],
        {"logits": 0},
        {},
        opsets=[helper.make_opsetid("com.example", 1)],
    )
    with pytest.raises(OnnxFileError, match=r"Magic is from 'com\.example'"):
        read_graph(foreign.SerializeToString())
    own = helper.make_function(
        "com.example",
        "Magic",
        ["x"],
        ["y"],
        [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)],
        [helper.make_opsetid("", 18)],
    )
    foreign.functions.append(own)
    mean = network(foreign.SerializeToString())(torch.full((1, 3, SIZE, SIZE), 0.25))[0]
    assert mean.tolist() == [0.25]


def test_random_operators_are_refused():
    model = model_of([helper.make_node("RandomUniformLike", ["image"], ["logits"])], {"logits": 4}, {})
    with pytest.raises(OnnxFileError, match="random"):
        read_graph(model.SerializeToString())


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_weights_with_nan_are_refused(kind):
    model = brightness_classifier()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, np.nan], kind), "gap"))
    with pytest.raises(OnnxFileError, match="'gap' hold NaN"):
        read_graph(model.SerializeToString())


def test_constants_and_settings_with_nan_are_refused():
    constant = brightness_classifier()
    value = numpy_helper.from_array(np.array([np.nan], np.float32), "inner")
    constant.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))
    setting = brightness_classifier()
    setting.graph.node.append(helper.make_node("LeakyRelu", ["logits"], ["c"], alpha=float("nan")))
    for model in (constant, setting):
        with pytest.raises(OnnxFileError, match="NaN"):
            read_graph(model.SerializeToString())


def test_weights_whose_size_is_a_lie_are_refused():
    model = brightness_classifier()
    model.graph.initializer[-1].dims[0] = 10**9
    with pytest.raises(OnnxFileError, match=r"rules of ONNX|cannot be read"):
        read_graph(model.SerializeToString())


@pytest.mark.parametrize(
    ("content", "changes", "reason"),
    [
        (classifier(), {"input_name": "picture"}, "names the input 'picture', the graph has: image"),
        (
            classifier(),
            {"output_names": ["verdict"]},
            "names the output 'verdict', the graph has: logits, map",
        ),
        (
            classifier(),
            {"input_shape": (1, 3, 64, 64)},
            r"is \[1, 3, 64, 64\]; the graph says \[1, 3, 32, 32\]",
        ),
        (classifier(), {"input_shape": (1, 1, SIZE, SIZE)}, "the graph says"),
        (classifier(shape=(2, 3, SIZE, SIZE)), {}, "the graph says"),
        (classifier(shape=(3, SIZE, SIZE)), {}, "must have 4 dimensions"),
        (classifier(shape=None), {}, "rules of ONNX"),
        (classifier(kind=TensorProto.INT64), {}, "images come as float"),
    ],
)
def test_a_graph_that_does_not_fit_its_manifest_is_refused(content, changes, reason):
    with pytest.raises(OnnxFileError, match=reason):
        network(content, **changes)


def test_a_graph_with_two_inputs_is_refused():
    model = brightness_classifier()
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]))
    with pytest.raises(OnnxFileError, match="one input, the image; it has: image, scale"):
        network(model.SerializeToString())


def test_a_graph_that_contradicts_itself_is_refused():
    model = model_of(
        [helper.make_node("MatMul", ["image", "w"], ["logits"])],
        {"logits": 4},
        {"w": np.zeros((5, 5), np.float32)},
    )
    with pytest.raises(OnnxFileError, match="cannot run this graph"):
        network(model.SerializeToString())


def test_an_operator_set_of_the_future_is_refused():
    model = brightness_classifier()
    model.opset_import[0].version = 999
    with pytest.raises(OnnxFileError):
        network(model.SerializeToString())


def test_a_graph_that_fails_while_it_runs_says_so():
    nodes = [
        helper.make_node("Cast", ["image"], ["whole"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["whole"], ["worst"], keepdims=0),
        helper.make_node("Gather", ["table", "worst"], ["logits"]),
    ]
    graph = network(model_of(nodes, {"logits": 0}, {"table": np.zeros(2, np.float32)}).SerializeToString())
    assert graph(torch.zeros(1, 3, SIZE, SIZE))[0].tolist() == [0.0]
    with pytest.raises(EngineError, match="The imported graph failed"):
        graph(torch.full((1, 3, SIZE, SIZE), 7.0))


def test_the_file_is_checked_whole_before_anything_runs():
    assert isinstance(read_graph(classifier()), onnx.ModelProto)
