"""Time kernels: the program itself measures how long each of its kernels takes, and gives that as one more output.

The output, `[kernels, 2]` of i64, holds nanoseconds and calls of each kernel, in the order of the function's attribute
`xmlc.timed`. The clock of the C library is read before and after each call, which adds some 50 ns to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.builder import Builder, ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects import arith, func, memref
from xdsl.dialects.builtin import ArrayAttr, FunctionType, IndexType, MemRefType, ModuleOp, StringAttr, i32, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from xmlc.passes.form_kernels import KERNEL
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.memory import ALIGNMENT
from xmlc.passes.plan_memory import add_arguments

OUTPUT = "xmlc.output"
TIMED = "xmlc.timed"
"""Attribute of a function: the names of its kernels, in the order of the rows of its last output."""
CLOCK = "clock_gettime"
MONOTONIC = 1
"""The clock that nobody sets, as Linux numbers it."""
NOW = "xmlc.now"


@dataclass(frozen=True)
class TimeKernels(ModulePass):
    """Add an output to a function: nanoseconds and number of calls of each kernel that it calls."""

    name = "time-kernels"
    entry: str = "main"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {each.sym_name.data: each for each in op.ops if isinstance(each, func.FuncOp)}
        entry = functions[self.entry]
        calls = [
            inner
            for inner in entry.walk()
            if isinstance(inner, func.CallOp) and KERNEL in functions[inner.callee.string_value()].attributes
        ]
        names = list(dict.fromkeys(call.callee.string_value() for call in calls))
        entry.attributes[TIMED] = ArrayAttr([StringAttr(name) for name in names])
        block = entry.body.block
        times = block.insert_arg(MemRefType(i64, (len(names), 2)), len(block.args))
        times.name_hint = "times"
        add_arguments(entry, [times], OUTPUT)
        constants = IndexConstants(block)
        for call in calls:
            time_call(call, times, names.index(call.callee.string_value()), constants)
        start(times, len(names), constants)
        op.body.block.add_ops(clock())


def start(times: SSAValue, count: int, constants: IndexConstants) -> None:
    """All times and counts are zero."""
    block = times.owner
    assert isinstance(block, Block)
    first = next(op for op in block.ops if not isinstance(op, arith.ConstantOp))
    places = [(constants[row], constants[column]) for row in range(count) for column in range(2)]
    with ImplicitBuilder(Builder(InsertPoint.before(first))):
        zero = arith.ConstantOp.from_int_and_width(0, i64).result
        for place in places:
            memref.StoreOp.get(zero, times, place)


def time_call(call: func.CallOp, times: SSAValue, row: int, constants: IndexConstants) -> None:
    """Read the clock around a call, and add to its row."""
    places = [(constants[row], constants[column]) for column in range(2)]
    with ImplicitBuilder(Builder(InsertPoint.before(call))):
        before = now()
    with ImplicitBuilder(Builder(InsertPoint.after(call))):
        took = arith.SubiOp(now(), before).result
        one = arith.ConstantOp.from_int_and_width(1, i64).result
        for place, more in zip(places, (took, one)):
            memref.StoreOp.get(arith.AddiOp(memref.LoadOp.get(times, place).res, more), times, place)


def now() -> SSAValue:
    return func.CallOp(NOW, (), (i64,)).res[0]


def clock() -> Sequence[Operation]:
    """@xmlc.now, which gives nanoseconds, and the declaration of what it calls."""
    pair = MemRefType(i64, (2,))
    body = Block()
    with ImplicitBuilder(body):
        read = memref.AllocaOp.get(i64, ALIGNMENT, (2,)).memref
        func.CallOp(CLOCK, (arith.ConstantOp.from_int_and_width(MONOTONIC, i32).result, read), (i32,))
        seconds, rest = (memref.LoadOp.get(read, (index(i),)).res for i in range(2))
        scale = arith.ConstantOp.from_int_and_width(1_000_000_000, i64).result
        func.ReturnOp(arith.AddiOp(arith.MuliOp(seconds, scale), rest).result)
    return (
        func.FuncOp(NOW, FunctionType.from_lists((), (i64,)), Region(body), visibility="private"),
        func.FuncOp.external(CLOCK, (i32, pair), (i32,)),
    )


def index(value: int) -> SSAValue:
    return arith.ConstantOp.from_int_and_width(value, IndexType()).result
