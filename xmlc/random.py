"""Random tensors: numbered streams of a seed, each call the next one, whatever device computes it.

    generator = random.Generator(0)
    x = generator.normal((3, 4))

In a function that is being traced, a generator would give the same numbers in every call: it is an error. Pass it a
key, an array like any other, and call `normal(key, shape)`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python import random as r
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.random import key as key
from xmlc.frontend.python.trace import current
from xmlc.tensors.device import Device, device_named
from xmlc.tensors.tensor import Operation, Tensor

__all__ = ["Generator", "integers", "key", "normal", "permutation", "rand", "randn", "seed", "uniform"]

normal, uniform = Operation(r.normal), Operation(r.uniform)
integers, permutation = Operation(r.integers), Operation(r.permutation)


class Generator:
    """Random tensors from one seed; those of the same seed are the same, call by call."""

    def __init__(self, seed: int | None = None, device: Device | str | None = None):
        self.device = device
        self.seed(secrets.randbits(32) if seed is None else seed)

    def seed(self, seed: int) -> None:
        """Begin again, with another seed."""
        self.state, self.calls = seed, 0

    def key(self) -> Tensor:
        """The key of the next stream."""
        if current() is not None:
            raise CompileError(
                "a generator in a compiled function would give the same numbers in every call",
                place=user_place(),
                hint="pass the function a key, and call xmlc.random.normal(key, shape)",
            )
        self.calls += 1
        return Tensor.of(key(self.state, self.calls), device_named(self.device))

    def normal(
        self, shape: int | Sequence[int] = (), *, mean: float = 0.0, scale: float = 1.0, dtype: Any = None
    ) -> Tensor:
        return normal(self.key(), shape, mean=mean, scale=scale, dtype=dtype)

    def uniform(
        self, shape: int | Sequence[int] = (), *, low: float = 0.0, high: float = 1.0, dtype: Any = None
    ) -> Tensor:
        return uniform(self.key(), shape, low=low, high=high, dtype=dtype)

    def integers(self, low: int, high: int, shape: int | Sequence[int] = (), *, dtype: Any = None) -> Tensor:
        return integers(self.key(), shape, low=low, high=high, dtype=dtype)

    def permutation(self, size: int) -> Tensor:
        return permutation(self.key(), size)


DEFAULT = Generator()
"""What the functions without a generator draw from."""

seed = DEFAULT.seed


def randn(*shape: int, dtype: Any = None) -> Tensor:
    """Numbers of the standard normal distribution."""
    return DEFAULT.normal(shape, dtype=dtype)


def rand(*shape: int, dtype: Any = None) -> Tensor:
    """Numbers between 0 and 1, 1 left out."""
    return DEFAULT.uniform(shape, dtype=dtype)
