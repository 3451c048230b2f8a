"""Compiles MLIR text of the structured level and runs its `@main` on arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import affine, arith, builtin, func, math, memref, scf, vector
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from xmlc.backends.cpu import jit
from xmlc.backends.cpu.emit import emit_module
from xmlc.backends.cpu.target import parse_target

DIALECTS = (
    builtin.Builtin, arith.Arith, math.Math, memref.MemRef, scf.Scf, vector.Vector, affine.Affine, func.Func,
)  # fmt: skip


def parse(text: str, is_verified: bool = True) -> ModuleOp:
    context = Context(allow_unregistered=True)
    for dialect in DIALECTS:
        context.load_dialect(dialect)
    module = Parser(context, text).parse_module()
    if is_verified:
        module.verify()
    return module


def slots(arguments: tuple[Any, ...]) -> Any:
    """The 8-byte slots of a packed call: an array's address, an int, or a float's bytes."""
    raw = (ctypes.c_uint64 * len(arguments))()
    for position, argument in enumerate(arguments):
        match argument:
            case np.ndarray():
                raw[position] = argument.ctypes.data
            case np.generic():
                raw[position] = int.from_bytes(argument.tobytes(), "little")
            case _:
                raw[position] = argument & (2**64 - 1)
    return raw


@pytest.fixture
def emit() -> Callable[..., str]:
    return lambda text, target="cpu": emit_module(parse(text), parse_target(target))


@pytest.fixture
def run() -> Callable[..., list[int]]:
    """run(text, *arguments): the slots after calling `@main.packed`; arrays are changed in place.

    Not verified are ops that xDSL has on single numbers only: passes make them on vectors.
    """

    def call(
        text: str,
        *arguments: Any,
        target: str = "cpu",
        symbols: Mapping[str, Any] | None = None,
        is_verified: bool = True,
    ) -> list[int]:
        chosen = parse_target(target)
        code = jit.compile_to_object(emit_module(parse(text, is_verified), chosen), chosen, 2)
        raw = slots(arguments)
        jit.load_object(code, symbols).function("main")(raw)
        return list(raw)

    return call
