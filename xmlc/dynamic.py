"""A compiled module with free sizes: the same machine code for inputs of every size.

What depends on the sizes alone (the shapes of outputs, how much memory a call takes, what is checked) is worked out
when a combination of sizes is met first, and kept for the next call with it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np

from xmlc.backends.signature import Signature, Tensor
from xmlc.compiled import Array, CompiledModule, Slots, free_sizes, slots_of
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import DYNAMIC
from xmlc.dialects.sizes import evaluated, read_size

KEPT = 64
"""Combinations of sizes whose layout and arena are kept; of more, the one not used for longest is let go."""


class Unfit(CompileError):
    """Inputs have sizes that the program was not made for: it assumes something else of them."""


class DynamicModule(CompiledModule):
    """The entry point of a module with free sizes as a Python function of arrays of every size."""

    layouts: OrderedDict[tuple[int, ...], CompiledModule]

    def lay_out(self, signature: Signature, arena_bytes: int, slots: Slots | None = None) -> None:
        """Find which dimensions of the inputs tell the free sizes."""
        self.signature = signature
        self.arena_bytes = arena_bytes
        self.count = len(signature.inputs)
        self.layouts = OrderedDict()
        self.lock = Lock()
        self.tellers: dict[str, tuple[int, int]] = {}
        for number, spec in enumerate(signature.inputs):
            for axis, name in enumerate(spec.sizes):
                if isinstance(name, str):
                    self.tellers.setdefault(name, (number, axis))
        silent = [name for name in signature.sizes if name not in self.tellers]
        if silent:
            raise CompileError(f"no dimension of an input is the free size {', '.join(silent)}")

    def __call__(self, *inputs: Any) -> tuple[Array, ...]:
        """The outputs for inputs in the order of the signature.

        Raises CompileError for a wrong number of inputs, a wrong element type, and shapes that do not fit each other;
        Unfit for sizes that the program was not made for.
        """
        return self.module_for(*inputs)(*inputs)

    def launched(self, inputs: tuple[Any, ...]) -> tuple[Array, ...] | None:
        """The outputs, if this needed no look at the inputs: but they tell which function is theirs."""
        return None

    def module_for(self, *inputs: Any) -> CompiledModule:
        """The function for inputs of the sizes that these have. Raises as a call does."""
        if len(inputs) != self.count:
            expected = ", ".join(map(str, self.signature.inputs)) or "nothing"
            raise CompileError(f"expected {self.count} inputs, found {len(inputs)}", hint=f"the inputs are {expected}")
        try:
            key = tuple([inputs[number].shape[axis] for number, axis in self.tellers.values()])
        except (AttributeError, IndexError):
            inputs = tuple(map(np.asarray, inputs))
            key = self.told(inputs)
        found = self.kept(key)
        if found is None:
            check_sizes(self.signature, inputs)
            found = self.laid_out(key)
        return found

    def told(self, inputs: tuple[Array, ...]) -> tuple[int, ...]:
        """The sizes that inputs of any kind tell. Raises CompileError for one of another rank."""
        check_sizes(self.signature, inputs)
        return tuple(inputs[number].shape[axis] for number, axis in self.tellers.values())

    def laid_out(self, key: tuple[int, ...]) -> CompiledModule:
        """The function for one combination of sizes."""
        values = dict(zip(self.tellers, key))
        check_assumptions(self.signature, values)
        value = values.__getitem__

        def fixed(spec: Tensor) -> Tensor:
            sizes = iter(free_sizes(spec))
            return replace(spec, shape=tuple(evaluated(next(sizes), value) if n == DYNAMIC else n for n in spec.shape))

        signature = replace(
            self.signature,
            inputs=tuple(map(fixed, self.signature.inputs)),
            outputs=tuple(map(fixed, self.signature.outputs)),
        )
        slots = slots_of(self.signature, self.arena_bytes, value)
        made = self.with_layout(signature, evaluated(self.arena_bytes, value), slots)
        self.keep(key, made)
        return made

    def kept(self, key: tuple[int, ...]) -> CompiledModule | None:
        """The function that is kept for these sizes, now the last of all to be let go."""
        try:
            self.layouts.move_to_end(key)
            return self.layouts[key]
        except KeyError:  # never met, or let go: perhaps by another thread just now
            return None

    def keep(self, key: tuple[int, ...], made: CompiledModule) -> None:
        """Keep the function for a later call, if no other thread is about to keep one.

        Nobody waits: a thread that held the lock when its process forked never gives it back in the child.
        """
        if not self.lock.acquire(blocking=False):
            return
        try:
            self.layouts[key] = made
            while len(self.layouts) > KEPT:
                self.layouts.popitem(last=False)
        finally:
            self.lock.release()


def check_sizes(signature: Signature, inputs: tuple[Any, ...]) -> None:
    """Raise CompileError where inputs have another rank, or a free size is not the same everywhere."""
    known: dict[str, int] = {}
    for spec, array in zip(signature.inputs, inputs):
        shape = np.shape(array)
        if len(shape) != len(spec.shape):
            raise CompileError(f"input '{spec.name}' has {len(shape)} dimensions, expected {len(spec.shape)}: {spec}")
        for axis, (wanted, found) in enumerate(zip(spec.sizes, shape)):
            if isinstance(wanted, str) and known.setdefault(wanted, found) != found:
                raise CompileError(
                    f"input '{spec.name}' has size {found} in dimension {axis}, "
                    f"where '{wanted}' is already {known[wanted]}"
                )


def check_assumptions(signature: Signature, values: dict[str, int]) -> None:
    """Raise Unfit where free sizes are not as the program assumes."""
    empty = [name for name, size in values.items() if size < 1]
    broken = [text for text in signature.assumptions if evaluated(read_size(text), values.__getitem__) < 0]
    if empty or broken:
        given = ", ".join(f"{name} = {size}" for name, size in values.items())
        wanted = [f"{name} >= 1" for name in empty] + [f"{text} >= 0" for text in broken]
        raise Unfit(f"the program was not compiled for {given}", hint="it assumes that " + ", ".join(wanted))
