"""ONNX operators whose attributes are graphs: a choice, a loop, a walk along sequences."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np
from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import DYNAMIC, rank_of, shape_of
from xmlc.frontend.onnx.operator import Body, Failed, Node, Sequence
from xmlc.frontend.onnx.operators.shaping import positive
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import Value

UNROLLED_STEPS = 1024
"""A loop that cannot stay a loop, because shapes change from step to step, is written out up to this often."""


def tensors_of(values: Ordered[Value | Sequence]) -> list[SSAValue]:
    """The results of a region, which are tensors."""
    if any(isinstance(value, Sequence) for value in values):
        raise Unsupported("a sequence as the result of a branch or a loop that runs on data is not supported")
    return [value.tensor() for value in values if isinstance(value, Value)]


def If(condition: Value, *, then_branch: Body, else_branch: Body) -> tuple[Value | Sequence | SSAValue, ...]:
    """A condition known at import chooses the branch there and then."""
    if condition.array is not None:
        return (then_branch if condition.array.all() else else_branch)()
    try:
        results = F.if_(
            F.reshape(condition.tensor(), ()),
            lambda: tensors_of(then_branch()),
            lambda: tensors_of(else_branch()),
        )
    except VerifyException:
        results = None
    if results is None or any(DYNAMIC in shape_of(result) for result in results):
        # branches that give different shapes: the choice must be made at import
        return (then_branch if condition.known().all() else else_branch)()
    return tuple(results)


def Loop(
    count: Value | None = None,
    condition: Value | None = None,
    *carried: Value | Sequence,
    body: Body,
    node: Node,
) -> tuple[Value | Sequence | SSAValue, ...]:
    """`count` steps at most, as long as the condition holds; then the carried values and the stacked outputs.

    Where the number of steps is known it is `ml.scan`; where data decides, `ml.while`, which has no outputs to
    stack. A loop whose shapes change, or that carries sequences, is written out step by step.
    """
    stacked = body.output_count() - 1 - len(carried)
    go = None if condition is None else condition.array
    if go is None and condition is not None and stacked:
        go = condition.known()
    if count is not None and count.array is None and stacked:
        count.known()
    steps = None if count is None or count.array is None else int(count.array.reshape(()))
    if go is not None and not go.all():
        steps = 0
    if steps is not None and (condition is None or go is not None):
        values = [each for each in carried if isinstance(each, Value)]
        if len(values) == len(carried):
            try:
                return scanned(steps, values, body, node)
            except Failed:
                pass
        try:
            return unrolled(steps, carried, body, node)
        except Failed:
            pass
    if stacked or any(isinstance(each, Sequence) for each in carried):
        raise Unsupported("a loop whose number of steps depends on data cannot stack outputs")
    return repeated(count, condition, [each for each in carried if isinstance(each, Value)], body, node)


def scanned(steps: int, carried: Ordered[Value], body: Body, node: Node) -> tuple[SSAValue, ...]:
    """A known number of steps; Failed where the body may end the loop, or changes a shape."""
    inits = [each.tensor() for each in carried]

    def step(now: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
        go, *results = body(slices[0], np.array(True), *now)
        if not isinstance(go, Value) or go.array is None or not go.array.all():
            raise Failed
        found = tensors_of(results)
        if any(a.type != b.type for a, b in zip(found, now, strict=False)):
            raise Failed
        return found[: len(now)], found[len(now) :]

    with body.trial():
        last, outputs = F.scan(step, inits, [F.iota((steps,), 0, i64)])
    return *last, *outputs


def unrolled(
    steps: int, carried: Ordered[Value | Sequence], body: Body, node: Node
) -> tuple[Value | Sequence | SSAValue, ...]:
    """Each step written out; Failed where data decides how many there are."""
    if steps > UNROLLED_STEPS:
        raise Unsupported(f"a loop of {steps} steps whose shapes change is not supported")
    now = list(carried)
    rows: list[list[Value]] = []
    for index in range(steps):
        go, *results = body(np.array(index), np.array(True), *now)
        if not isinstance(go, Value) or go.array is None:
            raise Failed
        now = results[: len(carried)]
        rows.append([each for each in results[len(carried) :] if isinstance(each, Value)])
        if not go.array.all():
            break
    if not rows:
        if body.output_count() > 1 + len(carried):
            raise Unsupported("the outputs of a loop of no steps are not supported")
        return tuple(now)
    outputs = [
        F.concat([F.reshape(each.tensor(), (1, *each.shape)) for each in column], 0)
        for column in zip(*rows, strict=True)
    ]
    return *now, *outputs


def repeated(
    count: Value | None, condition: Value | None, carried: Ordered[Value], body: Body, node: Node
) -> tuple[SSAValue, ...]:
    """Steps as long as the condition holds, and fewer than `count` are done."""
    limit = None if count is None else F.reshape(count.tensor(), ())
    go = F.constant(np.array(True)) if condition is None else F.reshape(condition.tensor(), ())
    start = F.constant(np.array(0, np.int64))

    def test(now: list[SSAValue]) -> SSAValue:
        return now[1] if limit is None else F.and_(now[1], F.compare(now[0], limit, "lt"))

    def step(now: list[SSAValue]) -> list[SSAValue]:
        go, *results = tensors_of(body(now[0], now[1], *now[2:]))
        return [F.add(now[0], F.scalar(now[0], 1)), F.reshape(F.cast(go, i1), ()), *results]

    return tuple(F.while_(test, step, [start, go, *(each.tensor() for each in carried)])[2:])


def Scan_9(
    *operands: SSAValue,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: tuple[int, ...] | None = None,
    scan_input_directions: tuple[int, ...] | None = None,
    scan_output_axes: tuple[int, ...] | None = None,
    scan_output_directions: tuple[int, ...] | None = None,
) -> tuple[SSAValue, ...]:
    """States, then sequences that are walked along an axis each, forward or backward."""
    states, sequences = operands[: len(operands) - num_scan_inputs], operands[len(operands) - num_scan_inputs :]
    if not sequences:
        raise CompileError("a scan needs a sequence")
    turned: list[SSAValue] = []
    for index, sequence in enumerate(sequences):
        axis = scan_input_axes[index] if scan_input_axes else 0
        (axis,) = positive((axis,), rank_of(sequence))
        front = F.transpose(sequence, (axis, *(i for i in range(rank_of(sequence)) if i != axis)))
        backward = scan_input_directions is not None and scan_input_directions[index]
        turned.append(F.reverse(front, (0,)) if backward else front)

    def step(now: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
        results = tensors_of(body(*now, *slices))
        return results[: len(now)], results[len(now) :]

    last, outputs = F.scan(step, states, turned)
    results: list[SSAValue] = []
    for index, output in enumerate(outputs):
        if scan_output_directions is not None and scan_output_directions[index]:
            output = F.reverse(output, (0,))
        axis = scan_output_axes[index] if scan_output_axes else 0
        (axis,) = positive((axis,), rank_of(output))
        order = list(range(1, rank_of(output)))
        order.insert(axis, 0)
        results.append(F.transpose(output, order))
    return *last, *results
