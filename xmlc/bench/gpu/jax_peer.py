"""JAX's own program for an operation on arrays of PyTorch, which it takes as they lie in the device's memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from xmlc.bench.gpu.cases import KEPT, Peer


@dataclass(frozen=True)
class JaxCall:
    """A compiled program and its operands. It runs on a stream of JAX's: the host waits for what a call gave."""

    program: Callable[..., Any]
    operands: tuple[Any, ...]
    wait: Callable[[Any], Any]

    def __call__(self) -> Any:
        return self.program(*self.operands)


def jax_call(operation: str, operands: list[Any]) -> JaxCall | None:
    """None where JAX is not installed, or not for this device."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else it takes three quarters of the memory
    try:
        jax: Any = import_module("jax")
        given = tuple(jax.dlpack.from_dlpack(each) for each in operands)
    except (ImportError, RuntimeError):
        return None

    def program(*operands: Any) -> Any:
        return PROGRAMS[operation](jax, operands)

    return JaxCall(jax.jit(program).lower(*given).compile(), given, jax.block_until_ready)


def layer_norm(jax: Any, given: Sequence[Any]) -> Any:
    x, w, b = given
    return jax.nn.standardize(x, axis=1, epsilon=1e-5) * w + b


def rms_norm(jax: Any, given: Sequence[Any]) -> Any:
    x, w = given
    wide = x.astype("float32")
    return (wide * jax.lax.rsqrt((wide * wide).mean(1, keepdims=True) + 1e-5)).astype(x.dtype) * w


def sort(jax: Any, given: Sequence[Any]) -> Any:
    (x,) = given
    places = jax.lax.broadcasted_iota("int32", x.shape, 1)
    return jax.lax.sort((x, places), dimension=1, is_stable=True, num_keys=1)


PROGRAMS: Mapping[str, Peer] = {
    "chain": lambda jax, given: jax.nn.gelu(given[0] * given[1] + given[2], approximate=False) + given[0],
    "softmax": lambda jax, given: jax.nn.softmax(given[0], axis=1),
    "log_softmax": lambda jax, given: jax.nn.log_softmax(given[0], axis=1),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "row_sum": lambda jax, given: given[0].sum(1),
    "column_sum": lambda jax, given: given[0].sum(0),
    "full_sum": lambda jax, given: given[0].sum(),
    "argmax": lambda jax, given: given[0].argmax(1),
    "transpose": lambda jax, given: given[0].T,
    "cumsum": lambda jax, given: given[0].cumsum(1),
    "sort": sort,
    "topk": lambda jax, given: jax.lax.top_k(given[0], KEPT),
    "matmul": lambda jax, given: given[0] @ given[1],
}
"""Operation of the grid -> JAX's; its places are of 32 bits, ours and PyTorch's of 64."""
