"""What `linalg` means: a body evaluated at every point of an iteration space.

Parallel loops are evaluated at once: in the body a scalar is an array, one lane a point. Reduction loops run
in lexicographic order, so sums are rounded like those of the sequential loops. A body that branches
differently by lane in a way that cannot be masked is evaluated point by point.

On memrefs every input is read before any output is written: an op whose output overlaps an input at other
indices has no such meaning, and is not detected here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from xdsl.dialects.linalg import Linalg, ops
from xdsl.dialects.linalg.abstract_ops import LinalgStructuredOperation
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Operation
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap

from xmlc.dialects.reference.access import affine, indices
from xmlc.dialects.reference.interpreter import Array, Frame, InterpreterError, Lanes, LanesDifferError

Point = Sequence[Any]
"""One entry for each loop: an int, or the numbers of a parallel loop along its own axis."""


def loop_sizes(op: Operation, maps: Sequence[AffineMap], operands: Sequence[Any]) -> list[int]:
    """The extent of each loop: the size of a dimension that some map indexes by the loop alone."""
    sizes: dict[int, int] = {}
    for each, operand in zip(maps, operands):
        for axis, expression in enumerate(each.results):
            if isinstance(expression, AffineDimExpr):
                size = operand.shape[axis]
                if sizes.setdefault(expression.position, size) != size:
                    raise InterpreterError(
                        op, f"loop d{expression.position} has extents {sizes[expression.position]} and {size}"
                    )
    missing = [loop for loop in range(maps[0].num_dims) if loop not in sizes]
    if missing:
        raise InterpreterError(op, f"no indexing map gives the extent of loop d{missing[0]}")
    return [sizes[loop] for loop in range(maps[0].num_dims)]


def gather(op: Operation, array: Any, results: Sequence[AffineExpr], point: Point, axes: Sequence[int]) -> Any:
    """The elements a map reads, of a shape that broadcasts to the lanes; `axes` are the parallel loops."""
    if not results:
        return array[()]  # of rank 0, or a NumPy scalar
    loops = [each.position for each in results if isinstance(each, AffineDimExpr)]
    plain = all(isinstance(each, AffineDimExpr | AffineConstantExpr) for each in results)
    if not plain or len(set(loops)) != len(loops):
        return array[indices(op, array, [affine(each, point) for each in results])]
    # a permutation with dimensions fixed: a view, transposed into the order of the axes of the lanes
    key: list[Any] = []
    order: list[int] = []
    for axis, each in enumerate(results):
        index = affine(each, point)
        if isinstance(each, AffineDimExpr) and each.position in axes:
            order.append(each.position)
            key.append(slice(None))
        else:
            if not 0 <= index < array.shape[axis]:
                raise InterpreterError(op, f"index {index} is out of bounds of dimension {axis} of an operand")
            key.append(index)
    view = array[tuple(key)]
    if not order:
        return view
    view = view.transpose(np.argsort(order))
    return view[tuple(slice(None) if loop in order else np.newaxis for loop in axes)]


def scatter(op: Operation, array: Array, results: Sequence[AffineExpr], point: Point, value: Any) -> None:
    """Write the lanes where a map says."""
    array[indices(op, array, [affine(each, point) for each in results])] = value


def evaluate(
    frame: Frame,
    op: LinalgStructuredOperation,
    inputs: Sequence[Any],
    outputs: Sequence[Array],
    vectorized: bool,
) -> None:
    """Evaluate the body over the iteration space, writing to `outputs`."""
    maps = [each.data for each in op.get_indexing_maps()]
    sizes = loop_sizes(op, maps, [*inputs, *outputs])
    kinds = [each.data for each in op.get_iterator_types()]
    axes = [loop for loop, kind in enumerate(kinds) if kind == IteratorType.PARALLEL] if vectorized else []
    sequential = [loop for loop in range(len(kinds)) if loop not in axes]
    point: list[Any] = [0] * len(kinds)
    for position, loop in enumerate(axes):
        own = tuple(-1 if other == position else 1 for other in range(len(axes)))
        point[loop] = np.arange(sizes[loop]).reshape(own)
    lanes = Lanes(tuple(sizes[loop] for loop in axes), point)
    body = Frame(frame.program, frame.values, lanes)
    block = op.body.block

    def moves(each: AffineMap) -> bool:
        """Whether a map reaches other elements from one step of the sequential loops to the next."""
        return any(loop in sequential for expression in each.results for loop in expression.used_dims())

    read = len(inputs)
    used = [bool(argument.uses.get_length()) for argument in block.args]
    still: dict[int, Any] = {}
    last: tuple[Any, ...] = ()
    for step in product(*(range(sizes[loop]) for loop in sequential)):
        for loop, index in zip(sequential, step):
            point[loop] = index
        arguments: list[Any] = []
        for number, (array, each) in enumerate(zip((*inputs, *outputs), maps)):
            if not used[number]:
                arguments.append(None)
            elif number in still:
                arguments.append(still[number])
            else:
                value = gather(op, array, each.results, point, axes)
                if not moves(each):
                    still[number] = value
                arguments.append(value)
        last = body.run(block, *arguments)
        for number, value in enumerate(last, read):
            if moves(maps[number]):
                scatter(op, outputs[number - read], maps[number].results, point, value)
            else:
                still[number] = value  # accumulate in the lanes, write once at the end
    for number, value in enumerate(last, read):
        if not moves(maps[number]):
            scatter(op, outputs[number - read], maps[number].results, point, value)


def structured(frame: Frame, op: LinalgStructuredOperation) -> None:
    """Any op that has indexing maps, iterator types and a body."""
    inputs, buffers = frame.get(op.inputs), frame.get(op.outputs)
    outputs = [buffer.copy() for buffer in buffers]
    try:
        evaluate(frame, op, inputs, outputs, vectorized=True)
    except LanesDifferError:
        outputs = [buffer.copy() for buffer in buffers]
        evaluate(frame, op, inputs, outputs, vectorized=False)
    if op.res:
        frame.set(op, *outputs)
        return
    for buffer, output in zip(buffers, outputs):
        buffer[...] = output


def index(frame: Frame, op: ops.IndexOp) -> None:
    assert frame.lanes is not None, "linalg.index outside of a linalg body"
    number = frame.lanes.coordinates[op.dim.value.data]
    frame.set(op, number if np.ndim(number) else np.int64(number))


def give(frame: Frame, op: Operation, init: Any, value: Array) -> None:
    """The new contents of an output: a result, or written to the memref."""
    if op.results:
        frame.set(op, value)
    else:
        init[...] = value


def broadcast(frame: Frame, op: ops.BroadcastOp) -> None:
    init = frame[op.init]
    value = np.expand_dims(frame[op.input], tuple(op.dimensions.get_values()))
    give(frame, op, init, np.broadcast_to(value, init.shape).copy())


def reduce(frame: Frame, op: ops.ReduceOp) -> None:
    """The region combines (an element of the input, the result so far), in lexicographic order."""
    source, init = frame[op.input], frame[op.init]
    reduced: tuple[int, ...] = tuple(op.dimensions.get_values())
    total = init.copy()
    for step in product(*(range(source.shape[axis]) for axis in reduced)):
        key: list[Any] = [slice(None)] * source.ndim
        for axis, position in zip(reduced, step):
            key[axis] = position
        (total,) = Frame(frame.program, frame.values, Lanes(init.shape, ())).run(op.region, source[tuple(key)], total)
    give(frame, op, init, np.asarray(total))


EVALUATE = {
    ops.IndexOp: index,
    ops.BroadcastOp: broadcast,
    ops.ReduceOp: reduce,
    **dict.fromkeys([each for each in Linalg.operations if issubclass(each, LinalgStructuredOperation)], structured),
}
