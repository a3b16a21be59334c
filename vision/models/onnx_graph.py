"""A stranger's ONNX file: looked through before anything runs, then run in one fixed way.

Nothing in an ONNX file is code, but it may point to other files, ask for operators from a library that comes with
it, or draw random numbers. Such files are refused, each with a sentence.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from vision.runtime.engine import EngineError

MAX_BYTES = 512 * 2**20  # larger networks do not answer within a line's cycle time anyway
# The operators of the standard itself; functions that the file defines from them are fine too.
STANDARD_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
RANDOM_OPERATORS = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
INPUT_TYPES: dict[int, Any] = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.FLOAT16: np.float16,
    onnx.TensorProto.UINT8: np.uint8,
}


class OnnxFileError(ValueError):
    """The ONNX file cannot be used; the message is a sentence for the person who brought it."""


class OnnxNetwork(nn.Module):
    """A checked graph behind the interface of a torch module; ONNX Runtime runs it, one image a call.

    content           the ONNX file
    input_name        its one input
    input_shape       of one image; free dimensions of the graph are fixed to it
    is_channels_last  the graph wants NHWC; `forward` takes NCHW all the same
    output_names      which of its outputs are wanted, in this order

    Raises OnnxFileError with the reason why this graph is not run.
    """

    def __init__(
        self,
        content: bytes,
        *,
        input_name: str,
        input_shape: tuple[int, int, int, int],
        is_channels_last: bool,
        output_names: Sequence[str],
        device: str,
    ) -> None:
        super().__init__()
        model = read_graph(content)
        self.input_type = _fix_input(model, input_name, input_shape)
        known = [output.name for output in model.graph.output]
        for name in output_names:
            if name not in known:
                raise OnnxFileError(
                    f"The manifest names the output {name!r}, the graph has: {', '.join(known)}."
                )
        self._input_name, self._output_names = input_name, list(output_names)
        self._is_channels_last = is_channels_last
        try:
            self._session = _session(model.SerializeToString(), device=device)
        except Exception as error:  # ONNX Runtime raises a class of its own for each kind of trouble
            raise OnnxFileError(f"ONNX Runtime cannot run this graph: {_first_line(error)}.") from error

    @property
    def provider(self) -> str:
        """What ONNX Runtime runs the graph on."""
        return str(self._session.get_providers()[0])

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The wanted outputs, float32; raises EngineError where the graph fails or answers no array."""
        answers = [self._of_one(each[None]) for each in batch.cpu().numpy()]
        return tuple(torch.cat(several) for several in zip(*answers, strict=True))

    def _of_one(self, image: NDArray[np.float32]) -> list[Tensor]:
        turned = image.transpose(0, 2, 3, 1) if self._is_channels_last else image
        given = np.ascontiguousarray(turned.astype(self.input_type))
        try:
            outputs = self._session.run(self._output_names, {self._input_name: given})
        except Exception as error:  # as above
            raise EngineError(f"The imported graph failed: {_first_line(error)}.") from error
        if not all(isinstance(output, np.ndarray) and output.dtype.kind in "fiub" for output in outputs):
            raise EngineError("The imported graph answered something that is no array of numbers.")
        return [torch.from_numpy(np.atleast_1d(output).astype(np.float32)) for output in outputs]


def read_graph(content: bytes) -> onnx.ModelProto:
    """The graph, if it is whole, stands alone, and is made of known operators and finite weights.

    Raises OnnxFileError with the reason.
    """
    if len(content) > MAX_BYTES:
        raise OnnxFileError(
            f"The file has {len(content) // 2**20} MiB; at most {MAX_BYTES // 2**20} MiB are taken."
        )
    if content[:1] == b"\x80" or content[:4] == b"PK\x03\x04":
        raise OnnxFileError(
            "This is a Python pickle or a PyTorch file, not ONNX. Nothing in it was run; export the model to ONNX."
        )
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, and others for bytes made to break it
        raise OnnxFileError(
            "These bytes are not a whole ONNX file: it is cut short or of another kind."
        ) from error
    if not model.graph.node or not model.opset_import or not model.graph.output:
        raise OnnxFileError("The file holds no whole ONNX graph: it is cut short or of another kind.")
    _refuse_other_files(model)
    _refuse_strange_operators(model)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker raises ValidationError, and others for files made to break it
        raise OnnxFileError(f"The file breaks the rules of ONNX: {_first_line(error)}.") from error
    _refuse_nan(model)
    return model


