"""Map loops: every loop nest becomes a kernel, its independent iterations the threads.

This is the mapping of everything that no better one fits. The loops of a perfect nest whose iterations touch nothing
that another iteration writes are flattened into one range that threads share; all other loops run inside the thread.
A loop that must run in order but has independent work inside stays on the host, which launches kernels in it, unless
one thread is faster at all of it. Code between loops is the host's: it reads single elements of device memory where
it must decide, and a kernel reads those that only it needs.

After the pass functions hold no loads, stores or loops but those of the host, and kernels are in a gpu.module. Calls of
kernel functions are replaced by what they launch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects import arith, func, memref, scf
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    IndexType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StridedLayoutAttr,
    StringAttr,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from xmlc.dialects import gpu
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.outline import Kernels, Outline, captures
from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.stated import Candidate, Schedules
from xmlc.passes.index_arithmetic import index_constant, unwrapped
from xmlc.passes.memory import ALIGNMENT, array_type, byte_size
from xmlc.passes.parallelize import is_outside, known, trips, work
from xmlc.passes.schedule import PARALLEL
from xmlc.passes.views import VIEWS, root

INDEX = IndexType()

STACK_BYTES = 256
"""A thread's own buffers up to this size are local to it; larger ones are parts of one in global memory."""
LAUNCH_COST = 4000
"""What a launch takes, in operations of one thread: 4 µs at 1 ns, since a lone thread waits for memory at each."""


THREADS = (32, 64, 128, 256, 512)
"""What the autotuner chooses from."""


@dataclass(frozen=True)
class LoopSchedule:
    """How the iterations of the loops of a function are shared out."""

    threads: int
    """Threads of a block."""
    most_blocks: int
    """Blocks of a grid; each thread takes further iterations a grid's width apart."""


def candidates(chosen: LoopSchedule) -> Iterator[Candidate[LoopSchedule]]:
    """Every schedule of the table. What loops do is not known here: the model cannot tell them apart."""
    for threads in THREADS:
        schedule = replace(chosen, threads=threads)
        yield Candidate(schedule, Demand(schedule.most_blocks, threads, moved=0, in_flight=1))


