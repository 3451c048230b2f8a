"""Recurrent layers as one product for the inputs of all steps, then a scan over the steps.

Only the product with the state is left inside the scan. Each direction has a scan of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import recurrent as ml
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.passes.decompose.operands import known_shape, narrow, slice_along, split, wide, zeros

States = Sequence[SSAValue]
Cell = Callable[[SSAValue, States], States]


def of_direction(parameter: SSAValue, direction: int) -> SSAValue:
    """The parameters of one direction, without dimension 0."""
    return F.reshape(slice_along(wide(parameter), 0, direction, 1), shape_of(parameter)[1:])


def joined(parts: Sequence[SSAValue], axis: int) -> SSAValue:
    return parts[0] if len(parts) == 1 else F.concat(parts, axis)


def projected(op: ml.RecurrentOp, direction: int, bias: SSAValue | None) -> SSAValue:
    """x @ weight^T + bias for all steps at once: (t, b, gates * h)"""
    time, batch, depth = known_shape(op, op.x)
    weight = F.transpose(of_direction(op.weight, direction))
    product = F.matmul(F.reshape(wide(op.x), (time * batch, depth)), weight, bias)
    return F.reshape(product, (time, batch, shape_of(weight)[1]))


def layer(
    op: ml.RecurrentOp,
    prepare: Callable[[int], tuple[SSAValue, Cell]],
    starts: Sequence[SSAValue | None],
) -> tuple[SSAValue, ...]:
    """All outputs and the final states; `prepare` gives a direction's projected input and its step."""
    time, count, batch, hidden = known_shape(op, op.y)
    outputs: list[SSAValue] = []
    finals: list[list[SSAValue]] = [[] for _ in starts]
    for direction in range(count):
        backwards = op.direction.data is ml.Direction.REVERSE or direction == 1
        inputs, cell = prepare(direction)
        inits = [zeros((batch, hidden), inputs) if v is None else of_direction(v, direction) for v in starts]
        sequences = [inputs]
        if op.lengths is not None:
            sequences.append(F.iota((time,), 0, element_of(op.lengths)))
        last, stacked = F.scan(step_of(op, cell), inits, sequences, reverse=backwards)
        outputs.append(F.reshape(stacked[0], (time, 1, batch, hidden)))
        for final, value in zip(finals, last):
            final.append(F.reshape(value, (1, batch, hidden)))
    results = [joined(outputs, 1), *(joined(final, 0) for final in finals)]
    return tuple(narrow(each, op.y) for each in results)


def step_of(op: ml.RecurrentOp, cell: Cell) -> Callable[[list[SSAValue], list[SSAValue]], tuple[States, States]]:
    """The body of the scan: past the end of a sequence its states stay and its output is 0."""

    def step(states: list[SSAValue], slices: list[SSAValue]) -> tuple[States, States]:
        after = cell(slices[0], states)
        if op.lengths is None:
            return after, after[:1]
        inside = F.compare(slices[1], op.lengths, "lt")
        inside = F.reshape(inside, (*shape_of(inside), 1))
        kept = [F.select(inside, new, old) for new, old in zip(after, states)]
        return kept, [F.select(inside, after[0], F.scalar(after[0], 0))]

    return step


def lstm(op: ml.LstmOp) -> tuple[SSAValue, ...]:
    """gates = x @ weight^T + bias + h @ recurrent^T, the first two terms outside the scan"""

    def prepare(direction: int) -> tuple[SSAValue, Cell]:
        bias = None
        if op.bias is not None:
            bias = F.add(*split(of_direction(op.bias, direction), 0, 2))
        recurrent = F.transpose(of_direction(op.recurrent, direction))
        peepholes = None if op.peepholes is None else split(of_direction(op.peepholes, direction), 0, 3)

        def cell(x: SSAValue, states: States) -> States:
            h, c = states
            i, o, f, g = split(F.add(x, F.matmul(h, recurrent)), 1, 4)
            if peepholes is not None:
                i, f = F.add(i, F.mul(peepholes[0], c)), F.add(f, F.mul(peepholes[2], c))
            c = F.add(F.mul(F.sigmoid(f), c), F.mul(F.sigmoid(i), F.tanh(g)))
            if peepholes is not None:
                o = F.add(o, F.mul(peepholes[1], c))
            return F.mul(F.sigmoid(o), F.tanh(c)), c

        return projected(op, direction, bias), cell

    return layer(op, prepare, (op.initial_h, op.initial_c))


def gru(op: ml.GruOp) -> tuple[SSAValue, ...]:
    """The bias of the state's product joins that of the input, but for n's if the reset gate multiplies it."""
    linear = op.linear_before_reset is not None

    def prepare(direction: int) -> tuple[SSAValue, Cell]:
        recurrent = F.transpose(of_direction(op.recurrent, direction))
        hidden = shape_of(recurrent)[0]
        bias = inner = None
        if op.bias is not None:
            bias, state_bias = split(of_direction(op.bias, direction), 0, 2)
            if linear:
                inner = slice_along(state_bias, 0, 2 * hidden, hidden)
                state_bias = F.concat([slice_along(state_bias, 0, 0, 2 * hidden), zeros((hidden,), inner)], 0)
            bias = F.add(bias, state_bias)
        gates = slice_along(recurrent, 1, 0, 2 * hidden)
        candidate = slice_along(recurrent, 1, 2 * hidden, hidden)

        def linear_cell(x: SSAValue, states: States) -> States:
            (h,) = states
            (xz, xr, xn), (hz, hr, hn) = split(x, 1, 3), split(F.matmul(h, recurrent), 1, 3)
            z, r = F.sigmoid(F.add(xz, hz)), F.sigmoid(F.add(xr, hr))
            past = hn if inner is None else F.add(hn, inner)
            return (mixed(z, F.tanh(F.add(xn, F.mul(r, past))), h),)

        def cell(x: SSAValue, states: States) -> States:
            (h,) = states
            z, r = split(F.sigmoid(F.add(slice_along(x, 1, 0, 2 * hidden), F.matmul(h, gates))), 1, 2)
            past = F.matmul(F.mul(r, h), candidate)
            return (mixed(z, F.tanh(F.add(slice_along(x, 1, 2 * hidden, hidden), past)), h),)

        return projected(op, direction, bias), linear_cell if linear else cell

    return layer(op, prepare, (op.initial_h,))


def mixed(z: SSAValue, n: SSAValue, h: SSAValue) -> SSAValue:
    """(1 - z) * n + z * h"""
    return F.add(n, F.mul(z, F.sub(h, n)))


DECOMPOSITIONS = {ml.LstmOp: lstm, ml.GruOp: gru}
