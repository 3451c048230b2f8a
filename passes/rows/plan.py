"""The plan of a row: what each step makes, in which sweep over the columns it is made, and where it is kept.

What a buffer holds between two writes is a value. A value of a row's every column is made in a sweep; if a later sweep
needs it, it stays where it ends up anyway, or else in a buffer of one row, which the first cache holds. A value
of the row as a whole (a sum, a maximum) stays in a register.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from xdsl.dialects import memref
from xdsl.ir import Operation, SSAValue

from xmlc.passes.contractions.recognise import Operand, root
from xmlc.passes.rows.recognise import Group, Step


@dataclass(eq=False)
class Value:
    """What a buffer holds, for one row, from one write to the next."""

    operand: Operand
    producer: Step | None
    """None: what the buffer held before the group."""
    sweep: int
    """The sweep in which it is made, or before which it is known if it has no columns."""
    has_columns: bool
    is_stored: bool = False
    """Whether it is what the buffer holds in the end, and something reads that."""
    needed: set[int] = field(default_factory=set[int])
    """The sweeps that use it."""

    @cached_property
    def crosses(self) -> bool:
        """Whether a sweep after the one that makes it needs it."""
        return self.has_columns and self.producer is not None and any(sweep > self.sweep for sweep in self.needed)


@dataclass(frozen=True, eq=False)
class Scheduled:
    """A step, the sweep it belongs to (for a step without columns: the one it comes before), and its values."""

    step: Step
    sweep: int
    inputs: tuple[Value | Operand | SSAValue, ...]
    befores: tuple[Value | Operand | None, ...]
    """What its outputs held, where it uses that."""
    outputs: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    group: Group
    steps: tuple[Scheduled, ...]
    sweeps: int

    def sweep(self, number: int) -> list[Scheduled]:
        """The steps with columns of one sweep."""
        return [each for each in self.steps if each.step.is_full and each.sweep == number]

    def home(self, value: Value) -> Value | None:
        """The result that takes a value's place in the step that needs it last, in a buffer of nothing else, if any."""
        buffers = [root(each.operand.value) for each in self.values()]
        for each in self.steps:
            for later in each.outputs if value in each.inputs and each.sweep == max(value.needed) else ():
                place = root(later.operand.value)
                fits = later.is_stored and later.has_columns and later.operand.element == value.operand.element
                if fits and buffers.count(place) == 1 + (root(value.operand.value) is place):
                    return later
        return None

    def values(self) -> list[Value]:
        """Everything that the steps read or write in buffers that one of them writes."""
        found: dict[Value, None] = {}
        for each in self.steps:
            found.update(dict.fromkeys(x for x in (*each.inputs, *each.befores, *each.outputs) if isinstance(x, Value)))
        return list(found)

    def between(self, number: int) -> list[Scheduled]:
        """The steps without columns that come before a sweep and after the one before it."""
        return [each for each in self.steps if not each.step.is_full and each.sweep == number]


def plan_of(group: Group) -> Plan | None:
    """Each step in the first sweep that can have it; None where something would be overwritten too early."""
    written = {root(operand.value) for step in group.steps for operand in step.outputs}
    members: set[Operation] = {step.op for step in group.steps}
    now: dict[SSAValue, Value] = {}
    initial: list[Value] = []

    def value_at(operand: Operand) -> Value | Operand:
        buffer = root(operand.value)
        if buffer not in written:
            return operand
        if buffer not in now:
            columns = any(operand.strides[loop] for loop in group.columns)
            now[buffer] = Value(operand, None, 0, columns)
            initial.append(now[buffer])
        return now[buffer]

    steps: list[Scheduled] = []
    for step in group.steps:
        inputs = tuple(value_at(each) if isinstance(each, Operand) else each for each in step.inputs)
        befores = tuple(value_at(operand) if reads else None for operand, reads in zip(step.outputs, step.reads_output))
        used = [each for each in (*inputs, *befores) if isinstance(each, Value)]
        sweep = max((each.sweep for each in used), default=0)
        for each in used:
            each.needed.add(sweep)
        outputs: list[Value] = []
        for operand in step.outputs:
            made = sweep if step.fold is None else sweep + 1
            value = Value(operand, step, made, step.is_full and step.fold is None)
            now[root(operand.value)] = value
            outputs.append(value)
        steps.append(Scheduled(step, sweep, inputs, befores, tuple(outputs)))
    for buffer, value in now.items():
        value.is_stored = value.producer is not None and not is_private(buffer, members)
    if not all(overwritten_in_time(value, now[root(value.operand.value)]) for value in initial):
        return None
    return Plan(group, tuple(steps), 1 + max(each.sweep for each in steps if each.step.is_full))


def overwritten_in_time(before: Value, last: Value) -> bool:
    """Whether the sweeps that read what a buffer held are done with an element when the buffer is written."""
    return not last.is_stored or all(sweep <= last.sweep for sweep in before.needed)


def is_private(buffer: SSAValue, members: set[Operation]) -> bool:
    """Whether a buffer is seen by nothing but these ops."""
    if not isinstance(buffer.owner, memref.AllocOp | memref.AllocaOp):
        return False
    waiting: list[SSAValue] = [buffer]
    while waiting:
        for use in waiting.pop().uses:
            if isinstance(use.operation, memref.CollapseShapeOp | memref.ExpandShapeOp):
                waiting.append(use.operation.results[0])
            elif use.operation not in members:
                return False
    return True
