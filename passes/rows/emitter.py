"""What a step of a group yields at one spot: for one vector, or one number, of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, cast

from xdsl.dialects import arith, linalg
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    NoneAttr,
    VectorType,
    i1,
    i64,
)
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp
from xmlc.passes.contractions.emitter import INDEX, Emitter, View, bits_of
from xmlc.passes.contractions.recognise import Operand, root
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_ml.combine import neutral
from xmlc.passes.machine import Machine
from xmlc.passes.memory import ALIGNMENT, byte_size
from xmlc.passes.number import FLOAT_PREDICATES, STRICT, element_of, like
from xmlc.passes.rows.plan import Plan, Scheduled, Value
from xmlc.passes.rows.recognise import Fold, Group

ANY_ORDER = arith.FastMathFlagsAttr([FastMathFlag.REASSOC])
NO_NAN = arith.FastMathFlagsAttr([FastMathFlag.NO_NANS])
EXTREMES = {"maximumf": ("gt", "maxnumf"), "minimumf": ("lt", "minnumf")}
"""Folds of floats in which NaN wins -> the comparison that tells the better element, the fold where there is no NaN."""
NEUTRAL = {
    "add": ("add", False),
    "mul": ("mul", False),
    "maximumf": ("max", False),
    "minimumf": ("min", False),
    "maxsi": ("max", False),
    "minsi": ("min", False),
    "maxui": ("max", True),
    "minui": ("min", True),
    "and": ("and", False),
    "or": ("or", False),
}


def vector_loop(group: Group) -> int | None:
    """The loop that vectors run along: through columns if memory does, else through rows; None if neither."""
    for loop in (*group.columns[-1:], *group.rows[-1:]):
        strides = [operand.strides[loop] for step in group.steps for operand in step.operands]
        if all(stride in (0, 1) for stride in strides) and any(strides):
            return loop
    return None


def lanes_for(group: Group, loop: int, machine: Machine) -> int:
    """How many of the widest elements along a loop fill a vector; fewer where the loop is shorter."""
    moved = [operand for step in group.steps for operand in step.operands if operand.strides[loop]]
    bits = max(bits_of(operand.element) for operand in moved)
    lanes = machine.lanes(max(bits, 32))
    while lanes > 2 and lanes // 2 >= group.extents[loop]:
        lanes //= 2
    return lanes


@dataclass
class Partial:
    """What a fold has gathered: vectors, and for EXTREMES the lanes in which there was a NaN."""

    vectors: list[SSAValue]
    invalid: SSAValue | None = None

    @property
    def values(self) -> list[SSAValue]:
        return [*self.vectors, *([] if self.invalid is None else [self.invalid])]

    def with_values(self, values: Sequence[SSAValue]) -> Partial:
        """The same with other values, in the order of `values`."""
        count = len(self.vectors)
        return Partial(list(values[:count]), None if self.invalid is None else values[count])


@dataclass
class Spot:
    """Where a vector, or a scalar, of each step is computed: indices of the loops, which lanes count, what is known."""

    at: Mapping[int, Index]
    lanes: int | None
    mask: SSAValue | None = None
    known: dict[Value, SSAValue] = field(default_factory=dict[Value, SSAValue])
    local: Mapping[int, Index] = field(default_factory=dict[int, Index])
    """Where the row is in a buffer of as many rows as are done together, by the loop of rows."""
    loaded: dict[tuple[SSAValue, tuple[int, ...], int], SSAValue] = field(default_factory=dict[Any, SSAValue])


class RowEmitter:
    """Emits the steps of a plan for one vector."""

    def __init__(self, emitter: Emitter, plan: Plan, machine: Machine, loop: int):
        self.emitter = emitter
        self.plan = plan
        self.group = plan.group
        self.loop = loop
        self.machine = machine
        self.lanes = lanes_for(plan.group, loop, machine)
        self.views: dict[tuple[SSAValue, tuple[int, ...], int], View] = {}
        self.scratch: dict[Value, Operand] = {}
        self.homes: dict[Value, Value] = {}
        """Values that wait where a result will be: it is fetched to write them, while they are computed."""
        self.splats: dict[tuple[SSAValue, Block | None], SSAValue] = {}
        for operand in self.touched():
            self.view(operand)

    def touched(self) -> Iterator[Operand]:
        """What is in memory before the group or after it."""
        for scheduled in self.plan.steps:
            for read in (*scheduled.inputs, *scheduled.befores):
                if isinstance(read, Operand):
                    yield read
                elif isinstance(read, Value) and read.producer is None:
                    yield read.operand
            yield from (value.operand for value in scheduled.outputs if value.is_stored)

    def view(self, operand: Operand) -> View:
        key = (operand.value, operand.strides, operand.offset)
        if key not in self.views:
            self.views[key] = self.emitter.view(operand, self.group.extents, self.loop)
        return self.views[key]

    # Elements

    def fetched(self, operand: Operand, spot: Spot, at: Mapping[int, Index]) -> SSAValue:
        view = self.view(operand)
        if spot.lanes is None or not operand.strides[self.loop]:
            return self.emitter.load(view, at)
        return self.emitter.load_vector(view, self.emitter.indices(view, at), spot.lanes, spot.mask)

    def put(
        self, value: SSAValue, operand: Operand, spot: Spot, at: Mapping[int, Index], streams: bool = False
    ) -> None:
        view = self.view(operand)
        if spot.lanes is None:
            self.emitter.store(value, view, at)
            return
        value = self.spread(value, spot.lanes)
        indices = self.emitter.indices(view, at)
        if streams and spot.mask is None:
            self.emitter.stream_vector(value, view, indices)
        else:
            self.emitter.store_vector(value, view, indices, spot.mask)

    def streams(self, value: Value) -> bool:
        """Whether a value is stored past the caches: it would drive everything else out, and nothing here reads it.

        Each vector is whole cache lines, then: of a buffer that starts at one, at a multiple of a line's elements.
        """
        operand = value.operand
        if any(sweep > value.sweep for sweep in value.needed):
            return False
        whole = cast("MemRefType[Attribute]", root(operand.value).type)
        line = 8 * ALIGNMENT // bits_of(operand.element)
        starts = [operand.offset, *(stride for loop, stride in enumerate(operand.strides) if loop != self.loop)]
        is_aligned = self.lanes % line == 0 and not any(start % line for start in starts)
        return is_aligned and isinstance(whole.layout, NoneAttr) and byte_size(whole) >= self.machine.third_cache

    def fetch_ahead(self, operands: Sequence[Operand], at: Mapping[int, Index]) -> None:
        """Have what a vector of these operands will be read from fetched into the first cache."""
        for operand in operands:
            self.emitter.prefetch(self.view(operand), at)

    def read_next(self, *rows: int) -> list[Operand]:
        """What the first sweep reads along the columns, another part for each of these rows, from beyond the caches."""
        found = dict[tuple[SSAValue, tuple[int, ...], int], Operand]()
        for each in self.plan.sweep(0):
            for read in (*each.inputs, *each.befores):
                operand = read.operand if isinstance(read, Value) and read.producer is None else read
                if isinstance(operand, Operand) and all(operand.strides[loop] for loop in (self.loop, *rows)):
                    found[operand.value, operand.strides, operand.offset] = operand
        far = self.machine.second_cache // 2 if self.plan.sweeps > 1 else self.machine.third_cache
        return [each for each in found.values() if byte_size(cast("Any", each.value.type)) >= far]

    def in_scratch(self, value: Value, spot: Spot) -> Mapping[int, Index]:
        """Indices of a value that waits for a later sweep: into a buffer of the rows at hand, or into its home."""
        return spot.at if value in self.homes else {**spot.at, **spot.local}

    def spread(self, value: SSAValue, lanes: int) -> SSAValue:
        """A vector as it is, a scalar in all lanes."""
        if isinstance(value.type, VectorType):
            return value
        match value.owner:
            case arith.ConstantOp(value=attribute) if not isinstance(value.type, VectorType):
                number = cast(IntegerAttr, attribute).value.data  # pyright: ignore[reportUnknownMemberType]
                return self.emitter.number(number, VectorType(value.type, (lanes,)))
            case _:
                pass
        key = (value, self.emitter.block)
        if key not in self.splats:
            self.splats[key] = self.emitter.splat(value, lanes)
        return self.splats[key]

    def value_of(self, wanted: Value | Operand | SSAValue, spot: Spot) -> SSAValue:
        match wanted:
            case Value():
                if wanted not in spot.known and wanted in self.scratch:
                    spot.known[wanted] = self.fetched(self.scratch[wanted], spot, self.in_scratch(wanted, spot))
                elif wanted not in spot.known:
                    spot.known[wanted] = self.fetched(wanted.operand, spot, spot.at)
                return spot.known[wanted]
            case Operand(value, strides, offset):
                key = (value, strides, offset)
                if key not in spot.loaded:
                    spot.loaded[key] = self.fetched(wanted, spot, spot.at)
                return spot.loaded[key]
            case _:
                return wanted

    # Steps

    def results(self, scheduled: Scheduled, spot: Spot) -> list[SSAValue]:
        """What a step yields at a spot; for a fold, the value of the element that it folds."""
        step = scheduled.step
        if isinstance(step.op, linalg.ops.FillOp):
            return [self.value_of(scheduled.inputs[0], spot)]
        body = step.op.body.block
        values: dict[SSAValue, SSAValue] = {}
        for argument, wanted in zip(body.args, (*scheduled.inputs, *scheduled.befores)):
            if wanted is not None and argument.uses and not (step.fold and argument is body.args[-1]):
                values[argument] = self.value_of(wanted, spot)
        for op in body.ops:
            if isinstance(op, linalg.ops.YieldOp):
                yielded = [step.fold.value] if step.fold else op.operands
                return [values.get(value, value) for value in yielded]
            if isinstance(op, linalg.ops.IndexOp):
                if not all(isinstance(use.operation, arith.IndexCastOp) for use in op.result.uses):
                    values[op.result] = self.position(step.loops[op.dim.value.data], spot, INDEX)
            elif isinstance(op, arith.IndexCastOp) and isinstance(op.input.owner, linalg.ops.IndexOp):
                loop = step.loops[op.input.owner.dim.value.data]
                values[op.result] = self.position(loop, spot, op.result.type)
            elif step.fold is None or op is not step.fold.combine:
                values[op.results[0]] = self.computed(op, [values.get(value, value) for value in op.operands], spot)
        raise AssertionError("a body without a yield")

    def computed(self, op: Operation, operands: Sequence[SSAValue], spot: Spot) -> SSAValue:
        """An op of a body on other operands: on vectors if one of them is a vector."""
        types = [result.type for result in op.results]
        if any(isinstance(operand.type, VectorType) for operand in operands):
            assert spot.lanes is not None
            operands = [self.spread(operand, spot.lanes) for operand in operands]
            types = [VectorType(type_, (spot.lanes,)) for type_ in types]
        made = LANEWISE.get(type(op), type(op)).create(
            operands=operands, result_types=types, properties=op.properties, attributes=op.attributes
        )
        return self.emitter.add(made).results[0]

    def position(self, loop: int, spot: Spot, element: Attribute) -> SSAValue:
        """The index of a loop of the group, in this type: where vectors run along it, one for each lane."""
        start = self.emitter.index(spot.at.get(loop, 0) if loop >= 0 else 0)
        if element != INDEX:
            start = self.emitter.add(arith.IndexCastOp.create(operands=(start,), result_types=(element,))).results[0]
        if loop < 0 or loop != self.loop or spot.lanes is None:
            return start
        type_ = VectorType(cast("IntegerType", element), (spot.lanes,))
        numbers = DenseIntOrFPElementsAttr.from_list(type_, list(range(spot.lanes)))
        steps = arith.ConstantOp.create(result_types=(type_,), properties={"value": numbers})
        operands = (self.emitter.splat(start, spot.lanes), self.emitter.add(steps).results[0])
        plus = arith.AddiOp.create(operands=operands, result_types=(type_,), properties=NO_FLAGS)
        return self.emitter.add(plus).results[0]

    def do(self, scheduled: Scheduled, spot: Spot) -> None:
        """A step that does not fold, at a spot."""
        for value, result in zip(scheduled.outputs, self.results(scheduled, spot)):
            spot.known[value] = result
            if value.has_columns and value.is_stored:
                self.put(result, value.operand, spot, spot.at, self.streams(value))
            if value in self.scratch:
                self.put(result, self.scratch[value], spot, self.in_scratch(value, spot))

    # Folds

    def begin(self, fold: Fold, count: int) -> Partial:
        type_ = VectorType(fold.value.type, (self.lanes,))
        vectors = [self.emitter.number(neutral_of(fold), type_)] * count
        flags = self.emitter.number(0, VectorType(i1, (self.lanes,))) if fold.kind in EXTREMES else None
        return Partial(vectors, flags)

    def gathered(
        self, fold: Fold, partial: Partial, values: Sequence[SSAValue], masks: Sequence[SSAValue | None]
    ) -> Partial:
        """Fold a value into each of the first vectors of a partial result."""
        type_ = VectorType(fold.value.type, (self.lanes,))
        values = [self.spread(value, self.lanes) for value in values]
        rest = self.emitter.number(neutral_of(fold), type_) if any(mask is not None for mask in masks) else None
        for place, mask in enumerate(masks):
            if mask is not None and rest is not None:
                choice = SelectOp.create(operands=(mask, values[place], rest), result_types=(type_,))
                values[place] = self.emitter.add(choice).results[0]
        vectors = list(partial.vectors)
        invalid = partial.invalid
        for place, value in enumerate(values):
            vectors[place] = self.folded(fold, vectors[place], value)
            if invalid is not None and place % 2 == 0:  # one comparison finds NaN in two vectors
                flags = self.compared("uno", value, values[min(place + 1, len(values) - 1)])
                either = arith.OrIOp.create(operands=(invalid, flags), result_types=(invalid.type,))
                invalid = self.emitter.add(either).results[0]
        return Partial(vectors, invalid)

    def compared(self, predicate: str, x: SSAValue, y: SSAValue) -> SSAValue:
        properties = {"predicate": IntegerAttr(FLOAT_PREDICATES[predicate], i64), "fastmath": STRICT}
        made = CmpfOp.create(operands=(x, y), result_types=(like(x.type, i1),), properties=properties)
        return self.emitter.add(made).results[0]

    def folded(self, fold: Fold, total: SSAValue, value: SSAValue) -> SSAValue:
        """combine(total, value); NaN, which EXTREMES keep apart, is ignored by them."""
        if fold.kind in EXTREMES:
            better = self.compared(EXTREMES[fold.kind][0], value, total)
            made = SelectOp.create(operands=(better, value, total), result_types=(value.type,))
        else:
            made = type(fold.combine).create(
                operands=(total, value), result_types=(value.type,), properties=fold.combine.properties
            )
        return self.emitter.add(made).results[0]

    def across_lanes(self, fold: Fold, partial: Partial) -> SSAValue:
        """All that a partial result holds as one number."""
        vectors = partial.vectors
        while len(vectors) > 1:
            half = (len(vectors) + 1) // 2
            pairs = [self.folded(fold, x, y) for x, y in zip(vectors, vectors[half:])]
            vectors = [*pairs, *vectors[len(pairs) : half]]
        kind = EXTREMES[fold.kind][1] if fold.kind in EXTREMES else fold.kind
        number = self.reduction(kind, vectors[0], NO_NAN if fold.kind in EXTREMES else ANY_ORDER)
        return number if partial.invalid is None else self.unless(self.reduction("or", partial.invalid, STRICT), number)

    def unless(self, invalid: SSAValue, value: SSAValue) -> SSAValue:
        """The value, but NaN where there was one."""
        operands = (invalid, self.emitter.number(nan, value.type), value)
        return self.emitter.add(SelectOp.create(operands=operands, result_types=(value.type,))).results[0]

    def reduction(self, kind: str, value: SSAValue, fastmath: Attribute) -> SSAValue:
        flags = fastmath if isinstance(element_of(value.type), AnyFloat) else STRICT
        return self.emitter.reduction(kind, value, flags)

    def finished(self, scheduled: Scheduled, number: SSAValue, spot: Spot) -> None:
        """Combine a fold's result with what it starts from."""
        fold = scheduled.step.fold
        assert fold is not None
        before = scheduled.befores[0]
        assert before is not None
        start = self.value_of(before, spot)
        if spot.lanes is not None:
            start = self.spread(start, spot.lanes)
        made = type(fold.combine).create(
            operands=(start, number), result_types=(number.type,), properties=fold.combine.properties
        )
        spot.known[scheduled.outputs[0]] = self.emitter.add(made).results[0]

    # Rows

    def allocate(self, columns: Sequence[int], row: int | None, count: int) -> None:
        """Buffers for what a later sweep needs, of as many rows of a loop as are done together.

        Along rows these lie side by side, else one after another.
        """
        sizes = {loop: self.group.extents[loop] for loop in columns}
        if row is not None:
            sizes = {row: count, **sizes} if row != self.loop else {**sizes, row: count}
        for scheduled in self.plan.steps:
            for value in scheduled.outputs:
                if value.crosses and not value.is_stored and not self.finds_home(value):
                    strides = [0] * len(self.group.extents)
                    step = 1
                    for loop, size in reversed(sizes.items()):
                        strides[loop] = step
                        step *= size
                    buffer = self.emitter.buffer(value.operand.element, (step,))
                    self.scratch[value] = Operand(buffer, tuple(strides))
                    self.views[buffer, tuple(strides), 0] = self.scratch_view(buffer, strides, sizes)

    def finds_home(self, value: Value) -> bool:
        """Keep a value where a result will be, if there is such a place along memory that the caches are to hold."""
        if value in self.homes:
            return True
        home = self.plan.home(value) if self.group.is_column[self.loop] else None
        if home is None or home in self.homes.values() or self.streams(home):
            return False
        self.homes[value] = home
        self.scratch[value] = home.operand
        return True

    def scratch_view(self, buffer: SSAValue, strides: Sequence[int], sizes: Mapping[int, int]) -> View:
        """A buffer of the rows at hand as the loops see it."""
        extents = [sizes.get(loop, extent) for loop, extent in enumerate(self.group.extents)]
        return self.emitter.view(Operand(buffer, tuple(strides)), extents, self.loop)

    def store_rows(self, spot: Spot) -> None:
        for scheduled in self.plan.steps:
            for value in scheduled.outputs:
                if value.is_stored and not value.has_columns:
                    self.put(spot.known[value], value.operand, spot, spot.at)


LANEWISE: dict[type[Operation], type[Operation]] = {
    arith.SelectOp: SelectOp,
    arith.CmpfOp: CmpfOp,
    arith.CmpiOp: CmpiOp,
}
"""Ops that xDSL has on single numbers only."""
NO_FLAGS = {"overflowFlags": arith.IntegerOverflowAttr("none")}


def neutral_of(fold: Fold) -> float | int:
    name, unsigned = NEUTRAL[fold.kind]
    return neutral(name, fold.value.type, unsigned)
