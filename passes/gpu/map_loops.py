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
from xdsl.dialects.builtin import IntegerAttr, MemRefType, ModuleOp, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects import gpu
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.device_buffers import on_the_heap, private_buffers, to_stack
from xmlc.passes.gpu.host_functions import drop_dead, drop_unused_globals, inline_kernel_functions
from xmlc.passes.gpu.independence import WRITES, is_readable_at, parallel_loops
from xmlc.passes.gpu.outline import Kernels, Outline, captures
from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.stated import Candidate, Schedules
from xmlc.passes.gpu.threads import LoopSchedule, Threads
from xmlc.passes.index_arithmetic import index_constant
from xmlc.passes.memory import ALIGNMENT, array_type
from xmlc.passes.parallelize import known, trips, work
from xmlc.passes.views import root

LAUNCH_COST = 4000
"""What a launch takes, in operations of one thread: 4 µs at 1 ns, since a lone thread waits for memory at each."""


THREADS = (32, 64, 128, 256, 512)
"""What the autotuner chooses from."""


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


def is_for_one_thread(op: Operation) -> bool:
    """Whether a branch or loop of the host only touches single elements: then a thread may run it whole."""
    loops = (scf.ForOp, scf.WhileOp, memref.CopyOp, memref.AllocOp)
    return any(isinstance(each, WRITES) for each in op.walk()) and not any(
        isinstance(each, (*HOST_ONLY, *loops)) for each in op.walk() if each is not op
    )
