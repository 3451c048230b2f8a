"""The cost model: every way to schedule a contraction, what it is taken to cost in cycles, and the cheapest.

A step of the reduction takes as long as its multiply-adds (two a cycle), its loads (two a cycle) and the latency of a
multiply-add (four cycles, which needs eight sums under way), whichever is longest; a tile adds what it takes to start
and store it; what does not stay in the first cache costs what the second delivers, and so on outwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, gcd, prod

from xdsl.dialects.builtin import IntegerType

from xmlc.passes.contractions.blocked import Blocked, emit_blocked, factors_of
from xmlc.passes.contractions.direct import Direct, emit_direct
from xmlc.passes.contractions.dot import Dot, emit_dot
from xmlc.passes.contractions.dots import Dots, dots_for
from xmlc.passes.contractions.emitter import Emitter, bits_of
from xmlc.passes.contractions.flatten import copied_in, copied_out, flattened, flattens
from xmlc.passes.contractions.nest import Steps
from xmlc.passes.contractions.panelled import Panelled, emit_panelled
from xmlc.passes.contractions.recognise import Contraction, Operand, simplified
from xmlc.passes.contractions.stretches import add_up, in_stretches, with_buffer
from xmlc.passes.contractions.sweep import Sweep, emit_sweep
from xmlc.passes.contractions.tile import Reduction, Shape
from xmlc.passes.contractions.tiles import EXTENT, Tiles, emit_tiles, fits, steps_of
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
CODE = 0.004
"""What another variant of the tile adds, as a share: machine code to compile and to keep."""


@dataclass(frozen=True)
class Schedule:
    """One way to compute a contraction."""

    name: str
    cycles: float
    emit: Callable[[Emitter], None]
    describe: str = ""


def schedules(found: Contraction, machine: Machine) -> list[Schedule]:
    """Every schedule that fits, the cheapest first."""
    made = [
        *direct(found, machine),
        *sweep(found, machine),
        *panelled(found, machine),
        *blocked(found, machine),
        *tiles(found, machine),
        *dot(found, machine),
        *flat(found, machine),
        *stretched(found, machine),
    ]
    return sorted(made, key=lambda schedule: schedule.cycles)


# Parts of the model


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


# Direct


def direct(found: Contraction, machine: Machine) -> list[Schedule]:
    """Register tiles over operands in place: the column loop is one along which `out` and a factor are in one piece."""
    column = column_loop(found)
    if column is None:
        return []
    factors = (found.lhs, found.rhs)
    if any(factor.strides[column] not in (0, 1, 2) for factor in factors):
        return []
    if isinstance(found.start, Operand) and found.start.strides[column] not in (0, 1):
        return []
    if not any(factor.strides[column] for factor in factors):
        return []
    made: list[Schedule] = []
    for row in row_loops(found, column):
        made.append(direct_with(found, machine, column, row))
    return made


def column_loop(found: Contraction) -> int | None:
    """The loop that vectors of results can run along: what is read and written at the end is in one piece."""
    read = found.epilogue.buffers if found.epilogue is not None else ()
    for loop in found.parallels:
        if found.out.strides[loop] == found.sums.strides[loop] == 1:
            return loop if all(each.strides[loop] in (0, 1) for each in read) else None
    return None


def row_loops(found: Contraction, column: int) -> list[int]:
    """The loops that may be the rows of a tile: the longest that moves only the factor which columns do not move."""
    wide, other = (found.lhs, found.rhs) if found.lhs.strides[column] else (found.rhs, found.lhs)
    if not other.strides[column]:
        rows = moves_only(found, other)
        if rows:
            return [max(rows, key=lambda loop: found.extents[loop])]
    # no loop of that kind (depthwise): rows of the image, which share the scalars
    rest = [loop for loop in found.parallels if loop != column and wide.strides[loop] and not other.strides[loop]]
    return [max(rest, key=lambda loop: found.extents[loop])] if rest else [-1]


def direct_with(found: Contraction, machine: Machine, column: int, row: int) -> Schedule:
    lanes = lanes_for(found, machine, found.extents[column])
    extents = found.extents
    rows = extents[row] if row >= 0 else 1
    reductions = sorted(
        found.reductions, key=lambda loop: -max(abs(found.lhs.strides[loop]), abs(found.rhs.strides[loop]))
    )
    depth = prod(extents[loop] for loop in reductions)
    step = step_of(found, row, column, depth, lanes)
    around = [loop for loop in found.parallels if loop not in (row, column)]
    channelwise = bool(found.lhs.strides[column] and found.rhs.strides[column])
    # a window whose steps share what they load: all are unrolled
    shares = depth <= UNROLLED // 2 and step.both > 0 and not channelwise
    highest = rows_that_fit(found, row)
    first = machine.first_cache * 8 // (bits_of(found.element) * lanes)
    times = prod(extents[loop] for loop in around)
    moved = max(size_of(found, factor) for factor in (found.lhs, found.rhs) if factor.strides[column])
    near = moved < machine.second_cache // 2 or in_panels(found, column, lanes)
    waits = moved / SWEPT_BYTES if near and moved >= machine.second_cache // 2 else 0.0  # the first tile of rows
    far = 0.0 if near or step.both else moved / times / (NARROW_BYTES * lanes / 16)
    most = max(1, UNROLLED // depth) if shares else CHANNEL_ROWS if channelwise else machine.vector_registers
    widest = 1 if channelwise else WIDEST
    if shares:
        step = replace(step, both=step.both * 0.45)
    copied = machine.second_cache // 4
    inner = extents[reductions[-1]] if reductions else 1
    entries = depth / inner * SHORT_LOOP if len(reductions) > 1 else 0.0
    cycles, high, wide, rows_overlap, columns_overlap = best_tile(
        rows,
        extents[column],
        depth,
        entries,
        step,
        lanes,
        machine.vector_registers,
        found.restarts,
        highest,
        most,
        far,
        first,
        widest,
    )
    cycles *= times
    row_steps = Steps(row, rows, high, rows_overlap) if row >= 0 else None
    column_steps = Steps(column, extents[column], wide, columns_overlap)
    steps, traffic = ordered(found, machine, row_steps, column_steps, around)
    if channelwise and moved // extents[column] * wide <= copied:
        steps = [column_steps, *(step for step in steps if step is not column_steps)]
    unrolled = reductions if shares else reductions[-1:] if channelwise and inner <= UNROLLED else []
    unroll = 1 if high * wide >= 8 * lanes or len(reductions) > 1 else 4
    plan = Direct(
        Shape(row, high, column, wide, lanes),
        tuple(steps),
        tuple(Reduction(loop, extents[loop], extents[loop] if loop in unrolled else unroll) for loop in reductions),
        copied * 8 // bits_of(found.element),
    )
    return Schedule(
        "direct",
        max(cycles, traffic) + waits,
        lambda emitter: emit_direct(emitter, found, plan),
        f"direct, tile {high}x{wide}",
    )


def in_panels(found: Contraction, column: int, lanes: int) -> bool:
    """Whether the factor that columns move is read in one piece: no wider than a tile, and laid out as it is read."""
    columns = found.extents[column]
    wide = found.lhs if found.lhs.strides[column] else found.rhs
    return columns <= WIDEST * lanes and any(wide.strides[loop] == columns for loop in found.reductions)


def is_panel(found: Contraction, factor: Operand, column: int, lanes: int) -> bool:
    """Whether the steps of a tile read a factor from its first element to its last."""
    reached = found.extents[column]
    if reached > WIDEST * lanes or len(found.reductions) < 2:
        return False
    for loop in sorted(found.reductions, key=lambda loop: factor.strides[loop]):
        if factor.strides[loop] != reached:
            return False
        reached *= found.extents[loop]
    return True


UNROLLED = 64
"""How many multiply-adds the unrolled window of a tile may have."""
CHANNEL_ROWS = 14
"""Rows of a tile of one vector of channels with a filter for each: half of the registers hold what rows share."""


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


def step_of(found: Contraction, row: int, column: int, depth: int, lanes: int) -> Step:
    """What each step of the reduction loads."""
    rows = vectors = both = lines = 0.0
    for factor in (found.lhs, found.rhs):
        by_row, by_column = row >= 0 and factor.strides[row] != 0, factor.strides[column] != 0
        each = 1.0
        if by_column and factor.strides[column] == 2:
            each = 3.5
        if factor.element != found.element:
            each += WIDENED
        if by_row and by_column:
            both += each
        elif by_row:
            rows += each
        elif by_column:
            vectors += each
            if not is_panel(found, factor, column, lanes):
                apart = max((abs(factor.strides[loop]) for loop in found.reductions), default=1)
                lines += far_apart(apart * bits_of(factor.element) // 8, depth)
    second = bits_of(found.element) * lanes / 8 / SECOND_CACHE_BYTES
    return Step(rows, vectors, both, lines, second, multiply_add_cycles(found))


def multiply_add_cycles(found: Contraction) -> float:
    """Floats have an instruction for it, integers of 32 bits need two, of which one is slow."""
    return 1.5 if isinstance(found.element, IntegerType) else 0.5


def far_apart(apart: int, depth: int) -> float:
    """Extra cycles for a vector of each step, if steps are `apart` bytes.

    They compete for places in the caches where that is a power of two, for page table entries where it is large.
    """
    pages = depth * min(apart, PAGE) // PAGE
    if depth > 64 and apart % (2 * PAGE) == 0:
        return 7.0
    if depth > 64 and apart % PAGE == 0:
        return 2.3
    new = min(1.0, NEXT_PAGE * apart / PAGE)
    return 0.0 if pages <= 160 else 0.3 * new if pages <= 320 else new


PAGE = 4096
NEXT_PAGE = 4.0
"""A page costs something new where it holds fewer steps than this; more of them hide it."""


def ordered(
    found: Contraction, machine: Machine, rows: Steps | None, columns: Steps, around: Sequence[int]
) -> tuple[list[Steps], float]:
    """The loops around a tile, outermost first, and the cycles it takes to bring the factors from memory.

    The factor of the outer loops is read once and the other once for each of their steps: the smaller is the inner.
    """
    wide, other = (found.lhs, found.rhs) if found.lhs.strides[columns.loop] else (found.rhs, found.lhs)
    batch = [loop for loop in around if found.lhs.strides[loop] and found.rhs.strides[loop]]
    rest = [loop for loop in around if loop not in batch]
    batch.sort(key=lambda loop: -found.out.strides[loop])
    with_columns = sorted((loop for loop in rest if wide.strides[loop]), key=lambda loop: -found.out.strides[loop])
    with_rows = sorted((loop for loop in rest if loop not in with_columns), key=lambda loop: -found.out.strides[loop])
    column_steps = [*(Steps(loop, found.extents[loop]) for loop in with_columns), columns]
    row_steps = [*(Steps(loop, found.extents[loop]) for loop in with_rows)]
    if rows is not None:
        if wide.strides[rows.loop]:
            column_steps.insert(len(column_steps) - 1, rows)
            column_steps = [step for step in column_steps if step is not rows]
            column_steps.insert(-1, rows)
        else:
            row_steps.append(rows)
    times = prod(found.extents[loop] for loop in batch)
    wide_bytes, other_bytes = size_of(found, wide) / times, size_of(found, other) / times

    def passes(steps: Sequence[Steps]) -> int:
        return prod(-(-step.extent // step.size) for step in steps)

    def traffic(inner: float, outer: float, steps: Sequence[Steps]) -> float:
        rate = SECOND_CACHE_BYTES if inner < machine.second_cache * 0.7 else FAR_BYTES
        again = inner * passes(steps) / rate if inner > machine.first_cache * 0.7 else inner / FAR_BYTES
        return times * (again + outer / FAR_BYTES)

    rows_inside = traffic(other_bytes, wide_bytes, column_steps) + times * strips(found, machine, columns, times)
    columns_inside = traffic(wide_bytes, other_bytes, row_steps)
    outermost = [Steps(loop, found.extents[loop]) for loop in batch]
    if rows_inside <= columns_inside:
        return [*outermost, *column_steps, *row_steps], rows_inside
    return [*outermost, *row_steps, *column_steps], columns_inside


def strips(found: Contraction, machine: Machine, columns: Steps, times: int) -> float:
    """Extra cycles to store results strip by strip, a short piece of each row, where they do not stay in a cache."""
    stored = size_of(found, found.out) / times
    whole = columns.size >= columns.extent
    return 0.0 if whole or stored < machine.second_cache else stored / STRIP_BYTES


STRIP_BYTES = 8.0
"""Bytes a cycle of results stored in strips: 1024 x 1024 x 16 by strips of 32 columns takes 309 us, by rows 180."""


# Sweep


def sweep(found: Contraction, machine: Machine) -> list[Schedule]:
    """A few rows times a matrix, which is read in the order in which it lies."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1:
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    rows = moves_only(found, other)
    if len(rows) > 1 or other.strides[column] or wide.strides[column] != 1:
        return []
    if isinstance(found.start, Operand) and found.start.strides[column] not in (0, 1):
        return []
    row, high = (rows[0], found.extents[rows[0]]) if rows else (-1, 1)
    outer = tuple(loop for loop in found.parallels if loop not in (row, column))
    gathers = high > KEPT_ROWS
    if high > SWEPT_ROWS or (gathers and (outer or other.strides[reduction] != 1)):
        return []
    lanes = lanes_for(found, machine, found.extents[column])
    width, depth = found.extents[column], found.extents[reduction]
    tall = even_part(high, machine.vector_registers // 4, 1)
    steps = max(1, machine.vector_registers // 4 // high) if not gathers else STEPS
    unit = 2 * lanes
    most = max(unit, machine.first_cache // 2 * 8 // bits_of(found.element) // high // unit * unit)
    times = prod(found.extents[loop] for loop in outer)
    columns = shared_columns(width, most, unit, machine.threads if times == 1 else 1)
    block = machine.second_cache // 8 * 8 // bits_of(found.element) // high if gathers else depth
    shape = Shape(row, tall, column, min(unit, width), lanes)
    plan = Sweep(shape, reduction, steps, columns, even_part(depth, block, steps), outer, gathers)
    vectors = depth * -(-width // lanes)
    moved = size_of(found, wide)
    near = FAR_BYTES if gathers else SECOND_CACHE_BYTES
    rate = SWEPT_BYTES if moved > machine.second_cache // 2 else near
    # each vector is loaded and used by all rows; sums are loaded and stored once for some steps
    computed = times * vectors * (max(high * multiply_add_cycles(found), 0.5) + 1.5 * high / steps)
    tiles = ceil(width / unit) * ceil(high / tall) * ceil(depth / steps)
    gathered = tiles * SHORT_LOOP + high * (depth * ROW_COPY + 5 * ceil(width / lanes)) if gathers else 0.0
    note = f"sweep, tile {tall}x{min(unit, width)}, {steps} steps at a time in blocks of {columns} columns"
    cycles = max(computed, moved / rate) + gathered
    return [Schedule("sweep", cycles, lambda emitter: emit_sweep(emitter, found, plan), note)]


SWEPT_ROWS = 64
"""The most rows for which a matrix is swept: their sums of some vectors of columns fit the first cache."""
KEPT_ROWS = 4
"""Rows whose numbers of some steps are in registers; those of more rows are loaded for each tile of columns."""
STEPS = 8
"""Steps at a time where numbers are loaded: as many rows of the matrix as the first cache has ways, at most."""
SWEPT_BYTES = 12.0
"""Bytes a cycle from beyond the second cache, of a matrix that is read in order."""


# Panelled


def panelled(found: Contraction, machine: Machine) -> list[Schedule]:
    """Rows times panels that lie one after the other: see `pack-weights`."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1:
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    width, depth = found.extents[column], found.extents[reduction]
    panels, rows = moves_only(found, wide), moves_only(found, other)
    lanes = machine.lanes(bits_of(found.element))
    if len(panels) != 2 or len(rows) != 1 or len(found.parallels) != 3 or width % lanes:
        return []
    panel = panels[0] if panels[1] == column else panels[1]
    lies = {column: 1, reduction: width, panel: width * depth}
    if wide.element != found.element or any(wide.strides[loop] != stride for loop, stride in lies.items()):
        return []
    if other.element != found.element or other.strides[reduction] != 1:
        return []
    count, vectors = found.extents[rows[0]], width // lanes
    most = min((machine.vector_registers - vectors - 2) // vectors, SHARED_LINES)
    if most < 1:
        return []
    each = Step(1, 1, 0, 0)

    def steps_of(high: int) -> float:
        whole, left = divmod(count, high)
        return whole * each.cycles(high, vectors) + (each.cycles(left, vectors) if left else 0)

    high = min(range(min(count, most), 0, -1), key=steps_of)
    tiles = ceil(count / high)
    size = bits_of(found.element) // 8
    block = even_part(depth, machine.second_cache // 8 // (width * size), lanes)
    copies = rows_that_fit(found, rows[0]) < high
    plan = Panelled(Shape(rows[0], high, column, width, lanes), panel, reduction, block, copies)
    blocks = ceil(depth / block)
    starts = tiles * blocks * (TILE_START + 2 * high * vectors)
    computed = found.extents[panel] * (depth * steps_of(high) + starts)
    moved = size_of(found, wide) / SWEPT_BYTES
    cycles = max(computed, moved) + (count * depth * ROW_COPY / lanes if copies else 0)
    note = f"panelled, tile {high}x{width}, blocks of {block} steps{', rows copied' if copies else ''}"
    return [Schedule("panelled", cycles, lambda emitter: emit_panelled(emitter, found, plan), note)]


SHARED_LINES = 12
"""The most rows of a tile: the ways of the first cache, which their scalars share with the panel."""


# Blocked


def blocked(found: Contraction, machine: Machine) -> list[Schedule]:
    """Packed panels: one loop of rows, one of columns, one that reduces, and batches around them."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1:
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    candidates = moves_only(found, other)
    if other.strides[column] or not candidates:
        return []
    row = max(candidates, key=lambda loop: found.extents[loop])
    outer = tuple(loop for loop in found.parallels if loop not in (row, column))
    lanes = machine.lanes(bits_of(found.element))
    vectors = 2 if machine.vector_registers >= 32 or machine.vector_bits >= 256 else 1
    high = (machine.vector_registers - vectors - 2) // vectors
    high = min(high, 12 if machine.vector_registers >= 32 else 6)
    count, width, depth = found.extents[row], found.extents[column], found.extents[reduction]
    if count < 4 or width < lanes or depth < 16:
        return []
    high = row_tile(count, high)
    tile_columns = vectors * lanes
    dots = dots_for(found, machine, other, wide)
    group = dots.size if dots is not None else 1
    packed_bytes = bits_of(found.element) // 8 / group
    unit = 8 * group
    steps = min(depth, even_part(depth, int(machine.first_cache * 3 / 4 / (high * packed_bytes)), unit))
    same = other.element == (dots.element if dots is not None else found.element)
    lies = other.strides[reduction] == 1 and same and depth % group == 0
    packs_rows = not lies or (dots is not None and dots.flips)
    slab = count * steps * packed_bytes  # the rows, which each block of columns reads again
    far = slab >= 4 * machine.second_cache
    if far and not packs_rows:
        steps = even_part(depth, int(PAGE / packed_bytes), unit)
    kept = machine.third_cache // 8 if far else machine.second_cache // 2
    times = prod(found.extents[loop] for loop in outer)
    most = int(kept / (steps * packed_bytes))
    block_columns = shared_columns(width, most, tile_columns, machine.threads if times == 1 else 1)
    shape = Shape(row, high, column, tile_columns, lanes)
    plan = Blocked(shape, reduction, outer, block_columns, steps, packs_rows, dots)
    tiles = -(-count // high) * -(-width // tile_columns)
    blocks = -(-depth // steps)
    multiply = 0.5 if dots is not None else multiply_add_cycles(found)
    each = steps / group * Step(1, 1, 0, 0.5, multiply=multiply).cycles(high, vectors) + TILE_START + 3 * high * vectors
    copies = {True: ROW_COPY, False: TRANSPOSED_COPY}
    cycles = tiles * blocks * each
    cycles += depth * width * copies[wide.strides[column] == 1]
    if packs_rows:
        cycles += depth * count * copies[other.strides[reduction] == 1] * -(-width // block_columns)
    cycles *= times
    kind = f", {group} steps of {dots.element} at a time" if dots is not None else ""
    note = f"blocked, tile {high}x{tile_columns}, blocks of {block_columns} columns and {steps} steps{kind}"
    return [Schedule("blocked", cycles, lambda emitter: emit_blocked(emitter, found, plan), note)]


def row_tile(count: int, most: int) -> int:
    """Rows of a tile: the most that divide the count, if that is not far from the most there can be."""
    if count <= most:
        return count
    if count > 32 * most:
        return most
    return next((high for high in range(most, most * 5 // 8, -1) if count % high == 0), most)


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


# Tiles


def tiles(found: Contraction, machine: Machine) -> list[Schedule]:
    """The matrix unit, where the machine has one for these factors and the reduction is whole rows of tiles, or one."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1 or not fits(found, machine.tiles):
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    candidates = moves_only(found, other)
    group = 32 // bits_of(wide.element)
    width, depth = found.extents[column], found.extents[reduction]
    steps = steps_of(wide.element, depth)
    if other.strides[column] or not candidates or other.strides[reduction] != 1 or depth % steps or steps % group:
        return []
    row = max(candidates, key=lambda loop: found.extents[loop])
    count = found.extents[row]
    outer = tuple(loop for loop in found.parallels if loop not in (row, column))
    size = bits_of(wide.element) // 8
    block = even_part(depth, TILED_STEPS // size, steps)
    columns = even_part(width, machine.second_cache // 2 // (block * size), EXTENT)
    plan = Tiles(row, column, reduction, outer, columns, block, machine.lanes(32))
    each = depth / steps * TILE_PRODUCTS + ceil(depth / block) * (TILE_START + EXTENT * 6)
    cycles = ceil(count / EXTENT) * ceil(width / EXTENT) * each
    cycles += depth * width * (ROW_COPY if wide.strides[column] == 1 else TRANSPOSED_COPY)
    cycles += ceil(width / columns) * ceil(count / EXTENT) * EXTENT * depth / (machine.lanes(32) * group)
    cycles *= prod(found.extents[loop] for loop in outer)
    note = f"tiles, blocks of {columns} columns and {block} steps"
    return [Schedule("tiles", cycles, lambda emitter: emit_tiles(emitter, found, plan), note)]


TILED_STEPS = 4096
"""Bytes of the reduction in a block of tiles: 32 rows of it and a panel do not fit the first cache but the second."""
TILE_PRODUCTS = 64.0
"""Cycles of four products of tiles."""


# Dot

ADDED_UP = 13.0
"""Cycles to add up the partial sums of one result and store it."""


def apart(found: Contraction, factor: Operand) -> int:
    """Bytes between the rows that vectors run along; 1 where there is one row."""
    strides = [abs(factor.strides[loop]) for loop in moves_only(found, factor)]
    return min(strides) * bits_of(factor.element) // 8 if strides else 1


def dot(found: Contraction, machine: Machine) -> list[Schedule]:
    """Vectors along a reduction that runs through memory in both factors."""
    along = [loop for loop in found.reductions if found.lhs.strides[loop] == found.rhs.strides[loop] == 1]
    if not along:
        return []
    reduction = max(along, key=lambda loop: found.extents[loop])
    lanes = lanes_for(found, machine, found.extents[reduction])
    mine, theirs = moves_only(found, found.lhs), moves_only(found, found.rhs)

    def longest(loops: Sequence[int]) -> int:
        return max(loops, key=lambda loop: found.extents[loop], default=-1)

    row, column = longest(mine), longest(theirs)
    rows, columns = (found.extents[loop] if loop >= 0 else 1 for loop in (row, column))
    limit = machine.vector_registers - 4
    others = tuple(loop for loop in found.reductions if loop != reduction)
    dots = dots_in_place(found, machine, reduction, lanes)
    steps_along = -(-found.extents[reduction] // (lanes * dots.size if dots is not None else lanes))
    depth = steps_along * prod(found.extents[loop] for loop in others)
    conflict = 2.0 if any(apart(found, factor) % 2048 == 0 for factor in (found.lhs, found.rhs)) else 1.0
    best: tuple[float, int, int] | None = None
    factors = (found.lhs, found.rhs)
    loads_of = [1 + WIDENED * (dots is None and factor.element != found.element) for factor in factors]
    multiply = multiply_add_cycles(found) if dots is None else 0.5
    for high in range(1, min(rows, 8) + 1):
        for wide in range(1, min(columns, 8) + 1):
            if high * wide + min(high, wide) + 1 > limit or high * wide > 16:
                continue
            loads = high * loads_of[0] + wide * loads_of[1]
            each = (
                depth * max(high * wide * multiply, loads / 2, LATENCY) * conflict + TILE_START + ADDED_UP * high * wide
            )
            total = each * -(-rows // high) * -(-columns // wide)
            if best is None or total < best[0]:
                best = (total, high, wide)
    assert best is not None
    cycles, high, wide = best
    around = [loop for loop in found.parallels if loop not in (row, column)]
    around.sort(key=lambda loop: -found.out.strides[loop])
    cycles *= prod(found.extents[loop] for loop in around)
    tiles = [
        Steps(loop, found.extents[loop], size, found.restarts)
        for loop, size in ((row, high), (column, wide))
        if loop >= 0
    ]
    sizes = [size_of(found, found.lhs), size_of(found, found.rhs)]
    if len(tiles) == 2 and sizes[0] < sizes[1]:
        tiles.reverse()  # the larger factor is read once
    inner = min(sizes)
    traffic = max(sizes) / FAR_BYTES
    if inner > machine.second_cache // 2 and len(tiles) == 2:
        traffic += inner * (tiles[0].extent // tiles[0].size) / FAR_BYTES
    steps = (*(Steps(loop, found.extents[loop]) for loop in around), *tiles)
    plan = Dot(row, column, reduction, others, steps, lanes, dots)
    kind = f", {dots.size} steps of {dots.element} at a time" if dots is not None else ""
    note = f"dot, tile {high}x{wide}{kind}"
    return [Schedule("dot", max(cycles, traffic), lambda emitter: emit_dot(emitter, found, plan), note)]


def dots_in_place(found: Contraction, machine: Machine, reduction: int, lanes: int) -> Dots | None:
    """The instruction for groups of neighbours that takes vectors of both factors as they lie, if there is one."""
    dots = dots_for(found, machine, found.lhs, found.rhs)
    if dots is None or dots.flips or {found.lhs.element, found.rhs.element} != {dots.element}:
        return None
    fits = lanes == machine.lanes(bits_of(found.element)) and found.extents[reduction] >= lanes * dots.size
    return dots if fits else None


# Flatten


def flat(found: Contraction, machine: Machine) -> list[Schedule]:
    """Copy a factor so that its loops become one, then the best of the other schedules."""
    made: list[Schedule] = []
    for factor in (found.lhs, found.rhs):
        loops = sorted(moves_only(found, factor), key=lambda loop: -found.out.strides[loop])
        if not flattens(found, factor, loops) or found.out.strides[loops[-1]] != 1:
            continue
        inner, simple = flattened(found, factor, loops)
        copied = prod(found.extents[loop] for loop in range(len(found.extents)) if inner.lhs.strides[loop])
        if copied * bits_of(found.element) // 8 > 4 * machine.second_cache:
            continue
        rest = [*direct(simple, machine), *blocked(simple, machine)]
        if not rest:
            continue
        best = min(rest, key=lambda schedule: schedule.cycles)
        along = [loop for loop in loops if factor.strides[loop] == 1]
        row = found.extents[along[-1]] if along else 1
        cost = copied * (0.3 + min(3.0, 6.0 / row)) + best.cycles
        if inner.out is not found.out:
            cost += prod(found.extents[loop] for loop in found.parallels) * 1.0

        def emit(emitter: Emitter, factor: Operand = factor, loops: Sequence[int] = loops) -> None:
            copied = copied_in(emitter, found, factor, loops)
            simple = simplified(copied)
            options = [*direct(simple, machine), *blocked(simple, machine)]
            min(options, key=lambda schedule: schedule.cycles).emit(emitter)
            copied_out(emitter, found, copied)

        made.append(Schedule("flatten", cost, emit, f"flatten, then {best.describe}"))
    return made


# Stretches


def stretched(found: Contraction, machine: Machine) -> list[Schedule]:
    """A reduction so long that the factors of few results do not fit the second cache: stretches of it that do."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1 or len(found.parallels) > 2:
        return []
    factors = size_of(found, found.lhs) + size_of(found, found.rhs)
    results = prod(found.extents[loop] for loop in found.parallels)
    count = stretches_of(found.extents[found.reductions[0]], ceil(factors / (machine.second_cache // 2)))
    if count is None or count * results * bits_of(found.element) // 8 > machine.second_cache:
        return []
    lanes = lanes_for(found, machine, found.extents[column])

    def best(parts: Contraction) -> Schedule | None:
        options = [*direct(parts, machine), *blocked(parts, machine)]
        return min(options, key=lambda schedule: schedule.cycles, default=None)

    placeholder = found.sums.value
    chosen = best(in_stretches(found, count, placeholder, placeholder))
    if chosen is None:
        return []

    def emit(emitter: Emitter) -> None:
        parts = with_buffer(emitter, found, count)
        again = best(parts)
        assert again is not None
        again.emit(emitter)
        add_up(emitter, found, parts, column, lanes)

    cycles = chosen.cycles + (count + 2) * results / lanes
    return [Schedule("stretches", cycles, emit, f"stretches, {count} of them, each {chosen.describe}")]


def stretches_of(depth: int, least: int) -> int | None:
    """How many stretches a reduction has, if there are at least two of whole steps: a number that threads share evenly,
    or else the least."""
    counts = [count for count in range(max(1, least), 2 * (least + SHARED_EVENLY)) if depth % count == 0]
    best = min(counts, key=lambda count: (count % SHARED_EVENLY != 0, count), default=1)
    return best if least > 1 and best > 1 else None


SHARED_EVENLY = 8
"""Stretches come in multiples of this many where they can."""
