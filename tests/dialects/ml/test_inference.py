"""The result types that ops of `ml` infer, with sizes known and unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ml_samples import operand_type, program
from xdsl.dialects.builtin import bf16, f32, i8
from xdsl.dialects.func import FuncOp

from xmlc.dialects.ml import functions as F


def both(lists: tuple[list[Any], list[Any]]) -> list[Any]:
    return [*lists[0], *lists[1]]


STRIDED = {"strides": (2, 2), "low": (1, 0)}
CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("f32:2x1 f32:3", "f32:2x3", F.add),
    ("f32:? f32:3", "f32:3", F.add),
    ("f32:? f32:1", "f32:?", F.add),
    ("f32:?x4 f32:3x1x4", "f32:3x?x4", F.mul),
    ("f32:? f32:2", "i1:2", lambda x, y: F.compare(x, y, "lt")),
    ("i1:?x1 f32:4 f32:", "f32:?x4", F.select),
    ("f32:2x?", "bf16:2x?", lambda x: F.cast(x, bf16)),
    ("f32:2x?", "i1:2x?", F.is_nan),
    ("f32:2x?x3", "f32:3x2x?", lambda x: F.transpose(x, (2, 0, 1))),
    ("f32:2x? f32:2x3", "f32:2x?", lambda *xs: F.concat(xs, 1)),
    ("f32:2x? f32:?x3", "f32:?x3", lambda *xs: F.concat(xs, 0)),
    ("f32:2x?", "f32:1x3", lambda x: F.slice_(x, (1, 4), (1, 3), (1, -2))),
    ("f32:2x?", "f32:5x?", lambda x: F.pad(x, (1, 0), (2, 1), "edge")),
    ("f32:2x?", "f32:6x?", lambda x: F.tile(x, (3, 1))),
    ("f32:5x? i64:2x3", "f32:2x3x?", lambda x, i: F.gather(x, i, 0)),
    ("f32:5x4 i64:2x?", "f32:2x?", lambda x, i: F.gather_elements(x, i, 1)),
    ("f32:5x4x? i64:?x2", "f32:?x?", F.gather_nd),
    ("f32:5x? i64:2x1 f32:2x3", "f32:5x?", F.scatter_nd),
    ("i64:2x? f32: f32:", "f32:2x7x?", lambda *xs: F.one_hot(*xs, 7, 1)),
    ("f32:?x3x4 f32:2x4x5", "f32:2x3x5", F.matmul),
    ("f32:?x? f32:3x5 f32:5", "f32:?x5", F.matmul),
    ("f32:2x? f32:3x4", "f32:2x4", lambda *xs: F.einsum(xs, "ij,jk->ik")),
    ("f32:?x3x8x? f32:6x3x3x3", "f32:?x6x4x?", lambda *xs: F.conv(*xs, strides=(2, 1), low=(1, 0), high=(0, 0))),
    (
        "f32:?x4x5x? f32:4x3x3x2",
        "f32:?x6x10x?",
        lambda *xs: F.conv_transpose(*xs, **STRIDED, groups=2),
    ),
    ("f32:1x2x7x?", "f32:1x2x3x?", lambda x: F.max_pool(x, (3, 3), strides=(2, 2))),
    ("f32:2x?x4", "f32:2x1x4", lambda x: F.reduce_sum(x, (1,), keep_dims=True)),
    ("f32:2x?x4", "f32:?", lambda x: F.reduce_max(x, (0, -1))),
    ("i8:2x?", "i64:2", lambda x: F.argmax(x, 1)),
    ("f32:2x?", "f32:2x?", lambda x: F.cumulative_sum(x, 1)),
    ("f32:2x?", "f32:2x3 i64:2x3", lambda x: F.topk(x, 3)),
    ("f32:2x?", "f32:2x? i64:2x?", F.sort),
    ("f32:2x?", "f32:2x?", F.softmax),
    ("f32:?x4 f32:4 f32:4", "f32:?x4", F.layer_norm),
    ("f32:?x? f32:4", "f32:?x?", F.rms_norm),
    ("f32:?x4x? f32:4 f32:?", "f32:?x4x?", F.instance_norm),
    ("f32:?x8x?x4 f32:2x2x?x4 f32:?x2x?x6 f32:?x?", "f32:2x8x?x6", F.attention),
    ("f32:?x?x3 f32:1x20x3 f32:1x20x5", "f32:?x1x?x5 f32:1x?x5 f32:1x?x5", F.lstm),
    ("f32:4x?x3 f32:1x15x3 f32:1x15x5", "f32:4x1x?x5 f32:1x?x5", F.gru),
    ("f32:?x2 f32:2", "f32:2 f32:?x2", lambda xs, x: both(F.scan(lambda c, s: (s, c), [x], [xs]))),
    ("f32:2", "f32:2 f32:5x2", lambda x: both(F.scan(lambda c, _: (c, c), [x], length=5))),
    ("i1: f32:2x3 f32:2x4", "f32:2x?", lambda c, x, y: F.if_(c, lambda: [x], lambda: [y])),
    ("i1: f32:2x?", "f32:2x?", lambda c, x: F.while_(lambda _: c, lambda v: [F.neg(v[0])], [x])),
    ("u32:2", "f32:3x4", lambda key: F.random_uniform(key, (3, 4), f32)),
    ("", "i8:3x2", lambda: F.iota((3, 2), 0, i8)),
]


@pytest.mark.parametrize(("operands", "results", "build"), CASES, ids=[f"{a} -> {b}" for a, b, _ in CASES])
def test_result_types_are_inferred(operands: str, results: str, build: Callable[..., Any]) -> None:
    module = program([operand_type(each) for each in operands.split()], build)
    module.verify()
    function = module.body.block.first_op
    assert isinstance(function, FuncOp)
    assert list(function.function_type.outputs) == [operand_type(each) for each in results.split()]
