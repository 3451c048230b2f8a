"""ONNX's recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_of
from xmlc.frontend.onnx.unsupported import Unsupported

SWAP = (1, 0, 2)
"""Batch before time, or direction before batch: the other order of the first two dimensions."""


def expect_plain(
    name: str, activations: Sequence[str] | None, expected: Sequence[str], clip: float | None, direction: str
) -> None:
    """`ml` has the layers with their usual activations and without clipping."""
    wanted = list(expected) * (2 if direction == "bidirectional" else 1)
    if activations is not None and [each.lower() for each in activations] != wanted:
        raise Unsupported(f"{name} with activations {', '.join(activations)} is not supported")
    if clip is not None:
        raise Unsupported(f"{name} with clipped activations is not supported")


def swapped(x: SSAValue | None, layout: int) -> SSAValue | None:
    """A (batch, …) operand of layout 1 in the order of layout 0."""
    return x if x is None or not layout else F.transpose(x, SWAP)


def ordered(y: SSAValue, states: Sequence[SSAValue], layout: int) -> tuple[SSAValue, ...]:
    """The results in the order that the layout asks for."""
    if not layout:
        return y, *states
    return F.transpose(y, (2, 0, 1, 3)), *(F.transpose(state, SWAP) for state in states)


def LSTM(
    x: SSAValue,
    weight: SSAValue,
    recurrent: SSAValue,
    bias: SSAValue | None = None,
    lengths: SSAValue | None = None,
    initial_h: SSAValue | None = None,
    initial_c: SSAValue | None = None,
    peepholes: SSAValue | None = None,
    *,
    activation_alpha: tuple[float, ...] = (),
    activation_beta: tuple[float, ...] = (),
    activations: tuple[str, ...] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[SSAValue, ...]:
    expect_plain("LSTM", activations, ("sigmoid", "tanh", "tanh"), clip, direction)
    if input_forget:
        raise Unsupported("LSTM with coupled input and forget gates is not supported")
    y, y_h, y_c = F.lstm(
        F.transpose(x, SWAP) if layout else x,
        weight,
        recurrent,
        bias,
        lengths=lengths,
        initial_h=swapped(initial_h, layout),
        initial_c=swapped(initial_c, layout),
        peepholes=peepholes,
        direction=direction,
    )
    return ordered(y, (y_h, y_c), layout)


def GRU(
    x: SSAValue,
    weight: SSAValue,
    recurrent: SSAValue,
    bias: SSAValue | None = None,
    lengths: SSAValue | None = None,
    initial_h: SSAValue | None = None,
    *,
    activation_alpha: tuple[float, ...] = (),
    activation_beta: tuple[float, ...] = (),
    activations: tuple[str, ...] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[SSAValue, ...]:
    expect_plain("GRU", activations, ("sigmoid", "tanh"), clip, direction)
    y, y_h = F.gru(
        F.transpose(x, SWAP) if layout else x,
        weight,
        recurrent,
        bias,
        lengths=lengths,
        initial_h=swapped(initial_h, layout),
        direction=direction,
        linear_before_reset=bool(linear_before_reset),
    )
    return ordered(y, (y_h,), layout)


def RNN(
    x: SSAValue,
    weight: SSAValue,
    recurrent: SSAValue,
    bias: SSAValue | None = None,
    lengths: SSAValue | None = None,
    initial_h: SSAValue | None = None,
    *,
    activation_alpha: tuple[float, ...] = (),
    activation_beta: tuple[float, ...] = (),
    activations: tuple[str, ...] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[SSAValue, ...]:
    """h' = f(W x + R h), each direction a scan; past its length a sequence keeps its state and gives zeros."""
    if clip is not None:
        raise Unsupported("RNN with clipped activations is not supported")
    x = F.transpose(x, SWAP) if layout else x
    initial_h = swapped(initial_h, layout)
    directions = 2 if direction == "bidirectional" else 1
    names = [each.lower() for each in activations or ("tanh",) * directions]
    strange = set(names) - ACTIVATIONS.keys()
    if strange or activation_alpha or activation_beta:
        raise Unsupported(f"RNN with activations {', '.join(names)} is not supported")
    results = [
        one_direction(
            x,
            piece(weight, index),
            piece(recurrent, index),
            None if bias is None else piece(bias, index),
            lengths,
            None if initial_h is None else piece(initial_h, index),
            ACTIVATIONS[names[index]],
            direction == "reverse" or index == 1,
        )
        for index in range(directions)
    ]
    time, batch, hidden = shape_of(results[0][0])
    y = F.concat([F.reshape(outputs, (time, 1, batch, hidden)) for outputs, _ in results], 1)
    y_h = F.concat([F.reshape(state, (1, batch, hidden)) for _, state in results], 0)
    return ordered(y, (y_h,), layout)


ACTIVATIONS: dict[str, Callable[[SSAValue], SSAValue]] = {
    "tanh": F.tanh,
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "softplus": F.softplus,
}


def piece(x: SSAValue, index: int) -> SSAValue:
    """x[index]"""
    shape = shape_of(x)
    start = [index] + [0] * (len(shape) - 1)
    return F.reshape(F.slice_(x, start, (1, *shape[1:])), shape[1:])


def one_direction(
    x: SSAValue,
    weight: SSAValue,
    recurrent: SSAValue,
    bias: SSAValue | None,
    lengths: SSAValue | None,
    initial_h: SSAValue | None,
    activation: Callable[[SSAValue], SSAValue],
    reverse: bool,
) -> tuple[SSAValue, SSAValue]:
    """All outputs (t, b, h) and the last state (b, h)."""
    time, batch, _ = shape_of(x)
    hidden = shape_of(recurrent)[0]
    inputs = F.matmul(x, F.transpose(weight, (1, 0)))
    if bias is not None:
        inputs = F.add(inputs, F.slice_(bias, (0,), (hidden,)))
        inputs = F.add(inputs, F.slice_(bias, (hidden,), (hidden,)))
    states = F.transpose(recurrent, (1, 0))
    zero = F.scalar(x, 0.0)
    start = F.broadcast(zero, (batch, hidden)) if initial_h is None else initial_h
    ends = None if lengths is None else F.reshape(F.cast(lengths, i64), (batch, 1))

    def step(now: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
        (state,) = now
        after = activation(F.add(slices[0], F.matmul(state, states)))
        if ends is None:
            return [after], [after]
        running = F.compare(slices[1], ends, "lt")
        return [F.select(running, after, state)], [F.select(running, after, zero)]

    (last,), (outputs,) = F.scan(step, [start], [inputs, F.iota((time,), 0, i64)], reverse=reverse)
    return outputs, last
