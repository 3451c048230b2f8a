"""Any permutation of any shape and element type, in tiles: every element arrives where NumPy puts it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmlc
from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.ml import functions as F
from xmlc.driver import Settings, run_stages
from xmlc.passes.lower_transposes import stages
from xmlc.passes.remarks import Remarks

DTYPES = {
    "f32": np.float32,
    "f64": np.float64,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "i8": np.int8,
    "i64": np.int64,
    "i1": np.bool_,
}


@settings(max_examples=30)
@given(st.data(), st.lists(st.integers(1, 40), min_size=2, max_size=4), st.sampled_from(sorted(DTYPES)))
def test_a_transposed_array_is_numpys(data: st.DataObject, shape: list[int], dtype: str) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    x = np.random.default_rng(0).integers(0, 100, shape).astype(DTYPES[dtype])
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + "x" + dtype)) as f:
        f.returns(F.transpose(f["x"], order))
    (found,) = builder.compile()(x)
    np.testing.assert_array_equal(found, np.transpose(x, order))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(512, 49), (2, 1024, 20), (256, 1100), (2048, 4)])
@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16", "i8"])
def test_rows_that_crowd_are_written_one_by_one(shape: tuple[int, ...], dtype: str, threads: int) -> None:
    """Limit: the third shape exceeds the second cache where elements have 8 bytes."""
    x = np.random.default_rng(0).integers(0, 100, shape).astype(DTYPES[dtype])
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + "x" + dtype)) as f:
        f.returns(F.transpose(f["x"], [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]))
    (found,) = builder.compile(settings=Settings(threads=threads))(x)
    np.testing.assert_array_equal(found, np.swapaxes(x, -1, -2))


@pytest.mark.parametrize(("count", "chunk"), [(2, 2), (4, 4), (8, 4), (16, 4), (8, 2), (16, 8), (16, 16), (2, 1)])
def test_the_steps_transpose(count: int, chunk: int) -> None:
    rows = np.arange(count * count).reshape(count, count)
    for (low, high), distance in stages(count, chunk):
        pairs = [(first, first | distance) for first in range(count) if not first & distance]
        made = np.empty_like(rows)
        for first, second in pairs:
            both = np.concatenate([rows[first], rows[second]])
            made[first], made[second] = both[low], both[high]
        rows = made
    columns = np.arange(count * count).reshape(count, count).T
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], columns)


def test_weights_are_transposed_in_small_tiles_and_inputs_in_large_ones() -> None:
    w = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    remarks = Remarks()
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("64x48xf32"), w=w) as f:
        f.returns(F.transpose(f["x"]), F.transpose(f["w"]))
    run_stages(builder.module, None, "structured", Settings(target=parse_target("cpu:avx512"), remarks=remarks))
    made = [each.message for each in remarks.found if each.transformation == "lower-transposes"]
    assert sorted(made) == [f"transposed in registers, tiles of {n}x{n} elements" for n in (16, 4)]
