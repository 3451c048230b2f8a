"""Parallelize: loops whose iterations are independent are shared among threads, where that is worth a fork.

What lowers to loops marks them with `xmlc.parallel`: iterations of different indices touch nothing that one of them
writes, whichever iterations of the loops around it in its nest they belong to. A marked loop becomes

    scf.parallel (%t) = (0) to (chunks) step (1) { the nest, with that loop from %t * size to (%t + 1) * size }

with the attribute `xmlc.threads`: a chunk for each thread, or many where there is much to do and chunks need no memory
of their own, so that a thread takes more of them the quicker it is. Which loop of a perfect nest is cut is found by how
evenly its iterations spread; it need not be the outermost. Buffers made inside the nest get a copy for each chunk,
indexed by %t, so they must still be memref.alloc: the pass runs before plan-memory. There is no parallel loop inside
another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects import arith, func, math, memref, scf, vector
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, IntegerAttr, MemRefType, ModuleOp, i8, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects.lanewise import CmpiOp, SelectOp
from xmlc.passes import remarks
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import Index, IndexConstants, unwrapped
from xmlc.passes.memory import ALIGNMENT, array_type, byte_size
from xmlc.passes.schedule import PARALLEL

THREADS = "xmlc.threads"
"""Attribute of scf.parallel: how many threads it is made for."""

INDEX = IndexType()

LANES = 16
"""A loop that LLVM vectorises is cut at multiples of this many elements, which is also a cache line of f32."""
EVEN = 0.85
"""A loop whose iterations keep threads busy for this share of the time is cut, though one inside might do better."""
LEAST_GAIN = 1.3
"""A loop that threads make faster by less than this stays as it is."""
MOST_PIECES = 256
"""Chunks for each thread, at most."""
EVEN_PIECES = 0.97
"""As `EVEN`, of a loop with several chunks for each thread."""


@dataclass(frozen=True)
class Parallelize(ModulePass):
    """Share independent iterations among threads, in loops with enough work."""

    name = "parallelize"
    threads: int = 1
    least_work: int = 60_000
    """Loops that take fewer operations than this stay serial: 3 to 6 µs, at 0.05 to 0.1 ns an operation. A fork takes
    0.1 to 0.5 µs where the other threads spin, and what one core has written takes its time to the other."""
    piece_work: int = 1_000_000
    """Operations of a chunk, 50 to 100 µs, where a loop has enough for more than one a thread: a thread whose core does
    something else in the meantime then leaves chunks to the others."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in defined_functions(op):
            marked = [inner for inner in function.walk() if PARALLEL in inner.attributes]
            if marked and self.threads > 1:
                self.visit(function.body.block, IndexConstants(function.body.block))
            for loop in marked:
                del loop.attributes[PARALLEL]

    def visit(self, block: Block, constants: IndexConstants) -> None:
        """Parallelize what can be in a block: a loop as a whole, or else what is inside of it."""
        for op in list(block.ops):
            if isinstance(op, scf.ForOp):
                total = work(op)
                if total < self.least_work:
                    remark_small(op, total)
                    continue
                cut = self.best_cut(op, total)
                if cut is not None:
                    remark_shared(op, cut, total)
                    emit(op, cut, constants)
                    continue
                remark_serial(op)
            for region in op.regions:
                for inner in region.blocks:
                    self.visit(inner, constants)

    def best_cut(self, loop: scf.ForOp, total: float) -> Cut | None:
        """The loop of a perfect nest to cut; None if what is inside the nest is a better place, or there is no gain."""
        if any(DYNAMIC_INDEX in alloc.memref.type.get_shape() for alloc in allocs(loop)):
            return None
        threads = min(self.threads, max(2, int(total * 2 // max(1, self.least_work))))
        best: Cut | None = None
        for each in perfect_nest(loop):
            if PARALLEL in each.attributes and all(is_outside(bound, loop) for bound in each.operands[:3]):
                cut = Cut(each, trips(each), LANES if is_vectorised(each) else 1, threads)
                if best is None or cut.evenness > best.evenness:
                    best = cut
                if best.evenness >= EVEN:
                    break
        if best is None or best.evenness * threads < LEAST_GAIN:
            return None
        return best if allocs(loop) else in_pieces(best, total // threads // max(1, self.piece_work))


@dataclass(frozen=True)
class Cut:
    """A loop, how many iterations it has, how many threads share it, in chunks of multiples of `unit` iterations."""

    loop: scf.ForOp
    trips: int
    unit: int
    threads: int
    pieces: int = 1
    """Chunks for each thread."""

    @property
    def chunks(self) -> int:
        return self.threads * self.pieces

    @property
    def size(self) -> int:
        """Iterations of a chunk; the last may have fewer."""
        return rounded_up(rounded_up(self.trips, self.unit), self.chunks) * self.unit

    @property
    def evenness(self) -> float:
        """The share of the time in which the threads are busy: 1 where each has as many chunks, all of one size."""
        turns = rounded_up(rounded_up(self.trips, self.size), self.threads)
        return self.trips / (turns * self.threads * self.size)


def in_pieces(cut: Cut, most: float) -> Cut:
    """The same cut with as many as `most` chunks for each thread, if threads share them evenly."""
    most = min(MOST_PIECES, int(most)) if is_static(cut.loop) else 1
    finer = (replace(cut, pieces=pieces) for pieces in range(most, 1, -1))
    return next((each for each in finer if each.evenness >= EVEN_PIECES), cut)


def rounded_up(count: int, unit: int) -> int:
    """How many units it takes to hold `count`."""
    return -(-count // unit)


def remark_shared(nest: scf.ForOp, cut: Cut, total: float) -> None:
    remarks.passed(
        nest,
        lambda: (
            f"{cut.threads} threads share a loop of {cut.trips} iterations{in_chunks(cut)},"
            f" about {total:,.0f} operations in all"
        ),
    )


def in_chunks(cut: Cut) -> str:
    return f" in {cut.chunks} chunks" if cut.pieces > 1 else ""


def remark_serial(loop: scf.ForOp) -> None:
    remarks.missed(loop, lambda: "no loop of this nest has independent iterations that threads could share evenly")


def remark_small(loop: scf.ForOp, total: float) -> None:
    """Only of the outermost loop of a nest: what is inside is no news."""
    if isinstance(loop.parent_op(), func.FuncOp):
        remarks.analysis(loop, lambda: f"runs in one thread: about {total:,.0f} operations are too few for a fork")


# What a loop is like


def is_pure(op: Operation) -> bool:
    """Whether an op may be done once for each chunk, since it touches no memory: index arithmetic and views."""
    return isinstance(op, PURE)


def perfect_nest(loop: scf.ForOp, may_repeat: Callable[[Operation], bool] = is_pure) -> Iterator[scf.ForOp]:
    """The loop, and loops directly inside one another with nothing beside them but what may be done repeatedly."""
    found: scf.ForOp | None = loop
    while found is not None and not found.iter_args:
        yield found
        inner: scf.ForOp | None = None
        for op in found.body.block.ops:
            if isinstance(op, scf.ForOp) and inner is None:
                inner = op
            elif not may_repeat(op):
                return
        found = inner


def allocs(loop: scf.ForOp) -> list[memref.AllocOp]:
    return [op for op in loop.walk() if isinstance(op, memref.AllocOp)]


def is_outside(value: SSAValue, loop: scf.ForOp) -> bool:
    block = value.owner if isinstance(value.owner, Block) else value.owner.parent
    while block is not None:
        parent = block.parent_op()
        if parent is loop:
            return False
        block = parent.parent if parent is not None else None
    return True


def is_vectorised(loop: scf.ForOp) -> bool:
    """Whether LLVM is to make vectors of a loop: it is an innermost one, over scalars."""
    return not any(isinstance(op, scf.ForOp | vector.LoadOp | vector.StoreOp) for op in loop.body.walk())


def known(value: SSAValue) -> int | None:
    """The value of an index, or the most it may be, if that is known."""
    match value.owner:
        case arith.ConstantOp(value=IntegerAttr() as number):
            return int(cast("IntegerAttr[Any]", number).value.data)
        case arith.MinSIOp(lhs=lhs, rhs=rhs):
            bounds = [bound for bound in (known(lhs), known(rhs)) if bound is not None]
            return min(bounds, default=None)
        case arith.AddiOp(lhs=lhs, rhs=rhs) if (x := known(lhs)) is not None and (y := known(rhs)) is not None:
            return x + y
        case arith.DivUIOp(lhs=lhs, rhs=rhs) if (x := known(lhs)) is not None and (y := known(rhs)):
            return x // y
        case _:
            return None


def trips(loop: scf.ForOp) -> int:
    """How often a loop runs; a guess where that is not known."""
    lower, upper, step = (known(bound) for bound in loop.operands[:3])
    if lower is None or upper is None or step is None:
        return UNKNOWN_TRIPS
    return max(0, rounded_up(upper - lower, step))


def work(op: Operation) -> float:
    """Operations that an op takes, with all in its regions: a vector operation counts as one."""
    if not op.regions:
        return WORK.get(type(op), 1.0)
    inside = sum(work(inner) for region in op.regions for block in region.blocks for inner in block.ops)
    if isinstance(op, scf.ForOp):
        return trips(op) * inside * (VECTORISED if is_vectorised(op) else 1.0)
    return inside


UNKNOWN_TRIPS = 16
VECTORISED = 0.25
"""What an operation on a scalar is taken to cost in a loop that LLVM makes vectors of."""

VIEWS = (memref.CollapseShapeOp, memref.ExpandShapeOp, memref.ReinterpretCastOp, memref.SubviewOp)
PURE = (
    arith.AddiOp, arith.CeilDivSIOp, arith.CmpiOp, CmpiOp, arith.ConstantOp, arith.DivUIOp, arith.FloorDivSIOp,
    arith.MaxSIOp, arith.MinSIOp, arith.MuliOp, arith.RemUIOp, arith.SelectOp, SelectOp, arith.SubiOp,
    memref.GetGlobalOp, scf.YieldOp, *VIEWS,
)  # fmt: skip
"""Ops that may be done once for each chunk, since they touch no memory."""

MEMORY, DIVISION, FUNCTION = 3.0, 4.0, 10.0
WORK: dict[type[Operation], float] = {
    **dict.fromkeys((arith.ConstantOp, memref.GetGlobalOp, scf.YieldOp, *VIEWS), 0.0),
    **dict.fromkeys((vector.LoadOp, vector.StoreOp, vector.MaskedLoadOp, vector.MaskedStoreOp), MEMORY),
    **dict.fromkeys((arith.DivfOp, arith.DivUIOp, arith.DivSIOp, arith.RemUIOp, arith.RemSIOp, math.SqrtOp), DIVISION),
    **dict.fromkeys((math.ExpOp, math.LogOp, math.TanhOp, math.ErfOp, math.SinOp, math.CosOp, math.PowFOp), FUNCTION),
    func.CallOp: FUNCTION,
}
"""Ops that take more or less than one operation."""


# What it becomes


def emit(nest: scf.ForOp, cut: Cut, constants: IndexConstants) -> None:
    """Put the nest into an scf.parallel over chunks of one of its loops."""
    block = Block(arg_types=(INDEX,))
    chunk = block.args[0]
    count = rounded_up(cut.trips, cut.size) if is_static(cut.loop) else cut.chunks
    parallel = scf.ParallelOp.create(
        operands=(constants[0], constants[count], constants[1]),
        properties={"operandSegmentSizes": array_type((1, 1, 1, 0))},
        regions=(Region(block),),
        attributes={THREADS: IntegerAttr(min(count, cut.threads), i64)},
        location=nest.location,
    )
    outside = nest.parent
    assert outside is not None
    outside.insert_op_before(parallel, nest)

    def add(op: Operation) -> SSAValue:
        op.location = nest.location
        block.add_op(op)
        return op.results[0]

    for alloc in allocs(nest):
        private_buffer(alloc, parallel, chunk, count, constants, add)
    lower, upper = bounds(cut, chunk, count, constants, add)
    cut.loop.operands = (lower, upper, cut.loop.operands[2])
    nest.detach()
    block.add_op(nest)
    block.add_op(scf.ReduceOp.create(location=nest.location))


def is_static(loop: scf.ForOp) -> bool:
    return all(isinstance(bound.owner, arith.ConstantOp) for bound in loop.operands[:3])


def bounds(cut: Cut, chunk: SSAValue, count: int, constants: IndexConstants, add: Any) -> Sequence[SSAValue]:
    """Where a chunk of the loop begins and ends."""

    def made(kind: type[Operation], x: SSAValue, y: Index) -> SSAValue:
        operands = (x, constants.as_value(y))
        return add(kind.create(operands=operands, result_types=(INDEX,), properties=unwrapped(kind)))

    first, last, step = cut.loop.operands[:3]
    width: Index
    if is_static(cut.loop):
        width = cut.size * cast(int, known(step))
    else:
        iterations = made(arith.CeilDivSIOp, made(arith.SubiOp, last, first), step)
        each = made(arith.CeilDivSIOp, iterations, count * cut.unit)
        width = made(arith.MuliOp, made(arith.MuliOp, each, cut.unit), step)
    lower = made(arith.MuliOp, chunk, width)
    if known(first) != 0:
        lower = made(arith.AddiOp, lower, first)
    upper = made(arith.AddiOp, lower, width)
    if not (is_static(cut.loop) and cut.trips == cut.size * count):
        upper = made(arith.MinSIOp, upper, last)
    return lower, upper


PAGE, FARTHEST = 4096, 128 * 1024
"""Bytes of a page, and how far cores ask for memory ahead of what they read."""


def gap_after(size: int) -> int:
    """Bytes between a chunk's copy of a buffer and the next chunk's.

    A core that goes through rows of its copy asks for as many more after the last, and so takes them from the core that
    is writing them: 32 x 1024 x 1024 takes two threads 0.47 ms without a gap where these cores share no cache and 0.21
    where they do, with 4 KiB 0.40, with 64 KiB 0.24, with 96 KiB or more 0.19 and 0.18.
    """
    return min(FARTHEST, rounded_up(2 * size, PAGE) * PAGE)


def private_buffer(
    alloc: memref.AllocOp, parallel: scf.ParallelOp, chunk: SSAValue, count: int, constants: IndexConstants, add: Any
) -> None:
    """A buffer of each iteration becomes one of each chunk: a part of one made before the parallel loop."""
    type_ = alloc.memref.type
    size = rounded_up(byte_size(type_), ALIGNMENT) * ALIGNMENT
    size += gap_after(size)
    whole = memref.AllocOp.create(
        result_types=(MemRefType(i8, (size * count,)),),
        properties={"alignment": IntegerAttr(ALIGNMENT, i64), "operandSegmentSizes": array_type((0, 0))},
        location=alloc.location,
    )
    outside = parallel.parent
    assert outside is not None
    outside.insert_op_before(whole, parallel)
    times = arith.MuliOp
    offset = add(times.create(operands=(chunk, constants[size]), result_types=(INDEX,), properties=unwrapped(times)))
    view = memref.ViewOp.create(operands=(whole.memref, offset), result_types=(type_,))
    view.results[0].name_hint = alloc.memref.name_hint
    alloc.memref.replace_all_uses_with(add(view))
    alloc.detach()
    alloc.erase()
