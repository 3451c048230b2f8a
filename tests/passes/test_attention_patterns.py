"""Attention as programs spell it becomes one op that means the same; what does not says why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_samples import operand_type, program
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import compile_module
from xmlc.passes.fuse_patterns import FusePatterns
from xmlc.passes.remarks import Remarks
from xmlc.passes.simplify import Simplify

Spelling = Callable[[SSAValue, SSAValue, SSAValue, SSAValue], SSAValue]
few = settings(max_examples=25, deadline=None, derandomize=True)


def swapped(x: SSAValue) -> SSAValue:
    rank = len(shape_of(x))
    return F.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def plain(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
    return F.matmul(F.softmax(F.matmul(query, swapped(key)), -1), value)


def hidden_by(number: float) -> Spelling:
    """What hides scores where the mask is true."""

    def build(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
        scores = F.matmul(query, swapped(key))
        return F.matmul(F.softmax(F.select(mask, F.scalar(scores, number), scores), -1), value)

    return build


def shown(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
    scores = F.matmul(query, swapped(key))
    return F.matmul(F.softmax(F.select(mask, scores, F.scalar(scores, -np.inf)), -1), value)


def again(x: SSAValue, count: int, heads: tuple[int, ...]) -> SSAValue:
    """x (.., g, n, d) with each head `count` times in a row: (*heads, n, d)."""
    *outer, rows, columns = shape_of(x)
    one = F.reshape(x, (*outer, 1, rows, columns))
    return F.reshape(F.broadcast(one, (*outer, count, rows, columns)), (*heads, rows, columns))


def samples(*shapes: tuple[int, ...], columns: int) -> list[np.ndarray]:
    """Query, key, value, and a mask that neither hides nor shows any row wholly."""
    generator = np.random.default_rng(0)
    mask = generator.random((shapes[0][-2], columns)) < 0.5
    mask[:, 0], mask[:, 1] = True, False
    return [*(generator.standard_normal(each).astype(np.float32) for each in shapes), mask]


def built(spelling: Spelling, arrays: list[np.ndarray]) -> ModuleOp:
    names = ["f32", "f32", "f32", "i1"]
    return program(
        [operand_type(f"{name}:{'x'.join(map(str, x.shape))}") for name, x in zip(names, arrays)],
        spelling,
    )


def fused(module: ModuleOp) -> tuple[ModuleOp, list[str], Remarks]:
    """The module after the pass, its ops, and what the pass says."""
    after, said = module.clone(), Remarks()
    with said.collecting():
        for each in (Simplify(), FusePatterns(), Simplify()):
            each.apply(Context(), after)
    after.verify()
    return after, [op.name.removeprefix("ml.") for op in after.walk()], said


SPELLINGS = {"plain": plain, "hidden": hidden_by(-np.inf), "shown": shown}


@pytest.mark.parametrize("spelling", SPELLINGS)
@few
@given(outer=st.lists(st.integers(1, 3), max_size=2), sizes=st.tuples(*[st.integers(2, 6)] * 4))
def test_attention_of_two_to_four_dimensions_is_found(
    spelling: str, outer: list[int], sizes: tuple[int, int, int, int]
) -> None:
    rows, columns, depth, width = sizes
    arrays = samples((*outer, rows, depth), (*outer, columns, depth), (*outer, columns, width), columns=columns)
    before = built(SPELLINGS[spelling], arrays)
    after, ops, said = fused(before)
    assert "attention" in ops and "softmax" not in ops and not said.found
    (expected,), (found,) = interpret(before, "main", arrays), interpret(after, "main", arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("joined", [False, True])
@few
@given(sizes=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 3)))
def test_keys_that_a_group_shares_are_read_once(joined: bool, sizes: tuple[int, int, int]) -> None:
    batch, groups, count = sizes
    heads = (batch * groups * count,) if joined else (batch, groups * count)

    def build(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
        return plain(query, again(key, count, heads), again(value, count, heads), mask)

    arrays = samples((*heads, 4, 5), (batch, groups, 6, 5), (batch, groups, 6, 3), columns=6)
    before = built(build, arrays)
    after, ops, _ = fused(before)
    assert "attention" in ops and "broadcast" not in ops
    (expected,), (found,) = interpret(before, "main", arrays), interpret(after, "main", arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_groups_of_heads_are_compiled() -> None:
    def build(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
        return hidden_by(-np.inf)(query, again(key, 2, (12,)), again(value, 2, (12,)), mask)

    arrays = samples((12, 7, 8), (2, 3, 9, 8), (2, 3, 9, 8), columns=9)
    module = built(build, arrays)
    (expected,) = interpret(module, "main", arrays)
    np.testing.assert_allclose(compile_module(module)(*arrays)[0], expected, rtol=1e-5, atol=1e-5)


def used_twice(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
    scores = F.matmul(query, swapped(key))
    return F.add(F.matmul(F.softmax(scores, -1), value), F.reduce_sum(scores, (2,), keep_dims=True))


def of_no_product(query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue) -> SSAValue:
    return F.matmul(F.softmax(key, -1), swapped(key))


FINITE = (-1e4, -65504.0, -1e9, float(np.finfo(np.float32).min))


@pytest.mark.parametrize("number", FINITE)
def test_a_row_that_a_finite_number_hides_sees_all_columns_alike(number: float) -> None:
    arrays = samples((2, 40, 8), (2, 70, 8), (2, 70, 5), columns=70)
    arrays[3][3], arrays[3][21:35] = True, True
    before = built(hidden_by(number), arrays)
    after, ops, said = fused(before)
    assert "attention" in ops and not said.found
    (expected,) = interpret(before, "main", arrays)
    np.testing.assert_allclose(expected[:, 3], arrays[2].mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(interpret(after, "main", arrays)[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(compile_module(before)(*arrays)[0], expected, rtol=1e-5, atol=1e-5)


MISSED = {
    "-100 hides nothing: only -10000 and what is lower does": hidden_by(-100),
    "nan hides nothing: only -10000 and what is lower does": hidden_by(np.nan),
    "something else uses its scores": used_twice,
    "its scores are no product": of_no_product,
}


@pytest.mark.parametrize("why", MISSED)
def test_what_is_no_attention_says_why(why: str) -> None:
    arrays = samples((2, 4, 5), (2, 6, 5), (2, 6, 3), columns=6)
    _, ops, said = fused(built(MISSED[why], arrays))
    assert "attention" not in ops
    assert [each.message for each in said.found] == [f"not attention: {why}"]
