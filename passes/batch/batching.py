"""The walk over a block that makes its ops compute for a whole batch, and what rows of ops are given for it.

A value that differs from one element of the batch to the next is *batched*: it has the batch as a new dimension 0. An
op without batched operands stays as it is. Any other becomes what its row makes of it; without a row, what it is made
of; without that either, a scan that runs it for one element after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, IntegerType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.attributes import integer, integers
from xmlc.dialects.ml.control import YieldOp
from xmlc.dialects.ml.types import TensorLike, element_of, rank_of, shape_of, tensor
from xmlc.passes.building import building
from xmlc.passes.copies import copy, insert
from xmlc.passes.decompose import DECOMPOSITIONS, decompose
from xmlc.passes.differentiate.pull_back import captured


class Batched(NamedTuple):
    """What stands for a value: a tensor, and whether its dimension 0 is the batch."""

    value: SSAValue
    is_batched: bool


class Batching:
    """What is known while a block is rebuilt: the size of the batch, and what stands for the values so far."""

    def __init__(self, size: int, values: Iterable[tuple[SSAValue, Batched]] = ()):
        self.size = size
        self.values = dict(values)

    def of(self, value: SSAValue) -> Batched:
        """What stands for a value; one from outside stands for itself."""
        return self.values.get(value, Batched(value, False))

    def full(self, value: SSAValue) -> SSAValue:
        """What stands for a value, repeated for the whole batch if it is not batched."""
        found, is_batched = self.of(value)
        return found if is_batched else F.broadcast(found, (self.size, *shape_of(found)))

    def fulls(self, values: Iterable[SSAValue]) -> list[SSAValue]:
        return [self.full(value) for value in values]

    def aligned(self, value: SSAValue, rank: int) -> SSAValue:
        """What stands for a value that broadcasts to `rank` dimensions: ones go between the batch and its own."""
        found, is_batched = self.of(value)
        if not is_batched:
            return found
        size, *rest = shape_of(found)
        return F.reshape(found, (size, *[1] * (rank - len(rest)), *rest))

    def type_of(self, value: SSAValue) -> TensorLike:
        """The type of a batch of such values."""
        return tensor((self.size, *shape_of(value)), element_of(value))

    def create(self, op: Operation, operands: Sequence[SSAValue], **properties: Attribute) -> Sequence[SSAValue]:
        """The same op on batches; `properties` are those that are others then."""
        made = op.create(
            operands=operands,
            result_types=[self.type_of(result) for result in op.results],
            properties={**op.properties, **properties},
            attributes=op.attributes,
        )
        return made.results

    def rebuilt(self, source: Block, arguments: Sequence[Batched], into: Block) -> list[Batched]:
        """Append to a block what stands for the ops of another, and return it for the operands of its terminator.

        Ops of `source` may be replaced by what they are made of.
        """
        self.values.update(zip(source.args, arguments, strict=True))
        at = InsertPoint.at_end(into)
        op = source.first_op
        while op is not None and op is not source.last_op:
            results = self.results(op, at)
            if results is None:
                before = op.prev_op
                decompose(op)
                op = source.first_op if before is None else before.next_op
                continue
            self.values.update(zip(op.results, results, strict=True))
            op = op.next_op
        assert op is not None
        return [self.of(value) for value in op.operands]

    def results(self, op: Operation, at: InsertPoint) -> list[Batched] | None:
        """What stands for the results of an op; None where what it is made of is to be asked instead."""
        read = [*op.operands, *captured(op)]
        with building(at, op.location):
            if not any(self.of(value).is_batched for value in read):
                made = copy(op, {value: found for value, (found, _) in self.values.items()})
                at.block.add_op(made)
                return [Batched(result, False) for result in made.results]
            row = rows().get(type(op))
            found = row(self, op) if row else None
            if found is None and type(op) in DECOMPOSITIONS:
                return None
            found = self.one_by_one(op, read) if found is None else found
            return [Batched(value, True) for value in found]

    def one_by_one(self, op: Operation, read: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """The op run for each element of the batch, by a scan."""
        sequences = [value for value in dict.fromkeys(read) if self.of(value).is_batched]
        outside = {value: found for value, (found, is_batched) in self.values.items() if not is_batched}

        def step(_: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
            made = copy(op, {**outside, **dict(zip(sequences, slices))})
            insert([made])
            return [], list(made.results)

        return F.scan(step, [], [self.of(value).value for value in sequences])[1]

    def inside(self) -> Batching:
        """A walk over a region: it knows what stands for values outside, and what it finds stays in there."""
        return Batching(self.size, self.values.items())

    def region(self, source: Region, arguments: Sequence[tuple[Attribute, bool]]) -> Region:
        """What stands for a region whose arguments are of these types, batched or not; it yields batches."""
        block = Block(arg_types=[type for type, _ in arguments])
        given = [Batched(new, is_batched) for new, (_, is_batched) in zip(block.args, arguments)]
        inner = self.inside()
        inner.rebuilt(source.block, given, block)
        last = source.block.last_op
        assert isinstance(last, YieldOp)
        with building(InsertPoint.at_end(block), last.location):
            YieldOp(*inner.fulls(last.arguments))
        return Region(block)

    def inlined(self, source: Region, arguments: Sequence[Batched]) -> list[SSAValue]:
        """Build what stands for the ops of a region, given what stands for its arguments; what it yields, batched."""
        block = Block()
        inner = self.inside()
        yielded = inner.rebuilt(source.block, arguments, block)
        ops = list(block.ops)
        for op in ops:
            op.detach()
        insert(ops)
        return [x if is_batched else F.broadcast(x, (self.size, *shape_of(x))) for x, is_batched in yielded]


Row = Callable[[Batching, Operation], Sequence[SSAValue] | None]
"""f(batching, op) -> the batches of the op's results; None where it does not fit these operands."""


