"""One attention to emit: its operands as views, its sizes, and the vector operations that all schedules need.

Scores are kept in units of ln 2, so that powers of them are powers of two: queries are multiplied by log2(e) as they
are by their scale, and masks are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import e, inf, log2

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerAttr, VectorType, f32, i1, i64
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.lanewise import CmpfOp, SelectOp
from xmlc.passes.below_zero import marked
from xmlc.passes.contractions.emitter import INDEX, Emitter, View, whole_view
from xmlc.passes.index_arithmetic import Index, IndexConstants
from xmlc.passes.machine import Machine
from xmlc.passes.number import FLOAT_PREDICATES, STRICT
from xmlc.passes.views import shape_of

CONTRACT = {"fastmath": STRICT}
LARGEST_NEGATIVE = -(2 - 2**-23) * 2.0**127
"""The largest f32, below zero."""


class Attention(ABC):
    """What is known of one attention, and what builds its operations."""

    def __init__(self, op: FusedAttentionOp, machine: Machine, constants: IndexConstants):
        self.op = op
        self.emitter = Emitter(op, constants)
        self.machine = machine
        self.lanes = machine.lanes(32)
        self.vector = VectorType(f32, (self.lanes,))
        self.scaling = op.scale.value.data * log2(e)
        self.query, self.key, self.value, self.out = map(whole_view, (op.query, op.key, op.value, op.out))
        self.mask = whole_view(op.mask) if op.mask else None
        self.batches, self.heads, self.rows, self.depth = shape_of(op.query)
        self.groups, self.columns = shape_of(op.key)[1:3]
        self.width = shape_of(op.value)[3]
        self.offset = None if op.causal is None else op.offset.value.data if op.offset else 0
        shape = shape_of(op.mask) if op.mask else ()
        self.mask_differs_by_query = len(shape) > 1 and shape[-2] != 1
        self.hides = self.mask is not None or self.offset is not None

    def fits(self) -> bool:
        """Whether the schedule can do this one."""
        return True

    @abstractmethod
    def emit(self) -> None:
        """Add the loops before the op."""

    def group_of(self, head: Index) -> Index:
        """The keys and values that a head of queries looks at."""
        if self.groups == self.heads:
            return head
        return 0 if self.groups == 1 else self.emitter.arithmetic(arith.DivUIOp, head, self.heads // self.groups)

    def place_in_mask(self, mask: View, where: Mapping[int, Index]) -> dict[int, Index]:
        """Indices of a mask, aligned at its last dimension, for a batch, a head, a query and a key."""
        shape = shape_of(mask.value)
        ahead = 4 - len(shape)
        return {axis: 0 if size == 1 else where[axis + ahead] for axis, size in enumerate(shape)}

    def as_bias(self, found: SSAValue) -> SSAValue:
        """A vector of a mask as what it adds to scores: flags add 0 or -inf."""
        if found.type == self.vector:
            return self.in_units(found)
        return self.chosen(found, self.emitter.number(0, self.vector), self.emitter.number(-inf, self.vector))

    def in_units(self, bias: SSAValue) -> SSAValue:
        """A vector of a mask in units of ln 2, finite where it was: a query with all keys hidden so sees them alike."""
        lowest = self.emitter.number(-inf, self.vector)
        bound = self.emitter.number(LARGEST_NEGATIVE, self.vector)
        scaled = self.made(arith.MulfOp, bias, self.emitter.number(log2(e), self.vector))
        bounded = self.chosen(self.compared("gt", bound, scaled), bound, scaled)
        return self.chosen(self.compared("gt", bias, lowest), bounded, scaled)

    # Vectors

    def first_lanes(self, count: int) -> SSAValue | None:
        """So many lanes; None for all."""
        return None if count >= self.lanes else self.emitter.mask(count, self.lanes)

    def inside(self, start: int) -> SSAValue | None:
        """The lanes from a column on that the values have; None for all."""
        return self.first_lanes(self.width - start)

    def loaded(self, view: View, at: Mapping[int, Index], mask: SSAValue | None = None) -> SSAValue:
        return self.emitter.load_vector(view, self.emitter.indices(view, at), self.lanes, mask)

    def put(self, value: SSAValue, view: View, at: Mapping[int, Index], mask: SSAValue | None = None) -> None:
        self.emitter.store_vector(value, view, self.emitter.indices(view, at), mask)

    def made(self, kind: type[Operation], x: SSAValue, y: SSAValue) -> SSAValue:
        op = kind.create(operands=(x, y), result_types=(x.type,), properties=dict(CONTRACT))
        return self.emitter.add(op).results[0]

    def fma(self, x: SSAValue, y: SSAValue, total: SSAValue) -> SSAValue:
        op = math.FmaOp.create(operands=(x, y, total), result_types=(total.type,), properties=dict(CONTRACT))
        return self.emitter.add(op).results[0]

    def power(self, x: SSAValue, base: SSAValue) -> SSAValue:
        """2^(x - base), of a base that is no smaller"""
        shifted = self.made(arith.SubfOp, x, base)
        op = math.Exp2Op.create(operands=(shifted,), result_types=(x.type,), properties=dict(CONTRACT))
        return marked(self.emitter.add(op).results[0])

    def compared(self, predicate: str, x: SSAValue, y: SSAValue) -> SSAValue:
        properties = {"predicate": IntegerAttr(FLOAT_PREDICATES[predicate], i64), "fastmath": STRICT}
        flags = VectorType(i1, (self.lanes,))
        return self.emitter.add(CmpfOp.create(operands=(x, y), result_types=(flags,), properties=properties)).results[0]

    def chosen(self, flag: SSAValue, x: SSAValue, y: SSAValue) -> SSAValue:
        return self.emitter.add(SelectOp.create(operands=(flag, x, y), result_types=(x.type,))).results[0]

    def numbered(self, start: Index) -> SSAValue:
        """start, start + 1, ... one in each lane"""
        type_ = VectorType(INDEX, (self.lanes,))
        numbers = DenseIntOrFPElementsAttr.from_list(type_, list(range(self.lanes)))
        steps = self.emitter.add(arith.ConstantOp.create(result_types=(type_,), properties={"value": numbers}))
        operands = (self.emitter.splat(self.emitter.index(start), self.lanes), steps.results[0])
        plus = arith.AddiOp.create(
            operands=operands,
            result_types=(type_,),
            properties={"overflowFlags": arith.IntegerOverflowAttr("none")},
        )
        return self.emitter.add(plus).results[0]
