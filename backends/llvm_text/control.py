"""Rows of `scf`: loops, branches, and the values they carry as phi nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.backends.llvm_text.writer import Extent, Row, Writer

# op attribute on a loop -> LLVM's loop hint
HINTS: dict[str, str] = {
    "xmlc.unroll": "llvm.loop.unroll.count",
    "xmlc.vectorize": "llvm.loop.vectorize.width",
    "xmlc.interleave": "llvm.loop.interleave.count",
}


@dataclass(slots=True)
class Loop:
    """An open counted loop: what its closing needs."""

    label: str
    header: int  # the index in `lines` that the phi nodes go to
    before: str  # the block that enters the loop
    kind: str
    step: Extent
    index: str
    kinds: Sequence[str]
    carried: Sequence[str]  # names of carried values inside the loop, and after it
    initial: Sequence[str]
    lower: Extent


def open_loop(
    w: Writer,
    lower: Extent,
    upper: Extent,
    step: Extent = 1,
    kinds: Sequence[str] = (),
    initial: Sequence[str] = (),
    kind: str = "i64",
) -> Loop:
    """Start `for (index = lower; index < upper; index += step)`, carrying values of types `kinds`."""
    label, before = w.label(), w.block_name
    w.lines.append(f"  br label %{label}")
    header = len(w.lines)
    w.lines.append("")
    index = w.new()
    carried = [w.new() for _ in kinds]
    go = w.new()
    w.lines.append(f"  {go} = icmp slt {kind} {index}, {upper}\n  br i1 {go}, label %{label}.body, label %{label}.exit")
    w.start_block(label + ".body")
    return Loop(label, header, before, kind, step, index, kinds, carried, initial, lower)


def close_loop(w: Writer, loop: Loop, next_values: Sequence[str] = (), hints: str = "") -> None:
    """End the loop; `next_values` are what it carries into its next iteration."""
    label, last = loop.label, w.block_name
    following = w.emit(f"add nsw {loop.kind} {loop.index}, {loop.step}")
    w.lines.append(f"  br label %{label}{hints}")
    w.start_block(label + ".exit")
    phis = [f"{label}:\n  {loop.index} = phi {loop.kind} [ {loop.lower}, %{loop.before} ], [ {following}, %{last} ]"]
    for name, kind, start, value in zip(loop.carried, loop.kinds, loop.initial, next_values):
        phis.append(f"  {name} = phi {kind} [ {start}, %{loop.before} ], [ {value}, %{last} ]")
    w.lines[loop.header] = "\n".join(phis)


def hints(w: Writer, op: Operation) -> str:
    """The `!llvm.loop` that an op's attributes ask for."""
    wanted = [(HINTS[name], value) for name, value in op.attributes.items() if name in HINTS]
    if not wanted:
        return ""
    rows: list[str] = []
    for name, value in wanted:
        w.metadata.append(f'!{{!"{name}", i32 {cast("IntegerAttr[Any]", value).value.data}}}')
        rows.append(f"!{len(w.metadata) - 1}")
    own = len(w.metadata)
    w.metadata.append(f"distinct !{{!{own}, {', '.join(rows)}}}")
    return f", !llvm.loop !{own}"


def part_kinds(w: Writer, types: Sequence[Attribute]) -> list[str]:
    return [kind for attribute in types for kind in w.part_kinds(attribute)]


def parts(w: Writer, values: Sequence[SSAValue]) -> list[str]:
    return [part for value in values for part in w.parts(value)]


def bind(w: Writer, values: Sequence[SSAValue], texts: Sequence[str]) -> None:
    """Let each value be made of its share of `texts`."""
    position = 0
    for value in values:
        width = len(w.part_kinds(value.type))
        w.bind_parts(value, texts[position : position + width])
        position += width


def yielded(w: Writer, block: Block) -> list[str]:
    terminator = block.last_op
    return parts(w, terminator.operands) if terminator is not None else []


def for_loop(w: Writer, op: scf.ForOp) -> None:
    lower, upper, step, *initial = op.operands
    block = op.body.block
    index, *inside = block.args
    kinds = part_kinds(w, [value.type for value in initial])
    names = w.names
    loop = open_loop(w, names[lower], names[upper], names[step], kinds, parts(w, initial), w.kind(index.type))
    names[index] = loop.index
    bind(w, inside, loop.carried)
    w.block(block)
    close_loop(w, loop, yielded(w, block), hints(w, op) if op.attributes else "")
    bind(w, op.results, loop.carried)


