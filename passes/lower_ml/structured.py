"""The pieces of the linalg level that every lowering is made of: tensors to write to, and loop nests over them.

All of them build under xDSL's ImplicitBuilder. A loop nest is a `linalg.generic`; dimension k of its iteration
space is `dim(k)`, and each operand says by affine expressions which element it takes at a point.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.builder import ImplicitBuilder
from xdsl.dialects import arith, scf, tensor
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    TensorType,
    i64,
)
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp, YieldOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineBinaryOpExpr, AffineConstantExpr, AffineExpr, AffineMap

from xmlc.dialects.dtypes import FROM_NUMPY, storage_type
from xmlc.dialects.ml.types import DYNAMIC, TensorLike, element_of, shape_of
from xmlc.dialects.ml.types import tensor as tensor_type
from xmlc.dialects.sizes import Size, UnknownSize, is_symbolic
from xmlc.passes.number import build, constant_attribute
from xmlc.passes.size_values import SizeValues

Map: TypeAlias = tuple[AffineExpr, ...]
Groups: TypeAlias = tuple[list[list[int]], list[list[int]]]
"""Two shapes in corresponding parts: lists of dimensions."""
Body: TypeAlias = Callable[..., SSAValue | Sequence[SSAValue]]

PARALLEL = IteratorTypeAttr(IteratorType.PARALLEL)
REDUCTION = IteratorTypeAttr(IteratorType.REDUCTION)
INDEX = IndexType()


def dim(position: int) -> AffineExpr:
    return AffineExpr.dimension(position)


def identity(rank: int) -> Map:
    return tuple(map(dim, range(rank)))


def zero() -> AffineExpr:
    return AffineConstantExpr(0)


def stored(type: Attribute) -> TensorLike:
    """The signless tensor type that holds a tensor of `ml`."""
    return tensor_type(shape_of(type), storage_type(element_of(type)))


def broadcast_map(shape: Sequence[int], result: Sequence[int]) -> Map:
    """How an operand of `shape` is read in a nest over `result` under NumPy's broadcasting.

    Where both sizes are 1 it is read as it is, so that an operand that does not stretch has the identity as its map.
    """
    offset = len(result) - len(shape)
    return tuple(
        zero() if size == 1 != result[offset + axis] else dim(offset + axis) for axis, size in enumerate(shape)
    )


def empty(shape: Sequence[int], element: Attribute) -> SSAValue:
    """A tensor whose elements are written before they are read."""
    return build(tensor.EmptyOp, free_sizes(shape), tensor_type(shape, element))


def known_sizes(shape: Sequence[int]) -> list[int]:
    """A shape with what is known only at run time marked as dynamic."""
    return [DYNAMIC if isinstance(size, Size) else size for size in shape]


def number(value: float | int, element: Attribute) -> SSAValue:
    """A scalar constant."""
    return build(arith.ConstantOp, (), element, value=constant_attribute(value, element))


SIZES: ContextVar[SizeValues] = ContextVar("sizes")
"""The values of the free sizes in the function that is being built."""


def free_sizes(shape: Sequence[int]) -> tuple[SSAValue, ...]:
    """The values of those sizes of a shape that are known only at run time."""
    return tuple(SIZES.get()[size] for size in shape if isinstance(size, Size))


def index(value: int) -> SSAValue:
    """A size or a number as a value of type index."""
    if isinstance(value, Size):
        return SIZES.get()[value]
    return build(arith.ConstantOp, (), INDEX, value=IntegerAttr(value, INDEX))


def filled(shape: Sequence[int], value: SSAValue) -> SSAValue:
    """A tensor with the scalar `value` everywhere."""
    target = empty(shape, value.type)
    return FillOp((value,), (target,), (target.type,)).results[0]


def table(values: np.ndarray[Any, np.dtype[Any]]) -> SSAValue:
    """A small tensor known at compile time."""
    type = TensorType(FROM_NUMPY[values.dtype], values.shape)
    dense: Attribute = DenseIntOrFPElementsAttr.from_list(cast(Any, type), values.ravel().tolist())
    return build(arith.ConstantOp, (), type, value=dense)


def holds_size(expression: AffineExpr | Size) -> bool:
    """Whether a symbolic size got into an affine expression, which has numbers only."""
    if isinstance(expression, AffineBinaryOpExpr):
        return holds_size(expression.lhs) or holds_size(expression.rhs)
    return isinstance(expression, Size)


def generic(
    inputs: Sequence[tuple[SSAValue, Map]],
    outputs: Sequence[tuple[SSAValue, Map]],
    iterators: Sequence[Attribute],
    body: Body,
) -> tuple[SSAValue, ...]:
    """A loop nest: `body` is given the element of each input, then of each output, and returns the new outputs."""
    operands = [*inputs, *outputs]
    block = Block(arg_types=[element_of(value) for value, _ in operands])
    with ImplicitBuilder(block):
        made = body(*block.args)
        YieldOp.create(operands=(made,) if isinstance(made, SSAValue) else made)
    if any(holds_size(each) for _, results in operands for each in results):
        raise UnknownSize("an element is read at a distance known only at run time")
    maps = [AffineMapAttr(AffineMap(len(iterators), 0, results)) for _, results in operands]
    targets = [value for value, _ in outputs]
    op = GenericOp(
        [value for value, _ in inputs],
        targets,
        Region(block),
        maps,
        ArrayAttr(iterators),
        [target.type for target in targets],
    )
    return tuple(op.results)


def parallel(inputs: Sequence[tuple[SSAValue, Map]], type: TensorLike, body: Body) -> SSAValue:
    """A new tensor of `type` whose element at each index is `body` of the inputs' elements."""
    shape = shape_of(type)
    target = empty(shape, type.element_type)

    def without_target(*elements: SSAValue) -> SSAValue | Sequence[SSAValue]:
        return body(*elements[:-1])

    return generic(inputs, [(target, identity(len(shape)))], [PARALLEL] * len(shape), without_target)[0]


