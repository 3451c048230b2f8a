"""What the printed LLVM IR looks like where that matters, and what cannot be printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser, pattern_for_opts

from xmlc.dialects.diagnostics import CompileError

Emit = Callable[..., str]


def filecheck(text: str, checks: str) -> None:
    """Fail unless `text` passes the CHECK lines of `checks`."""
    options = Options(match_filename="checks", check_prefixes=["CHECK"])
    parser = Parser(options, StringIO(checks), *pattern_for_opts(options))
    matcher = Matcher(options, FInput("output", text), parser)
    assert matcher.run() == 0, text


def test_constants_are_folded_into_operands_and_addresses(emit: Emit) -> None:
    text = emit(
        """func.func private @f(%x: memref<4x8xf32>, %i: index) {
          %c2 = arith.constant 2 : index
          %c3 = arith.constant 3 : index
          %one = arith.constant 1.0 : f32
          memref.store %one, %x[%c2, %c3] : memref<4x8xf32>
          memref.store %one, %x[%i, %c3] : memref<4x8xf32>
          func.return
        }"""
    )
    filecheck(
        text,
        """
        CHECK-LABEL: define internal void @f(
        CHECK-SAME: ptr noalias captures(none) noundef align 4 dereferenceable(128) %[[X:v[0-9]+]], i64 %[[I:v[0-9]+]])
        CHECK-NEXT: entry:
        CHECK-NEXT: %[[A:v[0-9]+]] = getelementptr inbounds float, ptr %[[X]], i64 19
        CHECK-NEXT: store float 0x3FF0000000000000, ptr %[[A]]
        CHECK-NEXT: %[[M:v[0-9]+]] = mul nsw i64 %[[I]], 8
        CHECK-NEXT: %[[O:v[0-9]+]] = add nsw i64 %[[M]], 3
        CHECK-NEXT: getelementptr inbounds float, ptr %[[X]], i64 %[[O]]
        """,
    )


def test_attributes_of_functions_arguments_and_loops_are_printed(emit: Emit) -> None:
    text = emit(
        """func.func private @f(%x: memref<4xf32> {llvm.align = 64 : i64}, %y: memref<4xf32> {xmlc.may_alias})
            attributes {xmlc.inline} {
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %c4 = arith.constant 4 : index
          scf.for %i = %c0 to %c4 step %c1 {
            %v = memref.load %x[%i] : memref<4xf32>
            %w = arith.addf %v, %v fastmath<nnan,contract> : f32
            memref.store %w, %y[%i] : memref<4xf32>
          } {xmlc.unroll = 2 : i64}
          func.return
        }"""
    )
    filecheck(
        text,
        """
        CHECK: define internal void @f(ptr noalias captures(none) noundef align 64 dereferenceable(16) %v1,
        CHECK-SAME: ptr captures(none) noundef align 4 dereferenceable(16) %v2) #1
        CHECK: fadd nnan contract float
        CHECK: br label %{{.*}}, !llvm.loop !1
        CHECK: attributes #1 = { nounwind alwaysinline
        CHECK: !0 = !{!"llvm.loop.unroll.count", i32 2}
        CHECK: !1 = distinct !{!1, !0}
        """,
    )


def test_kernels_stay_functions_of_their_own(emit: Emit) -> None:
    text = emit("func.func private @f(%x: memref<4xf32>) attributes {xmlc.kernel} { func.return }")
    filecheck(
        text,
        """
        CHECK: define internal void @f({{.*}}) #2
        CHECK: attributes #2 = { nounwind noinline
        """,
    )


def test_a_large_constant_is_printed_quickly_and_whole(emit: Emit) -> None:
    data = np.arange(1 << 16, dtype=np.uint32).tobytes()
    text = emit(
        f""""memref.global"() <{{sym_name = "big table", sym_visibility = "private", type = memref<65536xi32>,
            initial_value = dense<"0x{data.hex()}"> : tensor<65536xi32>, constant}}> : () -> ()"""
    )
    found = re.search(r'@"big table" = internal constant \[262144 x i8\] c"(.*)", align 64', text)
    assert found is not None
    assert bytes.fromhex(found[1].replace("\\", "")) == data


def test_all_ops_without_a_row_are_named_at_once(emit: Emit) -> None:
    text = """func.func @f(%x: f32, %m: memref<1xf32>) {
      %a = math.exp %x : f32
      %b = math.exp %a : f32
      %c = "other.op"(%b) : (f32) -> f32
      func.return
    }"""
    with pytest.raises(CompileError) as raised:
        emit(text)
    assert [found.message for found in raised.value.diagnostics] == [
        "math.exp is left over at stage llvm: it has no LLVM spelling (2 times)",
        "other.op is left over at stage llvm: it has no LLVM spelling",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            """func.func @f(%x: vector<2x2xf32>) {
              func.return
            }""",
            "func.func: vector<2x2xf32> has more than one dimension",
        ),
        (
            """func.func @f(%x: f80) {
              func.return
            }""",
            "func.func: type f80 has no LLVM spelling",
        ),
        (
            """func.func @f(%x: memref<4x4xf32, strided<[1, 4]>>, %i: index) {
              %v = vector.load %x[%i, %i] : memref<4x4xf32, strided<[1, 4]>>, vector<4xf32>
              func.return
            }""",
            "vector.load: the innermost dimension of the memref is not contiguous",
        ),
    ],
)
def test_a_form_that_a_row_cannot_spell_is_explained(emit: Emit, text: str, message: str) -> None:
    with pytest.raises(CompileError, match=re.escape(message)):
        emit(text)


@pytest.mark.parametrize("target", ["aarch64-linux-gnu", "x86_64-linux-gnu", "x86_64-linux-gnu:avx512"])
def test_the_target_sets_triple_layout_and_vector_width(emit: Emit, target: str) -> None:
    from xmlc.backends.cpu.jit import compile_to_object
    from xmlc.backends.cpu.target import parse_target

    text = emit("func.func @f(%x: memref<4xbf16>) {\nfunc.return\n}", target)
    chosen: Any = parse_target(target)
    assert f'target triple = "{chosen.triple}"' in text
    assert f'"prefer-vector-width"="{chosen.vector_bits}"' in text
    assert compile_to_object(text, chosen)[:4] == b"\x7fELF"
