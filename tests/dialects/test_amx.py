"""Tiles: what their products mean, and which fit."""

from __future__ import annotations

import re

import numpy as np
import pytest
from xdsl.dialects.builtin import bf16, f32, i8, i32
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from xmlc.dialects import context
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.reference.interpreter import interpret_into

DTYPES = {str(each): TO_NUMPY[each] for each in (bf16, f32, i8, i32)}


def program(lhs: tuple[int, int], rhs: tuple[int, int], element: str, sums: str, marks: tuple[str, str]) -> str:
    a, b = (f"{rows}x{columns}x{element}" for rows, columns in (lhs, rhs))
    c = f"{lhs[0]}x{rhs[1] * (16 if element == 'bf16' else 8) // 32}x{sums}"
    product = "amx.tile_mulf" if sums == "f32" else "amx.tile_muli"
    return f"""func.func @main(%a: memref<{a}>, %b: memref<{b}>, %c: memref<{c}>) {{
      %i = arith.constant 0 : index
      %x = amx.tile_load %a[%i, %i] : memref<{a}> into !amx.tile<{a}>
      %y = amx.tile_load %b[%i, %i] : memref<{b}> into !amx.tile<{b}>
      %z = amx.tile_zero : !amx.tile<{c}>
      %s = {product} %x {marks[0]}, %y {marks[1]}, %z : !amx.tile<{a}>, !amx.tile<{b}>, !amx.tile<{c}>
      %t = {product} %x {marks[0]}, %y {marks[1]}, %s : !amx.tile<{a}>, !amx.tile<{b}>, !amx.tile<{c}>
      amx.tile_store %c[%i, %i], %t : memref<{c}>, !amx.tile<{c}>
      func.return
    }}"""


@pytest.mark.parametrize("marks", [("", ""), ("zext", ""), ("", "zext"), ("zext", "zext")])
@pytest.mark.parametrize(("element", "sums"), [("bf16", "f32"), ("i8", "i32")])
def test_a_product_of_tiles_is_the_product_of_matrices(element: str, sums: str, marks: tuple[str, str]) -> None:
    if element == "bf16":
        marks = ("", "")
    random = np.random.default_rng(2)
    group = 2 if element == "bf16" else 4
    x, y = random.integers(-5, 6, (9, 8 * group)), random.integers(-5, 6, (8 * group, 5))
    dtype = DTYPES[element]
    grouped = y.reshape(8, group, 5).transpose(0, 2, 1).reshape(8, 5 * group)
    module = Parser(context(), program((9, 8 * group), (8, 5 * group), element, sums, marks)).parse_module()
    module.verify()
    given = [x.astype(dtype), grouped.astype(dtype), np.zeros((9, 5), DTYPES[sums])]
    interpret_into(module, "main", given)
    left, right = (each.astype(np.uint8) if mark else each for each, mark in zip((x, y), marks))
    np.testing.assert_array_equal(given[2], 2 * (left.astype(np.int64) @ right.astype(np.int64)))


@pytest.mark.parametrize(
    ("lhs", "rhs", "message"),
    [
        ((9, 16), (7, 10), "cannot multiply !amx.tile<9x16xbf16> by !amx.tile<7x10xbf16> onto !amx.tile<9x5xf32>"),
        ((17, 16), (8, 10), "a tile has at most 16 rows of 64 bytes, in words of 4; found 17 of 32"),
        ((9, 34), (8, 10), "a tile has at most 16 rows of 64 bytes, in words of 4; found 9 of 68"),
    ],
)
def test_a_mistake_is_named(lhs: tuple[int, int], rhs: tuple[int, int], message: str) -> None:
    with pytest.raises((VerifyException, ParseError), match=re.escape(message)):
        Parser(context(), program(lhs, rhs, "bf16", "f32", ("", ""))).parse_module().verify()


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ("%m[%i] : memref<512xbf16> into !amx.tile<16x32xbf16>", "expected an index for each dimension"),
        ("%n[%i, %i] : memref<16x32xf32> into !amx.tile<16x32xbf16>", "expected a buffer of the elements of !amx.tile"),
        ("%n[%i, %i] : memref<16x32xf32> into !amx.tile<16xf32>", "a tile has two dimensions, of numbers"),
    ],
)
def test_a_load_that_cannot_be_is_named(load: str, message: str) -> None:
    text = f"""func.func @f(%m: memref<512xbf16>, %n: memref<16x32xf32>, %i: index) {{
      %x = amx.tile_load {load}
      func.return
    }}"""
    with pytest.raises((VerifyException, ParseError), match=re.escape(message)):
        Parser(context(), text).parse_module().verify()
