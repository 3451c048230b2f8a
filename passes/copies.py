"""Copies of ops beside an implicit builder, which would insert every op that is made: those inside regions too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from xdsl.builder import Builder, ImplicitBuilder
from xdsl.dialects.builtin import UnrealizedConversionCastOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

OpT = TypeVar("OpT", bound=Operation)
Inserted = TypeVar("Inserted", bound=Operation | Sequence[Operation])


class Nowhere(Builder):
    """Leaves what is made where it is."""

    def insert(self, op: Inserted, insertion_point: InsertPoint | None = None) -> Inserted:
        return op


def copy(op: OpT, mapping: dict[SSAValue, SSAValue]) -> OpT:
    """A copy of an op that belongs to no block, reading what `mapping` puts in the place of its operands."""
    with ImplicitBuilder(Nowhere(InsertPoint.at_end(Block()))):
        return op.clone(mapping)


def insert(ops: Sequence[Operation]) -> None:
    """Put ops that belong to no block where the implicit builder inserts; an op made there shows where that is."""
    marker = UnrealizedConversionCastOp.create()
    assert marker.parent is not None, "there is an implicit builder"
    marker.parent.insert_ops_before(ops, marker)
    Rewriter.erase_op(marker)


def copy_ops(source: Block, arguments: Sequence[SSAValue]) -> list[SSAValue]:
    """Insert copies of the ops of a block but its terminator, for these arguments; what the terminator reads."""
    mapping: dict[SSAValue, SSAValue] = dict(zip(source.args, arguments, strict=True))
    *ops, end = source.ops
    insert([copy(op, mapping) for op in ops])
    return [mapping.get(value, value) for value in end.operands]
