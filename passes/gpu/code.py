"""Writing a kernel op by op: index arithmetic that folds, and blocks inside blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from xdsl.dialects import arith, llvm, memref, scf, vector
from xdsl.dialects.builtin import IndexType, LocationAttr, VectorType, i32, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.dialects.dtypes import is_float
from xmlc.passes.index_arithmetic import index_constant, unwrapped
from xmlc.passes.number import constant_attribute

INDEX = IndexType()
Index = SSAValue | int

NUMBERS: dict[type[Operation], Callable[[int, int], int]] = {
    arith.AddiOp: lambda x, y: x + y,
    arith.SubiOp: lambda x, y: x - y,
    arith.MuliOp: lambda x, y: x * y,
    arith.DivUIOp: lambda x, y: x // y,
    arith.RemUIOp: lambda x, y: x % y,
    arith.MinSIOp: min,
}


class Code:
    """Appends ops to a block, and to blocks inside of it."""

    def __init__(self, block: Block, location: LocationAttr):
        self.block = block
        self.location = location

    def add(self, op: Operation) -> Operation:
        op.location = self.location
        self.block.add_op(op)
        return op

    def value(self, op: Operation) -> SSAValue:
        return self.add(op).results[0]

    def as_value(self, index: Index) -> SSAValue:
        return self.value(index_constant(index)) if isinstance(index, int) else index

    def number(self, value: int) -> SSAValue:
        """A constant of type i32."""
        return self.value(arith.ConstantOp.from_int_and_width(value, i32))

    # Index arithmetic: folded where numbers are known

    def made(self, kind: type[Operation], x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return NUMBERS[kind](x, y)
        operands = (self.as_value(x), self.as_value(y))
        return self.value(kind.create(operands=operands, result_types=(INDEX,), properties=unwrapped(kind)))

    def plus(self, x: Index, y: Index) -> Index:
        return y if x == 0 else x if y == 0 else self.made(arith.AddiOp, x, y)

    def times(self, x: Index, y: Index) -> Index:
        return 0 if 0 in (x, y) else y if x == 1 else x if y == 1 else self.made(arith.MuliOp, x, y)

    def over(self, x: Index, y: int) -> Index:
        return x if y == 1 else self.made(arith.DivUIOp, x, y)

    def rest(self, x: Index, y: int) -> Index:
        return 0 if y == 1 else self.made(arith.RemUIOp, x, y)

    def least(self, x: Index, y: Index) -> Index:
        return self.made(arith.MinSIOp, x, y)

    def below(self, x: Index, y: Index) -> SSAValue:
        return self.value(arith.CmpiOp(self.as_value(x), self.as_value(y), "slt"))

    def split(self, point: Index, extents: Sequence[int], points: int) -> list[Index]:
        """A number below `points` as an index for each extent, the last counting fastest.

        Divided in 32 bits where they hold it: in 64 bits a division takes several times as long.
        """
        if len(extents) <= 1 or isinstance(point, int) or points >= 2**31:
            found: list[Index] = []
            for size in reversed(extents[1:]):
                found.append(self.rest(point, size))
                point = self.over(point, size)
            return [*([point] if extents else []), *reversed(found)]
        left = self.value(arith.IndexCastOp(point, i32))
        indices: list[Index] = []
        for size in reversed(extents[1:]):
            divisor = self.number(size)
            indices.append(self.value(arith.IndexCastOp(self.value(arith.RemUIOp(left, divisor)), INDEX)))
            left = self.value(arith.DivUIOp(left, divisor))
        return [self.value(arith.IndexCastOp(left, INDEX)), *reversed(indices)]

    def both(self, x: SSAValue | None, y: SSAValue | None) -> SSAValue | None:
        """Whether both hold; None is what always holds."""
        if x is None or y is None:
            return x or y
        return self.value(arith.AndIOp(x, y))

    # Blocks inside blocks

    @contextmanager
    def only_if(self, condition: SSAValue | None) -> Generator[None]:
        """What is written inside happens only if the condition holds; None: always."""
        if condition is None:
            yield
            return
        outer, self.block = self.block, Block()
        yield
        self.add(scf.YieldOp())
        inner, self.block = self.block, outer
        self.add(scf.IfOp(condition, (), [inner]))

    @contextmanager
    def choice(self, condition: SSAValue, types: Sequence[Attribute]) -> Generator[list[SSAValue]]:
        """Values computed only if the condition holds, zeros where not: assign them inside, read them after."""
        found: list[SSAValue] = []
        outer, self.block = self.block, Block()
        yield found
        self.add(scf.YieldOp(*found))
        then, self.block = self.block, Block()
        zeros = [self.value(zero_of(each)) for each in types]
        self.add(scf.YieldOp(*zeros))
        otherwise, self.block = self.block, outer
        choice = scf.IfOp(condition, types, [then], [otherwise])
        self.add(choice)
        found[:] = choice.results

    @contextmanager
    def loop(self, upper: Index, step: Index, carried: list[SSAValue], lower: Index = 0) -> Generator[SSAValue]:
        """`for i in range(lower, upper, step)` that carries values: assign to `carried` inside, read it after."""
        bounds = [self.as_value(each) for each in (lower, upper, step)]
        inner = Block(arg_types=[INDEX, *(value.type for value in carried)])
        initial = list(carried)
        carried[:] = inner.args[1:]
        outer, self.block = self.block, inner
        yield inner.args[0]
        self.add(scf.YieldOp(*carried))
        self.block = outer
        loop = scf.ForOp(bounds[0], bounds[1], bounds[2], initial, inner)
        self.add(loop)
        carried[:] = loop.results

    def pointer(self, memory: SSAValue, shift: Index, kind: Attribute) -> SSAValue:
        """A pointer so many bytes into a buffer."""
        start = self.value(memref.ExtractAlignedPointerAsIndexOp.get(memory))
        address = self.value(arith.IndexCastOp(self.as_value(self.plus(start, shift)), i64))
        return self.value(llvm.IntToPtrOp.create(operands=(address,), result_types=(kind,)))

    # Vectors

    def elements(self, whole: SSAValue, count: int, element: Attribute) -> list[SSAValue]:
        return [self.value(vector.ExtractOp(whole, [lane], element)) for lane in range(count)]

    def packed(self, elements: Sequence[SSAValue]) -> SSAValue:
        """A vector of scalars of one type."""
        kind = VectorType(elements[0].type, [len(elements)])
        whole = self.value(vector.BroadcastOp(elements[0], kind))
        for lane, element in enumerate(elements[1:], 1):
            whole = self.value(vector.InsertOp(element, whole, [lane]))
        return whole


def zero_of(element: Attribute) -> Operation:
    """The number zero of a type."""
    value = constant_attribute(0.0 if is_float(element) else 0, element)
    return arith.ConstantOp.create(result_types=(element,), properties={"value": value})
