"""Importing a graph: signatures, weights, folded shapes, and every problem reported at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node
from xdsl.dialects.builtin import NameLoc, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.reference.interpreter import interpret
from xmlc.frontend.onnx import importer
from xmlc.frontend.onnx.importer import import_model
from xmlc.frontend.onnx.operators import find
from xmlc.frontend.onnx.program import Program
from xmlc.frontend.onnx.unsupported import NeedsValue, Unsupported


def main_of(program: Program) -> FuncOp:
    (main,) = program.module.ops
    assert isinstance(main, FuncOp)
    return main


def ops_of(program: Program) -> list[str]:
    """The names of the ops of @main, without constants and the return."""
    names = [op.name for op in main_of(program).body.block.ops]
    return [name for name in names if name not in ("ml.constant", "func.return")]


def run(program: Program, *inputs: Any) -> tuple[Any, ...]:
    return interpret(program.module, "main", [*inputs, *program.weights.values()])


def expect_as_reference(proto: onnx.ModelProto, *inputs: Any) -> None:
    """The imported program gives what ONNX's own evaluator gives."""
    names = [port.name for port in proto.graph.input]
    wanted = ReferenceEvaluator(proto).run(None, dict(zip(names, inputs, strict=True)))
    found = run(import_model(proto, shapes={name: x.shape for name, x in zip(names, inputs, strict=True)}), *inputs)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-5, atol=1e-6)
        assert a.dtype == np.asarray(b).dtype


# --- the signature


def test_large_initializers_become_weights_and_small_ones_constants() -> None:
    weight = np.ones((16, 8), np.float32)
    proto = model(
        [node("MatMul", "x w", "h"), node("Add", "h b", "y")],
        {"x": (2, 16)},
        ["y"],
        {"w": weight, "b": np.ones(8, np.float32)},
    )
    program = import_model(proto)
    assert list(program.weights) == ["w"]
    main = main_of(program)
    attributes = [each.data for each in main.arg_attrs or ()]
    assert attributes == [
        {"ml.name": StringAttr("x")},
        {"ml.name": StringAttr("w"), "ml.weight": UnitAttr()},
    ]
    main.verify()


def test_an_unused_weight_is_no_argument() -> None:
    proto = model([node("Relu", "x", "y")], {"x": (2,)}, ["y"], {"w": np.ones(100, np.float32)})
    assert import_model(proto).weights == {}


def test_sizes_are_bound_by_symbol_or_by_shape() -> None:
    proto = model([node("Relu", "x", "y")], {"x": ("B", 3)}, ["y"])
    for program in (import_model(proto, symbols={"B": 4}), import_model(proto, shapes={"x": (4, 3)})):
        assert program.inputs[0].declared == ("B", 3)
        assert program.outputs[0].shape == (4, 3)


def test_a_free_size_that_nothing_binds_is_named() -> None:
    proto = model([node("Relu", "x", "y")], {"x": ("B", None)}, ["y"])
    with pytest.raises(CompileError, match=r"input 'x' has free sizes: \(B, \?\)"):
        import_model(proto)


def test_a_shape_that_contradicts_the_model_is_refused() -> None:
    proto = model([node("Add", "x z", "y")], {"x": ("B", 3), "z": ("B", 3)}, ["y"])
    with pytest.raises(CompileError, match=r"input 'x' has shape \(B, 3\), given \(2, 4\)"):
        import_model(proto, shapes={"x": (2, 4), "z": (2, 3)})
    with pytest.raises(CompileError, match=r"input 'z' has shape \(B, 3\), given \(5, 3\)"):
        import_model(proto, shapes={"x": (2, 3), "z": (5, 3)})
    with pytest.raises(CompileError, match="the model has no input 'q'"):
        import_model(proto, shapes={"q": (1,)})


def test_ops_carry_the_name_of_their_node() -> None:
    program = import_model(model([node("Relu", "x", "y", name="first")], {"x": (2,)}, ["y"]))
    location = next(iter(main_of(program).body.block.ops)).location
    assert isinstance(location, NameLoc)
    assert location.desc.data == "first (Relu)"


# --- what is known at import


def test_shape_arithmetic_leaves_no_ops() -> None:
    proto = model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "batch", axis=0),
            node("Unsqueeze", "batch zero", "batch1"),
            node("Concat", "batch1 rest", "shape", axis=0),
            node("Cast", "shape", "shape64", to=onnx.TensorProto.INT64),
            node("Reshape", "x shape64", "y"),
        ],
        {"x": ("B", 3, 4)},
        ["y"],
        {"zero": np.array([0]), "rest": np.array([-1])},
    )
    proto.graph.node[2].CopyFrom(node("Squeeze", "batch zero", "scalar"))
    proto.graph.node.insert(3, node("Unsqueeze", "scalar zero", "batch1"))
    program = import_model(proto, symbols={"B": 5})
    assert ops_of(program) == ["ml.reshape"]
    assert program.outputs[0].shape == (5, 12)


