"""Small ONNX files, written here node by node, so that every number in them is known."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZE = 32
OPSET = 18


def manifest_for(task, outputs, /, **changes):
    """The least that a manifest of this task says; `input` and others as changes."""
    given = {
        "task": task,
        "input": {"name": "image", "height": SIZE, "width": SIZE},
        "outputs": outputs,
        "classes": [{"name": "good", "role": "good"}, {"name": "scratch", "role": "bad"}],
    }
    given["input"] |= changes.pop("input", {})
    return {key: value for key, value in (given | changes).items() if value is not None}


def model_of(nodes, ranks, weights, *, shape=(1, 3, SIZE, SIZE), kind=TensorProto.FLOAT, **more):
    """ranks: output name -> how many dimensions it has."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", kind, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
            for name, rank in ranks.items()
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid("", OPSET), *more.pop("opsets", [])]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, **more)


def fixed_answers(answers, *, times_brightness=False, **more):
    """A graph that gives these arrays for every image; with `times_brightness`, times the input's mean."""
    nodes = [helper.make_node("ReduceMean", ["image"], ["brightness"], keepdims=0)]
    if not times_brightness:
        nodes.append(helper.make_node("Mul", ["brightness", "zero"], ["nothing"]))
    weights = {"zero": np.float32(0)}
    for name, value in answers.items():
        weights[f"{name}_fixed"] = np.asarray(value, np.float32)
        operator, other = ("Mul", "brightness") if times_brightness else ("Add", "nothing")
        nodes.append(helper.make_node(operator, [f"{name}_fixed", other], [name]))
    return model_of(
        nodes, {name: np.ndim(value) for name, value in answers.items()}, weights, **more
    ).SerializeToString()


def brightness_classifier(**more):
    """Logits good: 0, scratch: 8 * (mean of the input - 1/2); and the class-activation map of the same."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "channel_axis"], ["grey"], keepdims=1),
        helper.make_node("Sub", ["grey", "half"], ["centred"]),
        helper.make_node("Mul", ["centred", "gains"], ["map"]),
        helper.make_node("ReduceMean", ["map", "plane_axes"], ["logits"], keepdims=0),
    ]
    weights = {
        "channel_axis": np.array([1]),
        "plane_axes": np.array([2, 3]),
        "half": np.float32(0.5),
        "gains": np.array([0, 8], np.float32).reshape(1, 2, 1, 1),
    }
    return model_of(nodes, {"logits": 2, "map": 4}, weights, **more)
