"""Initial weights, drawn by a generator of NumPy's: arrays of float32.

A matrix is (inputs, outputs), as `x @ weight` takes it; a filter is (outputs, inputs, *kernel), as `nn.conv` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmlc.frontend.python.tree import flatten

Weights = NDArray[np.float32]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each output of a layer has, and how many outputs each input goes into."""
    if len(shape) < 2:
        raise ValueError(f"weights of a layer have two dimensions or more, found shape {tuple(shape)}")
    if len(shape) == 2:
        return shape[0], shape[1]
    window = prod(shape[2:])
    return shape[1] * window, shape[0] * window


def normal(random: np.random.Generator, shape: Sequence[int], deviation: float = 0.02) -> Weights:
    """Normally distributed around zero."""
    return (random.standard_normal(shape) * deviation).astype(np.float32)


def he_normal(random: np.random.Generator, shape: Sequence[int]) -> Weights:
    """With variance 2 / inputs, for layers followed by `relu` (He et al. 2015, arXiv:1502.01852)."""
    return normal(random, shape, (2 / fans(shape)[0]) ** 0.5)


def glorot_uniform(random: np.random.Generator, shape: Sequence[int]) -> Weights:
    """Uniform with variance 2 / (inputs + outputs), for layers without or with `tanh` (Glorot and Bengio 2010)."""
    limit = (6 / sum(fans(shape))) ** 0.5
    return random.uniform(-limit, limit, tuple(shape)).astype(np.float32)


def parameter_count(parameters: Any) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(leaf.size for leaf in flatten(parameters)[0])
