"""Map contractions: matrix products on the cores that compute in f32 and f64, a tile of the result for each block.

The ladder is a schedule, stated by the option `rung` or chosen by size:

    naive       a thread for each element of the result, operands from memory (the pass leaves those to map-loops)
    shared      tiles of both operands in shared memory, which the block's threads load together
    register    each thread computes a square of results in registers: an operand is read once for each row of it
    pipelined   while one pair of tiles is computed with, the next is on its way: two pairs in shared memory

Batched products, transposed operands and convolutions are the same loops with other steps: `recognise` finds them. Rows
of a product are all loops that only the first operand has, columns those that only the second has; several loops of a
kind are numbered through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects import arith, linalg, math, memref
from xdsl.dialects.builtin import Float32Type, FloatAttr, IntegerAttr, MemRefType, ModuleOp, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects import gpu
from xmlc.dialects.dtypes import is_float
from xmlc.passes.contractions.recognise import Contraction, Operand, contraction_of, simplified
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.code import Code, Index
from xmlc.passes.gpu.map_transpose import store_at, vector_at
from xmlc.passes.gpu.outline import BLOCKS_AT_ONCE, Kernels, Outline
from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.rows.emit import Flat
from xmlc.passes.gpu.stated import Candidate, Schedules
from xmlc.passes.memory import element_size

MULTIPROCESSORS = 132
LEAST_SIDE = 8
"""Products with fewer rows or columns are sums over rows: map-rows does them."""
RESIDENT = 2
LARGEST_SQUARE = 64
"""Results of a thread of the largest schedule: left alone it takes more registers than two blocks can have."""
STATIC_SHARED = 48 * 1024
"""Bytes of shared memory that a kernel has without asking for more."""
VECTOR = 4
PAD = 4
"""Elements between rows in shared memory, so that a column does not lie in one bank; a multiple of the vector."""


@dataclass(frozen=True)
class GemmSchedule:
    """The tile of a block, how deep it goes at once, and the square of a thread."""

    tile_m: int
    tile_n: int
    tile_k: int
    thread_m: int
    thread_n: int
    pipelined: bool

    @property
    def threads(self) -> int:
        return (self.tile_m // self.thread_m) * (self.tile_n // self.thread_n)


RUNGS: dict[str, GemmSchedule] = {
    "shared": GemmSchedule(32, 32, 32, 2, 2, pipelined=False),
    "register": GemmSchedule(128, 128, 16, 8, 8, pipelined=False),
    "pipelined": GemmSchedule(128, 128, 16, 8, 8, pipelined=True),
}
NAIVE = "naive"
SMALLER = (RUNGS["pipelined"], GemmSchedule(64, 64, 16, 4, 4, pipelined=True), GemmSchedule(32, 32, 32, 2, 2, True))
"""From the largest tile to the smallest: the first that keeps the device busy is taken."""
TILES = (
    (128, 128, 8, 8, 8), (128, 128, 16, 8, 8), (128, 64, 16, 8, 4), (64, 128, 16, 4, 8), (128, 64, 16, 8, 8),
    (64, 128, 16, 8, 8), (64, 64, 16, 4, 4), (64, 64, 32, 4, 4), (64, 64, 16, 8, 4), (32, 64, 32, 2, 4),
    (64, 32, 32, 4, 2), (32, 32, 32, 2, 2), (32, 32, 64, 2, 2),
)  # fmt: skip
"""What the autotuner chooses from."""


@dataclass(frozen=True)
class MapContractions(ModulePass):
    """Make kernels of matrix products: tiles in shared memory, results in registers."""

    name = "map-contractions"
    rung: str | None = None
    """The rung of the ladder: naive, shared, register or pipelined; else the cost model chooses."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = Kernels(op)
        if self.rung == NAIVE:
            return
        for function in defined_functions(op):
            schedules = Schedules(function, "contractions")
            for inner in list(function.walk()):
                if not isinstance(inner, linalg.ops.GenericOp) or (found := contraction_of(inner)) is None:
                    continue
                product = product_of(simplified(found.found))
                if product is None or min(product.rows, product.columns) < LEAST_SIDE:
                    continue
                schedule = RUNGS[self.rung] if self.rung else choose(product)
                schedule = schedules.next(schedule, partial(candidates, product))
                Gemm(inner, product, schedule, kernels).emit(function.sym_name.data)
                done: tuple[Operation | None, ...] = (inner, found.setter)
                for each in done:
                    if each is not None:
                        each.detach()
                        each.erase()


