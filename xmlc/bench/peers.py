"""The contestants: xmlc and its peers, as a table: name -> package, how to install it, how it takes on a case.

A peer is imported when it is first asked for; one that is not installed is reported as absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xmlc.bench.case import Array, Case
from xmlc.bench.contestant import Contestant, Declined
from xmlc.bench.kinds import KINDS

OURS = "xmlc"
MODEL = "model"
"""The kind of a case that is an ONNX model in a file."""

Prepare = Callable[[Case, Sequence[Array], int], Contestant]
"""(case, inputs, threads) -> contestant; raises Declined."""


def in_our_types(results: Any) -> list[Array]:
    return [np.asarray(each) for each in results]


# --- xmlc


def prepare_xmlc(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    from xmlc import options
    from xmlc.bench.program import program_of
    from xmlc.driver import compile_module

    with options.CACHE.set(False), options.NUM_THREADS.set(threads):  # the time to prepare is that of compiling
        if case.kind == MODEL:
            from xmlc.onnx_backend import prepare

            assert case.file is not None
            prepared = prepare(case.file)
            prepared.run(list(inputs))
            values = list(inputs)
            return Contestant(lambda: prepared.run(values), in_our_types)
        split = len(inputs) - case.weights
        weights = {f"weight{i}": array for i, array in enumerate(inputs[split:])}
        compiled = compile_module(program_of(case), weights)
    varying = tuple(inputs[:split])
    return Contestant(lambda: compiled(*varying), in_our_types)


# --- numpy


def prepare_numpy(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    if case.kind == MODEL:
        raise Declined("NumPy runs no ONNX models")
    if case.dtype not in ("f32", "f64"):
        raise Declined(f"NumPy has no fast {case.dtype} arithmetic")
    if case.kind == "gelu_chain":
        raise Declined("NumPy has no erf")
    formula, keywords = KINDS[case.kind].arrays, dict(case.options)
    return Contestant(lambda: formula(np, *inputs, **keywords), lambda result: [np.asarray(result)])


# --- torch


def torch_tensor(torch: Any, array: Array) -> Any:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def torch_array(torch: Any, tensor: Any) -> Array:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()


def torch_function(case: Case, threads: int) -> tuple[Any, Callable[..., Any]]:
    """The module torch, set up, and the case as a function of tensors."""
    torch: Any = import_module("torch")
    torch.set_num_threads(threads)
    if case.file is not None:
        return torch, torch_network(torch, case.file)
    formula, keywords = KINDS[case.kind].torch, dict(case.options)
    return torch, lambda *tensors: formula(torch, *tensors, **keywords)


def torch_network(torch: Any, file: str) -> Callable[..., Any]:
    """The network that was exported beside its ONNX file, at the sizes that are measured."""
    exported = Path(file).with_suffix(".pt2")
    if not exported.exists():
        raise Declined("torch reads no ONNX models, and there is no export of torch's own beside this one")
    return torch.export.load(exported).module()


def torch_contestant(torch: Any, function: Callable[..., Any], inputs: Sequence[Array]) -> Contestant:
    tensors = [torch_tensor(torch, each) for each in inputs]
    no_gradients = torch.inference_mode

    def run() -> Any:
        with no_gradients():
            return function(*tensors)

    def arrays(result: Any) -> list[Array]:
        results: Any = [result] if isinstance(result, torch.Tensor) else result
        return [torch_array(torch, each) for each in results]

    return Contestant(run, arrays)


def prepare_torch(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    torch, function = torch_function(case, threads)
    return torch_contestant(torch, function, inputs)


def prepare_torch_compile(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    torch, function = torch_function(case, threads)
    if case.file is None and KINDS[case.kind].library_call:
        raise Declined("one library call: the same as torch eager")
    torch.compiler.reset()  # no case pays for, or is limited by, those before it
    contestant = torch_contestant(torch, torch.compile(function, dynamic=False), inputs)
    contestant.run()
    return contestant


# --- ONNX runtimes


def onnx_bytes(case: Case, inputs: Sequence[Array]) -> bytes:
    """The case as an ONNX model, its weights inside."""
    if case.file is not None:
        return Path(case.file).read_bytes()
    import onnx
    from onnx import helper, numpy_helper

    names = [f"x{i}" for i in range(len(inputs))]
    split = len(inputs) - case.weights
    nodes = [
        helper.make_node(operator, used, [f"v{i}", f"v{i}.1"][: 2 if operator == "TopK" else 1], **attributes)
        for i, (operator, used, attributes) in enumerate(KINDS[case.kind].onnx(*names, **case.options))
    ]
    element = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in zip(names, inputs)}
    out = onnx.TensorProto.INT32 if case.dtype == "i8" else element["x0"]
    if KINDS[case.kind].gives_places:
        out = onnx.TensorProto.INT64
    last = f"v{len(nodes) - 1}"
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info(name, element[name], array.shape) for name, array in zip(names[:split], inputs)],
        [helper.make_tensor_value_info(last, out, None)],
        [numpy_helper.from_array(array, name) for name, array in zip(names[split:], inputs[split:])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    return model.SerializeToString()


def prepare_onnxruntime(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    if case.dtype == "bf16":
        raise Declined("onnxruntime has no bf16 arithmetic on CPUs")
    ort: Any = import_module("onnxruntime")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    session = ort.InferenceSession(onnx_bytes(case, inputs), settings, providers=["CPUExecutionProvider"])
    feeds = {each.name: array for each, array in zip(session.get_inputs(), inputs)}
    return Contestant(lambda: session.run(None, feeds), in_our_types)


OPENVINO_PRECISION = {"bf16": "bf16", "f16": "f32"}
"""What it computes in; f32 for all else: by default it may round f32 programs to bf16."""


def prepare_openvino(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    ov: Any = import_module("openvino")
    core = ov.Core()
    model = core.read_model(onnx_bytes(case, inputs), b"")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISION.get(case.dtype, "f32"),
    }
    if case.kind == MODEL:
        model.reshape({port: list(array.shape) for port, array in zip(model.inputs, inputs)})
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    feeds: dict[int, Any] = {}
    for i, array in enumerate(inputs[: len(inputs) - case.weights]):
        is_bf16 = array.dtype.name == "bfloat16"
        feeds[i] = ov.Tensor(array.view(np.uint16), array.shape, ov.Type.bf16) if is_bf16 else ov.Tensor(array)

    def run() -> Any:
        return request.infer(feeds, share_inputs=True, share_outputs=True)

    def arrays(result: Any) -> list[Array]:
        found: list[Array] = []
        for i in range(len(compiled.outputs)):
            tensor = request.get_output_tensor(i)
            data: Array = tensor.data
            if tensor.element_type == ov.Type.bf16:
                data = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
            found.append(np.array(data).reshape(tuple(tensor.shape)))
        return found

    return Contestant(run, arrays)


# --- jax


def prepare_jax(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    if case.kind == MODEL:
        raise Declined("jax reads no ONNX models")
    jax: Any = import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", case.dtype == "f64")
    formula, keywords = JAX_FORMULAS.get(case.kind, KINDS[case.kind].arrays), dict(case.options)

    def function(*arrays: Any) -> Any:
        return formula(jax.numpy, *arrays, **keywords)

    compiled = jax.jit(function)
    arrays = [jax.device_put(each) for each in inputs]
    return Contestant(
        lambda: compiled(*arrays).block_until_ready(),
        lambda result: [np.asarray(result).astype(np.float32) if case.dtype == "bf16" else np.asarray(result)],
    )


def jax_convolution(xp: Any, x: Any, weight: Any, bias: Any, *, stride: int, padding: int, groups: int) -> Any:
    lax: Any = import_module("jax.lax")
    pads = [(padding, padding)] * 2
    made = lax.conv_general_dilated(x, weight, (stride, stride), pads, feature_group_count=groups)
    return made + bias.reshape(1, -1, 1, 1)


def jax_attention(xp: Any, q: Any, k: Any, v: Any) -> Any:
    jax: Any = import_module("jax")
    swapped = [xp.swapaxes(each, 1, 2) for each in (q, k, v)]  # jax wants (batch, length, heads, depth)
    return xp.swapaxes(jax.nn.dot_product_attention(*swapped, scale=1 / math.sqrt(q.shape[-1])), 1, 2)


def jax_integer_product(xp: Any, a: Any, b: Any) -> Any:
    return xp.matmul(a, b, preferred_element_type=xp.int32)


def jax_transposition(xp: Any, x: Any, *, order: Sequence[int]) -> Any:
    return xp.transpose(x, order)


JAX_FORMULAS: dict[str, Callable[..., Any]] = {
    "conv": jax_convolution,
    "attention": jax_attention,
    "matmul_i8": jax_integer_product,
    "transpose": jax_transposition,
}
"""Kinds that jax has a better spelling for than NumPy's."""


class Peer(NamedTuple):
    """A row of PEERS."""

    package: str
    install: str
    prepare: Prepare


PEERS: dict[str, Peer] = {
    OURS: Peer("xmlc", "pip install xmlc", prepare_xmlc),
    "numpy": Peer("numpy", "pip install numpy", prepare_numpy),
    "torch": Peer("torch", "pip install torch", prepare_torch),
    "torch.compile": Peer("torch", "pip install torch (and a C++ compiler)", prepare_torch_compile),
    "onnxruntime": Peer("onnxruntime", "pip install onnxruntime", prepare_onnxruntime),
    "openvino": Peer("openvino", "pip install openvino", prepare_openvino),
    "jax": Peer("jax", "pip install jax", prepare_jax),
}


def absent_peers(names: Sequence[str]) -> dict[str, str]:
    """Those that are not installed, with how to install them."""
    return {name: PEERS[name].install for name in names if find_spec(PEERS[name].package) is None}


def versions(names: Sequence[str]) -> dict[str, str]:
    """Package -> version, of what the contestants are made of."""
    packages = dict.fromkeys(["xdsl", "llvmlite", "onnx", *(PEERS[name].package for name in names)])
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
