"""`grouped.dot` gives the interpreter's numbers, by an instruction where there is one and spelled out where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import bf16
from xdsl.parser import Parser

from xmlc.backends.cpu import jit
from xmlc.backends.cpu.emit import emit_module
from xmlc.backends.cpu.target import host, parse_target
from xmlc.dialects import context
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.reference.interpreter import interpret_into


def program(sums: str, factors: str, lanes: int, group: int, unsigned: str) -> str:
    total, parts = f"{lanes}x{sums}", f"{lanes * group}x{factors}"
    return f"""func.func @main(%s: memref<{total}>, %x: memref<{parts}>, %y: memref<{parts}>, %out: memref<{total}>) {{
      %c0 = arith.constant 0 : index
      %a = vector.load %s[%c0] : memref<{total}>, vector<{total}>
      %b = vector.load %x[%c0] : memref<{parts}>, vector<{parts}>
      %c = vector.load %y[%c0] : memref<{parts}>, vector<{parts}>
      %r = grouped.dot {unsigned} %a, %b, %c : vector<{total}>, vector<{parts}>
      vector.store %r, %out[%c0] : memref<{total}>, vector<{total}>
      func.return
    }}"""


KINDS = {
    "bytes": ("i32", "i8", 4, "unsigned"),
    "signed bytes": ("i32", "i8", 4, ""),
    "words": ("i32", "i16", 2, ""),
    "halves": ("f32", "bf16", 2, ""),
}
TYPES = {"i32": np.int32, "f32": np.float32, "i8": np.int8, "i16": np.int16, "bf16": TO_NUMPY[bf16]}


@pytest.mark.parametrize("level", ["", ":avx512-dot", ":avx512", ":avx2", ":sse2"])
@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_products_of_neighbours_are_summed(kind: str, lanes: int, level: str) -> None:
    if host().architecture != "x86_64":
        pytest.skip("the levels are those of x86_64")
    target = parse_target(f"cpu{level}")
    if not target.is_host:
        pytest.skip(f"this processor is no {target.name}")
    sums, factors, group, unsigned = KINDS[kind]
    module = Parser(context(), program(sums, factors, lanes, group, unsigned)).parse_module()
    module.verify()
    random = np.random.default_rng(0)
    limits = (-3, 4) if factors == "bf16" else (-128, 128) if factors == "i8" else (-(2**15), 2**15)
    buffers: list[Any] = [random.integers(-9, 9, lanes).astype(TYPES[sums])]
    buffers += [random.integers(*limits, lanes * group).astype(TYPES[factors]) for _ in range(2)]
    buffers.append(np.zeros(lanes, TYPES[sums]))
    made = [each.copy() for each in buffers]
    interpret_into(module, "main", buffers)
    code = jit.compile_to_object(emit_module(module, target), target)
    slots = np.array([each.ctypes.data for each in made], np.uint64)
    jit.load_object(code).function("main")(slots.ctypes.data_as(jit.ctypes.POINTER(jit.ctypes.c_uint64)))
    np.testing.assert_array_equal(made[-1], buffers[-1])


@pytest.mark.parametrize(
    ("kind", "level", "instruction"),
    [
        ("bytes", "avx512-dot", "vpdpbusd"),
        ("halves", "avx512-dot", "vdpbf16ps"),
        ("words", "avx512-dot", "vpdpwssd"),
        ("words", "avx2", "vpmaddwd"),
    ],
)
def test_one_instruction_does_it_where_there_is_one(kind: str, level: str, instruction: str) -> None:
    target = parse_target(f"x86_64-linux-gnu:{level}")
    sums, factors, group, unsigned = KINDS[kind]
    module = Parser(context(), program(sums, factors, target.lanes(32), group, unsigned)).parse_module()
    assert instruction in jit.assembly(emit_module(module, target), target)
