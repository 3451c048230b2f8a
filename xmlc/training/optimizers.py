"""Optimisers as pairs of functions of trees: the state to begin with, and one step of parameters and state.

`init` works on arrays, `update` in a function that is being traced, where it becomes part of the program. Gradients,
parameters and what the state keeps for each of them are trees of the same structure. Learning rates are numbers, or
functions of the number of steps taken (`xmlc.training.schedules`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from xmlc.frontend.python import functions as xnp
from xmlc.frontend.python.array import Array
from xmlc.frontend.python.tree import flatten, map_leaves

Parameters: TypeAlias = Any
"""A tree of floating-point arrays."""
State: TypeAlias = dict[str, Any]
"""What an optimiser keeps between steps: the number of steps taken, and trees of the structure of the parameters."""
Rate: TypeAlias = "float | Callable[[Array], Any]"
Rule: TypeAlias = Callable[..., tuple[Any, ...]]
"""f(gradient, parameter, *what the state keeps for it) -> (new parameter, *what it keeps now), all arrays."""


@dataclass(frozen=True)
class Optimizer:
    """How parameters change by their gradients."""

    kept: tuple[str, ...]
    """The names of what the state keeps for each parameter: arrays of its shape, which begin as zeros."""
    rule: Callable[[Array], Rule]
    """The number of this step, counted from 1, as float32 -> the rule for one parameter."""

    def init(self, parameters: Parameters) -> State:
        """The state before the first step."""

        def zeros_like(x: Any) -> Any:
            return np.zeros(x.shape, x.dtype)

        zeros = {name: map_leaves(zeros_like, parameters) for name in self.kept}
        return {"step": np.zeros((), np.int32), **zeros}

    def update(self, gradients: Any, state: State, parameters: Parameters) -> tuple[Parameters, State]:
        """Parameters and state after one step along the gradients."""
        step = state["step"] + 1
        rule = self.rule(step.astype(np.float32))
        columns = [flatten(tree)[0] for tree in (gradients, parameters, *[state[name] for name in self.kept])]
        made = [rule(*row) for row in zip(*columns, strict=True)]
        structure = flatten(parameters)[1]
        found, *kept = [structure.build(column) for column in zip(*made)]
        return found, {"step": step, **dict(zip(self.kept, kept))}


def rate_at(rate: Rate, step: Array) -> Any:
    """The learning rate of a step; a schedule is asked with how many were taken before."""
    return rate(step - 1) if callable(rate) else rate


def sgd(rate: Rate, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Optimizer:
    """Stochastic gradient descent: v <- momentum v + g, p <- p - rate v (Sutskever et al. 2013 for momentum)."""

    def rule(step: Array) -> Rule:
        speed = rate_at(rate, step)

        def plain(gradient: Array, parameter: Array) -> tuple[Array]:
            return (parameter - speed * (gradient + weight_decay * parameter),)

        def heavy(gradient: Array, parameter: Array, velocity: Array) -> tuple[Array, Array]:
            gradient = gradient + weight_decay * parameter
            velocity = momentum * velocity + gradient
            direction = gradient + momentum * velocity if nesterov else velocity
            return parameter - speed * direction, velocity

        return heavy if momentum else plain

    return Optimizer(("velocity",) if momentum else (), rule)


def adam(rate: Rate, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980): steps of a size by the gradients' first and second moments."""
    return adamw(rate, betas=betas, epsilon=epsilon, weight_decay=0.0)


def adamw(
    rate: Rate, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with decay of the weights apart from the gradients (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    first, second = betas

    def rule(step: Array) -> Rule:
        speed = rate_at(rate, step)
        size, root = speed / (1 - first**step), 1 / xnp.sqrt(1 - second**step)

        def moved(gradient: Array, parameter: Array, mean: Array, square: Array) -> tuple[Array, Array, Array]:
            mean = first * mean + (1 - first) * gradient
            square = second * square + (1 - second) * gradient * gradient
            direction = mean / (xnp.sqrt(square) * root + epsilon)
            if weight_decay:
                parameter = parameter * (1 - speed * weight_decay)
            return parameter - size * direction, mean, square

        return moved

    return Optimizer(("mean", "square"), rule)


def lion(rate: Rate, *, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0) -> Optimizer:
    """Lion (Chen et al. 2023, arXiv:2302.06675): steps of one size by the sign of an average gradient."""
    first, second = betas

    def rule(step: Array) -> Rule:
        speed = rate_at(rate, step)

        def moved(gradient: Array, parameter: Array, mean: Array) -> tuple[Array, Array]:
            direction = xnp.sign(first * mean + (1 - first) * gradient) + weight_decay * parameter
            return parameter - speed * direction, second * mean + (1 - second) * gradient

        return moved

    return Optimizer(("mean",), rule)


def global_norm(tree: Any) -> Array:
    """The Euclidean norm of all elements of a tree of arrays, as one vector."""
    return xnp.sqrt(sum((xnp.square(leaf).sum() for leaf in flatten(tree)[0]), xnp.asarray(0.0)))


def clip_by_norm(gradients: Any, limit: float) -> Any:
    """The gradients, scaled down to norm `limit` where theirs is larger (Pascanu et al. 2013, arXiv:1211.5063)."""
    scale = xnp.minimum(limit / xnp.maximum(global_norm(gradients), 1e-12), 1.0)

    def scaled(gradient: Array) -> Array:
        return gradient * scale.astype(gradient.dtype)

    return map_leaves(scaled, gradients)