@dataclass(frozen=True)
class Product:
    """A contraction as a batch of matrix products: the loops of each kind, outermost first."""

    contraction: Contraction
    batch: tuple[int, ...]
    m: tuple[int, ...]
    n: tuple[int, ...]
    k: tuple[int, ...]

    def sizes(self, loops: Sequence[int]) -> list[int]:
        return [self.contraction.extents[loop] for loop in loops]

    @property
    def rows(self) -> int:
        return prod(self.sizes(self.m))

    @property
    def columns(self) -> int:
        return prod(self.sizes(self.n))

    @property
    def depth(self) -> int:
        return prod(self.sizes(self.k))

    @property
    def batches(self) -> int:
        return prod(self.sizes(self.batch))


def product_of(contraction: Contraction) -> Product | None:
    """The loops by what they index; None where one indexes the result alone, and for integers."""
    if not is_float(contraction.element):
        return None
    batch: list[int] = []
    m: list[int] = []
    n: list[int] = []
    for loop in contraction.parallels:
        left, right = contraction.lhs.strides[loop] != 0, contraction.rhs.strides[loop] != 0
        if not left and not right:
            return None
        (batch if left and right else m if left else n).append(loop)
    k = contraction.reductions
    if not m or not n or not k:
        return None
    return Product(contraction, *(tuple(ordered(contraction, loops)) for loops in (batch, m, n, k)))


def ordered(contraction: Contraction, loops: Sequence[int]) -> list[int]:
    """Loops from those that move far in the result, or in the operands, to those that move least."""

    def reach(loop: int) -> tuple[int, int]:
        return contraction.out.strides[loop], max(contraction.lhs.strides[loop], contraction.rhs.strides[loop])

    return sorted(loops, key=reach, reverse=True)


