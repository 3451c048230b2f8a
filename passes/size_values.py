"""The values of sizes that are known only at run time, in the functions that compute with them.

The pass `bind-sizes` gives every function an argument of type index for each free size that its types depend on; what
other sizes come to is computed from these at the function's entry, each once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, IntegerAttr, MemRefType, StringAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.dialects.sizes import Monomial, Quotient, Size, Symbol, quotient, symbol
from xmlc.passes.index_arithmetic import index_constant, unwrapped

SIZE = "ml.size"
"""Attribute of an argument of type index: the name of the free size that it is."""

_INDEX = IndexType()


def bound_sizes(function: func.FuncOp) -> dict[str, int]:
    """The free sizes that a function takes as arguments, and the positions of these."""
    attributes = function.arg_attrs.data if function.arg_attrs else ()
    names = [(each.data.get(SIZE), position) for position, each in enumerate(attributes)]
    return {name.data: position for name, position in names if isinstance(name, StringAttr)}


def function_around(op: Operation) -> func.FuncOp:
    """The function that an op is in."""
    parent = op.parent_op()
    while not isinstance(parent, func.FuncOp):
        assert parent is not None
        parent = parent.parent_op()
    return parent


class SizeValues:
    """Values of sizes at the start of a block, given those of the symbols."""

    def __init__(self, block: Block, symbols: Mapping[str, SSAValue]):
        self.block = block
        self.symbols = symbols
        self.last: Operation | None = None
        self.known: dict[int, SSAValue] = {}

    @classmethod
    def of(cls, function: func.FuncOp, block: Block | None = None) -> SizeValues:
        """Those of a function; of its future body if a block is given."""
        body = function.body.block if block is None else block
        return cls(body, {name: body.args[position] for name, position in bound_sizes(function).items()})

    def all(self, shape: Iterable[int]) -> list[SSAValue]:
        """Those sizes of a shape that are known only at run time."""
        return [self[size] for size in shape if isinstance(size, Size)]

    def __getitem__(self, size: int) -> SSAValue:
        if size not in self.known:
            self.known[size] = self.sum(size) if isinstance(size, Size) else self.add(index_constant(size))
        return self.known[size]

    def sum(self, size: Size) -> SSAValue:
        return self.joined(arith.AddiOp, (self.term(monomial, factor) for monomial, factor in size.terms))

    def term(self, monomial: Monomial, factor: int) -> SSAValue:
        factors = [self.atom(atom) for atom in monomial]
        if factor != 1 or not factors:
            factors.append(self[factor])
        return self.joined(arith.MuliOp, factors)

    def atom(self, atom: Symbol | Quotient) -> SSAValue:
        if isinstance(atom, Symbol):
            return self.symbols[atom.name]
        numerator, divisor = self[cast(int, atom.numerator)], self[atom.divisor]
        return self.add(arith.FloorDivSIOp.create(operands=(numerator, divisor), result_types=(_INDEX,)))

    def joined(self, kind: type[Operation], values: Iterable[SSAValue]) -> SSAValue:
        first, *others = values
        for other in others:
            first = self.add(kind.create(operands=(first, other), result_types=(_INDEX,), properties=unwrapped(kind)))
        return first

    def add(self, op: Operation) -> SSAValue:
        if op.parent is not None:  # an ImplicitBuilder has put it where it builds
            op.detach()
        if self.last is not None:
            self.block.insert_op_after(op, self.last)
        elif self.block.first_op is not None:
            self.block.insert_op_before(op, self.block.first_op)
        else:
            self.block.add_op(op)
        self.last = op
        return op.results[0]


class KnownSizes:
    """What sizes values of type index are, in a function that takes free sizes: the inverse of `SizeValues`."""

    def __init__(self, function: func.FuncOp):
        entry = function.body.block
        self.known: dict[SSAValue, int] = {
            entry.args[position]: symbol(name) for name, position in bound_sizes(function).items()
        }

    def size(self, value: SSAValue) -> int | None:
        """The size that a value is; None where it depends on something else."""
        if value not in self.known:
            match value.owner:
                case arith.ConstantOp(value=IntegerAttr(value=number)):
                    return number.data
                case arith.AddiOp() | arith.MuliOp() | arith.FloorDivSIOp() as op:
                    sizes = [self.size(operand) for operand in op.operands]
                    if any(size is None for size in sizes):
                        return None
                    lhs, rhs = cast("list[int]", sizes)
                    self.known[value] = ARITHMETIC[type(op)](lhs, rhs)
                case _:
                    return None
        return self.known[value]

    def shape(self, type_: MemRefType[Attribute], dynamic: Sequence[SSAValue]) -> tuple[int, ...] | None:
        """The shape of a buffer, given the values of those of its sizes that its type does not tell."""
        left = iter(dynamic)
        sizes = [self.size(next(left)) if size == DYNAMIC_INDEX else size for size in type_.get_shape()]
        return None if any(size is None for size in sizes) else cast("tuple[int, ...]", tuple(sizes))


ARITHMETIC: dict[type[Operation], Callable[[int, int], int]] = {
    arith.AddiOp: operator.add,
    arith.MuliOp: operator.mul,
    arith.FloorDivSIOp: quotient,
}