@dataclass(frozen=True)
class MapLoops(ModulePass):
    """Make kernels of loop nests: independent iterations are threads, all else runs inside a thread or on the host."""

    name = "map-loops"
    threads: int = 128
    """Threads of a block."""
    most_blocks: int = 132 * 64
    """Blocks of a grid; each thread takes further iterations a grid's width apart."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = Kernels(op)
        functions = defined_functions(op)
        for function in functions:
            on_the_heap(function)
            Mapping(self.schedule(function), kernels, function).visit(function.body.block)
        inline_kernel_functions(op, functions)
        for function in defined_functions(op):
            drop_dead(function.body.block)
        drop_unused_globals(op)

    def schedule(self, function: func.FuncOp) -> LoopSchedule:
        """How the loops of a function are shared out; nothing is there to choose in one without loops."""
        chosen = LoopSchedule(self.threads, self.most_blocks)
        if not any(isinstance(each, scf.ForOp) for each in function.body.block.ops):
            return chosen
        return Schedules(function, "loops").next(chosen, lambda: candidates(chosen))


def on_the_heap(function: func.FuncOp) -> None:
    """Buffers at the top of a function are of device memory: the stack of the host is no place for them."""
    for alloca in [op for op in function.body.block.ops if isinstance(op, memref.AllocaOp)]:
        alloc = memref.AllocOp.create(
            operands=list(alloca.operands),
            result_types=[alloca.results[0].type],
            properties=dict(alloca.properties),
            location=alloca.location,
        )
        assert alloca.parent is not None
        alloca.parent.insert_op_before(alloc, alloca)
        alloc.results[0].name_hint = alloca.results[0].name_hint
        alloca.results[0].replace_all_uses_with(alloc.results[0])
        alloca.detach()
        alloca.erase()


WRITES = (memref.StoreOp, memref.AtomicRMWOp)
HOST_ONLY = (func.CallOp, gpu.LaunchFuncOp)


class Mapping:
    """The mapping of one function."""

    def __init__(self, schedule: LoopSchedule, kernels: Kernels, function: func.FuncOp):
        self.schedule = schedule
        self.kernels = kernels
        self.name = function.sym_name.data

    def visit(self, block: Block) -> None:
        """Map the ops of a block of the host."""
        for op in list(block.ops):
            match op:
                case scf.ForOp():
                    self.visit_loop(op)
                case scf.IfOp() | scf.WhileOp() | scf.IndexSwitchOp() | scf.ExecuteRegionOp():
                    if is_for_one_thread(op):
                        self.run_in_one_thread(op)
                    else:
                        for region in op.regions:
                            for inner in region.blocks:
                                self.visit(inner)
                case memref.StoreOp() | memref.AtomicRMWOp():
                    self.run_in_one_thread(op)
                case memref.CopyOp() if isinstance(root(op.source).owner, memref.GetGlobalOp):
                    self.copy_constant(op)
                case _:
                    pass

    def visit_loop(self, loop: scf.ForOp) -> None:
        shared = parallel_loops(loop)
        if shared:
            self.share(loop, shared)
            return
        if not any(isinstance(each, HOST_ONLY) for each in loop.walk()):
            inside = [each for each in loop.walk() if isinstance(each, scf.ForOp) and each is not loop]
            launches = sum(bool(parallel_loops(each)) for each in inside)
            if not launches or work(loop) < trips(loop) * launches * LAUNCH_COST:
                self.run_in_one_thread(loop)
                return
        self.visit(loop.body.block)

    def run_in_one_thread(self, op: Operation) -> None:
        """A kernel of a single thread; scalars that the op gives are left in memory, from where the host reads them."""
        outline = Outline(self.kernels, op)
        places: list[SSAValue] = []
        for result in op.results:
            alloc = memref.AllocOp.create(
                result_types=[MemRefType(result.type, ())],
                properties={"alignment": IntegerAttr(ALIGNMENT, i64), "operandSegmentSizes": array_type((0, 0))},
            )
            places.append(outline.host(alloc))
        for value in captures([op]):
            outline.bring(value, lambda load: is_readable_at(load, op))
        copy = op.clone(dict(outline.inside))
        outline.body.add_op(copy)
        for result, place in zip(copy.results, places):
            outline.add(memref.StoreOp.get(result, outline.bring(place), ()))
        to_stack(outline.body)
        outline.launch(self.name, (1, 1, 1), (1, 1, 1))
        for result, place in zip(op.results, places):
            result.replace_all_uses_with(outline.host(memref.LoadOp.get(place, ())))
        op.detach()
        op.erase()

    def copy_constant(self, op: memref.CopyOp) -> None:
        """The host has no constants of the device: a kernel copies them."""
        shape = cast("MemRefType[Attribute]", op.source.type).get_shape()
        total = prod(shape)
        if total == 0:
            op.detach()
            op.erase()
            return
        outline = Outline(self.kernels, op)
        source, target = outline.bring(op.source), outline.bring(op.destination)
        threads = Threads(outline, self.schedule, total)
        at = threads.indices(shape)
        load = memref.LoadOp.get(source, at)
        threads.add(load)
        threads.add(memref.StoreOp.get(load.res, target, at))
        threads.finish(self.name)
        op.detach()
        op.erase()

    def share(self, loop: scf.ForOp, shared: Sequence[scf.ForOp]) -> None:
        """Give the iterations of the `shared` loops of a nest to threads."""
        counts = [trips(each) for each in shared]
        total = prod(counts)
        if total == 0:
            loop.detach()
            loop.erase()
            return
        outline = Outline(self.kernels, loop)
        private_buffers(loop, shared, counts)
        for value in captures([loop]):
            outline.bring(value, lambda load: is_readable_at(load, loop))
        threads = Threads(outline, self.schedule, total)
        for each, index in zip(shared, threads.indices(counts)):
            lower, step = known(each.lb), known(each.step)
            assert lower is not None and step is not None
            if step != 1:
                index = threads.made(arith.MuliOp, index, threads.value(index_constant(step)))
            if lower != 0:
                index = threads.made(arith.AddiOp, index, threads.value(index_constant(lower)))
            outline.inside[each.body.block.args[0]] = index
        threads.clone_without(loop, set(shared))
        to_stack(threads.block)
        threads.finish(self.name)
        loop.detach()
        loop.erase()


class Threads:
    """A kernel whose threads share the numbers below `total`, a grid's width apart."""

    def __init__(self, outline: Outline, schedule: LoopSchedule, total: int):
        self.outline = outline
        self.size = min(schedule.threads, -(-total // 32) * 32)
        self.blocks = min(-(-total // self.size), schedule.most_blocks)
        self.once = self.blocks * self.size >= total
        self.exact = self.blocks * self.size == total
        self.block = outline.body
        thread, block = self.value(gpu.ThreadIdOp("x")), self.value(gpu.BlockIdOp("x"))
        width = self.value(index_constant(self.size))
        self.number = self.made(arith.AddiOp, self.made(arith.MuliOp, block, width), thread)
        self.total = total
        if self.exact:
            return
        limit = self.value(index_constant(total))
        inner = Block() if self.once else Block(arg_types=[INDEX])
        if self.once:
            inside = self.value(arith.CmpiOp(self.number, limit, "slt"))
            self.loop: Operation = scf.IfOp(inside, (), [inner])
        else:
            step = self.value(index_constant(self.blocks * self.size))
            self.loop = scf.ForOp(self.number, limit, step, (), inner)
            self.number = inner.args[0]
        self.add(self.loop)
        self.block = inner

    def add(self, op: Operation) -> Operation:
        op.location = self.outline.before.location
        self.block.add_op(op)
        return op

    def value(self, op: Operation) -> SSAValue:
        return self.add(op).results[0]

    def made(self, kind: type[Operation], x: SSAValue, y: SSAValue) -> SSAValue:
        return self.value(kind.create(operands=(x, y), result_types=(x.type,), properties=unwrapped(kind)))

    def indices(self, counts: Sequence[int]) -> list[SSAValue]:
        """The thread's number as one index for each count, the last counting fastest; divided in 32 bits if it fits."""
        moving = [position for position, size in enumerate(counts) if size != 1]
        result: list[SSAValue | None] = [None] * len(counts)
        if len(moving) == 1:
            result[moving[0]] = self.number
        elif moving:
            narrow = self.total < 2**31
            left = self.value(arith.IndexCastOp(self.number, i32)) if narrow else self.number
            for position in reversed(moving[1:]):
                size = self.value(
                    arith.ConstantOp.from_int_and_width(counts[position], i32)
                    if narrow
                    else index_constant(counts[position])
                )
                result[position] = self.widened(self.made(arith.RemUIOp, left, size))
                left = self.made(arith.DivUIOp, left, size)
            result[moving[0]] = self.widened(left)
        zero = self.value(index_constant(0)) if None in result else None
        return [each if each is not None else zero for each in result]  # pyright: ignore

    def widened(self, number: SSAValue) -> SSAValue:
        return number if number.type == INDEX else self.value(arith.IndexCastOp(number, INDEX))

    def clone_without(self, loop: scf.ForOp, shared: set[scf.ForOp]) -> None:
        """Clone a nest into the kernel, leaving out loops whose index is known."""
        inside = self.outline.inside
        if loop in shared:
            for op in loop.body.block.ops:
                if isinstance(op, scf.ForOp) and any(each in shared for each in chain(op)):
                    self.clone_without(op, shared)
                elif not isinstance(op, scf.YieldOp):
                    self.block.add_op(op.clone(inside))
            return
        if not any(each in shared for each in chain(loop)):
            self.block.add_op(loop.clone(inside))
            return
        block = Block(arg_types=[argument.type for argument in loop.body.block.args])
        lower, upper, step = (inside.get(each, each) for each in loop.operands[:3])
        copy = scf.ForOp(lower, upper, step, (), block)
        copy.location = loop.location
        inside[loop.body.block.args[0]] = block.args[0]
        outer, self.block = self.block, block
        for op in loop.body.block.ops:
            if isinstance(op, scf.ForOp):
                self.clone_without(op, shared)
            else:
                block.add_op(op.clone(inside))
        self.block = outer
        self.block.add_op(copy)

    def finish(self, name: str) -> gpu.FuncOp:
        if not self.exact:
            self.add(scf.YieldOp())
        return self.outline.launch(name, (self.blocks, 1, 1), (self.size, 1, 1))


# Which loops of a nest are independent


def chain(loop: scf.ForOp) -> Iterator[scf.ForOp]:
    """The loop, and loops directly inside one another with only pure ops and private buffers beside them."""
    found: scf.ForOp | None = loop
    while found is not None and not found.iter_args:
        yield found
        inner: scf.ForOp | None = None
        for op in found.body.block.ops:
            if isinstance(op, scf.ForOp) and inner is None:
                inner = op
            elif not is_repeatable(op):
                return
        found = inner


def is_repeatable(op: Operation) -> bool:
    """Whether each thread may do it again: it touches no memory."""
    return isinstance(op, (scf.YieldOp, memref.GetGlobalOp, *VIEWS)) or (
        not op.regions and not isinstance(op, memref.AllocOp | memref.AllocaOp) and is_side_effect_free(op)
    )


def parallel_loops(loop: scf.ForOp) -> list[scf.ForOp]:
    """The loops of a perfect nest, of known extent, that threads can share: outermost first.

    A loop inside one that has buffers of its own stays in the thread.
    """
    nest = list(chain(loop))
    if any(isinstance(each, memref.AllocOp) and not is_static(each) for each in loop.walk()):
        return []
    written = [op for op in loop.walk() if isinstance(op, (*WRITES, memref.CopyOp))]
    return [
        each
        for each in nest
        if all(known(bound) is not None for bound in each.operands[:3])
        and (PARALLEL in each.attributes or is_independent(each, loop, written))
    ]


def is_static(alloc: memref.AllocOp) -> bool:
    return DYNAMIC_INDEX not in alloc.memref.type.get_shape()


def is_independent(loop: scf.ForOp, nest: scf.ForOp, written: Sequence[Operation]) -> bool:
    """Whether iterations touch nothing that another one writes: each has its own part of what is written.

    The loop's index alone must be the index of one dimension in every access to a buffer that the nest writes.
    """
    index = loop.body.block.args[0]
    targets: set[SSAValue] = set()
    for op in written:
        target = op.operands[1]
        if not isinstance(op, WRITES) or isinstance(target.owner, VIEWS):
            return is_private(root(target), loop) and len(written) == 1
        if not is_private(target, loop):
            targets.add(target)
    for target in targets:
        positions: set[int] | None = None
        for access in nest.walk():
            if target not in access.operands:
                continue
            if not isinstance(access, (memref.LoadOp, *WRITES)):
                return False
            at = access.operands[1:] if isinstance(access, memref.LoadOp) else access.operands[2:]
            here = {position for position, each in enumerate(at) if each is index}
            positions = here if positions is None else positions & here
        if not positions:
            return False
    return True


def is_private(buffer: SSAValue, loop: scf.ForOp) -> bool:
    """Whether each iteration makes the buffer anew."""
    return not is_outside(buffer, loop)


# What becomes of buffers and of code around loops


def private_buffers(nest: scf.ForOp, shared: Sequence[scf.ForOp], counts: Sequence[int]) -> None:
    """A large buffer that iterations make becomes one with a part for each iteration, made before the nest."""
    for alloc in [op for op in nest.walk() if isinstance(op, memref.AllocOp)]:
        kind = alloc.memref.type
        if byte_size(kind) <= STACK_BYTES:
            continue
        around = [(each, size) for each, size in zip(shared, counts) if not is_outside(alloc.memref, each)]
        whole = memref.AllocOp.create(
            result_types=(MemRefType(kind.element_type, (*(size for _, size in around), *kind.get_shape())),),
            properties=dict(alloc.properties),
            location=alloc.location,
        )
        assert nest.parent is not None and alloc.parent is not None
        nest.parent.insert_op_before(whole, nest)
        at = [each.body.block.args[0] for each, _ in around]
        rank = len(kind.get_shape())
        view = memref.SubviewOp.get(
            whole.memref,
            [*at, *[0] * rank],
            [*[1] * len(at), *kind.get_shape()],
            [1] * (len(at) + rank),
            subview_type(whole.memref.type, len(at)),
        )
        alloc.parent.insert_op_before(view, alloc)
        alloc.memref.replace_all_uses_with(view.results[0])
        alloc.detach()
        alloc.erase()


def subview_type(whole: MemRefType[Attribute], dropped: int) -> MemRefType[Attribute]:
    shape, strides = whole.get_shape(), whole.get_strides()
    assert strides is not None
    return MemRefType(whole.element_type, shape[dropped:], StridedLayoutAttr(strides[dropped:], None))


def to_stack(block: Block) -> None:
    """Small buffers that a thread makes are its own."""
    for alloc in [op for each in block.ops for op in each.walk() if isinstance(op, memref.AllocOp)]:
        alloca = memref.AllocaOp.create(
            result_types=[alloc.memref.type], properties=dict(alloc.properties), location=alloc.location
        )
        assert alloc.parent is not None
        alloc.parent.insert_op_before(alloca, alloc)
        alloc.memref.replace_all_uses_with(alloca.results[0])
        alloc.detach()
        alloc.erase()


def is_readable_at(load: memref.LoadOp, place: Operation) -> bool:
    """Whether a load of the same block, done at `place` instead, reads the same: nothing in between writes there."""
    if load.parent is not place.parent:
        return False
    buffer = root(load.memref)
    if writes_to(place, buffer):
        return False
    op = load.next_op
    while op is not None and op is not place:
        if writes_to(op, buffer):
            return False
        op = op.next_op
    return op is place


def writes_to(op: Operation, buffer: SSAValue) -> bool:
    """Whether an op may write to a buffer."""
    for each in op.walk():
        if isinstance(each, (*WRITES, memref.CopyOp)):
            if root(each.operands[1]) is buffer:
                return True
        elif isinstance(each, func.CallOp | gpu.LaunchFuncOp):
            if any(root(operand) is buffer for operand in each.operands):
                return True
        elif not isinstance(each, memref.LoadOp) and not is_repeatable(each) and not each.regions:
            return any(root(operand) is buffer for operand in each.operands)
    return False


def is_for_one_thread(op: Operation) -> bool:
    """Whether a branch or loop of the host only touches single elements: then a thread may run it whole."""
    loops = (scf.ForOp, scf.WhileOp, memref.CopyOp, memref.AllocOp)
    return any(isinstance(each, WRITES) for each in op.walk()) and not any(
        isinstance(each, (*HOST_ONLY, *loops)) for each in op.walk() if each is not op
    )


def inline_kernel_functions(module: ModuleOp, functions: Sequence[func.FuncOp]) -> None:
    """Put what private functions launch in the place of their calls."""
    private = {
        each.sym_name.data: each
        for each in functions
        if each.sym_visibility is not None and each.sym_visibility.data == "private"
    }

    flat: set[str] = set()

    def flatten(function: func.FuncOp) -> None:
        """Inline all calls in a function, once."""
        if function.sym_name.data not in flat:
            flat.add(function.sym_name.data)
            inline(function.body.block)

    def inline(block: Block) -> None:
        for op in list(block.ops):
            for region in op.regions:
                for inner in region.blocks:
                    inline(inner)
            if not isinstance(op, func.CallOp) or (callee := private.get(op.callee.string_value())) is None:
                continue
            flatten(callee)
            body = callee.body.block
            values: dict[SSAValue, SSAValue] = dict(zip(body.args, op.operands))
            for each in body.ops:
                if isinstance(each, func.ReturnOp):
                    for result, returned in zip(op.results, each.operands):
                        result.replace_all_uses_with(values.get(returned, returned))
                else:
                    block.insert_op_before(each.clone(values), op)
            op.detach()
            op.erase()

    for function in functions:
        flatten(function)
    for function in private.values():
        function.detach()
        function.erase()


def drop_dead(block: Block) -> None:
    """Erase ops that only compute what nobody uses: what kernels repeat, the host need not do."""
    for op in reversed(list(block.ops)):
        for region in op.regions:
            for inner in region.blocks:
                drop_dead(inner)
        unused = bool(op.results) and not any(result.uses for result in op.results)
        if unused and (is_repeatable(op) or isinstance(op, memref.LoadOp | memref.AllocOp)):
            op.detach()
            op.erase()


def drop_unused_globals(module: ModuleOp) -> None:
    """Constants that only kernels read are only in the gpu.module."""
    used = {
        op.name_.string_value()
        for each in module.ops
        if isinstance(each, func.FuncOp)
        for op in each.walk()
        if isinstance(op, memref.GetGlobalOp)
    }
    for op in list(module.ops):
        private = isinstance(op, memref.GlobalOp) and op.sym_visibility == StringAttr("private")
        if isinstance(op, memref.GlobalOp) and private and op.sym_name.data not in used:
            op.detach()
            op.erase()
