"""Every arithmetic row gives NumPy's numbers, on scalars and on vectors."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

bf16 = np.dtype(ml_dtypes.bfloat16)
NAMES: dict[np.dtype[Any], str] = {
    np.dtype(dtype): name
    for dtype, name in (
        (np.float64, "f64"), (np.float32, "f32"), (np.float16, "f16"), (bf16, "bf16"), (np.int64, "i64"),
        (np.int32, "i32"), (np.int16, "i16"), (np.int8, "i8"), (np.bool_, "i1"),
    )
}  # fmt: skip
f64, f32, f16 = np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16)
i64, i32, i16, i8, i1 = (np.dtype(t) for t in (np.int64, np.int32, np.int16, np.int8, np.bool_))
COUNT = 64


def unsigned(x: NDArray[Any]) -> NDArray[Any]:
    return x.view(f"u{x.dtype.itemsize}")


def kernel(op: str, inputs: list[np.dtype[Any]], output: np.dtype[Any], lanes: int) -> str:
    """out[i] = op(x[i], y[i], z[i]), on scalars (lanes 1) or vectors."""

    def kind(dtype: np.dtype[Any]) -> str:
        return NAMES[dtype] if lanes == 1 else f"vector<{lanes}x{NAMES[dtype]}>"

    def buffer(dtype: np.dtype[Any]) -> str:
        return f"memref<{COUNT}x{NAMES[dtype]}>"

    def read(name: str, dtype: np.dtype[Any]) -> str:
        if lanes == 1:
            return f"%{name} = memref.load %{name}s[%i] : {buffer(dtype)}"
        return f"%{name} = vector.load %{name}s[%i] : {buffer(dtype)}, {kind(dtype)}"

    names = "xyz"[: len(inputs)]
    text = op.format(t=kind(inputs[-1]), s=kind(inputs[0]), o=kind(output))
    reads = "\n".join(read(name, dtype) for name, dtype in zip(names, inputs))
    write = (
        f"memref.store %r, %rs[%i] : {buffer(output)}"
        if lanes == 1
        else f"vector.store %r, %rs[%i] : {buffer(output)}, {kind(output)}"
    )
    parameters = ", ".join(f"%{name}s: {buffer(dtype)}" for name, dtype in zip(names, inputs))
    return f"""func.func @main({parameters}, %rs: {buffer(output)}) {{
      %zero = arith.constant 0 : index
      %end = arith.constant {COUNT} : index
      %step = arith.constant {lanes} : index
      scf.for %i = %zero to %end step %step {{
        {reads}
        %r = {text}
        {write}
      }}
      func.return
    }}"""


def samples(dtype: np.dtype[Any], seed: int) -> NDArray[Any]:
    """Ordinary numbers and the awkward ones: zeros of both signs, infinities, NaN, subnormals, extremes."""
    random = np.random.default_rng(seed)
    if dtype == i1:
        return random.integers(0, 2, COUNT).astype(np.bool_)
    if dtype.kind == "i":
        bounds = np.iinfo(dtype)
        special = np.array([0, 1, -1, 2, bounds.min + 1, bounds.max, 7, -8], dtype)
        values = random.integers(bounds.min + 1, bounds.max, COUNT, dtype=dtype, endpoint=True)
    else:
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 6e-8, -2.5, 0.5, 65519.0, 65520.0, 3.1e-5])
        values = random.standard_normal(COUNT) * 10.0 ** random.integers(-6, 5, COUNT)
        with np.errstate(over="ignore"):
            special, values = special.astype(dtype), values.astype(dtype)
    random.shuffle(special)
    values[: len(special)] = special
    return values


def assert_same(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Bit for bit, except that one NaN is as good as another; the sign of zero counts."""
    assert found.dtype == wanted.dtype
    if found.dtype.kind in "iub":
        np.testing.assert_array_equal(found, wanted)
        return
    with np.errstate(invalid="ignore"):  # signalling NaNs among every f16 there is
        wide, right = found.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_array_equal(wide, right)
    ordered = ~np.isnan(right)
    np.testing.assert_array_equal(np.signbit(wide[ordered]), np.signbit(right[ordered]))


def check(run: Any, op: str, inputs: Any, output: Any, law: Any, lanes: int, target: str = "cpu") -> None:
    arrays = [samples(dtype, seed) for seed, dtype in enumerate(inputs)]
    found = np.zeros(COUNT, output)
    run(kernel(op, list(inputs), output, lanes), *arrays, found, target=target)
    with np.errstate(all="ignore"):
        assert_same(found, np.asarray(law(*arrays)).astype(output))