def parallel_loop(w: Writer, op: scf.ParallelOp) -> None:
    """A nest of ordinary loops; reductions are carried through all of them. `parallel` prints those for threads."""
    block = op.body.block
    kinds = part_kinds(w, [value.type for value in op.initVals])
    carried = parts(w, op.initVals)
    loops: list[Loop] = []
    for index, lower, upper, step in zip(block.args, op.lowerBound, op.upperBound, op.step):
        loop = open_loop(w, w.names[lower], w.names[upper], w.names[step], kinds, carried)
        w.names[index] = loop.index
        carried = list(loop.carried)
        loops.append(loop)
    w.block(block)
    reduce = block.last_op
    if isinstance(reduce, scf.ReduceOp):
        carried = [combine(w, region.block, *pair) for region, *pair in zip(reduce.reductions, carried, reduce.args)]
    for loop in reversed(loops):
        close_loop(w, loop, carried)
        carried = list(loop.carried)
    bind(w, op.results, carried)


def combine(w: Writer, block: Block, so_far: Any, value: Any) -> str:
    """The result of a reduction's region on the value so far and a new one."""
    first, second = block.args
    w.names[first], w.names[second] = so_far, w.names[value]
    w.block(block)
    return yielded(w, block)[0]


def while_loop(w: Writer, op: scf.WhileOp) -> None:
    """The block that decides is the header; what it passes on is both the body's input and the result."""
    before, after = op.before_region.block, op.after_region.block
    label, entering = w.label(), w.block_name
    kinds = part_kinds(w, [value.type for value in op.operands])
    initial = parts(w, op.operands)
    w.lines.append(f"  br label %{label}")
    header = len(w.lines)
    w.lines.append("")
    carried = [w.new() for _ in kinds]
    bind(w, before.args, carried)
    w.block_name = label
    w.block(before)
    condition = before.last_op
    assert isinstance(condition, scf.ConditionOp), "scf.while decides by scf.condition"
    decision, *passed = condition.operands
    w.lines.append(f"  br i1 {w.names[decision]}, label %{label}.body, label %{label}.exit")
    w.start_block(label + ".body")
    texts = parts(w, passed)
    bind(w, after.args, texts)
    w.block(after)
    again = yielded(w, after)
    last = w.block_name
    w.lines.append(f"  br label %{label}")
    w.start_block(label + ".exit")
    phis = [f"{label}:"]
    for name, kind, start, value in zip(carried, kinds, initial, again):
        phis.append(f"  {name} = phi {kind} [ {start}, %{entering} ], [ {value}, %{last} ]")
    w.lines[header] = "\n".join(phis)
    bind(w, op.results, texts)


def join(w: Writer, op: Operation, label: str, arms: Sequence[tuple[str, Block | None]]) -> None:
    """Print each arm under its label, and meet behind them with a phi node for each part of each result."""
    kinds = part_kinds(w, [result.type for result in op.results])
    sources: list[tuple[list[str], str]] = []
    for name, block in arms:
        w.start_block(name)
        values: list[str] = []
        if block is not None:
            w.block(block)
            values = yielded(w, block)
        sources.append((values, w.block_name))
        w.lines.append(f"  br label %{label}")
    w.start_block(label)
    texts: list[str] = []
    for position, kind in enumerate(kinds):
        incoming = ", ".join(f"[ {values[position]}, %{block} ]" for values, block in sources)
        texts.append(w.emit(f"phi {kind} {incoming}"))
    bind(w, op.results, texts)


def branch(w: Writer, op: scf.IfOp) -> None:
    label = w.label()
    then, otherwise = (region.first_block for region in op.regions)
    has_else = otherwise is not None
    target = f"{label}.else" if has_else else label
    w.lines.append(f"  br i1 {w.names[op.operands[0]]}, label %{label}.then, label %{target}")
    arms: list[tuple[str, Block | None]] = [(f"{label}.then", then)]
    if has_else:
        arms.append((f"{label}.else", otherwise))
    join(w, op, label, arms)


def index_switch(w: Writer, op: scf.IndexSwitchOp) -> None:
    label = w.label()
    cases = cast("DenseArrayBase[Any]", op.properties["cases"]).get_values()
    default, *regions = op.regions
    targets = " ".join(f"i64 {case}, label %{label}.{position}" for position, case in enumerate(cases))
    w.lines.append(f"  switch i64 {w.names[op.operands[0]]}, label %{label}.default [ {targets} ]")
    arms = [(f"{label}.{position}", region.first_block) for position, region in enumerate(regions)]
    join(w, op, label, [*arms, (f"{label}.default", default.first_block)])


def in_place(w: Writer, op: Operation) -> None:
    """A region that runs once where it stands."""
    block = op.regions[0].block
    w.block(block)
    bind(w, op.results, yielded(w, block))


def nothing(w: Writer, op: Operation) -> None:
    """A terminator: the op around it has printed what it says."""


ROWS: dict[type[Operation], Row] = {
    scf.ForOp: for_loop,
    scf.WhileOp: while_loop,
    scf.IfOp: branch,
    scf.IndexSwitchOp: index_switch,
    scf.ExecuteRegionOp: in_place,
    memref.AllocaScopeOp: in_place,
    scf.YieldOp: nothing,
    scf.ConditionOp: nothing,
    scf.ReduceOp: nothing,
    scf.ReduceReturnOp: nothing,
    memref.AllocaScopeReturnOp: nothing,
}
