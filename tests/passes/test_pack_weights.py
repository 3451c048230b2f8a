"""Products by weights that are packed once: the same products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import bf16, f32, i32

import xmlc
from xmlc import ml
from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.dialects.ml.types import tensor
from xmlc.dialects.sizes import symbol
from xmlc.driver import Settings
from xmlc.passes.hoist_weights import HoistWeights
from xmlc.passes.pack_weights import PackWeights


def program(rows: tuple[int, ...], depth: int, columns: int, by_columns: bool, element: str = "f32") -> xmlc.Builder:
    """relu(x @ w + b), w and b weights."""
    dtype = {"f32": np.float32, "f64": np.float64}[element]
    random = np.random.default_rng(3)
    w = random.normal(size=(columns, depth) if by_columns else (depth, columns)).astype(dtype)
    b = random.normal(size=columns).astype(dtype)
    builder = xmlc.Builder()
    x = xmlc.tensor("x".join(map(str, (*rows, depth))) + f"x{element}")
    with builder.function("main", x=x, w=w, b=b) as f:
        rhs = ml.transpose(f["w"], (1, 0)) if by_columns else f["w"]
        f.returns(y=ml.relu(ml.matmul(f["x"], rhs, f["b"])))
    return builder


def narrow_program(
    rows: tuple[int, ...], depth: int, columns: int, by_columns: bool, kinds: tuple[str, str]
) -> xmlc.Builder:
    """x @ w + b in bf16, or in i32 of factors of 8 bits; w and b weights."""
    mine = FROM_NUMPY[np.dtype(kinds[0])]
    sums = bf16 if mine == bf16 else i32
    random = np.random.default_rng(3)
    w = random.integers(0, 100, (columns, depth) if by_columns else (depth, columns)).astype(kinds[1])
    b = random.integers(-9, 9, columns).astype(TO_NUMPY[sums])
    builder = xmlc.Builder()
    with builder.function("main", x=tensor((*rows, depth), mine), w=w, b=b) as f:
        x, rhs = f["x"], ml.transpose(f["w"], (1, 0)) if by_columns else f["w"]
        if sums == i32:
            x, rhs = ml.cast(x, i32), ml.cast(rhs, i32)
        f.returns(y=ml.relu(ml.matmul(x, rhs, f["b"])))
    return builder


def names(builder: xmlc.Builder, **options: Any) -> list[str]:
    module = builder.module.clone()
    PackWeights(**options).apply(Context(), module)
    return [op.name for op in module.walk()]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize(
    ("rows", "depth", "columns", "element"),
    [((5,), 700, 96, "f32"), ((2, 13), 300, 200, "f32"), ((33,), 1024, 64, "f32"), ((9,), 300, 100, "f64")],
)
def test_a_packed_product_is_the_product(
    rows: tuple[int, ...], depth: int, columns: int, element: str, by_columns: bool, threads: int
) -> None:
    builder = program(rows, depth, columns, by_columns, element)
    x = np.random.default_rng(4).normal(size=(*rows, depth)).astype(element.replace("f", "float"))
    (wanted,) = builder.interpret(x)
    assert "ml.packed_matmul" in names(builder)
    (found,) = builder.compile(Settings(threads=threads))(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


BF16, I8, U8 = "bfloat16", "int8", "uint8"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("kinds", [(BF16, BF16), (U8, I8), (I8, U8)], ids="-".join)
@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [((5,), 3000, 96), ((2, 13), 1200, 200), ((33,), 2048, 80), ((64,), 4096, 160)]
)
def test_a_product_of_groups_is_the_product(
    rows: tuple[int, ...], depth: int, columns: int, kinds: tuple[str, str], by_columns: bool, threads: int
) -> None:
    builder = narrow_program(rows, depth, columns, by_columns, kinds)
    x = np.random.default_rng(4).integers(0, 100, (*rows, depth)).astype(kinds[0])
    (wanted,) = builder.interpret(x)
    assert "ml.packed_matmul" in names(builder, dots=("bf16", "i8"))
    (found,) = builder.compile(Settings(threads=threads))(x)
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=1e-2 if BF16 in kinds else 0)


def test_steps_lie_in_groups_where_an_instruction_takes_them_and_no_matrix_unit_does() -> None:
    def shapes(kinds: tuple[str, str], depth: int = 2048, **options: Any) -> list[tuple[int, ...]]:
        module = narrow_program((8,), depth, 96, False, kinds).module
        PackWeights(**options).apply(Context(), module)
        found = [op.operands[1].type for op in module.walk() if op.name == "ml.packed_matmul"]
        return [type.get_shape() for type in found]  # pyright: ignore

    both = ("bf16", "i8")
    assert shapes((BF16, BF16), dots=both) == [(3, 1024, 32, 2)]
    assert shapes((U8, I8), dots=both) == shapes((I8, U8), dots=both) == [(3, 512, 32, 4)]
    assert shapes((I8, I8), dots=both) == []
    assert shapes((U8, I8), depth=2050, dots=both) == []
    assert shapes((BF16, BF16)) == shapes((BF16, BF16), dots=both, tiles=both) == []


def test_panels_are_two_vectors_wide_or_three() -> None:
    def width(columns: int, bits: int) -> int:
        module = program((8,), 512, columns, False).module.clone()
        PackWeights(bits).apply(Context(), module)
        (op,) = [op for op in module.walk() if op.name == "ml.packed_matmul"]
        return op.operands[1].type.get_shape()[2]  # pyright: ignore

    assert [width(columns, 512) for columns in (96, 144, 200)] == [32, 48, 32]
    assert width(96, 256) == 16


@pytest.mark.parametrize(("rows", "depth"), [((3,), 700), ((1025,), 700), ((8,), 16)])
def test_what_gains_nothing_stays(rows: tuple[int, ...], depth: int) -> None:
    assert "ml.packed_matmul" not in names(program(rows, depth, 96, False))


def test_the_weight_itself_is_not_kept() -> None:
    module = program((8,), 512, 96, True).module.clone()
    PackWeights().apply(Context(), module)
    HoistWeights().apply(Context(), module)
    main = next(op for op in module.walk() if op.name == "func.func")
    assert [str(type) for type in main.regions[0].block.arg_types] == [
        "tensor<8x512xf32>",
        "tensor<96xf32>",
        "tensor<3x512x32x1xf32>",
    ]


def test_rows_of_a_free_number_have_panels_of_one_width() -> None:
    def widths(columns: int) -> list[int]:
        builder = xmlc.Builder()
        x = tensor((symbol("n"), 512), f32)
        with builder.function("main", x=x, w=np.zeros((512, columns), np.float32)) as f:
            f.returns(y=ml.matmul(f["x"], f["w"]))
        module = builder.module
        PackWeights().apply(Context(), module)
        found = [op.operands[1].type for op in module.walk() if op.name == "ml.packed_matmul"]
        return [type.get_shape()[2] for type in found]  # pyright: ignore

    assert widths(96) == [32]
    assert widths(144) == widths(200) == []
