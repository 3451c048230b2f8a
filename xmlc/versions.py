"""A program with free sizes as one Python function, and the compilations that stand behind it.

The first compilation leaves every size free that the caller did not give, and serves all inputs that are as it assumes
(`dialects.sizes`). Where inputs are not, the program is compiled again with these as the example. Where a size must be
known to compile at all, the program is compiled for the shapes it meets, a bounded number of which is kept. Every
compilation is written to the log `xmlc.versions` and listed in `compilations`; nothing falls back unseen.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from xmlc.compiled import Array, CompiledModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import shape_text
from xmlc.driver import Settings, compile_module
from xmlc.dynamic import DynamicModule, Unfit
from xmlc.inputs import Arrays, Sizes
from xmlc.sources import Source

LOG = logging.getLogger("xmlc.versions")

KEPT = 8
"""Compilations of each kind that are kept; of more, the one not used or made for longest is let go."""

DECISIVE = 64
"""Inputs of at most so many elements may decide shapes by their values: a compilation for shapes is for these too."""


@dataclass(frozen=True)
class Compilation:
    """One compilation: for which shapes (None: for all sizes), why not for all, and how long it took."""

    shapes: tuple[tuple[int, ...], ...] | None
    reason: str
    seconds: float

    def __str__(self) -> str:
        served = "all sizes" if self.shapes is None else " ".join(map(shape_text, self.shapes))
        return f"compiled for {served} in {self.seconds:.1f} s" + (f": {self.reason}" if self.reason else "")


class Versions:
    """A program whose sizes are free as a Python function of arrays of any size."""

    def __init__(
        self, source: Source, sizes: Sizes, settings: Settings, specialise: int = 0, weights: Arrays | None = None
    ):
        """`specialise` is how many combinations of shapes get a compilation of their own, for speed.

        `weights` are those of a program in MLIR, by name.
        """
        self.source = source
        self.sizes = sizes
        self.settings = settings
        self.specialise = specialise
        self.weights = weights or {}
        self.names = [port.name for port in source.inputs if not port.weight]
        self.free: list[DynamicModule] = []
        self.fixed: OrderedDict[Any, CompiledModule] = OrderedDict()
        self.why_fixed = ""
        self.compilations: list[Compilation] = []

    def __call__(self, *inputs: Any) -> tuple[Array, ...]:
        """The outputs for inputs in the order of the program. Raises CompileError."""
        if len(inputs) != len(self.names):
            raise CompileError(
                f"expected {len(self.names)} inputs, found {len(inputs)}",
                hint="the inputs are " + ", ".join(self.names),
            )
        if not self.specialise:
            for module in self.free:
                try:
                    return module(*inputs)
                except Unfit:
                    continue
        return self.module_for(list(map(np.asarray, inputs)))(*inputs)

    def module_for(self, arrays: Sequence[Array]) -> CompiledModule:
        """What serves these inputs, compiled if it has to be."""
        key = tuple(
            (array.shape, array.tobytes() if array.size <= DECISIVE and array.dtype.kind in "iub" else b"")
            for array in arrays
        )
        empty = any(0 in array.shape for array in arrays)
        if not empty and len(self.fixed) >= self.specialise and key not in self.fixed:
            for module in self.free:
                try:
                    return module.module_for(*arrays)
                except Unfit:
                    continue
            made = None if self.why_fixed else self.compiled_free(arrays)
            if made is not None:
                return made.module_for(*arrays)
        if key not in self.fixed:
            reason = self.why_fixed or ("an input is empty" if empty else "specialised as it was asked for")
            self.fixed[key] = self.compiled(arrays, reason)
            while len(self.fixed) > max(KEPT, self.specialise):
                self.fixed.popitem(last=False)
        self.fixed.move_to_end(key)
        return self.fixed[key]

    def compiled_free(self, arrays: Sequence[Array]) -> DynamicModule | None:
        """The program for all sizes that are like those of the inputs; None where that cannot be, now or ever."""
        started = perf_counter()
        reason = "inputs that an earlier one was not made for" if self.free else ""
        try:
            assert self.source.make_free is not None
            program = self.source.make_free(self.sizes, {**self.weights, **dict(zip(self.names, arrays))})
            module = compile_module(program.module, program.weights, self.settings)
        except CompileError as error:
            self.why_fixed = "it cannot be compiled for all sizes, since " + error.diagnostics[0].message
            LOG.warning("%s: %s", self.source.name, self.why_fixed)
            return None
        self.note(Compilation(None, reason, perf_counter() - started))
        assert isinstance(module, DynamicModule)
        self.free.insert(0, module)
        del self.free[KEPT:]
        return module

    def compiled(self, arrays: Sequence[Array], reason: str) -> CompiledModule:
        """The program for the shapes of these inputs alone."""
        started = perf_counter()
        program = self.source.make(self.sizes, {**self.weights, **dict(zip(self.names, arrays))})
        module = compile_module(program.module, program.weights, self.settings)
        self.note(Compilation(tuple(array.shape for array in arrays), reason, perf_counter() - started))
        return module

    def note(self, compilation: Compilation) -> None:
        self.compilations.append(compilation)
        LOG.info("%s: %s", self.source.name, compilation)
