"""Lower transposes: copies whose source and target run through memory along different loops become square tiles.

A tile is read in vectors along the source's memory, transposed in registers, and written in vectors along the
target's memory, so that every cache line is used whole. A tile of n rows of n elements takes log2(n) steps, each of
which exchanges halves of pairs of rows (Eklundh, "A fast computer method for matrix transposing", 1972).

Rows of the target that are a multiple of 2 KiB apart crowd: pieces of sixteen of them that are written side by side
compete for few places of the first cache. Tiles of such a target go through a buffer, from which each row is written
some vectors at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import cast

from xdsl.context import Context
from xdsl.dialects import func, linalg, vector
from xdsl.dialects.builtin import DenseArrayBase, MemRefType, ModuleOp, NoneAttr, VectorType, i64
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass

from xmlc.passes import remarks
from xmlc.passes.contractions.emitter import Emitter, View, bits_of
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.recognise import Operand, distinct, extents_of, operand_of, root
from xmlc.passes.functions import defined_functions
from xmlc.passes.hoist_weights import PREPARE
from xmlc.passes.index_arithmetic import Index, IndexConstants
from xmlc.passes.machine import Machine
from xmlc.passes.memory import ALIGNMENT, byte_size

CHUNK_BITS = 128
"""Shuffles inside pieces of this size are cheap on every processor with wider vectors."""
BLOCK = 4
"""Tiles side by side that are done before the next ones below: what is read of a page is read together."""
RUN = 8
"""Tiles side by side along the target that are gathered in a buffer, where rows of the target crowd."""
CROWDED = 2048
"""Rows crowd that are a multiple of so many bytes apart."""
LEAST = 4
"""Loops shorter than this are left alone."""


@dataclass(frozen=True)
class Transposition:
    """target[...] = source[...]: memory runs along `read` in the source and along `written` in the target."""

    extents: tuple[int, ...]
    source: Operand
    target: Operand
    read: int
    written: int


@dataclass(frozen=True)
class LowerTransposes(ModulePass):
    """Turn copies that transpose into tiles that are transposed in registers; leave everything else as it is."""

    name = "lower-transposes"
    vector_bits: int = Machine.vector_bits
    second_cache: int = Machine.second_cache
    third_cache: int = Machine.third_cache

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        once = run_once(op)
        for function in defined_functions(op):
            vector_bits = min(self.vector_bits, CHUNK_BITS) if function.sym_name.data in once else self.vector_bits
            constants = IndexConstants(function.body.block)
            for inner in [each for each in function.walk() if isinstance(each, linalg.ops.GenericOp)]:
                if (found := transposition_of(inner)) is not None:
                    lanes = lanes_for(found, vector_bits)
                    remarks.passed(inner, lambda n=lanes: f"transposed in registers, tiles of {n}x{n} elements")
                    self.emit(Emitter(inner, constants), found, lanes)
                    inner.detach()
                    inner.erase()

    def emit(self, emitter: Emitter, found: Transposition, lanes: int) -> None:
        if streams(found, lanes, self.third_cache):
            emit(emitter, found, lanes, BLOCK, streams=True)
        elif not crowds(found):
            emit(emitter, found, lanes, BLOCK)
        elif size_of(found.target) <= self.second_cache:
            emit_runs(emitter, found, lanes)
        else:
            emit(emitter, found, lanes, 1)


def run_once(module: ModuleOp) -> set[str]:
    """The functions that nothing but @prepare calls: larger tiles would take longer to compile than they save."""
    callers: dict[str, set[str]] = {}
    for function in module.body.block.ops:
        if isinstance(function, func.FuncOp):
            for call in function.walk():
                if isinstance(call, func.CallOp):
                    callers.setdefault(call.callee.string_value(), set()).add(function.sym_name.data)
    return {name for name, found in callers.items() if found == {PREPARE}}


def transposition_of(op: linalg.ops.GenericOp) -> Transposition | None:
    """The transposition that an op is; None for what computes, or copies along memory."""
    body = op.body.block
    if len(op.inputs) != 1 or len(op.outputs) != 1 or body.first_op is not body.last_op:
        return None
    if body.last_op is None or body.last_op.operands[0] is not body.args[0]:
        return None
    if any(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types):
        return None
    if not isinstance(op.inputs[0].type, MemRefType):
        return None
    maps = [tuple(attribute.data.results) for attribute in op.indexing_maps]
    extents = extents_of(op.operands, maps, len(op.iterator_types))
    if extents is None or 0 in extents:
        return None
    source, target = (operand_of(value, indices, len(extents)) for value, indices in zip(op.operands, maps))
    if source is None or target is None or min((*source.strides, *target.strides), default=0) < 0:
        return None
    extents, source, target = merged(extents, source, target)
    read, written = (unit_loop(operand, extents) for operand in (source, target))
    if read is None or written is None or read == written or min(extents[read], extents[written]) < LEAST:
        return None
    if not distinct(target, extents, [False] * len(extents)) or source.strides[written] == 0:
        return None
    return Transposition(extents, source, target, read, written)


def merged(extents: tuple[int, ...], source: Operand, target: Operand) -> tuple[tuple[int, ...], Operand, Operand]:
    """With loops made one that run through memory one inside the other on both sides: rows of pixels, all pixels."""
    for outer, inner in permutations(range(len(extents)), 2):
        if all(each.strides[outer] == each.strides[inner] * extents[inner] for each in (source, target)):
            kept = [loop for loop in range(len(extents)) if loop != outer]
            longer = tuple(extents[loop] * (extents[outer] if loop == inner else 1) for loop in kept)
            source, target = (
                replace(each, strides=tuple(each.strides[loop] for loop in kept)) for each in (source, target)
            )
            return merged(longer, source, target)
    return extents, source, target


def unit_loop(operand: Operand, extents: Sequence[int]) -> int | None:
    """The loop along which memory runs."""
    found = [loop for loop, (stride, extent) in enumerate(zip(operand.strides, extents)) if stride == 1 and extent > 1]
    return found[0] if len(found) == 1 else None


def lanes_for(found: Transposition, vector_bits: int) -> int:
    """Elements along each side of a tile: a vector's, 16 at most, and no more than both loops have."""
    lanes = min(16, vector_bits // max(8, bits_of(found.source.element)))
    while lanes > min(found.extents[found.read], found.extents[found.written]):
        lanes //= 2
    return lanes


def streams(found: Transposition, lanes: int, third_cache: int) -> bool:
    """Whether tiles are stored past the caches: source and target do not fit them, and a tile's rows are cache lines.

    Then no tile may overlap another, as the last ones do where an extent is no multiple of a tile's.
    """
    line = 8 * ALIGNMENT // bits_of(found.target.element)
    starts = [found.target.offset, found.extents[found.read], found.extents[found.written]]
    starts += [stride for loop, stride in enumerate(found.target.strides) if loop != found.written]
    whole = cast("MemRefType[Attribute]", root(found.target.value).type)
    if lanes % line or any(start % line for start in starts) or not isinstance(whole.layout, NoneAttr):
        return False
    return 2 * size_of(found.target) >= third_cache


def size_of(operand: Operand) -> int:
    """Bytes of the buffer that an operand is in."""
    return byte_size(cast("MemRefType[Attribute]", root(operand.value).type))


def crowds(found: Transposition) -> bool:
    """Whether rows of the target compete for places in a cache."""
    apart = found.target.strides[found.read] * bits_of(found.target.element) // 8
    return apart % CROWDED == 0


def emit(emitter: Emitter, found: Transposition, lanes: int, side_by_side: int, streams: bool = False) -> None:
    """Tiles from the source to the target; so many beside one another in the source before those below."""
    source = emitter.view(found.source, found.extents, found.read)
    target = emitter.view(found.target, found.extents, found.written)
    wide = lanes * min(side_by_side, found.extents[found.read] // lanes)

    def block(at: Mapping[int, Index], _: Mapping[int, int]) -> None:
        with emitter.loop(wide, lanes) as start:
            here = {**at, found.read: emitter.plus(at[found.read], start)}
            move_tile(emitter, found, lanes, (source, here), (target, here), streams)

    steps = (
        Steps(found.read, found.extents[found.read], wide, overlaps=True),
        Steps(found.written, found.extents[found.written], lanes, overlaps=True),
    )
    around(emitter, [*others(found), *steps], block)


def emit_runs(emitter: Emitter, found: Transposition, lanes: int) -> None:
    """Tiles from the source to a buffer, which is copied row by row."""
    source = emitter.view(found.source, found.extents, found.read)
    target = emitter.view(found.target, found.extents, found.written)
    run = lanes * min(RUN, found.extents[found.written] // lanes)

    def block(at: Mapping[int, Index], _: Mapping[int, int]) -> None:
        apart = run + lanes
        value = emitter.buffer(found.target.element, (lanes, apart))
        buffer = View(value, (found.read, found.written), (apart, 1))
        with emitter.loop(run, lanes) as start:
            here = {**at, found.written: emitter.plus(at[found.written], start)}
            move_tile(emitter, found, lanes, (source, here), (buffer, {found.read: 0, found.written: start}))
        with emitter.loop(lanes) as row, emitter.loop(run, lanes) as start:
            piece = emitter.indices(buffer, {found.read: row, found.written: start})
            ends = {
                **at,
                found.read: emitter.plus(at[found.read], row),
                found.written: emitter.plus(at[found.written], start),
            }
            value = emitter.load_vector(buffer, piece, lanes)
            emitter.store_vector(value, target, emitter.indices(target, ends))

    steps = (
        Steps(found.written, found.extents[found.written], run, overlaps=True),
        Steps(found.read, found.extents[found.read], lanes, overlaps=True),
    )
    around(emitter, [*others(found), *steps], block)


def others(found: Transposition) -> list[Steps]:
    """The loops around those of tiles."""
    loops = [loop for loop in range(len(found.extents)) if loop not in (found.read, found.written)]
    loops.sort(key=lambda loop: -found.target.strides[loop])
    return [Steps(loop, found.extents[loop]) for loop in loops]


Place = tuple[View, Mapping[int, Index]]
"""A view, and where in it."""


def move_tile(
    emitter: Emitter, found: Transposition, lanes: int, source: Place, target: Place, streams: bool = False
) -> None:
    """One tile, through registers."""
    view, at = source
    rows = [
        emitter.load_vector(
            view, emitter.indices(view, {**at, found.written: emitter.plus(at[found.written], row)}), lanes
        )
        for row in range(lanes)
    ]
    view, at = target
    for column, value in enumerate(transposed(emitter, rows)):
        place = emitter.indices(view, {**at, found.read: emitter.plus(at[found.read], column)})
        store = emitter.stream_vector if streams else emitter.store_vector
        store(value, view, place)


# In registers


def transposed(emitter: Emitter, rows: Sequence[SSAValue]) -> list[SSAValue]:
    """The columns of as many vectors as each has lanes."""
    count = len(rows)
    if count == 1:
        return list(rows)
    element = cast("VectorType[Attribute]", rows[0].type).element_type
    chunk = min(count, max(1, CHUNK_BITS // max(8, bits_of(element))))
    vectors = list(rows)
    names = [[(row, column) for column in range(count)] for row in range(count)]
    for mask_pair, distance in stages(count, chunk):
        made: list[SSAValue | None] = [None] * count
        labels: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for first in range(count):
            if first & distance:
                continue
            second = first | distance
            both = names[first] + names[second]
            for place, mask in zip((first, second), mask_pair):
                made[place] = shuffled(emitter, vectors[first], vectors[second], mask)
                labels[place] = [both[lane] for lane in mask]
        vectors, names = [each for each in made if each is not None], labels
    column_of = [{column for _, column in each} for each in names]
    assert all(
        len(each) == 1 and [row for row, _ in name] == list(range(count)) for each, name in zip(column_of, names)
    )
    order = {next(iter(each)): place for place, each in enumerate(column_of)}
    return [vectors[order[column]] for column in range(count)]


def stages(count: int, chunk: int) -> list[tuple[tuple[list[int], list[int]], int]]:
    """For each step the lanes that two rows exchange, and how far apart these rows are.

    Inside chunks elements are interleaved, then pairs of them, and so on; then whole chunks are sorted.
    """
    found: list[tuple[tuple[list[int], list[int]], int]] = []
    width = 1
    while width < chunk:
        low: list[int] = []
        high: list[int] = []
        for start in range(0, count, chunk):
            for lane in range(0, chunk // 2, width):
                for part, offset in ((low, 0), (high, chunk // 2)):
                    place = start + lane + offset
                    part += [*range(place, place + width), *range(count + place, count + place + width)]
        found.append(((low, high), width))
        width *= 2
    while width < count:
        lanes = range(2 * count)
        even, odd = ([lane for lane in lanes if lane // chunk % 2 == parity] for parity in (0, 1))
        found.append(((even, odd), width))
        width *= 2
    return found


def shuffled(emitter: Emitter, x: SSAValue, y: SSAValue, lanes: Sequence[int]) -> SSAValue:
    mask = DenseArrayBase.from_list(i64, lanes)
    made = vector.ShuffleOp.create(operands=(x, y), result_types=(x.type,), properties={"mask": mask})
    return emitter.add(made).results[0]