def choose(product: Product) -> GemmSchedule:
    """The largest tile that keeps the device busy; of f64, whose results take twice the registers, not the largest."""
    wide = not isinstance(product.contraction.element, Float32Type)
    for schedule in SMALLER[1:] if wide else SMALLER:
        tiles = -(-product.rows // schedule.tile_m) * -(-product.columns // schedule.tile_n) * product.batches
        if tiles >= MULTIPROCESSORS:
            return schedule
    return SMALLER[-1]


def candidates(product: Product) -> Iterator[Candidate[GemmSchedule]]:
    """Every tile of the table that shared memory holds, pipelined and not, with what it asks of the device."""
    for sizes in TILES:
        for pipelined in (True, False):
            schedule = GemmSchedule(*sizes, pipelined)
            asked = demand(product, schedule)
            if asked.shared <= STATIC_SHARED:
                yield Candidate(schedule, asked)


def demand(product: Product, schedule: GemmSchedule) -> Demand:
    """What a schedule asks of the device: each block loads its strip of both operands, each thread its tile's rows."""
    size = element_size(product.contraction.element)
    down, across = -(-product.rows // schedule.tile_m), -(-product.columns // schedule.tile_n)
    blocks = down * across * product.batches
    square, side = schedule.thread_m * schedule.thread_n, schedule.thread_m + schedule.thread_n
    strips = (schedule.tile_m + schedule.tile_n) * schedule.tile_k * size
    products = blocks * schedule.tile_m * schedule.tile_n * product.depth
    rounds, stages = -(-product.depth // schedule.tile_k), 2 if schedule.pipelined else 1
    return Demand(
        blocks=blocks,
        threads=schedule.threads,
        moved=(product.rows * product.depth + product.columns * product.depth) * product.batches * size,
        in_flight=strips / schedule.threads,
        registers=24 + (square + side) * size // 4 + (stages - 1) * strips // 4 // schedule.threads,
        shared=stages * (schedule.tile_m + schedule.tile_n + 2 * PAD) * schedule.tile_k * size,
        operations=2 * products * size // 4,
        shared_moved=products * side * size / square,
        meetings=rounds * (1 if schedule.pipelined else 2) // 8,
    )


@dataclass(frozen=True)
class Side:
    """One operand: its buffer, the loops that number its rows (of the result, or columns), and the width of loads."""

    operand: Operand
    loops: tuple[int, ...]
    tile: int
    along_k: bool
    """Whether vectors lie along the depth: they are then turned while they are stored."""
    width: int


class Gemm:
    """The kernel of one product."""

    def __init__(self, op: linalg.ops.GenericOp, product: Product, schedule: GemmSchedule, kernels: Kernels):
        self.op, self.product, self.schedule, self.kernels = op, product, schedule, kernels
        self.contraction = product.contraction
        self.element: Attribute = self.contraction.element
        self.lhs = self.side(self.contraction.lhs, product.m, schedule.tile_m)
        self.rhs = self.side(self.contraction.rhs, product.n, schedule.tile_n)

    def side(self, operand: Operand, loops: tuple[int, ...], tile: int) -> Side:
        """How an operand is loaded: vectors along whichever of its dimensions is contiguous."""
        schedule, product = self.schedule, self.product

        def fits(inner: int, size: int, length: int) -> bool:
            others = [step for loop, step in enumerate(operand.strides) if loop != inner]
            extent = self.contraction.extents[inner]
            return (
                operand.strides[inner] == 1
                and all(each % VECTOR == 0 for each in (*others, operand.offset, extent, size))
                and length * size >= VECTOR * schedule.threads
            )

        if fits(loops[-1], tile, schedule.tile_k):
            return Side(operand, loops, tile, along_k=False, width=VECTOR)
        if fits(product.k[-1], schedule.tile_k, tile):
            return Side(operand, loops, tile, along_k=True, width=VECTOR)
        return Side(operand, loops, tile, along_k=operand.strides[product.k[-1]] == 1, width=1)

    # The kernel

    def emit(self, name: str) -> None:
        product, schedule = self.product, self.schedule
        self.outline = Outline(self.kernels, self.op)
        self.code = code = Code(self.outline.body, self.op.location)
        self.flat = Flat(self.outline, code)
        operands = [self.contraction.lhs, self.contraction.rhs, self.contraction.out]
        start = self.contraction.start
        for operand in [*operands, *([start] if isinstance(start, Operand) else [])]:
            self.flat.bring(operand.value)
        if isinstance(start, SSAValue):
            self.outline.bring(start)
        self.zero = code.value(arith.ConstantOp(FloatAttr(0.0, cast("Float32Type", self.element))))
        stages = 2 if schedule.pipelined else 1
        self.rows = [schedule.tile_m + PAD, schedule.tile_n + PAD]
        self.tiles = [
            code.value(self.kernels.shared_memory(self.element, stages * schedule.tile_k * row)) for row in self.rows
        ]
        self.thread = code.value(gpu.ThreadIdOp("x"))
        across = schedule.tile_n // schedule.thread_n
        self.thread_row, self.thread_column = code.over(self.thread, across), code.rest(self.thread, across)
        grid = [product.batches, -(-product.columns // schedule.tile_n), -(-product.rows // schedule.tile_m)]
        batch, tile_n, tile_m = code.split(code.value(gpu.BlockIdOp("x")), grid, prod(grid))
        self.first = [code.times(tile_m, schedule.tile_m), code.times(tile_n, schedule.tile_n)]
        self.batch = code.split(batch, product.sizes(product.batch), product.batches)
        totals = self.starts()
        rounds = -(-product.depth // schedule.tile_k)
        (self.pipeline if schedule.pipelined else self.in_turn)(totals, rounds)
        self.leave(totals)
        kernel = self.outline.launch(name, (prod(grid), 1, 1), (schedule.threads, 1, 1))
        if schedule.thread_m * schedule.thread_n == LARGEST_SQUARE:
            kernel.attributes[BLOCKS_AT_ONCE] = IntegerAttr(RESIDENT, i32)

    def in_turn(self, totals: list[SSAValue], rounds: int) -> None:
        """Load a pair of tiles, wait, compute, wait."""
        code = self.code
        with code.loop(rounds, 1, totals) as turn:
            for side, loaded in zip((self.lhs, self.rhs), self.load_tiles(turn)):
                self.keep(side, loaded, 0)
            code.add(gpu.BarrierOp())
            totals[:] = self.multiplied(totals, 0)
            code.add(gpu.BarrierOp())

    def pipeline(self, totals: list[SSAValue], rounds: int) -> None:
        """Load the next pair of tiles into registers, compute with this one, then put the next where the last was."""
        code = self.code
        for side, loaded in zip((self.lhs, self.rhs), self.load_tiles(0)):
            self.keep(side, loaded, 0)
        code.add(gpu.BarrierOp())
        with code.loop(rounds, 1, totals) as turn:
            following = code.least(code.plus(turn, 1), rounds - 1)
            stage = code.rest(turn, 2)
            loaded = self.load_tiles(following)
            totals[:] = self.multiplied(totals, stage)
            other = code.made(arith.SubiOp, 1, stage)
            for side, each in zip((self.lhs, self.rhs), loaded):
                self.keep(side, each, other)
            code.add(gpu.BarrierOp())

    # Tiles

    def load_tiles(self, turn: Index) -> list[list[list[SSAValue]]]:
        depth = self.code.times(turn, self.schedule.tile_k)
        return [self.load_tile(side, first, depth) for side, first in zip((self.lhs, self.rhs), self.first)]

    def places(self, side: Side) -> list[tuple[Index, Index]]:
        """(place along the operand's side of the result, place along the depth) of each vector that a thread loads."""
        code, schedule = self.code, self.schedule
        inner, outer = (schedule.tile_k, side.tile) if side.along_k else (side.tile, schedule.tile_k)
        vectors = inner // side.width
        found: list[tuple[Index, Index]] = []
        for turn in range(vectors * outer // schedule.threads):
            number = code.plus(self.thread, turn * schedule.threads)
            place = code.times(code.rest(number, vectors), side.width), code.over(number, vectors)
            found.append((place[1], place[0]) if side.along_k else place)
        return found

    def load_tile(self, side: Side, first: Index, depth: Index) -> list[list[SSAValue]]:
        """The vectors of a tile that this thread loads; zeros beyond the depth."""
        code, product = self.code, self.product
        operand, found = side.operand, list[list[SSAValue]]()
        memory = self.flat.bring(operand.value)
        element = cast("MemRefType[Attribute]", operand.value.type).element_type
        size = prod(product.sizes(side.loops))
        for place, deep in self.places(side):
            at, k = code.plus(first, place), code.plus(depth, deep)
            if size % side.tile:
                at = code.least(at, size - (1 if side.along_k else side.width))
            inside = None
            if product.depth % self.schedule.tile_k:
                inside = code.below(k, product.depth)
                k = code.least(k, product.depth - (side.width if side.along_k else 1))
            total: Index = operand.offset
            for loops, index in ((side.loops, at), (product.k, k)):
                total = code.plus(total, self.address(operand, loops, index))
            for loop, index in zip(product.batch, self.batch):
                total = code.plus(total, code.times(index, operand.strides[loop]))
            vector = vector_at(code, memory, total, side.width, element)
            if element != self.element:
                vector = [code.value(arith.ExtFOp(each, self.element)) for each in vector]  # pyright: ignore
            if inside is not None:
                vector = [code.value(arith.SelectOp(inside, each, self.zero)) for each in vector]
            found.append(vector)
        return found

    def address(self, operand: Operand, loops: Sequence[int], index: Index) -> Index:
        """How far an index that numbers several loops through moves in an operand."""
        code, sizes = self.code, self.product.sizes(loops)
        total: Index = 0
        for loop, each in zip(loops, code.split(index, sizes, prod(sizes))):
            total = code.plus(total, code.times(each, operand.strides[loop]))
        return total

    def keep(self, side: Side, loaded: list[list[SSAValue]], stage: Index) -> None:
        """Put a tile into shared memory, a row for each place along the depth."""
        code = self.code
        which = 0 if side is self.lhs else 1
        tile, row = self.tiles[which], self.rows[which]
        base = code.times(stage, self.schedule.tile_k * row)
        for (place, deep), vector in zip(self.places(side), loaded):
            if not side.along_k:
                at = code.plus(base, code.plus(code.times(deep, row), place))
                store_at(code, tile, at, vector, self.element)
                continue
            for lane, each in enumerate(vector):
                at = code.plus(base, code.plus(code.times(code.plus(deep, lane), row), place))
                code.add(memref.StoreOp.get(each, tile, [code.as_value(at)]))

    # Products

    def groups(self, count: int, tile: int) -> list[tuple[int, int]]:
        """(first place, places) of each run of a thread's results, those of different runs far apart."""
        width = min(VECTOR, count)
        return [(run * (tile // (count // width)), width) for run in range(count // width)]

    def multiplied(self, totals: Sequence[SSAValue], stage: Index) -> list[SSAValue]:
        """The results so far plus the product of the tiles."""
        code, schedule = self.code, self.schedule
        totals = list(totals)
        sides = (
            (0, schedule.thread_m, schedule.tile_m, self.thread_row),
            (1, schedule.thread_n, schedule.tile_n, self.thread_column),
        )
        bases: list[Index] = []
        for which, count, _tile, place in sides:
            base = code.times(stage, schedule.tile_k * self.rows[which])
            bases.append(code.plus(base, code.times(place, min(VECTOR, count))))
        for deep in range(schedule.tile_k):
            x, y = (
                [
                    each
                    for start, width in self.groups(count, tile)
                    for each in vector_at(
                        code,
                        self.tiles[which],
                        code.plus(bases[which], deep * self.rows[which] + start),
                        width,
                        self.element,
                    )
                ]
                for which, count, tile, _ in sides
            )
            for i in range(schedule.thread_m):
                for j in range(schedule.thread_n):
                    number = i * schedule.thread_n + j
                    totals[number] = code.value(math.FmaOp(x[i], y[j], totals[number]))
        return totals

    # Results

    def results(self) -> list[tuple[Index, Index, int, int, int]]:
        """(row, column, width, row and column in the thread's square) of each vector of a thread's results."""
        code, schedule = self.code, self.schedule
        found: list[tuple[Index, Index, int, int, int]] = []
        row_width, column_width = min(VECTOR, schedule.thread_m), min(VECTOR, schedule.thread_n)
        for run, (row_start, rows) in enumerate(self.groups(schedule.thread_m, schedule.tile_m)):
            for each in range(rows):
                i = run * row_width + each
                row = code.plus(self.first[0], code.plus(code.times(self.thread_row, row_width), row_start + each))
                for other, (column_start, columns) in enumerate(self.groups(schedule.thread_n, schedule.tile_n)):
                    place = code.plus(code.times(self.thread_column, column_width), column_start)
                    column = code.plus(self.first[1], place)
                    found.append((row, column, columns, i, other * column_width))
        return found

    def place_of(self, operand: Operand, row: Index, column: Index) -> Index:
        code, product = self.code, self.product
        total: Index = operand.offset
        for loops, index in ((product.m, row), (product.n, column)):
            total = code.plus(total, self.address(operand, loops, index))
        for loop, index in zip(product.batch, self.batch):
            total = code.plus(total, code.times(index, operand.strides[loop]))
        return total

    def starts(self) -> list[SSAValue]:
        """What sums start from: a number, or what is in memory."""
        start, schedule, code, product = self.contraction.start, self.schedule, self.code, self.product
        if isinstance(start, SSAValue):
            return [self.outline.inside[start]] * (schedule.thread_m * schedule.thread_n)
        operand = start if start is not None else self.contraction.out
        memory = self.flat.bring(operand.value)
        totals: dict[int, SSAValue] = {}
        for row, column, width, i, j in self.results():
            row = code.least(row, product.rows - 1) if product.rows % schedule.tile_m else row
            for lane in range(width):
                at = code.plus(column, lane)
                at = code.least(at, product.columns - 1) if product.columns % schedule.tile_n else at
                place = self.place_of(operand, row, at)
                totals[i * schedule.thread_n + j + lane] = vector_at(code, memory, place, 1, self.element)[0]
        return [totals[number] for number in range(len(totals))]

    def leave(self, totals: Sequence[SSAValue]) -> None:
        """Store the results, by vectors where they lie side by side."""
        code, product, schedule = self.code, self.product, self.schedule
        out = self.contraction.out
        memory = self.flat.bring(out.value)
        inner = product.n[-1]
        others = [step for loop, step in enumerate(out.strides) if loop != inner]
        whole = (
            out.strides[inner] == 1
            and all(each % VECTOR == 0 for each in (*others, out.offset, self.contraction.extents[inner]))
            and schedule.thread_n % VECTOR == 0
        )
        for row, column, width, i, j in self.results():
            first = i * schedule.thread_n + j
            step = width if whole else 1
            for lane in range(0, width, step):
                at = code.plus(column, lane)
                inside = code.both(
                    code.below(row, product.rows) if product.rows % schedule.tile_m else None,
                    code.below(at, product.columns) if product.columns % schedule.tile_n else None,
                )
                with code.only_if(inside):
                    values = totals[first + lane : first + lane + step]
                    store_at(code, memory, self.place_of(out, row, at), values, self.element)
