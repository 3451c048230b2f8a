"""A kernel whose threads share a range of numbers: which are its own, and the nest that each of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import IndexType, i32
from xdsl.ir import Block, Operation, SSAValue

from xmlc.dialects import gpu
from xmlc.passes.gpu.independence import chain
from xmlc.passes.gpu.outline import Outline
from xmlc.passes.index_arithmetic import index_constant, unwrapped

INDEX = IndexType()


@dataclass(frozen=True)
class LoopSchedule:
    """How the iterations of the loops of a function are shared out."""

    threads: int
    """Threads of a block."""
    most_blocks: int
    """Blocks of a grid; each thread takes further iterations a grid's width apart."""


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
