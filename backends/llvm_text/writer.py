"""The state of printing: lines, names of values, the current block, and what memrefs are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import Float16Type, IntegerType, MemRefType, NoneAttr
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.backends.llvm_text.helpers import HELPERS
from xmlc.backends.llvm_text.types import (
    BYTES,
    DYNAMIC,
    Unprintable,
    is_memref,
    is_vector,
    mangled,
    spelled,
    stored,
    symbol,
)
from xmlc.dialects.diagnostics import CompileError, place_of

Extent = int | str  # a size, stride or index: known now, or the name of an i64


@dataclass(slots=True)
class Buffer:
    """A memref while printing: where its first element is, and how far apart its elements are."""

    pointer: str
    element: str  # LLVM type in memory
    is_bool: bool
    sizes: Sequence[Extent]
    strides: Sequence[Extent]  # in elements
    pointer_kind: str = "ptr"  # with its address space

    @property
    def bytes(self) -> int:
        return BYTES[self.element]

    @property
    def space(self) -> str:
        """The address space, as intrinsics' names have it: `p0`."""
        return mangled(self.pointer_kind)


Row = Callable[["Writer", Any], None]


@dataclass
class Writer:
    """Prints one module. Rows read operands from `names` and `buffers`, and append to `lines`."""

    rows: dict[type[Operation], Row]
    soft_half: bool = False
    helper_texts: Mapping[str, Callable[[str, str], str]] = field(default_factory=lambda: HELPERS)
    pointer_kinds: Mapping[Attribute, str] = field(default_factory=dict[Attribute, str])
    """Memory space of memrefs -> LLVM pointer type; a space that is not there is the generic one, `ptr`."""
    shared: frozenset[str] = frozenset()
    """Functions of the module that are seen outside of what is printed: they have names of their own there."""
    lines: list[str] = field(default_factory=list[str])
    names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    buffers: dict[SSAValue, Buffer] = field(default_factory=dict[SSAValue, Buffer])
    block_name: str = "entry"
    entry: list[str] = field(default_factory=list[str])  # allocas: at the top of the function
    helpers: dict[str, str] = field(default_factory=dict[str, str])  # functions and declarations to add
    metadata: list[str] = field(default_factory=list[str])
    distinct: set[SSAValue] = field(default_factory=set[SSAValue])  # arguments that share no memory with another
    count: int = 0
    _types: dict[int, tuple[Attribute, str]] = field(default_factory=dict[int, tuple[Attribute, str]])
    _flags: dict[int, tuple[Attribute, str]] = field(default_factory=dict[int, tuple[Attribute, str]])
    _mangled: dict[str, str] = field(default_factory=dict[str, str])

    def symbol(self, function: str) -> str:
        """What a function is called: `kernel.sqrt` for a shared one, which is not the C library's."""
        return symbol(f"kernel.{function}" if function in self.shared else function)

    def kind(self, attribute: Attribute) -> str:
        """The LLVM type of a value. Attributes are looked up by identity: hashing one takes longer."""
        found = self._types.get(id(attribute))
        if found is None:
            # The attribute is kept in the entry: an identity is reused once its object is gone.
            found = self._types[id(attribute)] = (attribute, spelled(attribute, self.soft_half))
        return found[1]

    def pointer_kind(self, memref: MemRefType[Attribute]) -> str:
        """The LLVM type of a pointer into the memory space of a memref."""
        return self.pointer_kinds.get(memref.memory_space, "ptr")

    def mangled(self, kind: str) -> str:
        found = self._mangled.get(kind)
        if found is None:
            found = self._mangled[kind] = mangled(kind)
        return found

    def flags(self, op: Operation) -> str:
        """The fast-math flags of an op, each followed by a space."""
        attribute = op.properties.get("fastmath")
        if attribute is None:
            return ""
        found = self._flags.get(id(attribute))
        if found is None:
            flags = cast("FastMathFlagsAttr", attribute).data
            text = (
                "fast "
                if len(flags) == len(FastMathFlag)
                else "".join(f"{flag.value} " for flag in FastMathFlag if flag in flags)
            )
            found = self._flags[id(attribute)] = (attribute, text)
        return found[1]

    def is_half(self, attribute: Attribute) -> bool:
        """Whether a 16-bit float type, or a vector of it, is f16 (else bf16)."""
        element = attribute.element_type if is_vector(attribute) else attribute
        return isinstance(element, Float16Type)

    def node(self, text: str) -> str:
        """The name of a metadata node, made once."""
        if text not in self.metadata:
            self.metadata.append(text)
        return f"!{self.metadata.index(text)}"

    def new(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def bind(self, value: SSAValue) -> str:
        """A new name for the value."""
        self.count += 1
        name = self.names[value] = f"%v{self.count}"
        return name

    def emit(self, text: str) -> str:
        """Append `name = text` and return the new name."""
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def label(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def start_function(self) -> list[str]:
        """Forget the last function's values; the lines of the new one's body, to which rows append from now on."""
        self.names, self.buffers, self.distinct = {}, {}, set()
        self.block_name, self.count, self.entry, self.lines = "entry", 0, [], []
        return self.lines

    def start_block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block_name = label

    def block(self, block: Block) -> None:
        """Print every op of a block. CompileError names the op that cannot be spelled, and its place."""
        rows = self.rows
        op = block.first_op
        while op is not None:
            try:
                rows[type(op)](self, op)
            except Unprintable as error:
                raise CompileError(f"{op.name}: {error}", place=place_of(op.location)) from error
            op = op.next_op

    # Parts: what a value is made of when it crosses a function, a loop or a branch. A scalar is one part;
    # a memref is its pointer, then an i64 for each `?` among its sizes, then for each `?` among its strides.

    def part_kinds(self, attribute: Attribute) -> list[str]:
        if not is_memref(attribute):
            return [self.kind(attribute)]
        sizes, strides = extents(attribute)
        return [self.pointer_kind(attribute)] + ["i64"] * (sizes.count(None) + strides.count(None))

    def parts(self, value: SSAValue) -> list[str]:
        """The operand texts of a value, in the order of `part_kinds`."""
        kind = value.type
        if not is_memref(kind):
            return [self.names[value]]
        buffer = self.buffers[value]
        sizes, strides = extents(kind)
        dynamic = [str(found) for found, known in zip(buffer.sizes, sizes) if known is None]
        dynamic += [str(found) for found, known in zip(buffer.strides, strides) if known is None]
        return [buffer.pointer, *dynamic]

    def helper(self, name: str, kind: str) -> str:
        """The symbol of a helper function of `helpers.HELPERS` for this type, defined once a module."""
        full = f"@xmlc.{name}.{self.mangled(kind)}"
        if full not in self.helpers:
            self.helpers[full] = self.helper_texts[name](full, kind)
        return full

    def bind_parts(self, value: SSAValue, texts: Sequence[str]) -> None:
        """Let `value` be made of these parts."""
        kind = value.type
        if is_memref(kind):
            self.buffers[value] = self.buffer(kind, texts[0], texts[1:])
        else:
            self.names[value] = texts[0]

    def buffer(self, memref: MemRefType[Attribute], pointer: str, dynamic: Iterable[Extent] = ()) -> Buffer:
        """A buffer of this type; `dynamic` fills the `?` sizes, then strides, where not contiguous."""
        left = iter(dynamic)
        known_sizes, known_strides = extents(memref)
        sizes: list[Extent] = [next(left) if size is None else size for size in known_sizes]
        if isinstance(memref.layout, NoneAttr):
            strides = self.contiguous(sizes)
        else:
            strides = [next(left) if stride is None else stride for stride in known_strides]
        element = memref.element_type
        return Buffer(
            pointer, stored(element, self.soft_half), element == BOOL, sizes, strides, self.pointer_kind(memref)
        )

    def contiguous(self, sizes: Sequence[Extent]) -> list[Extent]:
        """The strides of a row-major buffer of these sizes."""
        strides: list[Extent] = []
        step: Extent = 1
        for position in reversed(range(len(sizes))):
            strides.append(step)
            if position:
                step = self.multiply(step, sizes[position])
        return strides[::-1]

    # Arithmetic on extents: folded where both are known.

    def multiply(self, left: Extent, right: Extent) -> Extent:
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        if left == 1:
            return right
        if right == 1:
            return left
        return self.emit(f"mul nsw i64 {left}, {right}")

    def add(self, left: Extent, right: Extent) -> Extent:
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if left == 0:
            return right
        if right == 0:
            return left
        return self.emit(f"add nsw i64 {left}, {right}")

    def subtract(self, left: Extent, right: Extent) -> Extent:
        if isinstance(left, int) and isinstance(right, int):
            return left - right
        return left if right == 0 else self.emit(f"sub nsw i64 {left}, {right}")

    def extent(self, value: SSAValue) -> Extent:
        """An index value: as a number where it is a constant."""
        name = self.names[value]
        return name if name[0] == "%" else int(name)

    def offset(self, indices: Iterable[Extent], strides: Iterable[Extent]) -> Extent:
        """The sum of index * stride, in elements."""
        constant = 0
        total: Extent = 0
        for index, stride in zip(indices, strides):
            if isinstance(index, int) and isinstance(stride, int):
                constant += index * stride
            else:
                total = self.add(total, self.multiply(index, stride))
        return self.add(total, constant)

    def step_to(self, pointer: str, element: str, offset: Extent, kind: str = "ptr") -> str:
        """The address `offset` elements after `pointer`."""
        if offset == 0:
            return pointer
        return self.emit(f"getelementptr inbounds {element}, {kind} {pointer}, i64 {offset}")

    def address(self, buffer: Buffer, indices: Iterable[SSAValue]) -> str:
        """Where the element at `indices` is."""
        offset = self.offset([self.extent(index) for index in indices], buffer.strides)
        return self.step_to(buffer.pointer, buffer.element, offset, buffer.pointer_kind)


BOOL = IntegerType(1)


def extents(memref: MemRefType[Attribute]) -> tuple[list[int | None], list[int | None]]:
    """The sizes and strides that a memref type states, None for `?`.

    A contiguous memref's strides follow from its sizes: none of them is `?`, though it may be unknown here.
    """
    sizes = [None if size == DYNAMIC else size for size in memref.get_shape()]
    if isinstance(memref.layout, NoneAttr):
        return sizes, [0] * len(sizes)
    strides = memref.get_strides()
    if strides is None:
        raise Unprintable(f"the layout of {memref} is not strided")
    return sizes, list(strides)