def _refuse_other_files(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise OnnxFileError(
                f"The weights {tensor.name!r} lie in another file. Save the model as one file, without external data."
            )


def _refuse_strange_operators(model: onnx.ModelProto) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for node in _nodes(model):
        if node.domain not in STANDARD_DOMAINS and (node.domain, node.op_type) not in own:
            raise OnnxFileError(
                f"The operator {node.op_type} is from {node.domain!r}, not from ONNX itself; no foreign operators run here."
            )
        if node.op_type in RANDOM_OPERATORS:
            raise OnnxFileError(
                f"The operator {node.op_type} draws random numbers: the same image must give the same score."
            )


def _refuse_nan(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        try:
            values = numpy_helper.to_array(tensor)
        except Exception as error:  # whatever a damaged tensor makes NumPy say
            raise OnnxFileError(
                f"The weights {tensor.name!r} cannot be read: {_first_line(error)}."
            ) from error
        if values.dtype.kind in "fV" and np.isnan(values.astype(np.float32)).any():
            raise OnnxFileError(f"The weights {tensor.name!r} hold NaN.")
    for node in _nodes(model):
        for attribute in node.attribute:
            if np.isnan([attribute.f, *attribute.floats]).any():
                raise OnnxFileError(f"The operator {node.name or node.op_type} has NaN for {attribute.name}.")


def _fix_input(model: onnx.ModelProto, name: str, shape: tuple[int, int, int, int]) -> Any:
    """Write the manifest's size into the graph's free dimensions; the NumPy type that the input wants."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    names = ", ".join(each.name for each in inputs) or "none"
    if len(inputs) != 1:
        raise OnnxFileError(f"The graph must have one input, the image; it has: {names}.")
    if inputs[0].name != name:
        raise OnnxFileError(f"The manifest names the input {name!r}, the graph has: {names}.")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type not in INPUT_TYPES:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise OnnxFileError(f"The graph's input is {kind}; images come as float, float16 or uint8.")
    if not tensor.HasField("shape") or len(tensor.shape.dim) != 4:
        raise OnnxFileError(
            "The graph's input must have 4 dimensions (batch, channels, height and width in the manifest's layout)."
        )
    for dimension, wanted in zip(tensor.shape.dim, shape, strict=True):
        if dimension.HasField("dim_value") and dimension.dim_value != wanted:
            has = [each.dim_value if each.HasField("dim_value") else "free" for each in tensor.shape.dim]
            raise OnnxFileError(f"By the manifest the graph's input is {list(shape)}; the graph says {has}.")
        dimension.dim_value = wanted
    return INPUT_TYPES[tensor.elem_type]


def _session(content: bytes, *, device: str) -> onnxruntime.InferenceSession:
    """One fixed configuration: the same file on the same machine always gives the same bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # follows OMP_NUM_THREADS
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what goes wrong is raised; nothing is printed beside it
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are shared
    options.add_session_config_entry("session.load_model_format", "ONNX")
    there = onnxruntime.get_available_providers()
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    providers = [each for each in wanted if each in there] + ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(content, sess_options=options, providers=providers)


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every operator, those of functions and of branches and loops inside included."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every array in the file, wherever it is kept."""
    graphs = [model.graph]
    for training in model.training_info:
        graphs += [training.initialization, training.algorithm]
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (each for each in (attribute.t, *attribute.tensors) if each.ByteSize())
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (each for each in (sparse.values, sparse.indices) if each.ByteSize())
            graphs += [graph for graph in (attribute.g, *attribute.graphs) if graph.ByteSize()]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