def wide(law: Callable[..., NDArray[Any]]) -> Callable[..., NDArray[Any]]:
    """A law computed in f32 where its inputs have 16 bits, as the IR defines arithmetic on them."""
    return lambda *arrays: law(*(x.astype(f32) if x.dtype.itemsize == 2 else x for x in arrays))


def total_order(pick: Any) -> Callable[..., NDArray[Any]]:
    """minimumf and maximumf: NaN wins, and -0 is less than +0."""

    def law(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        both_zero = (x == 0) & (y == 0)
        signs = np.signbit(x) | np.signbit(y) if pick is np.minimum else np.signbit(x) & np.signbit(y)
        return np.where(both_zero, np.where(signs, -0.0, 0.0).astype(x.dtype), pick(x, y))

    return law


def number_first(pick: Any) -> Callable[..., NDArray[Any]]:
    """minnumf and maxnumf: the other operand where one is NaN."""
    return lambda x, y: np.where(np.isnan(x), y, np.where(np.isnan(y), x, pick(x, y) + np.zeros_like(x)))


FLOAT_ROWS: dict[str, Callable[..., Any]] = {
    "arith.addf %x, %y : {t}": np.add,
    "arith.subf %x, %y : {t}": np.subtract,
    "arith.mulf %x, %y : {t}": np.multiply,
    "arith.divf %x, %y : {t}": np.divide,
    "arith.negf %x : {t}": np.negative,
    "arith.maximumf %x, %y : {t}": total_order(np.maximum),
    "arith.minimumf %x, %y : {t}": total_order(np.minimum),
    "math.absf %x : {t}": np.abs,
    "math.sqrt %x : {t}": np.sqrt,
    "math.rsqrt %x : {t}": lambda x: x.dtype.type(1) / np.sqrt(x),
    "math.floor %x : {t}": np.floor,
    "math.ceil %x : {t}": np.ceil,
    "math.trunc %x : {t}": np.trunc,
    "math.roundeven %x : {t}": np.rint,
    "math.round %x : {t}": lambda x: np.where(np.isfinite(x), np.copysign(np.floor(np.abs(x) + 0.5), x), x),
    "math.copysign %x, %y : {t}": np.copysign,
}


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("dtype", [f64, f32, f16, bf16], ids=str)
@pytest.mark.parametrize("op", FLOAT_ROWS)
def test_a_float_row_rounds_as_numpy_does(run: Any, op: str, dtype: np.dtype[Any], lanes: int) -> None:
    inputs = [dtype] * (2 if "%y" in op else 1)
    check(run, op, inputs, dtype, wide(FLOAT_ROWS[op]), lanes)


@pytest.mark.parametrize("op", ["maxnumf", "minnumf"])
def test_maxnum_and_minnum_prefer_the_number(run: Any, op: str) -> None:
    x, y = samples(f32, 0), samples(f32, 1)
    found = np.zeros(COUNT, f32)
    run(kernel(f"arith.{op} %x, %y : {{t}}", [f32, f32], f32, 1), x, y, found)
    np.testing.assert_array_equal(found, number_first(np.fmax if op == "maxnumf" else np.fmin)(x, y))


def test_fma_rounds_once(run: Any) -> None:
    check(run, "math.fma %x, %x, %x : {t}", [f32], f32, lambda x: x.astype(f64) * x + x, 8)


ORDERED = {"oeq": np.equal, "ogt": np.greater, "oge": np.greater_equal, "olt": np.less, "ole": np.less_equal,
           "une": np.not_equal}  # fmt: skip


def is_unordered(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return np.isnan(x) | np.isnan(y)


COMPARISONS: dict[str, Callable[..., Any]] = {
    **ORDERED,
    "one": lambda x, y: (x != y) & ~is_unordered(x, y),
    "ord": lambda x, y: ~is_unordered(x, y),
    "uno": is_unordered,
    "ueq": lambda x, y: (x == y) | is_unordered(x, y),
    "ult": lambda x, y: (x < y) | is_unordered(x, y),
    "uge": lambda x, y: (x >= y) | is_unordered(x, y),
}


@pytest.mark.parametrize("dtype", [f32, bf16], ids=str)
@pytest.mark.parametrize("predicate", COMPARISONS)
def test_a_float_comparison_treats_nan_as_its_predicate_says(run: Any, predicate: str, dtype: np.dtype[Any]) -> None:
    # xDSL 0.74 gives the comparison of two vectors a scalar type: there is no vector form to test.
    check(run, f"arith.cmpf {predicate}, %x, %y : {{t}}", [dtype] * 2, i1, wide(COMPARISONS[predicate]), 1)


INTEGER_ROWS: dict[str, Callable[..., Any]] = {
    "arith.addi %x, %y : {t}": np.add,
    "arith.subi %x, %y : {t}": np.subtract,
    "arith.muli %x, %y : {t}": np.multiply,
    "arith.divsi %x, %y : {t}": lambda x, y: np.trunc(x.astype(np.longdouble) / y).astype(x.dtype),
    "arith.remsi %x, %y : {t}": np.fmod,
    "arith.floordivsi %x, %y : {t}": np.floor_divide,
    "arith.ceildivsi %x, %y : {t}": lambda x, y: -np.floor_divide(x, -y),
    "arith.divui %x, %y : {t}": lambda x, y: (unsigned(x) // unsigned(y)).view(x.dtype),
    "arith.remui %x, %y : {t}": lambda x, y: (unsigned(x) % unsigned(y)).view(x.dtype),
    "arith.ceildivui %x, %y : {t}": lambda x, y: (
        unsigned(x) // unsigned(y) + (unsigned(x) % unsigned(y) != 0).astype(unsigned(x).dtype)
    ).view(x.dtype),
    "arith.andi %x, %y : {t}": np.bitwise_and,
    "arith.ori %x, %y : {t}": np.bitwise_or,
    "arith.xori %x, %y : {t}": np.bitwise_xor,
    "arith.maxsi %x, %y : {t}": np.maximum,
    "arith.minsi %x, %y : {t}": np.minimum,
    "arith.maxui %x, %y : {t}": lambda x, y: np.maximum(unsigned(x), unsigned(y)).view(x.dtype),
    "arith.minui %x, %y : {t}": lambda x, y: np.minimum(unsigned(x), unsigned(y)).view(x.dtype),
    "math.absi %x : {t}": np.abs,
    "math.ctpop %x : {t}": lambda x: np.bitwise_count(unsigned(x)),
    "math.ctlz %x : {t}": lambda x: np.array([x.dtype.itemsize * 8 - int(v).bit_length() for v in unsigned(x)]),
    "math.cttz %x : {t}": lambda x: np.array(
        [(int(v) & -int(v)).bit_length() - 1 if v else x.dtype.itemsize * 8 for v in unsigned(x)]
    ),
}


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("dtype", [i64, i32, i8], ids=str)
@pytest.mark.parametrize("op", INTEGER_ROWS)
def test_an_integer_row_wraps_as_numpy_does(run: Any, op: str, dtype: np.dtype[Any], lanes: int) -> None:
    x = samples(dtype, 0)
    y = samples(dtype, 1)
    y[y == 0] = 3  # division by zero is undefined
    arrays = [x, y][: 2 if "%y" in op else 1]
    found = np.zeros(COUNT, dtype)
    run(kernel(op, [dtype] * len(arrays), dtype, lanes), *arrays, found)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, np.asarray(INTEGER_ROWS[op](*arrays)).astype(dtype))


@pytest.mark.parametrize("op", ["shli", "shrsi", "shrui"])
def test_shifts_move_by_less_than_the_width(run: Any, op: str) -> None:
    x, y = samples(i32, 0), np.arange(COUNT, dtype=np.int32) % 32
    found = np.zeros(COUNT, i32)
    run(kernel(f"arith.{op} %x, %y : {{t}}", [i32, i32], i32, 16), x, y, found)
    laws = {"shli": lambda: x << y, "shrsi": lambda: x >> y, "shrui": lambda: (x.view("u4") >> y.view("u4")).view("i4")}
    np.testing.assert_array_equal(found, laws[op]())


@pytest.mark.parametrize("predicate", ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"])
def test_an_integer_comparison_is_signed_as_its_predicate_says(run: Any, predicate: str) -> None:
    pick = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater}
    compare = pick.get(predicate[-2:], np.greater_equal)
    view = unsigned if predicate[0] == "u" else (lambda x: x)
    law = lambda x, y: compare(view(x), view(y))  # noqa: E731
    check(run, f"arith.cmpi {predicate}, %x, %y : {{t}}", [i8, i8], i1, law, 1)


CASTS: list[tuple[str, np.dtype[Any], np.dtype[Any]]] = [
    *(("extf", x, y) for x, y in ((f32, f64), (f16, f32), (f16, f64), (bf16, f32), (bf16, f64))),
    *(("truncf", x, y) for x, y in ((f64, f32), (f32, f16), (f64, f16), (f32, bf16))),
    *(("sitofp", x, y) for x in (i8, i32, i64) for y in (f64, f32, f16, bf16)),
    *(("extsi", x, y) for x, y in ((i8, i32), (i32, i64), (i16, i64))),
    *(("trunci", x, y) for x, y in ((i64, i32), (i32, i8))),
]


# xDSL 0.74 has no casts of integer vectors
FORMS = [(*row, lanes) for row in CASTS for lanes in (1, 16) if lanes == 1 or row[1].kind != "i"]


@pytest.mark.parametrize(("name", "source", "result", "lanes"), FORMS, ids=str)
def test_a_cast_rounds_as_numpy_does(
    run: Any, name: str, source: np.dtype[Any], result: np.dtype[Any], lanes: int
) -> None:
    law = (lambda x: x.astype(f32)) if name == "sitofp" and result.itemsize == 2 else (lambda x: x)
    check(run, f"arith.{name} %x : {{s}} to {{o}}", [source], result, law, lanes)


def test_extui_and_uitofp_take_bits_as_unsigned(run: Any) -> None:
    check(run, "arith.extui %x : {s} to {o}", [i8], i32, unsigned, 1)
    check(run, "arith.uitofp %x : {s} to {o}", [i32], f64, unsigned, 1)
    check(run, "arith.extui %x : {s} to {o}", [i1], i64, lambda x: x, 1)


@pytest.mark.parametrize("source", [f64, f32, f16, bf16], ids=str)
def test_fptosi_truncates_towards_zero(run: Any, source: np.dtype[Any]) -> None:
    x = np.linspace(-100, 100, COUNT).astype(source)
    found = np.zeros(COUNT, i32)
    run(kernel("arith.fptosi %x : {s} to {o}", [source], i32, 1), x, found)
    np.testing.assert_array_equal(found, np.trunc(x.astype(f64)).astype(i32))


def test_f64_is_rounded_to_16_bits_once(run: Any) -> None:
    """Rounding to f32 first would turn these into ties, and round them the wrong way."""
    tie_f16, tie_bf16 = 1 + 2.0**-11, 1 + 2.0**-8
    for dtype, tie in ((f16, tie_f16), (bf16, tie_bf16)):
        x = np.full(COUNT, tie + 2.0**-40)
        found = np.zeros(COUNT, dtype)
        run(kernel("arith.truncf %x : {s} to {o}", [f64], dtype, 16), x, found)
        assert found[0] == 1 + (2.0**-10 if dtype == f16 else 2.0**-7)


@pytest.mark.parametrize("lanes", [1, 16])
def test_bf16_is_rounded_to_nearest_even_subnormals_too(run: Any, lanes: int) -> None:
    """Every bf16 there is, and what lies around the ties beside it; the processor's instruction flushes subnormals."""
    bits = np.arange(1 << 16, dtype=np.uint32) << 16
    for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        for start in range(0, 1 << 16, 1 << 14):
            x = (bits[start : start + (1 << 14)] | low).view(f32)
            found = np.zeros(len(x), bf16)
            text = kernel("arith.truncf %x : {s} to {o}", [f32], bf16, lanes).replace(str(COUNT), str(len(x)))
            run(text, x, found)
            with np.errstate(invalid="ignore", over="ignore"):
                assert_same(found, x.astype(bf16))


on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs x86-64")


@on_x86
@pytest.mark.parametrize("lanes", [1, 16])
def test_f16_is_exact_without_conversion_instructions(run: Any, lanes: int) -> None:
    """Every f16 there is, to f32 and back, on a baseline that has no F16C."""
    for start in range(0, 1 << 16, 1 << 14):
        every = np.arange(start, start + (1 << 14), dtype=np.uint16).view(np.float16)
        found, back = np.zeros(len(every), f32), np.zeros(len(every), f16)
        down = kernel("arith.extf %x : {s} to {o}", [f16], f32, lanes).replace(str(COUNT), str(len(every)))
        run(down, every, found, target="cpu:sse2")
        with np.errstate(invalid="ignore"):
            assert_same(found, every.astype(f32))
        up = kernel("arith.truncf %x : {s} to {o}", [f32], f16, lanes).replace(str(COUNT), str(len(every)))
        run(up, found, back, target="cpu:sse2")
        assert_same(back, every)


@on_x86
@pytest.mark.parametrize("op", ["arith.addf %x, %y : {t}", "math.roundeven %x : {t}", "math.round %x : {t}"])
@pytest.mark.parametrize("dtype", [f32, f16], ids=str)
def test_the_baseline_gives_the_same_numbers(run: Any, op: str, dtype: np.dtype[Any]) -> None:
    check(run, op, [dtype] * (2 if "%y" in op else 1), dtype, wide(FLOAT_ROWS[op]), 1, "cpu:sse2")
    check(run, "arith.truncf %x : {s} to {o}", [f32], f16, lambda x: x, 1, "cpu:sse2")
