"""Convolutions by small integers, whose sums are exact in any order, and how they are lowered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects import memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

import xmlc
from xmlc.dialects.reference.interpreter import interpret_into
from xmlc.driver import Settings
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.lower_ml.lower import LowerMl
from xmlc.passes.memory import byte_size

Array = np.ndarray[Any, np.dtype[Any]]
Program = tuple[xmlc.Builder, list[Array]]


def program(shapes: Sequence[Sequence[int]], body: Callable[[Any, Any, Any], SSAValue]) -> Program:
    """What `body` makes of an image, a weight and a bias of these shapes, and values for them."""
    random = np.random.default_rng(4)
    arrays = [random.integers(-4, 5, shape).astype(np.float32) for shape in shapes]
    types: dict[str, Any] = {
        key: xmlc.tensor("x".join(map(str, each.shape)) + "xf32") for key, each in zip("xwb", arrays)
    }
    builder = xmlc.Builder()
    with builder.function("main", **types) as f:
        f.returns(body(f["x"], f["w"], f["b"]))
    return builder, arrays


def lowered(builder: xmlc.Builder, **machine: Any) -> ModuleOp:
    module = builder.module.clone()
    for each in (LowerMl(), Bufferize(), LowerContractions(**machine), LowerLinalg()):
        each.apply(Context(), module)
    module.verify()
    return module


def workspace(builder: xmlc.Builder, **machine: int) -> int:
    """Bytes of all buffers that a program makes."""
    module = lowered(builder, **machine)
    return sum(byte_size(op.memref.type) for op in module.walk() if isinstance(op, memref.AllocOp))


def expect_meaning(made: Program) -> None:
    """Lowered, for short vectors and for long ones, it gives exactly what the interpreter gives."""
    builder, arrays = made
    (wanted,) = builder.interpret(*arrays)
    for bits in (128, 512):
        out = np.zeros(wanted.shape, wanted.dtype)
        interpret_into(lowered(builder, vector_bits=bits), "main", [*arrays, out])
        np.testing.assert_array_equal(out, wanted)


def expect_compiled(made: Program, threads: int) -> None:
    """As machine code, it gives exactly what the interpreter gives."""
    builder, arrays = made
    (wanted,) = builder.interpret(*arrays)
    (found,) = builder.compile(Settings(threads=threads))(*arrays)
    np.testing.assert_array_equal(found, wanted)
