"""Learning rates that change: functions of how many steps were taken, for `rate` of an optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from xmlc.frontend.python import functions as xnp
from xmlc.frontend.python.array import Array

Schedule: TypeAlias = Callable[[Array], Array]


def linear(start: float, end: float, steps: int) -> Schedule:
    """From `start` to `end` along a line, then `end`."""

    def rate(taken: Array) -> Array:
        return start + (end - start) * xnp.minimum(taken / steps, 1.0)

    return rate


def cosine(start: float, steps: int, *, end: float = 0.0) -> Schedule:
    """From `start` to `end` along half a cosine, then `end` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    def rate(taken: Array) -> Array:
        return end + (start - end) * 0.5 * (1 + xnp.cos(math.pi * xnp.minimum(taken / steps, 1.0)))

    return rate


def exponential(start: float, factor: float, every: int) -> Schedule:
    """Multiplied by `factor` over each `every` steps, smoothly."""
    return lambda taken: start * factor ** (taken / every)


def warmup(steps: int, then: Schedule | float) -> Schedule:
    """From near zero to what `then` says along a line over the first steps; the steps of `then` count from its end."""

    def rate(taken: Array) -> Array:
        after = then(xnp.maximum(taken - steps, 0.0)) if callable(then) else then
        return xnp.minimum((taken + 1) / steps, 1.0) * after

    return rate
