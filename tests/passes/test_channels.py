"""Padding some channels at a time: convolutions by a filter for each channel, channels last."""

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
    "image": ((1, 9, 20, 40), (3, 3), {"low": (1, 1), "high": (1, 1)}),
    "strides": ((1, 9, 20, 40), (5, 3), {"low": (2, 1), "high": (2, 0), "strides": (2, 2)}),
    "dilations": ((1, 9, 8, 33), (3, 3), {"low": (2, 6), "high": (2, 0), "dilations": (2, 3)}),
    "images": ((3, 4, 5, 35), (3, 3), {"low": (0, 1), "high": (1, 1)}),
    "one row": ((1, 1, 7, 36), (1, 3), {"low": (0, 1), "high": (0, 1)}),
    "series": ((2, 40, 37), (5,), {"low": (2,), "high": (3,)}),
    "volume": ((1, 3, 4, 5, 36), (3, 1, 3), {"low": (1, 0, 1), "high": (1, 0, 1)}),
    "few channels": ((1, 9, 20, 3), (3, 3), {"low": (1, 1), "high": (1, 1)}),
    "not padded": ((1, 9, 20, 40), (3, 3), {}),
}


def program(name: str) -> tuple[xmlc.Builder, list[Array]]:
    """A convolution whose numbers are small integers: sums are exact in any order."""
    random = np.random.default_rng(4)
    image, kernel, window = CASES[name]
    shapes = (image, (*kernel, image[-1]), image[-1:])
    arrays = [random.integers(-4, 5, shape).astype(np.float32) for shape in shapes]
    types: dict[str, Any] = {
        key: xmlc.tensor("x".join(map(str, each.shape)) + "xf32") for key, each in zip("xwb", arrays)
    }
    builder = xmlc.Builder()
    with builder.function("main", **types) as f:
        f.returns(ml.relu(ml.channels_last_depthwise_conv(f["x"], f["w"], f["b"], **window)))
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
    """Bytes of all buffers that the convolution makes."""
    module = lowered(program(name)[0], **machine)
    return sum(byte_size(op.memref.type) for op in module.walk() if isinstance(op, memref.AllocOp))


@pytest.mark.parametrize("name", ("image", "images", "series"))
def test_a_vector_of_channels_is_all_that_is_padded(name: str) -> None:
    _, (image, *_) = program(name)
    assert workspace(name, vector_bits=512) < image.nbytes


def test_pixels_that_do_not_fit_the_cache_are_padded_as_a_whole() -> None:
    _, (image, *_) = program("image")
    assert workspace("image", vector_bits=512, second_cache=4096) > image.nbytes
