"""MLIR text that leaves sizes of its inputs open: the program for given sizes, and the one for all sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import VerifyException

from xmlc.backends.signature import signature_of
from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
from xmlc.dialects.ml.types import DYNAMIC, shape_of
from xmlc.dialects.sizes import (
    TYPICAL,
    Assumptions,
    Size,
    UnknownSize,
    assuming,
    assumptions_of,
    identifier,
    state,
    symbol,
    symbols_of,
)
from xmlc.driver import entry_of, stage_of
from xmlc.inputs import Array, Arrays, Port, Sizes, bound, known_sizes, wrong
from xmlc.passes.infer_sizes import infer_sizes
from xmlc.passes.specialise import specialise


def for_sizes(module: ModuleOp, ports: Sequence[Port], sizes: Sizes, arrays: Arrays, file: str) -> None:
    """Give every size of a program a number: those given, and those of the arrays. Raises CompileError."""
    given = {**stand_ins(ports, sizes), **arrays}
    refuse_wrong(ports, given, file)
    known = known_sizes(ports, given, sizes)
    for port in ports:
        if port.name not in given:
            bound(port, known)
    settle(module, known, given, {}, file)


def for_all_sizes(module: ModuleOp, ports: Sequence[Port], sizes: Sizes, arrays: Arrays, file: str) -> None:
    """Make the sizes that are not given symbols; the arrays of inputs are an example of them. Raises CompileError."""
    weights = {port.name for port in ports if port.weight}
    given = stand_ins(ports, sizes)
    refuse_wrong(ports, {**given, **arrays}, file)
    given |= {name: array for name, array in arrays.items() if name in weights}
    settle(module, known_sizes(ports, given, sizes), given, arrays, file)


def stand_ins(ports: Sequence[Port], sizes: Sizes) -> dict[str, Array]:
    """An array that takes no memory for each input whose whole shape is given."""
    return {
        port.name: np.broadcast_to(np.zeros((), port.dtype), sizes[port.name]) for port in ports if port.name in sizes
    }


def refuse_wrong(ports: Sequence[Port], given: Arrays, file: str) -> None:
    """Raise CompileError for arrays that do not have the shapes that the program wants."""
    sizes: dict[str, tuple[int, str]] = {}
    found: list[Diagnostic] = []
    for port in ports:
        if port.name in given:
            found += wrong(given[port.name], port, file, sizes)
    if found:
        raise CompileError.of(found)


def settle(module: ModuleOp, known: Mapping[str, int], given: Arrays, example: Arrays, file: str) -> None:
    """Put in what is known of sizes, make symbols of what is open, and infer the sizes of all other tensors."""
    if stage_of(module) not in (None, "ml"):
        raise CompileError(
            "a program below `ml` has free sizes",
            place=Place(file),
            hint="write numbers for each `?`: only programs of `ml` are compiled for sizes given later",
        )
    try:
        specialise(module, known)
        main = entry_of(module)
        signature = signature_of(main)
        taken = {name for each in main.body.block.args for size in shape_of(each) for name in symbols_of(size)}
        named: dict[str, int] = {}
        shapes: list[list[int]] = []
        values: dict[str, int] = {}
        for argument, port in zip(main.body.block.args, (*signature.inputs, *signature.weights), strict=True):
            shape = list(shape_of(argument))
            for axis, (size, name) in enumerate(zip(shape, port.sizes)):
                if size == DYNAMIC:
                    key = name if isinstance(name, str) else f"{port.name}.{axis}"
                    if port.name in given:
                        shape[axis] = given[port.name].shape[axis]
                    elif key in known:
                        shape[axis] = known[key]
                    else:
                        if key not in named:
                            named[key] = symbol(identifier(key, taken))
                        shape[axis] = named[key]
            if port.name in example:
                values |= {str(size): n for size, n in zip(shape, example[port.name].shape) if isinstance(size, Size)}
            shapes.append(shape)
        assumptions = Assumptions(assumptions_of(module).natural, lambda name: values.get(name, TYPICAL))
        with assuming(assumptions):
            infer_sizes(module, main, shapes)
        state(assumptions, module)
    except (UnknownSize, VerifyException) as error:
        raise CompileError(str(error), place=Place(file)) from error
