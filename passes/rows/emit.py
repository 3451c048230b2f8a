"""Emission: the loops of a planned group, over vectors.

Along its columns a row is taken vector by vector, and what folds it keeps several vectors of partial results; or, where
memory runs along the rows, a vector holds the same column of as many rows. A row of few vectors is held in
registers from the first sweep to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, cast

from xdsl.dialects import arith, linalg, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    MemRefType,
    NoneAttr,
    VectorType,
    i1,
    i64,
)
from xdsl.dialects.utils import FastMathFlag
from xdsl.dialects.vector import CombiningKindAttr, CombiningKindFlag
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

RESIDENT_VECTORS = 8
"""A row of this many vectors stays in registers."""
RESIDENT_OPS = 400
"""Operations that a row in registers may take, for there is no loop over its columns."""
UNROLL = 4
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
    """How many of the widest elements fill a vector; fewer where the loop is shorter."""
    bits = max(bits_of(operand.element) for step in group.steps for operand in step.operands)
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
    local: int = 0
    """Where a vector along rows is in a buffer of as many rows as are done together."""
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

    def read_next(self, row: int) -> list[Operand]:
        """What the first sweep reads along the columns, another part for each of these rows, from beyond the caches."""
        found = dict[tuple[SSAValue, tuple[int, ...], int], Operand]()
        for each in self.plan.sweep(0):
            for read in (*each.inputs, *each.befores):
                operand = read.operand if isinstance(read, Value) and read.producer is None else read
                if isinstance(operand, Operand) and operand.strides[self.loop] and operand.strides[row]:
                    found[operand.value, operand.strides, operand.offset] = operand
        far = self.machine.second_cache // 2 if self.plan.sweeps > 1 else self.machine.third_cache
        return [each for each in found.values() if byte_size(cast("Any", each.value.type)) >= far]

    def in_scratch(self, spot: Spot) -> Mapping[int, Index]:
        """Indices into a buffer of the rows at hand."""
        return spot.at if self.group.is_column[self.loop] else {**spot.at, self.loop: spot.local}

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
                    spot.known[wanted] = self.fetched(self.scratch[wanted], spot, self.in_scratch(spot))
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
                values[op.result] = self.position(step.loops[op.dim.value.data], spot)
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

    def position(self, loop: int, spot: Spot) -> SSAValue:
        """The index of a loop of the group: where vectors run along it, one for each lane."""
        if loop < 0:
            return self.emitter.index(0)
        start = self.emitter.index(spot.at.get(loop, 0))
        if loop != self.loop or spot.lanes is None:
            return start
        type_ = VectorType(INDEX, (spot.lanes,))
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
                self.put(result, self.scratch[value], spot, self.in_scratch(spot))

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
        properties = {"kind": CombiningKindAttr(CombiningKindFlag(kind)), "fastmath": flags}
        made = vector.ReductionOp.create(
            operands=(value,), result_types=(element_of(value.type),), properties=properties
        )
        return self.emitter.add(made).results[0]

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

    def allocate(self, columns: Sequence[int], width: int) -> None:
        """Buffers of one row (of `width` rows side by side) for what a later sweep needs."""
        sizes = [self.group.extents[loop] for loop in columns]
        for scheduled in self.plan.steps:
            for value in scheduled.outputs:
                if value.crosses and not value.is_stored:
                    strides = [0] * len(self.group.extents)
                    step = width
                    if width > 1:
                        strides[self.loop] = 1
                    for loop, size in zip(reversed(columns), reversed(sizes)):
                        strides[loop] = step
                        step *= size
                    buffer = self.emitter.buffer(value.operand.element, (step,))
                    self.scratch[value] = Operand(buffer, tuple(strides))
                    self.views[buffer, tuple(strides), 0] = self.scratch_view(buffer, strides, width)

    def scratch_view(self, buffer: SSAValue, strides: Sequence[int], width: int) -> View:
        """A buffer of one row, or of `width` rows side by side, as the loops see it."""
        extents = list(self.group.extents)
        if not self.group.is_column[self.loop]:
            extents[self.loop] = width
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


def emit(emitter: Emitter, plan: Plan, machine: Machine, loop: int) -> None:
    """The loops of a plan, before the op of the emitter."""
    group = plan.group
    rows = RowEmitter(emitter, plan, machine, loop)

    def nested(left: Sequence[int], at: Mapping[int, Index]) -> None:
        if left:
            with emitter.loop(group.extents[left[0]], parallel=True) as index:
                nested(left[1:], {**at, left[0]: index})
        elif group.is_column[loop]:
            along(rows, at)
        else:
            across(rows, at)

    nested([row for row in group.rows if row != loop], {})


def along(rows: RowEmitter, at: Mapping[int, Index]) -> None:
    """One row, its vectors along the innermost columns."""
    group, plan = rows.group, rows.plan
    count = -(-group.extents[rows.loop] // rows.lanes)
    ops = sum(len(list(each.step.op.walk())) for each in plan.steps if each.step.is_full)
    if len(group.columns) == 1 and count <= RESIDENT_VECTORS and ops * count <= RESIDENT_OPS:
        resident(rows, at, count)
        return
    rows.allocate(group.columns, 1)
    row = Spot(at, None)
    ahead = Ahead.of(rows, at)
    for number in range(plan.sweeps):
        for each in plan.between(number):
            rows.do(each, row)
        fetched = ahead if number == min(1, plan.sweeps - 1) else None
        for (each, _), partial in swept(rows, number, at, row, fetched).items():
            fold = each.step.fold
            assert fold is not None
            rows.finished(each, rows.across_lanes(fold, partial), row)
    for each in plan.between(plan.sweeps):
        rows.do(each, row)
    rows.store_rows(row)


def across(rows: RowEmitter, at: Mapping[int, Index]) -> None:
    """All rows along which memory runs, some vectors of them at a time."""
    emitter, lanes = rows.emitter, rows.lanes
    size = rows.group.extents[rows.loop]
    unroll = UNROLL if rows.group.columns else unroll_of(rows.plan.sweep(0))
    wide = min(unroll, max(1, size // lanes))
    whole = size // (lanes * wide) * lanes * wide
    if whole:
        with emitter.loop(whole, lanes * wide, parallel=True) as index:
            rows_together(rows, at, [emitter.plus(index, place * lanes) for place in range(wide)], None)
    if offsets := list(range(whole, size, lanes)):
        mask = emitter.mask(size % lanes, lanes) if size % lanes else None
        rows_together(rows, at, offsets, mask)


def rows_together(rows: RowEmitter, at: Mapping[int, Index], offsets: Sequence[Index], last: SSAValue | None) -> None:
    """The rows of some vectors, the last of which may be masked."""
    group, plan, lanes = rows.group, rows.plan, rows.lanes
    rows.allocate(group.columns, lanes * len(offsets))
    spots = [
        Spot({**at, rows.loop: j}, lanes, last if place == len(offsets) - 1 else None, local=place * lanes)
        for place, j in enumerate(offsets)
    ]
    for number in range(plan.sweeps + 1):
        for each in plan.between(number):
            for spot in spots:
                rows.do(each, spot)
        members = plan.sweep(number)
        state: State = {
            (each, place): rows.begin(each.step.fold, 1)
            for each in members
            if each.step.fold
            for place in range(len(spots))
        }

        def visited(inner: Mapping[int, Index], state: State, members: Sequence[Scheduled] = members) -> State:
            state = dict(state)
            here = [
                Spot({**spot.at, **inner}, lanes, spot.mask, dict(spot.known), spot.local, dict(spot.loaded))
                for spot in spots
            ]
            for each in members:
                if each.step.fold is None:
                    for spot in here:
                        rows.do(each, spot)
                    continue
                for place, spot in enumerate(here):
                    value = rows.results(each, spot)
                    state[each, place] = rows.gathered(each.step.fold, state[each, place], value, [None])
            return state

        for (each, place), partial in through(rows, group.columns, {}, state, visited).items():
            (total,) = partial.vectors
            total = total if partial.invalid is None else rows.unless(partial.invalid, total)
            rows.finished(each, total, spots[place])
    for spot in spots:
        rows.store_rows(spot)


@dataclass(frozen=True)
class Ahead:
    """The next row, which the second sweep over this one has fetched: the first is bound by memory, the others are not.

    A single sweep does it itself, over rows that lie in memory: the processor's own prefetching ends with each page.
    """

    operands: Sequence[Operand]
    row: Mapping[int, Index]

    @staticmethod
    def of(rows: RowEmitter, at: Mapping[int, Index]) -> Ahead | None:
        """None where there is no next row, or where all rows are near; the last row counts as its own next."""
        group, emitter = rows.group, rows.emitter
        if not group.rows or not (operands := rows.read_next(group.rows[-1])):
            return None
        row = group.rows[-1]
        return Ahead(operands, {row: emitter.least(emitter.plus(at[row], 1), group.extents[row] - 1)})


def swept(rows: RowEmitter, number: int, at: Mapping[int, Index], row: Spot, ahead: Ahead | None = None) -> State:
    """One sweep over a row; what its folds have gathered."""
    emitter, group, lanes = rows.emitter, rows.group, rows.lanes
    members = rows.plan.sweep(number)
    size = group.extents[rows.loop]
    unroll = min(unroll_of(members), max(1, size // lanes))
    begun: State = {(each, 0): rows.begin(each.step.fold, unroll) for each in members if each.step.fold}

    def vectors(inner: Mapping[int, Index], offsets: Sequence[Index], last: SSAValue | None, state: State) -> State:
        spots = [
            Spot({**inner, rows.loop: j}, lanes, last if place == len(offsets) - 1 else None, dict(row.known))
            for place, j in enumerate(offsets)
        ]
        masks = [spot.mask for spot in spots]
        state = dict(state)
        if ahead is not None:
            for spot in spots:
                rows.fetch_ahead(ahead.operands, {**spot.at, **ahead.row})
        for each in members:
            if each.step.fold is None:
                for spot in spots:
                    rows.do(each, spot)
            else:
                values = [rows.results(each, spot)[0] for spot in spots]
                state[each, 0] = rows.gathered(each.step.fold, state[each, 0], values, masks)
        return state

    def line(inner: Mapping[int, Index], state: State) -> State:
        whole = size // (lanes * unroll) * unroll * lanes

        def body(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            offsets = [emitter.plus(index, place * lanes) for place in range(unroll)]
            return flat(vectors(inner, offsets, None, unflat(state, carried)))

        state = unflat(state, emitter.fold(whole, flat(state), body, step=unroll * lanes))
        offsets = list(range(whole, size, lanes))
        if offsets:
            mask = emitter.mask(size % lanes, lanes) if size % lanes else None
            state = vectors(inner, offsets, mask, state)
        return state

    return through(rows, [loop for loop in group.columns if loop != rows.loop], at, begun, line)


State = dict[tuple[Scheduled, int], Partial]
"""What the folds of a sweep have gathered so far, those along rows for each vector of rows."""


def through(
    rows: RowEmitter,
    loops: Sequence[int],
    at: Mapping[int, Index],
    state: State,
    visit: Callable[[Mapping[int, Index], State], State],
) -> State:
    """Visit every point of some loops, the first outermost, carrying the state."""
    if not loops:
        return visit(at, state)

    def body(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return flat(through(rows, loops[1:], {**at, loops[0]: index}, unflat(state, carried), visit))

    return unflat(state, rows.emitter.fold(rows.group.extents[loops[0]], flat(state), body))


def flat(state: State) -> list[SSAValue]:
    return [value for partial in state.values() for value in partial.values]


def unflat(state: State, values: Sequence[SSAValue]) -> State:
    found: State = {}
    place = 0
    for each, partial in state.items():
        count = len(partial.values)
        found[each] = partial.with_values(values[place : place + count])
        place += count
    return found


def unroll_of(members: Sequence[Scheduled]) -> int:
    """Vectors of a sweep's iteration: half as many where a function is computed, which keeps the core busy."""
    computes = any(op.name.startswith("math.") for each in members for op in each.step.op.walk())
    return UNROLL // 2 if computes else UNROLL


def resident(rows: RowEmitter, at: Mapping[int, Index], count: int) -> None:
    """One row of few vectors, all in registers."""
    plan, lanes = rows.plan, rows.lanes
    size = rows.group.extents[rows.loop]
    mask = rows.emitter.mask(size % lanes, lanes) if size % lanes else None
    row = Spot(at, None)
    spots = [
        Spot({**at, rows.loop: place * lanes}, lanes, mask if place == count - 1 else None) for place in range(count)
    ]
    masks = [spot.mask for spot in spots]
    for number in range(plan.sweeps + 1):
        for each in plan.between(number):
            rows.do(each, row)
        for spot in spots:
            spot.known |= row.known
        for each in plan.sweep(number):
            if each.step.fold is None:
                for spot in spots:
                    rows.do(each, spot)
                continue
            fold = each.step.fold
            values = [rows.results(each, spot)[0] for spot in spots]
            partial = rows.begin(fold, min(count, UNROLL))
            for start in range(0, count, UNROLL):
                part = slice(start, start + UNROLL)
                partial = rows.gathered(fold, partial, values[part], masks[part])
            rows.finished(each, rows.across_lanes(fold, partial), row)
    rows.store_rows(row)
