"""A compiled module: machine code in this process, called from Python with arrays.

Arrays go in and come out without a copy: NumPy arrays, or anything that speaks DLPack and lives on the CPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xmlc.addresses import address
from xmlc.arguments import Array, bound, checked, outputs_among, refuse_overlaps, usable, writeable
from xmlc.backends.cpu.jit import POOL_LEVEL, LoadedModule, Packed, address_of, load_object
from xmlc.backends.cpu.pool import pool_text
from xmlc.backends.cpu.target import host
from xmlc.backends.signature import EntryPoint, Signature, Tensor
from xmlc.buffers import Outputs, aligned, allocate, arrays_in, block
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import DYNAMIC
from xmlc.dialects.sizes import Size, evaluated, read_size
from xmlc.kept_object import kept_object
from xmlc.kept_weights import KeptWeights
from xmlc.launcher import Launch, Row, Table, declined, launcher
from xmlc.printing import PRINT_FUNCTIONS
from xmlc.weights import copy

CALLBACKS: dict[str, Any] = {
    "toy_print_f64": ctypes.CFUNCTYPE(None, ctypes.c_double)(PRINT_FUNCTIONS["toy_print_f64"]),
    "toy_print_newline": ctypes.CFUNCTYPE(None)(PRINT_FUNCTIONS["toy_print_newline"]),
}
"""External functions that compiled programs may call."""


def kept_pool() -> bytes:
    """The machine code of the pool of threads."""
    return kept_object(pool_text(host()), POOL_LEVEL)


@dataclass
class Frame:
    """What one call needs and the next can use again: the slots it passes, where those are, and the arena."""

    slots: Any
    place: int
    arena: Array
    table: Table
    """What the launcher needs to know of the call."""


class CompiledModule:
    """A module's entry point as a Python function of arrays.

    Calls may come from several threads at once; Python's lock is released while the code runs.
    """

    def __init__(
        self,
        signature: Signature,
        code: bytes | Sequence[bytes],
        arena_bytes: int,
        weights: Mapping[str, Array],
        prepare: EntryPoint | None = None,
        kept: KeptWeights | None = None,
    ):
        """Load `code`, object files whose entry point takes what `signature` says, and bind `weights` by name.

        Where there is a `prepare`, it is called with weights now, and its results are weights too, by their names;
        unless they are `kept`, as they are afterwards.
        """
        self.module: LoadedModule = load_object(code, CALLBACKS, kept_pool)
        self.entry: Packed = self.module.function(signature.entry)
        kinds = [(spec.shape, spec.dtype) for spec in signature.weights]
        found = kept.get() if kept is not None else None
        whole = self.placed(signature, prepare, weights, block(kinds)) if found is None else found
        if kept is not None and found is None:
            kept.put(whole)
        self.weights = arrays_in(whole, kinds)
        self.outputs = Outputs()
        self.lay_out(signature, arena_bytes)

    def placed(
        self, signature: Signature, prepare: EntryPoint | None, weights: Mapping[str, Array], whole: Array
    ) -> Array:
        """A block of the weights that the entry point takes, in its order, once they are there."""
        names = [spec.name for spec in signature.weights]
        ours = dict(zip(names, arrays_in(whole, [(spec.shape, spec.dtype) for spec in signature.weights])))
        produced = {spec.name for spec in prepare.signature.outputs} if prepare is not None else set[str]()
        given = replace(signature, weights=tuple(spec for spec in signature.weights if spec.name not in produced))
        copied = {spec.name: ours[spec.name] for spec in given.weights}
        copy(bound(given, weights), list(copied.values()))
        if prepare is not None:
            self.prepare(prepare, {**weights, **copied}, ours)
        return whole

    def lay_out(self, signature: Signature, arena_bytes: int, slots: Slots | None = None) -> None:
        """Make ready for calls: what each of them asks of the signature is found once for all."""
        self.signature = signature
        self.arena_bytes = arena_bytes
        self.slots = slots or slots_of(signature, arena_bytes)
        self.frames: list[Frame] = []
        self.launch: Launch = declined  # the first call takes less without the launcher than making it does
        self.makers = [self.outputs.maker(spec.shape, spec.dtype) for spec in signature.own_outputs]
        self.is_single = len(self.makers) == 1
        self.in_place = outputs_among(signature) if signature.in_place else None

    def with_layout(self, signature: Signature, arena_bytes: int, slots: Slots) -> CompiledModule:
        """The same code as a function of arrays whose shapes are those of another signature."""
        made = CompiledModule.__new__(CompiledModule)
        made.module, made.entry, made.weights, made.outputs = self.module, self.entry, self.weights, self.outputs
        made.lay_out(signature, arena_bytes, slots)
        return made

    def __call__(self, *inputs: Any) -> tuple[Array, ...]:
        """The outputs for inputs in the order of the signature.

        Raises CompileError for a wrong number of inputs, a wrong shape or element type, and where an output is to be
        written to an input that cannot be.
        """
        found = self.launched(inputs)
        return self.checked_call(inputs) if found is None else found

    def launched(self, inputs: tuple[Any, ...]) -> tuple[Array, ...] | None:
        """The outputs, where the launcher takes the inputs as they are; None where they have to be looked at first."""
        own = (self.makers[0](),) if self.is_single else tuple([make() for make in self.makers])
        try:
            frame = self.frames.pop()  # asking first whether there is one would race with another thread
        except IndexError:
            frame = self.new_frame()
        refused = self.launch(inputs + own, frame.table.place)
        self.frames.append(frame)
        if refused:
            return None
        return own if self.in_place is None else self.in_place(inputs + own)

    def checked_call(self, inputs: Sequence[Any]) -> tuple[Array, ...]:
        """The outputs for inputs that are checked, and copied where the program does not take them as they are."""
        arrays = self.checked_inputs(inputs)
        own = tuple([make() for make in self.makers])
        try:
            frame = self.frames.pop()
        except IndexError:
            frame = self.new_frame()
        for i, array in zip((*self.slots.inputs, *self.slots.outputs), (*arrays, *own)):
            frame.slots[i] = address(array)
        self.entry(frame.place)
        self.frames.append(frame)
        self.launch = launcher()
        return own if self.in_place is None else self.in_place(arrays + own)

    def checked_inputs(self, inputs: Sequence[Any]) -> tuple[Array, ...]:
        """Inputs that may be of another kind or memory layout, or wrong, as arrays that the program takes."""
        if len(inputs) != len(self.signature.inputs):
            expected = ", ".join(map(str, self.signature.inputs)) or "nothing"
            message = f"expected {len(self.signature.inputs)} inputs, found {len(inputs)}"
            raise CompileError(message, hint=f"the inputs are {expected}")
        donated = dict(self.signature.in_place)
        arrays = tuple(
            writeable(value, spec) if number in donated else checked(value, spec, "input")
            for number, (value, spec) in enumerate(zip(inputs, self.signature.inputs, strict=True))
        )
        if donated:
            refuse_overlaps(self.signature, [(address(each), each.nbytes) for each in arrays])
        return arrays

    def new_frame(self) -> Frame:
        """A frame that no other call is using."""
        return new_frame(self.signature, self.slots, self.entry, self.weights, self.arena_bytes)

    def prepare(self, entry: EntryPoint, weights: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """Have another entry point write what it makes of weights, both by name."""
        signature = entry.signature
        given = usable(bound(signature, weights))
        slots = slots_of(signature, entry.arena_bytes)
        function = self.module.function(signature.entry)
        frame = new_frame(signature, slots, function, given, entry.arena_bytes)
        for i, spec in zip(slots.outputs, signature.outputs):
            frame.slots[i] = address(outputs[spec.name])
        function(frame.place)


@dataclass
class Slots:
    """Where the entry point takes what: positions among the 8-byte slots that a call passes, and those that are fixed.

    An array takes a slot for its address and one for each size that the code does not know.
    """

    inputs: list[int]
    weights: list[int]
    outputs: list[int]
    arena: int
    count: int
    numbers: dict[int, int]
    """Position -> the size that stands there in every call."""


def slots_of(signature: Signature, arena_bytes: int, value: Callable[[str], int] | None = None) -> Slots:
    """The slots of an entry point; `value` gives its free sizes, if it has any."""
    numbers: dict[int, int] = {}
    position = 0

    def number(size: int) -> None:
        nonlocal position
        numbers[position] = size
        position += 1

    def placed(specs: Sequence[Tensor]) -> list[int]:
        nonlocal position
        places: list[int] = []
        for spec in specs:
            places.append(position)
            position += 1
            for size in free_sizes(spec):
                assert value is not None
                number(evaluated(size, value))
        return places

    inputs, weights = placed(signature.inputs), placed(signature.weights)
    for name in signature.sizes:
        assert value is not None
        number(value(name))
    outputs = placed(signature.own_outputs)
    arena = position
    position += 1
    if isinstance(arena_bytes, Size):
        assert value is not None
        number(evaluated(arena_bytes, value))
    return Slots(inputs, weights, outputs, arena, position, numbers)


def free_sizes(spec: Tensor) -> list[int]:
    """Those sizes of an array that the code does not know, in terms of the free ones."""
    return [read_size(str(each)) for each, size in zip(spec.sizes, spec.shape) if size == DYNAMIC]


def new_frame(signature: Signature, slots: Slots, entry: Packed, weights: Sequence[Array], arena_bytes: int) -> Frame:
    """The slots that an entry point takes, with its weights, sizes and a fresh arena filled in."""
    arena = aligned(allocate(arena_bytes), arena_bytes)
    values = (ctypes.c_void_p * slots.count)()
    for i, weight in zip(slots.weights, weights):
        values[i] = address(weight)
    for i, size in slots.numbers.items():
        values[i] = size
    values[slots.arena] = address(arena)
    donated = dict(signature.in_place)
    rows = [
        Row(position, spec.dtype, spec.shape, number in donated)
        for number, (position, spec) in enumerate(zip(slots.inputs, signature.inputs))
    ]
    rows += [Row(at, spec.dtype, spec.shape) for at, spec in zip(slots.outputs, signature.own_outputs)]
    return Frame(values, ctypes.addressof(values), arena, Table.of(address_of(entry), values, rows))
