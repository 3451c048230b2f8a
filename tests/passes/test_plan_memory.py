"""The memory plan: nothing that is needed at once overlaps, and what cannot be planned is told."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import parse
from xdsl.context import Context
from xdsl.utils.exceptions import PassFailedException

from xmlc.dialects.diagnostics import CompileError
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.memory import ALIGNMENT
from xmlc.passes.plan_memory import Lifetime, PlanMemory, best_fit, live_bytes


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    spans = st.tuples(st.integers(0, 500), st.integers(0, 30), st.integers(0, 10))
    return [
        Lifetime(cast(Any, None), size, first, first + length)
        for size, first, length in draw(st.lists(spans, max_size=20))
    ]


@given(lifetimes())
def test_buffers_needed_at_once_do_not_overlap(buffers: list[Lifetime]) -> None:
    offsets, total = best_fit(buffers)
    assert total >= live_bytes(buffers)
    for one, at in zip(buffers, offsets):
        assert at % ALIGNMENT == 0
        assert at + one.size <= total
        for other, there in zip(buffers, offsets):
            if one is not other and one.overlaps(other):
                assert at + one.size <= there or there + other.size <= at


def test_what_a_loop_uses_is_kept_until_the_loop_ends() -> None:
    module = parse("""
    func.func @main(%x: memref<512xf32>, %y: memref<512xf32>) {
      %zero = arith.constant 0 : index
      %one = arith.constant 1 : index
      %nine = arith.constant 9 : index
      %a = memref.alloc() : memref<512xf32>
      "memref.copy"(%x, %a) : (memref<512xf32>, memref<512xf32>) -> ()
      scf.for %i = %zero to %nine step %one {
        "memref.copy"(%a, %y) : (memref<512xf32>, memref<512xf32>) -> ()
        %b = memref.alloc() : memref<512xf32>
        "memref.copy"(%x, %b) : (memref<512xf32>, memref<512xf32>) -> ()
        "memref.copy"(%b, %y) : (memref<512xf32>, memref<512xf32>) -> ()
      }
      func.return
    }""")
    PlanMemory().apply(Context(), module)
    assert "xmlc.arena_bytes = 4096" in str(module)


def test_a_function_that_calls_itself_has_no_plan() -> None:
    module = parse("""
    func.func private @again(%x: memref<4xf32>) {
      func.call @again(%x) : (memref<4xf32>) -> ()
      func.return
    }""")
    with pytest.raises(PassFailedException, match="@again calls itself"):
        PlanMemory().apply(Context(), module)


def test_bufferize_names_every_op_it_cannot_do() -> None:
    module = parse(
        """
    func.func @main(%x: tensor<4xf32>) -> tensor<8xf32> {
      %r = tensor.concat dim(0) %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
      %s = "other.op"(%r) : (tensor<8xf32>) -> tensor<8xf32>
      func.return %x : tensor<4xf32>
    }""".replace("-> tensor<8xf32> {", "-> tensor<4xf32> {", 1)
    )
    with pytest.raises(CompileError) as caught:
        Bufferize().apply(Context(), module)
    assert [each.message for each in caught.value.diagnostics] == [
        "tensor.concat on tensors cannot be bufferized",
        "other.op on tensors cannot be bufferized",
    ]
