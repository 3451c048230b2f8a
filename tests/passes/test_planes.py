"""Padding part by part: grouped convolutions pad what each step of the outermost loop reads, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import memref
from xdsl.dialects.builtin import ModuleOp

import xmlc
from xmlc import ml
from xmlc.dialects.reference.interpreter import interpret_into
from xmlc.driver import Settings
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.lower_ml.lower import LowerMl
from xmlc.passes.memory import byte_size

Array = np.ndarray[Any, np.dtype[Any]]

CASES: dict[str, tuple[Sequence[int], Sequence[int], dict[str, Any]]] = {
    "depthwise": ((1, 5, 9, 20), (5, 1, 3, 3), {"groups": 5, "low": (1, 1), "high": (1, 1)}),
    "stride 2": ((1, 5, 9, 21), (5, 1, 3, 3), {"groups": 5, "low": (1, 1), "high": (1, 1), "strides": (2, 2)}),
    "padded on one side": ((1, 4, 8, 18), (4, 1, 3, 3), {"groups": 4, "low": (0, 2), "high": (2, 0)}),
    "narrow rows": ((1, 4, 6, 3), (4, 1, 3, 3), {"groups": 4, "low": (1, 1), "high": (1, 1)}),
    "wide padding": ((1, 3, 4, 5), (3, 1, 3, 3), {"groups": 3, "low": (20, 19), "high": (1, 40), "dilations": (5, 7)}),
    "several channels a group": ((1, 6, 7, 17), (4, 3, 3, 3), {"groups": 2, "low": (1, 1), "high": (1, 1)}),
    "several images": ((3, 4, 7, 9), (4, 1, 3, 3), {"groups": 4, "low": (1, 1), "high": (1, 1)}),
    "series": ((1, 4, 40), (4, 1, 5), {"groups": 4, "low": (2,), "high": (2,)}),
    "one group": ((1, 4, 7, 9), (4, 4, 3, 3), {"low": (1, 1), "high": (1, 1)}),
}


def program(name: str) -> tuple[xmlc.Builder, list[Array]]:
    """A convolution whose numbers are small integers: sums are exact in any order."""
    random = np.random.default_rng(4)
    image, weight, window = CASES[name]
    arrays = [random.integers(-4, 5, shape).astype(np.float32) for shape in (image, weight, weight[:1])]
    types: dict[str, Any] = {
        key: xmlc.tensor("x".join(map(str, each.shape)) + "xf32") for key, each in zip("xwb", arrays)
    }
    builder = xmlc.Builder()
    with builder.function("main", **types) as f:
        f.returns(ml.conv(f["x"], f["w"], f["b"], **window))
    return builder, arrays


def lowered(builder: xmlc.Builder, **machine: Any) -> ModuleOp:
    module = builder.module.clone()
    for each in (LowerMl(), Bufferize(), LowerContractions(**machine), LowerLinalg()):
        each.apply(Context(), module)
    module.verify()
    return module


@pytest.mark.parametrize("name", CASES)
def test_the_meaning_is_kept(name: str) -> None:
    builder, arrays = program(name)
    (wanted,) = builder.interpret(*arrays)
    for bits in (128, 512):
        out = np.zeros(wanted.shape, wanted.dtype)
        interpret_into(lowered(builder, vector_bits=bits), "main", [*arrays, out])
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("name", CASES)
def test_it_compiles(name: str, threads: int) -> None:
    builder, arrays = program(name)
    (wanted,) = builder.interpret(*arrays)
    (found,) = builder.compile(Settings(threads=threads))(*arrays)
    np.testing.assert_array_equal(found, wanted)


def workspace(name: str, **machine: int) -> int:
    module = lowered(program(name)[0], **machine)
    return sum(byte_size(op.memref.type) for op in module.walk() if isinstance(op, memref.AllocOp))


def test_no_more_is_padded_than_one_step_reads() -> None:
    assert workspace("depthwise") < 5 * 11 * 22 * 4
    assert workspace("one group") == 4 * 9 * 11 * 4


def test_planes_that_would_not_stay_in_cache_are_padded_before() -> None:
    assert workspace("depthwise", second_cache=2048) == 5 * 11 * 22 * 4
