"""Rows of `scf.parallel`: iterations shared among the threads of LLVM's OpenMP runtime, through an outlined function.

A loop with the attribute `xmlc.threads` (the pass `parallelize` sets it) becomes three pieces:

    @NAME.parallelK.body(captures…, i64 %index)   one iteration; what it captures are its arguments, so that LLVM
                                                  knows of them what it knew of the arguments of @NAME
    @NAME.parallelK(ptr, ptr, ptr %captured)      what each thread of the team runs: iterations number, number + size
                                                  of the team, and so on; it is right for a team of any size
    in @NAME                                      captures are stored in a struct on the stack, then __kmpc_fork_call

Nested or serialised, a team has one thread, which runs all iterations. Other loops are run where they stand.
"""

from __future__ import annotations

import re
from typing import Any, cast

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from xmlc.backends.llvm_text import control
from xmlc.backends.llvm_text.types import BYTES
from xmlc.backends.llvm_text.writer import Buffer, Row, Writer

THREADS = "xmlc.threads"  # attribute of scf.parallel: how many threads to ask for

DECLARATIONS: dict[str, str] = {
    "@__kmpc_fork_call": "declare void @__kmpc_fork_call(ptr, i32, ptr, ...) nounwind",
    "@__kmpc_global_thread_num": "declare i32 @__kmpc_global_thread_num(ptr) nounwind",
    "@__kmpc_push_num_threads": "declare void @__kmpc_push_num_threads(ptr, i32, i32) nounwind",
    "@omp_get_num_threads": "declare i32 @omp_get_num_threads() nounwind",
    # the place that the runtime's functions are told: none (flag 2 says that a compiler made the call)
    "@xmlc.place": (
        '@xmlc.place.text = private unnamed_addr constant [23 x i8] c";unknown;unknown;0;0;;\\00"\n'
        "@xmlc.place = private unnamed_addr constant { i32, i32, i32, i32, ptr } "
        "{ i32 0, i32 2, i32 0, i32 22, ptr @xmlc.place.text }, align 8"
    ),
}
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
        fork(w, op, int(cast("IntegerAttr[Any]", threads).value.data))


def fork(w: Writer, op: scf.ParallelOp, threads: int) -> None:
    w.helpers.update(DECLARATIONS)
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
    w.helpers[symbol] = microtask(symbol, struct, captures, used, bounds)

    space = "null"
    if captures:
        space = w.new()
        w.entry.append(f"  {space} = alloca {struct}, align 64")
    for position, (name, kind) in enumerate(captures):
        address = w.emit(f"getelementptr inbounds {struct}, ptr {space}, i32 0, i32 {position}")
        w.lines.append(f"  store {kind} {name}, ptr {address}")
    me = w.emit("call i32 @__kmpc_global_thread_num(ptr @xmlc.place)")
    w.lines.append(f"  call void @__kmpc_push_num_threads(ptr @xmlc.place, i32 {me}, i32 {threads})")
    w.lines.append(
        f"  call void (ptr, i32, ptr, ...) @__kmpc_fork_call(ptr @xmlc.place, i32 1, ptr {symbol}, ptr {space})"
    )


def printed_body(w: Writer, block: Block) -> list[str]:
    """The lines of a function with the ops of `block`: outer values keep their names, which become parameters."""
    outside = w.lines, w.entry, w.block_name
    w.lines, w.entry, w.block_name = [], [], "entry"
    w.bind(block.args[0])
    w.block(block)
    lines = ["entry:", *w.entry, *w.lines]
    w.lines, w.entry, w.block_name = outside
    return lines


def microtask(symbol: str, struct: str, captures: list[tuple[str, str]], used: set[str], bounds: list[str]) -> str:
    """What each thread runs: its share of the iterations, dealt out in turn."""
    lines = [f"define internal void {symbol}(ptr noalias %all, ptr noalias %mine, ptr %captured) #0 {{", "entry:"]
    for position, (name, kind) in enumerate(captures):
        lines.append(f"  {name}.p = getelementptr inbounds {struct}, ptr %captured, i32 0, i32 {position}")
        lines.append(f"  {name} = load {kind}, ptr {name}.p")
    arguments = ", ".join([*(f"{kind} {name}" for name, kind in captures if name in used), "i64 %index"])
    lower, upper, step = bounds
    lines += [
        "  %number = load i32, ptr %mine",
        "  %team = call i32 @omp_get_num_threads()",
        "  %wide.number = zext i32 %number to i64",
        "  %wide.team = zext i32 %team to i64",
        f"  %skipped = mul nsw i64 %wide.number, {step}",
        f"  %first = add nsw i64 {lower}, %skipped",
        f"  %stride = mul nsw i64 %wide.team, {step}",
        "  br label %loop",
        "loop:",
        "  %index = phi i64 [ %first, %entry ], [ %next, %run ]",
        f"  %go = icmp slt i64 %index, {upper}",
        "  br i1 %go, label %run, label %done",
        "run:",
        f"  call void {symbol}.body({arguments})",
        "  %next = add nsw i64 %index, %stride",
        "  br label %loop",
        "done:",
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
