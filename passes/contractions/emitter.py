"""Emission: loops, views and vectors as ops, made with as little work as xDSL allows.

A view is a buffer seen by loops: one dimension for each loop that moves it. Indices are known numbers (which the
printers of machine code fold into addresses) or values.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import copysign
from typing import cast

from xdsl.dialects import arith, linalg, memref, scf, vector
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyFloat,
    BoolAttr,
    DenseArrayBase,
    FixedBitwidthType,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    MemRefType,
    NoneAttr,
    StridedLayoutAttr,
    UnitAttr,
    VectorType,
    i32,
    i64,
)
from xdsl.dialects.vector import CombiningKindAttr, CombiningKindFlag
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from xmlc.dialects.lanewise import CmpiOp, SelectOp
from xmlc.dialects.memref import NEAREST, PrefetchOp, hints
from xmlc.passes.contractions.recognise import Operand
from xmlc.passes.index_arithmetic import Index, IndexConstants, unwrapped
from xmlc.passes.memory import ALIGNMENT, array_type
from xmlc.passes.number import INTEGER_PREDICATES, constant_attribute, element_of, like
from xmlc.passes.schedule import PARALLEL
from xmlc.passes.views import buffer_type

INDEX = IndexType()
TEMPORAL = {"nontemporal": BoolAttr.from_bool(False)}
STREAMED = {"nontemporal": BoolAttr.from_bool(True)}
UNROLL = "xmlc.unroll"
CACHE_LINE = 64
"""Bytes."""
EQUAL, LESS = INTEGER_PREDICATES["eq"], INTEGER_PREDICATES["lt"]


@dataclass(frozen=True)
class View:
    """A buffer indexed by loops, the last of them the one that moves it least.

    `step` is 2 where every other element along the last dimension is wanted: that dimension then holds all of them.
    `unsigned` is what its operand says of integers.
    """

    value: SSAValue
    loops: tuple[int, ...]
    strides: tuple[int, ...]
    step: int = 1
    unsigned: bool = False

    @property
    def element(self) -> Attribute:
        return cast(MemRefType[Attribute], self.value.type).element_type


def whole_view(value: SSAValue) -> View:
    """A buffer whose dimensions are its loops."""
    strides = buffer_type(value).get_strides()
    assert strides is not None
    return View(value, tuple(range(len(strides))), tuple(stride or 0 for stride in strides))


def bits_of(element: Attribute) -> int:
    assert isinstance(element, FixedBitwidthType)
    return element.bitwidth


class Emitter:
    """Puts ops before one op, or into the loop that is open."""

    def __init__(self, op: Operation, constants: IndexConstants):
        self.op = op
        self.constants = constants
        self.location = op.location
        self.block: Block | None = None
        self._numbers: dict[tuple[float, float, Attribute], SSAValue] = {}
        self._first: Operation | None = None

    # Ops

    def add(self, op: Operation) -> Operation:
        op.location = self.location
        if self.block is None:
            assert self.op.parent is not None
            self.op.parent.insert_op_before(op, self.op)
            self._first = self._first or op
        else:
            self.block.add_op(op)
        return op

    def index(self, value: Index) -> SSAValue:
        return self.constants.as_value(value)

    def arithmetic(self, kind: type[Operation], x: Index, y: Index) -> SSAValue:
        operands = (self.index(x), self.index(y))
        return self.add(kind.create(operands=operands, result_types=(INDEX,), properties=unwrapped(kind))).results[0]

    def plus(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        return y if x == 0 else x if y == 0 else self.arithmetic(arith.AddiOp, x, y)

    def times(self, x: Index, y: int) -> Index:
        if isinstance(x, int):
            return x * y
        return x if y == 1 else self.arithmetic(arith.MuliOp, x, y)

    def less(self, x: Index, y: Index) -> Index:
        """x - y"""
        if isinstance(x, int) and isinstance(y, int):
            return x - y
        return x if y == 0 else self.arithmetic(arith.SubiOp, x, y)

    def least(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return self.arithmetic(arith.MinSIOp, x, y)

    def rounded_up(self, x: Index, unit: int) -> Index:
        """How many units it takes to hold x."""
        if isinstance(x, int):
            return -(-x // unit)
        if unit == 1:
            return x
        return self.arithmetic(arith.DivUIOp, self.plus(x, unit - 1), unit)

    def number(self, value: float, type_: Attribute) -> SSAValue:
        """A constant, scalar or vector, made once, before all loops."""
        value = int(value) if isinstance(element_of(type_), IntegerType) else float(value)
        key = (value, copysign(1.0, value), type_)
        if key not in self._numbers:
            constant = arith.ConstantOp.create(
                result_types=(type_,), properties={"value": constant_attribute(value, type_)}
            )
            constant.location = self.location
            first = self._first or self.op
            assert first.parent is not None
            first.parent.insert_op_before(constant, first)
            self._numbers[key] = constant.result
        return self._numbers[key]

    # Loops

    @contextmanager
    def loop(self, stop: Index, step: int = 1, parallel: bool = False) -> Generator[Index]:
        """for index in range(0, stop, step); no loop where it would run once. `parallel` is what PARALLEL says."""
        if isinstance(stop, int) and stop <= step:
            yield 0
            return
        body = Block(arg_types=(INDEX,))
        operands = (self.constants[0], self.index(stop), self.constants[step])
        found = self.add(scf.ForOp.create(operands=operands, regions=(Region(body),)))
        if parallel:
            found.attributes[PARALLEL] = UnitAttr()
        outside, self.block = self.block, body
        yield body.args[0]
        body.add_op(scf.YieldOp.create(location=self.location))
        self.block = outside

    def fold(
        self,
        stop: Index,
        carried: Sequence[SSAValue],
        body: Callable[[Index, Sequence[SSAValue]], Sequence[SSAValue]],
        step: int = 1,
        unroll: int = 0,
    ) -> Sequence[SSAValue]:
        """Carry values through a loop: what `body` returns goes into the next iteration."""
        if isinstance(stop, int) and stop <= step:
            return body(0, carried) if stop > 0 else carried
        types = [value.type for value in carried]
        block = Block(arg_types=(INDEX, *types))
        operands = (self.constants[0], self.index(stop), self.constants[step], *carried)
        found = self.add(scf.ForOp.create(operands=operands, result_types=types, regions=(Region(block),)))
        if unroll:
            found.attributes[UNROLL] = IntegerAttr(unroll, i32)
        outside, self.block = self.block, block
        results = body(block.args[0], block.args[1:])
        block.add_op(scf.YieldOp.create(operands=results, location=self.location))
        self.block = outside
        return found.results

    def choose(
        self,
        condition: SSAValue,
        yes: Callable[[], Sequence[SSAValue]],
        no: Callable[[], Sequence[SSAValue]],
        types: Sequence[Attribute],
    ) -> Sequence[SSAValue]:
        """What one of two bodies returns, of these types."""
        outside = self.block
        regions: list[Region] = []
        for body in (yes, no):
            self.block = Block()
            results = body()
            self.block.add_op(scf.YieldOp.create(operands=results, location=self.location))
            regions.append(Region(self.block))
        self.block = outside
        return self.add(scf.IfOp.create(operands=(condition,), result_types=types, regions=regions)).results

    def compared(self, kind: int, x: Index, y: Index) -> SSAValue:
        """Two indices compared by a predicate of arith.cmpi."""
        op = CmpiOp.create(
            operands=(self.index(x), self.index(y)),
            result_types=(IntegerType(1),),
            properties={"predicate": IntegerAttr(kind, i64)},
        )
        return self.add(op).results[0]

    def unless_after(self, index: Index, end: int, value: SSAValue) -> SSAValue:
        """The value if the index is before the end, else zero."""
        operands = (self.compared(LESS, index, end), value, self.number(0, value.type))
        return self.add(SelectOp.create(operands=operands, result_types=(value.type,))).results[0]

    # Buffers

    def buffer(self, element: Attribute, shape: Sequence[int]) -> SSAValue:
        """Workspace: plan-memory places it in the arena."""
        return self.add(
            memref.AllocOp.create(
                result_types=(MemRefType(element, shape),),
                properties={
                    "alignment": IntegerAttr(ALIGNMENT, i64),
                    "operandSegmentSizes": array_type((0, 0)),
                },
            )
        ).results[0]

    def view(self, operand: Operand, extents: Sequence[int], last: int | None = None) -> View:
        """The operand as its loops see it; `last` is the loop that goes last if it moves the operand at all."""
        loops = [loop for loop, stride in enumerate(operand.strides) if stride and loop != last]
        loops.sort(key=lambda loop: -abs(operand.strides[loop]))
        if last is not None and operand.strides[last]:
            loops.append(last)
        strides = [operand.strides[loop] for loop in loops]
        sizes = [extents[loop] for loop in loops]
        step = 1
        if last is not None and loops and loops[-1] == last and strides[-1] == 2:
            step, strides[-1], sizes[-1] = 2, 1, 2 * sizes[-1] - 1
        whole = cast(MemRefType[Attribute], operand.value.type)
        if tuple(sizes) == tuple(whole.get_shape()) and operand.offset == 0 and is_row_major(sizes, strides):
            return View(operand.value, tuple(loops), tuple(strides), step, operand.unsigned)
        type_ = MemRefType(operand.element, sizes, StridedLayoutAttr(strides, operand.offset))
        cast_ = memref.ReinterpretCastOp.create(
            operands=(operand.value,),
            result_types=(type_,),
            properties={
                "static_offsets": array_type((operand.offset,), i64),
                "static_sizes": array_type(sizes, i64),
                "static_strides": array_type(strides, i64),
                "operandSegmentSizes": array_type((1, 0, 0, 0)),
            },
        )
        return View(self.add(cast_).results[0], tuple(loops), tuple(strides), step, operand.unsigned)

    def corner(self, view: View, at: Mapping[int, Index], sizes: Mapping[int, Index]) -> View:
        """The part of a view that starts `at` these indices of its loops, of these sizes (one where not told)."""
        if not any(at.get(loop, 0) != 0 for loop in view.loops):
            return view
        offsets: list[Index] = []
        extents: list[Index] = []
        for place, loop in enumerate(view.loops):
            step = view.step if place == len(view.loops) - 1 else 1
            size = sizes.get(loop, 1)
            offsets.append(self.times(at.get(loop, 0), step))
            extents.append(self.plus(self.times(self.less(size, 1), step), 1) if step != 1 else size)
        dynamic = [[each for each in part if not isinstance(each, int)] for part in (offsets, extents)]
        starts, known = (
            [each if isinstance(each, int) else DYNAMIC_INDEX for each in part] for part in (offsets, extents)
        )
        layout = StridedLayoutAttr(view.strides, self.offset_of(view, starts))
        found = memref.SubviewOp.create(
            operands=(view.value, *dynamic[0], *dynamic[1]),
            result_types=(MemRefType(view.element, known, layout),),
            properties={
                "static_offsets": array_type(starts, i64),
                "static_sizes": array_type(known, i64),
                "static_strides": array_type([1] * len(known), i64),
                "operandSegmentSizes": array_type((1, len(dynamic[0]), len(dynamic[1]), 0)),
            },
        )
        return replace(view, value=self.add(found).results[0])

    @staticmethod
    def offset_of(view: View, offsets: Sequence[int]) -> int | None:
        layout = cast(MemRefType[Attribute], view.value.type).layout
        start = layout.get_offset() if isinstance(layout, StridedLayoutAttr) else 0
        assert isinstance(layout, StridedLayoutAttr | NoneAttr)
        if start is None or DYNAMIC_INDEX in offsets:
            return None
        return start + sum(offset * stride for offset, stride in zip(offsets, view.strides))

    # Elements and vectors

    def indices(self, view: View, at: Mapping[int, Index]) -> list[SSAValue]:
        found = [self.index(at.get(loop, 0)) for loop in view.loops]
        if view.step != 1:
            found[-1] = self.index(self.times(at.get(view.loops[-1], 0), view.step))
        return found

    def load(self, view: View, at: Mapping[int, Index]) -> SSAValue:
        operands = (view.value, *self.indices(view, at))
        return self.add(
            memref.LoadOp.create(operands=operands, result_types=(view.element,), properties=TEMPORAL)
        ).results[0]

    def store(self, value: SSAValue, view: View, at: Mapping[int, Index]) -> None:
        operands = (value, view.value, *self.indices(view, at))
        self.add(memref.StoreOp.create(operands=operands, properties=TEMPORAL))

    def load_vector(self, view: View, at: Sequence[SSAValue], lanes: int, mask: SSAValue | None = None) -> SSAValue:
        type_ = VectorType(view.element, (lanes,))
        operands = (view.value, *at)
        if mask is None:
            return self.add(
                vector.LoadOp.create(operands=operands, result_types=(type_,), properties=TEMPORAL)
            ).results[0]
        other = self.number(0, type_)
        return self.add(vector.MaskedLoadOp.create(operands=(*operands, mask, other), result_types=(type_,))).results[0]

    def every_other(self, low: SSAValue, high: SSAValue) -> SSAValue:
        """Elements 0, 2, 4 … of memory that was loaded as two vectors: `high` starts with the last one of `low`."""
        type_ = cast("VectorType[Attribute]", low.type)
        (lanes,) = type_.get_shape()
        wanted = [2 * lane if 2 * lane < lanes else 2 * lane + 1 for lane in range(lanes)]
        properties = {"mask": DenseArrayBase.from_list(i64, wanted)}
        shuffle = vector.ShuffleOp.create(operands=(low, high), result_types=(type_,), properties=properties)
        return self.add(shuffle).results[0]

    def store_vector(self, value: SSAValue, view: View, at: Sequence[SSAValue], mask: SSAValue | None = None) -> None:
        if mask is None:
            self.add(vector.StoreOp.create(operands=(value, view.value, *at), properties=TEMPORAL))
        else:
            self.add(vector.MaskedStoreOp.create(operands=(view.value, *at, mask, value)))

    def stream_vector(self, value: SSAValue, view: View, at: Sequence[SSAValue]) -> None:
        """Store a vector past the caches: one of whole cache lines, in a buffer that starts at one.

        No fence follows. Where another thread is to see what was stored, both meet at a barrier or a lock first, whose
        locked instructions wait for such stores too.
        """
        store = self.add(vector.StoreOp.create(operands=(value, view.value, *at), properties=STREAMED))
        store.attributes["alignment"] = IntegerAttr(ALIGNMENT, i64)

    def prefetch(self, view: View, at: Mapping[int, Index]) -> None:
        """Ask for the cache line of an element."""
        operands = (view.value, *self.indices(view, at))
        self.add(PrefetchOp.create(operands=operands, properties=hints(NEAREST)))

    def splat(self, value: SSAValue, lanes: int) -> SSAValue:
        type_ = VectorType(value.type, (lanes,))
        return self.add(vector.BroadcastOp.create(operands=(value,), result_types=(type_,))).results[0]

    def reduction(self, kind: str, value: SSAValue, fastmath: Attribute) -> SSAValue:
        """All lanes of a vector combined: one number."""
        properties = {"kind": CombiningKindAttr(CombiningKindFlag(kind)), "fastmath": fastmath}
        types = (element_of(value.type),)
        return self.add(
            vector.ReductionOp.create(operands=(value,), result_types=types, properties=properties)
        ).results[0]

    def mask(self, count: Index, lanes: int) -> SSAValue:
        """The first `count` of the lanes."""
        type_ = VectorType(IntegerType(1), (lanes,))
        return self.add(vector.CreateMaskOp.create(operands=(self.index(count),), result_types=(type_,))).results[0]

    def widened(self, value: SSAValue, element: Attribute, unsigned: bool = False) -> SSAValue:
        """A scalar or vector as elements of type `element`."""
        narrow = element_of(value.type)
        if narrow == element:
            return value
        wide = like(value.type, element)
        if not isinstance(narrow, IntegerType):
            kind: type[Operation] = arith.ExtFOp
        else:
            kind = arith.ExtUIOp if unsigned else arith.ExtSIOp
        return self.add(kind.create(operands=(value,), result_types=(wide,))).results[0]

    def multiply_add(self, x: SSAValue, y: SSAValue, total: SSAValue) -> SSAValue:
        """x * y + total, of vectors of floats or integers"""
        kind = total.type
        if not isinstance(element_of(kind), IntegerType):
            return self.add(vector.FMAOp.create(operands=(x, y, total), result_types=(kind,))).results[0]
        product = arith.MuliOp.create(operands=(x, y), result_types=(kind,), properties=WRAPS)
        return self.sum(self.add(product).results[0], total)

    def sum(self, x: SSAValue, y: SSAValue) -> SSAValue:
        """x + y, of floats or integers, scalars or vectors"""
        if isinstance(element_of(x.type), IntegerType):
            made: Operation = arith.AddiOp.create(operands=(x, y), result_types=(x.type,), properties=WRAPS)
        else:
            made = arith.AddfOp.create(operands=(x, y), result_types=(x.type,), properties=EXACT)
        return self.add(made).results[0]

    def computed(self, body: Block, arguments: Sequence[SSAValue], lanes: int | None) -> SSAValue:
        """What a body of arithmetic yields, on vectors of this many lanes or (None) on scalars."""
        values: dict[SSAValue, SSAValue] = dict(zip(body.args, arguments))

        def value(scalar: SSAValue) -> SSAValue:
            if scalar not in values:  # from outside the body
                values[scalar] = scalar if lanes is None else self.splat(scalar, lanes)
            return values[scalar]

        for op in body.ops:
            if isinstance(op, linalg.ops.YieldOp):
                return value(op.operands[0])
            if isinstance(op, arith.ConstantOp):
                values[op.result] = self.constant_of(op, lanes)
                continue
            types = [each.type if lanes is None else VectorType(each.type, (lanes,)) for each in op.results]
            operands = [value(operand) for operand in op.operands]
            made = type(op).create(
                operands=operands, result_types=types, properties=dict(op.properties), attributes=dict(op.attributes)
            )
            values[op.results[0]] = self.add(made).results[0]
        raise AssertionError("a body without a yield")

    def constant_of(self, op: arith.ConstantOp, lanes: int | None) -> SSAValue:
        """The constant of a body, made once, before all loops."""
        attribute = op.value
        if not isinstance(attribute, IntegerAttr | FloatAttr):
            raise AssertionError(f"a scalar has no value like {attribute}")
        scalar = cast("IntegerAttr[IntegerType] | FloatAttr[AnyFloat]", attribute)
        kind: Attribute = op.result.type
        return self.number(scalar.value.data, kind if lanes is None else VectorType(kind, (lanes,)))


WRAPS = {"overflowFlags": arith.IntegerOverflowAttr("none")}
EXACT = {"fastmath": arith.FastMathFlagsAttr("none")}


def is_row_major(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    step = 1
    for size, stride in zip(reversed(sizes), reversed(strides)):
        if stride != step:
            return False
        step *= size
    return True
