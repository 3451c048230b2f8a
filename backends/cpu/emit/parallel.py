"""Rows of `scf.parallel`: iterations shared among the threads of the pool, through an outlined function.

A loop with the attribute `xmlc.threads` (the pass `parallelize` sets it) becomes three pieces:

    @xmlc.parallel.K.body(captures…, i64 %index)    one iteration; what it captures are its arguments, so that LLVM
                                                    knows of them what it knew of the arguments of the function
    @xmlc.parallel.K(ptr %captured, i64 %number)    what the pool calls for each iteration: unpacks the captures
    in the function                                 captures are stored in a struct on the stack, then xmlc.share

Other loops are run where they stand.
"""

from __future__ import annotations

import re
from typing import Any, cast

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from xmlc.backends.cpu.pool import DECLARATION, SHARE
from xmlc.backends.llvm_text import control
from xmlc.backends.llvm_text.types import BYTES
from xmlc.backends.llvm_text.writer import Buffer, Row, Writer

THREADS = "xmlc.threads"  # attribute of scf.parallel: how many threads to ask for

NAME = re.compile(r"%v\d+")
VIEWS = (
    memref.CastOp,
    memref.CollapseShapeOp,
    memref.ExpandShapeOp,
    memref.MemorySpaceCastOp,
    memref.ReinterpretCastOp,
    memref.SubviewOp,
    memref.ViewOp,
)


def parallel_loop(w: Writer, op: scf.ParallelOp) -> None:
    threads = op.attributes.get(THREADS)
    if threads is None or op.initVals or len(op.lowerBound) != 1:
        control.parallel_loop(w, op)
    else:
        share(w, op, int(cast("IntegerAttr[Any]", threads).value.data))


def share(w: Writer, op: scf.ParallelOp, threads: int) -> None:
    w.helpers[f"@{SHARE}"] = DECLARATION
    number = sum(name.endswith(".body") for name in w.helpers)
    symbol = f"@xmlc.parallel.{number}"
    block = op.body.block
    body = printed_body(w, block)
    used = set(NAME.findall("\n".join(body)))
    names, lower, upper, step = w.names, op.lowerBound[0], op.upperBound[0], op.step[0]
    bounds = [str(names[lower]), str(names[upper]), str(names[step])]
    captures = [(name, kind) for name, kind in captured(w, op).items() if name in used or name in bounds]
    promises = promised(w, op)
    parameters = [
        f"{kind} {promises.get(name, '') if kind == 'ptr' else ''}{name}" for name, kind in captures if name in used
    ]
    parameters.append(f"i64 {names[block.args[0]]}")
    w.helpers[symbol + ".body"] = "\n".join(
        [f"define internal void {symbol}.body({', '.join(parameters)}) #0 {{", *body, "  ret void", "}"]
    )
    struct = "{ " + ", ".join(kind for _, kind in captures) + " }"
    w.helpers[symbol] = task(symbol, struct, captures, used, bounds)

    space = "null"
    if captures:
        space = w.new()
        w.entry.append(f"  {space} = alloca {struct}, align 64")
    for position, (name, kind) in enumerate(captures):
        address = w.emit(f"getelementptr inbounds {struct}, ptr {space}, i32 0, i32 {position}")
        w.lines.append(f"  store {kind} {name}, ptr {address}")
    distance = w.emit(f"sub nsw i64 {bounds[1]}, {bounds[0]}")
    some = w.emit(f"icmp sgt i64 {distance}, 0")
    up = w.emit(f"add nsw i64 {distance}, {bounds[2]}")
    over = w.emit(f"sub nsw i64 {up}, 1")
    steps = w.emit(f"sdiv i64 {over}, {bounds[2]}")
    count = w.emit(f"select i1 {some}, i64 {steps}, i64 0")
    w.lines.append(f"  call void @{SHARE}(ptr {symbol}, ptr {space}, i64 {count}, i32 {threads})")