def rows() -> dict[type[Operation], Row]:
    """The rows of all ops; they use this module in turn."""
    from xmlc.passes.batch import ROWS

    return ROWS


# --- rows that several ops share


def same(batching: Batching, op: Operation) -> Sequence[SSAValue]:
    """The op as it is, on batches of its operands."""
    return batching.create(op, batching.fulls(op.operands))


def elementwise(batching: Batching, op: Operation) -> Sequence[SSAValue]:
    """The op as it is, on what broadcasts to its result."""
    rank = rank_of(op.results[0])
    return batching.create(op, [batching.aligned(value, rank) for value in op.operands])


def along(batching: Batching, op: Operation) -> Sequence[SSAValue]:
    """The op along one dimension, `axis`, which is one later now."""
    axis = cast(IntegerAttr, op.properties["axis"])
    return batching.create(op, batching.fulls(op.operands), axis=integer(axis.value.data + 1))


def over(batching: Batching, op: Operation) -> Sequence[SSAValue]:
    """The op over several dimensions, `axes`, which are one later now."""
    axes = cast("DenseArrayBase[IntegerType]", op.properties["axes"])
    shifted = integers(axis + 1 for axis in axes.get_values())
    return batching.create(op, batching.fulls(op.operands), axes=shifted)


def only_first_along(batching: Batching, op: Operation) -> Sequence[SSAValue] | None:
    """The op along `axis`, whose operands after the first are parameters: not where these are batched."""
    if any(batching.of(value).is_batched for value in op.operands[1:]):
        return None
    axis = cast(IntegerAttr, op.properties["axis"])
    operands = [batching.full(op.operands[0]), *[batching.of(value).value for value in op.operands[1:]]]
    return batching.create(op, operands, axis=integer(axis.value.data + 1))


def only_first_in_rows(batching: Batching, op: Operation) -> Sequence[SSAValue] | None:
    """An op that treats the rows of its first operand alike, given the rows of all batches: dimension 0 is both."""
    if any(batching.of(value).is_batched for value in op.operands[1:]):
        return None
    return in_rows(batching, op, [merged(batching.full(op.operands[0])), *map(unbatched(batching), op.operands[1:])])


def in_rows(batching: Batching, op: Operation, operands: Sequence[SSAValue]) -> Sequence[SSAValue]:
    """The op on operands whose dimension 0 has the rows of all batches, and those of its results apart again."""
    types = [tensor((batching.size * rows, *rest), element_of(r)) for r in op.results for rows, *rest in [shape_of(r)]]
    made = op.create(operands=operands, result_types=types, properties=op.properties, attributes=op.attributes)
    return [F.reshape(new, (batching.size, *shape_of(old))) for new, old in zip(made.results, op.results)]


def unbatched(batching: Batching) -> Callable[[SSAValue], SSAValue]:
    return lambda value: batching.of(value).value


def merged(x: SSAValue) -> SSAValue:
    """x (b, n, …) as (b n, …)"""
    batch, rows, *rest = shape_of(x)
    return F.reshape(x, (batch * rows, *rest))


def moved(x: SSAValue, source: int, destination: int) -> SSAValue:
    """x with one dimension put in another place."""
    order = [axis for axis in range(rank_of(x)) if axis != source]
    order.insert(destination, source)
    return x if source == destination else F.transpose(x, tuple(order))