def copied(source: SSAValue, source_map: Map, target: SSAValue, target_map: Map, rank: int) -> SSAValue:
    """`target` with elements of `source` written over some of its own."""

    def body(element: SSAValue, _: SSAValue) -> SSAValue:
        return element

    return generic([(source, source_map)], [(target, target_map)], [PARALLEL] * rank, body)[0]


def placed(source: SSAValue, target: SSAValue, offsets: Sequence[int]) -> SSAValue:
    """`target` with `source` written over the part of it that starts at `offsets`."""
    shape = shape_of(source)
    if 0 in shape:  # MLIR takes no offset at the end, not even of nothing
        return target
    return tensor.InsertSliceOp.build(
        operands=[source, target, free_sizes(offsets), free_sizes(shape), []],
        properties={
            "static_offsets": DenseArrayBase.from_list(i64, known_sizes(offsets)),
            "static_sizes": DenseArrayBase.from_list(i64, known_sizes(shape)),
            "static_strides": DenseArrayBase.from_list(i64, [1] * len(shape)),
        },
        result_types=[target.type],
    ).results[0]


def loop_index(position: int) -> SSAValue:
    """The index of loop `position`, inside a body."""
    return build(IndexOp, (), INDEX, dim=IntegerAttr(position, i64))


def build_index(kind: type[Operation], x: SSAValue, y: SSAValue) -> SSAValue:
    """Arithmetic on indices."""
    return build(kind, (x, y), INDEX, overflowFlags=arith.IntegerOverflowAttr("none"))


def as_index(value: SSAValue, signed: bool = True) -> SSAValue:
    """An integer element as an index, by way of i64: what does not fit there is read as negative."""
    if value.type == INDEX:
        return value
    if not signed and value.type != i64:
        value = build(arith.ExtUIOp, (value,), i64)
    return build(arith.IndexCastOp, (value,), INDEX)


def clamped(value: SSAValue, size: int) -> SSAValue:
    """An index moved to the nearest that is in range of a dimension."""
    top = build(arith.MinSIOp, (value, index(size - 1)), INDEX)
    return build(arith.MaxSIOp, (top, index(0)), INDEX)