def printed_body(w: Writer, block: Block) -> list[str]:
    """The lines of a function with the ops of `block`: outer values keep their names, which become parameters."""
    outside = w.lines, w.entry, w.block_name
    w.lines, w.entry, w.block_name = [], [], "entry"
    w.bind(block.args[0])
    w.block(block)
    lines = ["entry:", *w.entry, *w.lines]
    w.lines, w.entry, w.block_name = outside
    return lines


def task(symbol: str, struct: str, captures: list[tuple[str, str]], used: set[str], bounds: list[str]) -> str:
    """What the pool calls: an iteration by its number."""
    lines = [f"define internal void {symbol}(ptr %captured, i64 %number) #0 {{", "entry:"]
    for position, (name, kind) in enumerate(captures):
        lines.append(f"  {name}.p = getelementptr inbounds {struct}, ptr %captured, i32 0, i32 {position}")
        lines.append(f"  {name} = load {kind}, ptr {name}.p")
    arguments = ", ".join([*(f"{kind} {name}" for name, kind in captures if name in used), "i64 %index"])
    lower, _, step = bounds
    lines += [
        f"  %distance = mul nsw i64 %number, {step}",
        f"  %index = add nsw i64 {lower}, %distance",
        f"  call void {symbol}.body({arguments})",
        "  ret void",
        "}",
    ]
    return "\n".join(lines)


# What a loop captures


def outer_values(op: Operation) -> list[SSAValue]:
    """The values that a loop and its body use and that are made outside of it, each once."""
    found: dict[SSAValue, None] = {}
    for inner in op.walk():
        for operand in inner.operands:
            block = operand.owner if isinstance(operand.owner, Block) else operand.owner.parent
            if block is None or not is_inside(block, op):
                found[operand] = None
    return list(found)


def is_inside(block: Block, op: Operation) -> bool:
    parent = block.parent_op()
    while parent is not None and parent is not op:
        parent = parent.parent_op()
    return parent is op


def captured(w: Writer, op: Operation) -> dict[str, str]:
    """The names that outer values are made of in LLVM IR, with their types; constants have no names."""
    found: dict[str, str] = {}
    for value in outer_values(op):
        if value in w.buffers:
            buffer = w.buffers[value]
            found[buffer.pointer] = "ptr"
            found.update((extent, "i64") for extent in (*buffer.sizes, *buffer.strides) if isinstance(extent, str))
        else:
            found[w.names[value]] = w.kind(value.type)
    return {name: kind for name, kind in found.items() if NAME.fullmatch(name)}


def promised(w: Writer, op: Operation) -> dict[str, str]:
    """Pointer -> what is known of it: its alignment and, where no other captured pointer comes from the same buffer,
    that nothing else points there."""
    pointers: dict[SSAValue, set[str]] = {}
    buffers: dict[str, Buffer] = {}
    for value in outer_values(op):
        if value in w.buffers:
            buffer = w.buffers[value]
            pointers.setdefault(root(value), set()).add(buffer.pointer)
            buffers[buffer.pointer] = buffer
    promises: dict[str, str] = {}
    for source, names in pointers.items():
        alone = len(names) == 1 and is_distinct(w, source)
        for name in names:
            promises[name] = (
                f"{'noalias ' if alone else ''}captures(none) noundef align {BYTES[buffers[name].element]} "
            )
    return promises


def root(value: SSAValue) -> SSAValue:
    """The buffer that a view is of."""
    while isinstance(owner := value.owner, VIEWS):
        value = owner.operands[0]
    return value


def is_distinct(w: Writer, source: SSAValue) -> bool:
    """Whether a buffer shares no memory with another one of the function."""
    if isinstance(source, BlockArgument):
        return source in w.distinct
    return isinstance(source.owner, memref.AllocOp | memref.AllocaOp)


ROWS: dict[type[Operation], Row] = {scf.ParallelOp: parallel_loop}