def test_a_shape_that_depends_on_inputs_names_all_of_them() -> None:
    proto = model(
        [node("Reshape", "x s", "h"), node("Tile", "h r", "y")],
        {"x": (2, 3), "s": (np.int64, (1,)), "r": (np.int64, (1,))},
        ["y"],
    )
    with pytest.raises(NeedsValue) as needs:
        import_model(proto)
    assert needs.value.inputs == ("s",)
    with pytest.raises(NeedsValue) as needs:
        import_model(proto, values={"s": np.array([6])})
    assert needs.value.inputs == ("r",)
    program = import_model(proto, values={"s": np.array([6]), "r": np.array([2])})
    assert program.outputs[0].shape == (12,)


def test_a_large_input_never_decides_shapes() -> None:
    proto = model([node("Tile", "x s", "y")], {"x": (2,), "s": (np.int64, (100,))}, ["y"])
    with pytest.raises(Unsupported, match="depends on the value of the large input 's'"):
        import_model(proto)


def test_the_shape_of_a_result_must_not_depend_on_data() -> None:
    proto = model([node("NonZero", "x", "y")], {"x": (4,)}, ["y"])
    with pytest.raises(NotImplementedError, match="depends on the values of a tensor"):
        import_model(proto)


# --- problems


def test_every_missing_operator_is_listed_with_its_nodes() -> None:
    proto = model(
        [
            node("NonMaxSuppression", "x x", "a", name="nms"),
            node("Det", "x", "b", name="d1"),
            node("Det", "x", "c", name="d2"),
            node("Relu", "x", "y"),
        ],
        {"x": (2, 2)},
        ["y"],
    )
    with pytest.raises(Unsupported) as caught:
        import_model(proto)
    messages = [each.message for each in caught.value.diagnostics]
    assert messages == [
        "operator Det is not supported: 2 nodes (d1, d2)",
        "operator NonMaxSuppression is not supported: 1 node (nms)",
    ]


def test_problems_of_several_nodes_are_reported_together() -> None:
    proto = model(
        [
            node("MatMul", "x x", "a", name="first"),
            node("Relu", "a", "b", name="after"),
            node("Concat", "x w", "c", axis=0, name="second"),
        ],
        {"x": (2, 3), "w": (2, 4)},
        ["b", "c"],
    )
    with pytest.raises(CompileError) as caught:
        import_model(proto)
    messages = [each.message for each in caught.value.diagnostics]
    assert len(messages) == 2
    assert messages[0].startswith("node 'first' (MatMul): cannot multiply")
    assert messages[1].startswith("node 'second' (Concat): ")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Relu", "z", "y")], "the value 'z' is used but never defined"),
        ([node("Relu", "_", "y")], "operand 'x' is missing"),
        ([node("Relu", "x x", "y")], "Relu takes 1 operands, found 2"),
        ([node("Relu", "x", "y", slope=1.0)], "attribute slope of Relu is not supported"),
        ([node("Concat", "x x", "y")], "attribute axis is missing"),
        ([node("Sum", "x _", "y")], "operand 2 is missing"),
        ([node("SpaceToDepth", "x", "y", blocksize=2)], "operands or attributes do not fit"),
        ([node("MaxPool", "x4", "y", kernel_shape=[2, 2], strides=[0, 0])], "strides must be at least 1"),
    ],
)
def test_a_node_that_is_wrong_is_named(nodes: list[onnx.NodeProto], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        import_model(model(nodes, {"x": (2, 2), "x4": (1, 1, 4, 4)}, ["y"]))


def test_what_onnx_takes_is_not_the_models_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of an operator's function keeps its traceback, though it looks like a model that does not fit."""

    def buggy(x: SSAValue) -> SSAValue:
        raise KeyError("a bug")

    proto = model([node("Relu", "x", "y")], {"x": (2,)}, ["y"])
    operator = find("", "Relu", 21)
    assert operator is not None
    monkeypatch.setattr(importer, "find", lambda *_: replace(operator, function=buggy))
    with pytest.raises(KeyError, match="a bug"):
        import_model(proto)


def test_an_opset_beyond_what_is_known_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="opset 5 is not supported"):
        import_model(model([node("Relu", "x", "y")], {"x": (2,)}, ["y"], opset=5))


def test_an_element_type_that_ml_lacks_is_unsupported() -> None:
    proto = model([node("Identity", "x", "y")], {"x": (2,)}, ["y"])
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    with pytest.raises(Unsupported, match="input 'x': element type string is not supported"):
        import_model(proto)


# --- functions, graphs within graphs


