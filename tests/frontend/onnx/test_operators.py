"""The table of operators, and operators beyond what ONNX's own node tests try."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node
from xdsl.ir import SSAValue

from xmlc.dialects.reference.interpreter import interpret
from xmlc.frontend.onnx.importer import import_model
from xmlc.frontend.onnx.operator import Kind, Node, read_operator
from xmlc.frontend.onnx.operators import find, names, table
from xmlc.frontend.onnx.tensors import Array


def test_the_newest_version_not_after_the_opset_is_found() -> None:
    assert [find("", "Squeeze", opset).since for opset in (9, 12, 13, 21)] == [1, 1, 13, 13]  # pyright: ignore
    assert find("", "Scan", 8) is None
    assert find("ai.onnx.ml", "Scaler", 1) is not None
    assert find("elsewhere", "Relu", 1) is None


def test_every_operator_is_one_that_onnx_knows() -> None:
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    assert set(table()) <= known
    assert "ai.onnx.ml:Scaler" in set(names())


def test_every_attribute_is_one_that_onnx_knows() -> None:
    """A misspelt keyword would make every use of the attribute unsupported."""
    for (domain, name), versions in table().items():
        known = {
            attribute
            for schema in onnx.defs.get_all_schemas_with_history()
            if (schema.domain, schema.name) == (domain, name)
            for attribute in schema.attributes
        }
        for operator in versions:
            assert operator.attributes <= known, name


def test_a_signature_says_what_operands_are() -> None:
    def Example(x: SSAValue, axes: Array | None = None, *, alpha: float, beta: int = 0, node: Node) -> SSAValue:
        return x

    operator = read_operator("Example", 1, Example)
    assert [(each.kind, each.optional) for each in operator.parameters] == [
        (Kind.TENSOR, False),
        (Kind.KNOWN, True),
    ]
    assert operator.attributes == {"alpha", "beta"}
    assert operator.required == {"alpha"}
    assert operator.node == "node"


RNG = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("nodes", "inputs"),
    [
        ([node("Einsum", "a b", "y", equation="...ij,...jk->...ik")], [normal(2, 1, 3, 4), normal(5, 4, 6)]),
        ([node("Einsum", "a b", "y", equation="bi,bj")], [normal(2, 3), normal(2, 4)]),
        ([node("Gemm", "a b c", "y", alpha=0.5, beta=2.0, transB=1)], [normal(2, 3), normal(4, 3), normal(4)]),
        ([node("MatMul", "a b", "y")], [normal(3), normal(2, 3, 4)]),
        (
            [node("Conv", "a b", "y", group=2, strides=[2], pads=[1, 2], dilations=[2])],
            [normal(1, 4, 11), normal(6, 2, 3)],
        ),
        ([node("Conv", "a b", "y", auto_pad="SAME_LOWER", strides=[2, 2])], [normal(1, 2, 5, 6), normal(3, 2, 3, 3)]),
        ([node("AveragePool", "a", "y", kernel_shape=[3], strides=[2], ceil_mode=1)], [normal(1, 2, 8)]),
        ([node("Mod", "a b", "y", fmod=1)], [normal(3, 4), normal(4)]),
        ([node("LpPool", "a", "y", kernel_shape=[2, 2], p=3)], [np.abs(normal(1, 2, 4, 4))]),
        ([node("GatherND", "a i", "y", batch_dims=1)], [normal(2, 3, 4), np.array([[[-1]], [[0]]])]),
        ([node("ScatterND", "a i b", "y", reduction="add")], [normal(4, 2), np.array([[0], [-1], [0]]), normal(3, 2)]),
    ],
)
def test_an_operator_means_what_onnx_says(nodes: list[onnx.NodeProto], inputs: list[Array]) -> None:
    operands = [name for name in nodes[0].input if name]
    proto = model(nodes, {name: (x.dtype.type, x.shape) for name, x in zip(operands, inputs, strict=True)}, ["y"])
    program = import_model(proto)
    (found,) = interpret(program.module, "main", [*inputs, *program.weights.values()])
    (wanted,) = ReferenceEvaluator(proto).run(None, dict(zip(operands, inputs, strict=True)))
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("code", [onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT8E4M3FN])
def test_weights_of_narrow_formats_are_dequantized(code: int) -> None:
    values = np.array([[0, 1, 2, 3, 4, 5, 6, 7]] * 16, np.float32)
    weight = helper.make_tensor("w", code, values.shape, values.ravel().tolist())
    proto = model([node("DequantizeLinear", "w s", "h"), node("Add", "x h", "y")], {"x": (16, 8)}, ["y"])
    proto.graph.initializer.extend([weight, numpy_helper.from_array(np.float32(0.5), "s")])
    x = normal(16, 8)
    program = import_model(proto)
    (found,) = interpret(program.module, "main", [x, *program.weights.values()])
    np.testing.assert_allclose(found, x + values / 2, rtol=1e-6)