def extract(source: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
    """One element of a tensor."""
    return build(tensor.ExtractOp, (source, *indices), element_of(source))


def insert(value: SSAValue, target: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
    """The tensor with one element replaced."""
    return build(tensor.InsertOp, (value, target, *indices), target.type)


def reassociation(groups: Sequence[Sequence[int]]) -> ArrayAttr[ArrayAttr[IntegerAttr]]:
    return ArrayAttr([ArrayAttr([IntegerAttr(i, i64) for i in group]) for group in groups])


def collapse(x: SSAValue, groups: Sequence[Sequence[int]]) -> SSAValue:
    """Adjacent dimensions merged, group by group."""
    shape = shape_of(x)
    type = tensor_type([prod(shape[i] for i in group) for group in groups], element_of(x))
    return build(tensor.CollapseShapeOp, (x,), type, reassociation=reassociation(groups))


def expand(x: SSAValue, shape: Sequence[int], groups: Sequence[Sequence[int]]) -> SSAValue:
    """Dimensions split: the dimensions of group k of `shape` come from dimension k of x."""
    type = tensor_type(shape, element_of(x))
    return tensor.ExpandShapeOp(x, free_sizes(shape), reassociation(groups), known_sizes(shape), type).results[0]


def reshaped(x: SSAValue, shape: Sequence[int]) -> SSAValue:
    """The same elements in row-major order under another shape: some dimensions merged, then some split."""
    before, after = shape_of(x), tuple(shape)
    if before == after:
        return x
    if not before or not after:  # xDSL takes no reshape from or to rank 0, which MLIR has
        only = extract(x, [index(0)] * len(before))
        return build(tensor.FromElementsOp, (only,), tensor_type(after, only.type))
    try:
        sources, targets = common_groups(before, after)
    except (UnknownSize, IndexError):  # symbolic sizes whose products are not spelled alike
        sources, targets = whole(before, after)
    if len(sources) < len(before):
        x = collapse(x, sources)
    return expand(x, after, targets) if len(targets) < len(after) else x


def whole(before: Sequence[int], after: Sequence[int]) -> Groups:
    """Two shapes as one part each."""
    return [list(range(len(before)))], [list(range(len(after)))]


def common_groups(before: Sequence[int], after: Sequence[int]) -> Groups:
    """Two shapes cut into as many parts as possible that have the same product, as lists of their dimensions.

    Every dimension is in a part.
    """
    if 0 in before:
        return whole(before, after)
    sources: list[list[int]] = []
    targets: list[list[int]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        source, target = [i], [j]
        left, right = before[i], after[j]
        while left != right:
            if is_shorter(left, right):
                i += 1
                left *= before[i]
                source.append(i)
            else:
                j += 1
                right *= after[j]
                target.append(j)
        sources.append(source)
        targets.append(target)
        i, j = i + 1, j + 1
    # what is left over has size 1
    sources[-1] += range(i, len(before))
    targets[-1] += range(j, len(after))
    return sources, targets


def is_shorter(left: int, right: int) -> bool:
    """Whether the part on the left is to grow: the smaller one, for symbolic sizes the one that divides the other."""
    if not is_symbolic((left, right)):
        return left < right
    for divisor, multiple in ((left, right), (right, left)):
        with suppress(UnknownSize):
            if multiple % divisor == 0:
                return divisor is left
    raise UnknownSize(f"{left} and {right} do not divide each other")


@contextmanager
def counted_loop(start: SSAValue, stop: SSAValue, step: SSAValue, carried: list[SSAValue]) -> Generator[SSAValue]:
    """`for i in range(start, stop, step)` that carries values: assign to `carried` in the body, read it after.

    state = [out]
    with counted_loop(zero, size, one, state) as i:
        state[0] = insert(value, state[0], (i,))
    """
    block = Block(arg_types=[INDEX, *(value.type for value in carried)])
    initial = tuple(carried)
    carried[:] = block.args[1:]
    with ImplicitBuilder(block):
        yield block.args[0]
        scf.YieldOp(*carried)
    carried[:] = scf.ForOp(start, stop, step, initial, Region(block)).results


@contextmanager
def loops(shape: Sequence[int], carried: list[SSAValue]) -> Generator[tuple[SSAValue, ...]]:
    """A nest of counted loops over every index of `shape`, carrying values as `counted_loop` does."""
    if not shape:
        yield ()
        return
    with (
        counted_loop(index(0), index(shape[0]), index(1), carried) as i,
        loops(shape[1:], carried) as rest,
    ):
        yield (i, *rest)