def test_a_models_own_function_is_inlined_with_its_attributes() -> None:
    body = [node("Elu", "a", "h"), node("Add", "h a", "b")]
    reference = body[0].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    assert reference.ref_attr_name
    twice = helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 21)], ["slope"])
    call = node("Twice", "x", "y", domain="own", slope=2.0)
    x = np.linspace(-2, 2, 5, dtype=np.float32)
    program = import_model(model([call], {"x": (5,)}, ["y"], functions=[twice]))
    wanted = np.where(x > 0, x, 2 * np.expm1(x)) + x
    np.testing.assert_allclose(run(program, x)[0], wanted, rtol=1e-6)


def test_an_operator_that_onnx_defines_by_others_is_expanded() -> None:
    proto = model([node("MeanVarianceNormalization", "x", "y")], {"x": (2, 3, 4, 5)}, ["y"])
    expect_as_reference(proto, np.random.default_rng(0).random((2, 3, 4, 5), np.float32))


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])


def test_a_condition_known_at_import_chooses_its_branch() -> None:
    choice = node(
        "If", "c", "y", then_branch=branch("a", node("Relu", "x", "t")), else_branch=branch("b", node("Neg", "x", "e"))
    )
    known = model([choice], {"x": (3,)}, ["y"], {"c": np.array(False)})
    assert ops_of(import_model(known)) == ["ml.neg"]
    asked = model([choice], {"x": (3,), "c": (np.bool_, ())}, ["y"])
    assert ops_of(import_model(asked)) == ["ml.if"]
    x = np.array([-1, 0, 2], np.float32)
    np.testing.assert_array_equal(run(import_model(asked), x, np.array(True))[0], [0, 0, 2])


# --- what an operator meant in older operator sets


@pytest.mark.parametrize(
    ("opset", "nodes", "shape"),
    [
        (13, [node("Softmax", "x", "y", axis=1)], (2, 3, 4)),
        (9, [node("Slice", "x", "y", starts=[1, 0], ends=[3, -1], axes=[1, 2])], (2, 3, 4)),
        (9, [node("Pad", "x", "y", pads=[0, 1, 0, 2], mode="reflect")], (3, 4)),
        (10, [node("Clip", "x", "y", min=-0.5, max=0.5)], (3, 4)),
        (11, [node("Squeeze", "x", "y", axes=[0])], (1, 3)),
        (11, [node("Unsqueeze", "x", "y", axes=[0, -1])], (2, 3)),
        (11, [node("Split", "x", "a b", axis=1, split=[1, 3]), node("Neg", "b", "y")], (2, 4)),
        (12, [node("ReduceSum", "x", "y", axes=[1], keepdims=0)], (2, 3)),
        (17, [node("ReduceMean", "x", "y", axes=[-1])], (2, 3)),
    ],
)
def test_older_operator_sets_keep_their_meaning(
    opset: int, nodes: list[onnx.NodeProto], shape: tuple[int, ...]
) -> None:
    proto = model(nodes, {"x": shape}, ["y"], opset=opset)
    expect_as_reference(proto, np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def test_softmax_before_opset_13_takes_the_last_dimensions_as_one() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    (found,) = run(import_model(model([node("Softmax", "x", "y")], {"x": x.shape}, ["y"], opset=11)), x)
    np.testing.assert_allclose(found, np.exp(x) / np.exp(x).sum(axis=(1, 2), keepdims=True), rtol=1e-5)


def test_topk_before_opset_10_has_k_as_an_attribute() -> None:
    x = np.random.default_rng(1).standard_normal((2, 5)).astype(np.float32)
    (found,) = run(import_model(model([node("TopK", "x", "y i", k=2)], {"x": x.shape}, ["y"], opset=9)), x)
    np.testing.assert_array_equal(found, -np.sort(-x)[:, :2])


@pytest.mark.parametrize(
    ("array", "does"),
    [
        (np.arange(100), True),
        (np.arange(100, dtype=np.int32).reshape(1, 1, 100), True),
        (np.arange(100).reshape(100, 1), False),
        (np.arange(100).reshape(10, 10), False),
        (np.arange(1, 101), False),
        (np.arange(100, dtype=np.float32), False),
    ],
)
def test_a_large_array_that_counts_is_no_weight(array: np.ndarray[Any, Any], does: bool) -> None:
    proto = model([node("Add", "x c", "y")], {"x": array.shape}, ["y"])
    proto.graph.input[0].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    proto.graph.initializer.append(numpy_helper.from_array(array, "c"))
    program = import_model(proto)
    assert (not program.weights) == does
    x = np.ones(array.shape, array.dtype)
    (y,) = interpret(program.module, "main", [x, *program.weights.values()])
    np.testing.assert_array_equal(y, x + array)
