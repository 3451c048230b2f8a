"""What schedules of contractions are taken to cost, in cycles.

A step of the reduction takes as long as its multiply-adds (two a cycle), its loads (two a cycle) and the latency of a
multiply-add (four cycles, which needs eight sums under way), whichever is longest; a tile adds what it takes to start
and store it; what does not stay in the first cache costs what the second delivers, and so on outwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd, prod

from xdsl.dialects.builtin import IntegerType

from xmlc.passes.contractions.emitter import Emitter, bits_of
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.machine import Machine

LATENCY = 4.0
"""Cycles from a multiply-add to the next on the same sum."""
TILE_START = 12.0
"""Cycles to begin a tile: its addresses, and the first loads."""
SECOND_CACHE_BYTES = 32.0
"""Bytes a cycle from the second cache."""
FAR_BYTES = 10.0
"""Bytes a cycle from beyond the second cache."""
NARROW_BYTES, WIDER = 1.6, 0.55
"""Bytes a cycle from beyond the second cache in pieces of 64 bytes, and by which power longer pieces are better:
16 rows x 1536 x 384 with weights in main memory, tiles of 1, 2, 3, 4 and 6 vectors take 363, 239, 191, 163, 134 us."""
WIDEST = 8
"""Vectors of the widest tile."""
SHORT_LOOP = 3.0
"""Cycles to enter and leave an inner loop."""
ROW_COPY, TRANSPOSED_COPY = 0.4, 0.42
"""Cycles to copy an element where it and its neighbours lie in one piece, and where they do not."""
WIDENED = 3.0
"""What loading an element or a vector and widening it takes more than loading it, in loads."""
PAGE = 4096
"""Bytes of a page of memory, which is also how far apart places of the first cache repeat."""
CODE = 0.004
"""What another variant of the tile adds, as a share: machine code to compile and to keep."""


@dataclass(frozen=True)
class Schedule:
    """One way to compute a contraction."""

    name: str
    cycles: float
    emit: Callable[[Emitter], None]
    describe: str = ""


@dataclass(frozen=True)
class Split:
    """How an extent is cut: the sizes of its steps with how often each occurs, and whether the last moves back."""

    sizes: tuple[tuple[int, int], ...]
    overlaps: bool


@lru_cache(maxsize=4096)
def splits(extent: int, size: int, may_overlap: bool) -> tuple[Split, ...]:
    whole, left = divmod(extent, size)
    if not left:
        return (Split(((size, whole),), False),)
    if not whole:
        return (Split(((left, 1),), False),)
    found = [Split(((size, whole), (left, 1)), False)]
    if may_overlap:
        found.append(Split(((size, whole + 1),), True))
    return tuple(found)


@dataclass(frozen=True)
class Step:
    """What a step of the reduction loads: for a tile of r rows and v vectors,
    `rows * r + vectors * v + both * r * v` and one scalar."""

    rows: float
    vectors: float
    both: float
    lines: float
    """Extra cycles for each vector, where it is hard to find."""
    second: float = 0.0
    """Cycles to bring a vector from the second cache, where those of all steps do not fit the first."""
    multiply: float = 0.5
    """Cycles to multiply and add a vector."""

    def cycles(self, rows: int, vectors: int, near: bool = True) -> float:
        loads = self.rows * rows + self.vectors * vectors + self.both * rows * vectors
        brought = 0.0 if near else self.second * self.vectors * vectors
        return max(rows * vectors * self.multiply, loads / 2, LATENCY, brought) + self.lines * vectors


@lru_cache(maxsize=4096)
def best_tile(
    rows: int,
    columns: int,
    depth: int,
    starts: float,
    step: Step,
    lanes: int,
    registers: int,
    overlap: bool,
    highest: int,
    most: int,
    far: float,
    first: int,
    widest: int,
) -> tuple[float, int, int, bool, bool]:
    """(cycles, rows, columns, whether rows overlap, whether columns do) of the best register tile.

    It has at most `highest` rows and `most` vectors; `first` vectors fit the first cache. Bringing the vectors from far
    memory takes `far` where a tile is one vector wide; a wider one reads longer pieces at a time.
    """
    best: tuple[float, int, int, bool, bool] | None = None
    for vectors in range(1, min(widest, -(-columns // lanes)) + 1):
        for high in range(1, rows + 1):
            live = high * vectors + (vectors if step.vectors else 1) + 1
            if live > registers or high > highest or (high * vectors > most and high > 1):
                break
            wide = min(vectors * lanes, columns)
            for row_split in splits(rows, high, overlap):
                for column_split in splits(columns, wide, overlap):
                    total = 0.0
                    for row_size, row_count in row_split.sizes:
                        for column_size, column_count in column_split.sizes:
                            groups = -(-column_size // lanes)
                            near = row_count == 1 or depth * groups <= first
                            each = depth * step.cycles(row_size, groups, near) + TILE_START + row_size * groups + starts
                            total += row_count * column_count * each
                    variants = len(row_split.sizes) * len(column_split.sizes)
                    total = max(total, far / ceil(wide / lanes) ** WIDER)
                    total *= 1 + CODE * (variants - 1) + CODE * high * vectors / 24
                    if best is None or total < best[0]:
                        best = (total, high, wide, row_split.overlaps, column_split.overlaps)
    assert best is not None
    return best


def size_of(found: Contraction, operand: Operand) -> int:
    """Bytes of an operand that the loops reach."""
    reached = prod(extent for extent, stride in zip(found.extents, operand.strides) if stride)
    span = 1 + sum(abs(stride) * (extent - 1) for extent, stride in zip(found.extents, operand.strides))
    return min(reached, span) * bits_of(operand.element) // 8


def moves_only(found: Contraction, operand: Operand) -> list[int]:
    """The parallel loops that move this factor and not the other."""
    other = found.rhs if operand is found.lhs else found.lhs
    return [loop for loop in found.parallels if operand.strides[loop] and not other.strides[loop]]


def column_loop(found: Contraction) -> int | None:
    """The loop that vectors of results can run along: what is read and written at the end is in one piece."""
    read = found.epilogue.buffers if found.epilogue is not None else ()
    for loop in found.parallels:
        if found.out.strides[loop] == found.sums.strides[loop] == 1:
            return loop if all(each.strides[loop] in (0, 1) for each in read) else None
    return None


def rows_that_fit(found: Contraction, row: int) -> int:
    """How many rows a tile may have whose scalars do not push one another out of the first cache."""
    apart = max((abs(factor.strides[row]) for factor in (found.lhs, found.rhs)), default=1) if row >= 0 else 1
    places = PAGE // gcd(PAGE, apart * bits_of(found.element) // 8)
    return min(30, 8 * places)


def lanes_for(found: Contraction, machine: Machine, columns: int) -> int:
    lanes = machine.lanes(bits_of(found.element))
    while lanes > 2 and columns <= lanes // 2:
        lanes //= 2
    return lanes


def multiply_add_cycles(found: Contraction) -> float:
    """Floats have an instruction for it, integers of 32 bits need two, of which one is slow."""
    return 1.5 if isinstance(found.element, IntegerType) else 0.5


def even_part(extent: int, most: int, unit: int) -> int:
    """A block of at most `most`, in whole units, such that the blocks of an extent are of about one size."""
    if extent <= unit:
        return extent
    count = ceil(extent / max(unit, most // unit * unit))
    return ceil(ceil(extent / count) / unit) * unit


def shared_columns(width: int, most: int, unit: int, threads: int) -> int:
    """The columns of a block, at most so many: the thread with the most of them has as few as can be."""
    widest = even_part(width, most, unit)
    return min(range(widest, 0, -unit), key=lambda each: ceil(ceil(width / each) / threads) * each)
