"""What the recurrent layers of `ml` mean: one sequence of the batch at a time, step by step, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import recurrent as ml
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.reference.elementwise import wide

Array = NDArray[Any]
State = tuple[Array, ...]
Cell = Callable[[Array, State], State]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def layer(
    op: ml.RecurrentOp,
    arrays: dict[SSAValue, Array],
    cell_of: Callable[[int], Cell],
    starts: tuple[SSAValue | None, ...],
) -> tuple[Array, ...]:
    """All outputs and the final states, given the step of each direction and the initial states."""
    x, hidden = wide(arrays[op.x]), arrays[op.recurrent].shape[2]
    time, batch = x.shape[:2]
    count = op.direction.data.directions()
    lengths = np.full(batch, time) if op.lengths is None else np.clip(arrays[op.lengths], 0, time)
    outputs = np.zeros((time, count, batch, hidden))
    finals = [np.zeros((count, batch, hidden)) if v is None else wide(arrays[v]).copy() for v in starts]
    for direction, sample in np.ndindex(count, batch):
        backwards = op.direction.data is ml.Direction.REVERSE or direction == 1
        steps = range(int(lengths[sample]))
        cell = cell_of(direction)
        state = tuple(final[direction, sample] for final in finals)
        for step in reversed(steps) if backwards else steps:
            state = cell(x[step, sample], state)
            outputs[step, direction, sample] = state[0]
        for final, value in zip(finals, state):
            final[direction, sample] = value
    dtype = TO_NUMPY[element_of(op.y)]
    return tuple(each.astype(dtype) for each in (outputs, *finals))


def parameters(op: ml.RecurrentOp, arrays: dict[SSAValue, Array], direction: int) -> tuple[list[Array], ...]:
    """Weight, recurrent weight, and their two biases, each a list with one entry a gate."""
    gates, rows = op.GATES, arrays[op.weight].shape[1]
    bias = np.zeros(2 * rows) if op.bias is None else wide(arrays[op.bias])[direction]
    matrices = wide(arrays[op.weight])[direction], wide(arrays[op.recurrent])[direction]
    return tuple(np.split(each, gates) for each in (*matrices, *np.split(bias, 2)))


def lstm(op: ml.LstmOp, *operands: Array) -> tuple[Array, ...]:
    arrays = dict(zip(op.operands, operands))

    def cell_of(direction: int) -> Cell:
        weights, recurrents, biases, inner = parameters(op, arrays, direction)
        peepholes = [np.zeros(len(biases[0]))] * 3
        if op.peepholes is not None:
            peepholes = np.split(wide(arrays[op.peepholes])[direction], 3)

        def cell(x: Array, state: State) -> State:
            h, c = state
            i, o, f, g = (w @ x + wb + r @ h + rb for w, r, wb, rb in zip(weights, recurrents, biases, inner))
            i, f = sigmoid(i + peepholes[0] * c), sigmoid(f + peepholes[2] * c)
            c = f * c + i * np.tanh(g)
            return sigmoid(o + peepholes[1] * c) * np.tanh(c), c

        return cell

    return layer(op, arrays, cell_of, (op.initial_h, op.initial_c))


def gru(op: ml.GruOp, *operands: Array) -> tuple[Array, ...]:
    arrays = dict(zip(op.operands, operands))

    def cell_of(direction: int) -> Cell:
        (wz, wr, wn), (rz, rr, rn), (bz, br, bn), (iz, ir, inner) = parameters(op, arrays, direction)

        def cell(x: Array, state: State) -> State:
            (h,) = state
            z = sigmoid(wz @ x + bz + rz @ h + iz)
            r = sigmoid(wr @ x + br + rr @ h + ir)
            past = rn @ (r * h) + inner if op.linear_before_reset is None else r * (rn @ h + inner)
            n = np.tanh(wn @ x + bn + past)
            return ((1 - z) * n + z * h,)

        return cell

    return layer(op, arrays, cell_of, (op.initial_h,))


REFERENCE: dict[type[Operation], Callable[..., Any]] = {ml.LstmOp: lstm, ml.GruOp: gru}
