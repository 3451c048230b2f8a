"""One case: a computation, its random inputs, what it costs at least, and how near the answer has to be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "f64": np.dtype(np.float64),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "i8": np.dtype(np.int8),
}

TOLERANCE: dict[str, float] = {"f64": 1e-12, "f32": 2e-5, "f16": 4e-3, "bf16": 3e-2, "i8": 0.0}
"""Element type -> largest error allowed, relative to the largest element of the float64 result."""


@dataclass(frozen=True)
class Case:
    """A computation named after its kind, type and sizes; peers find how they compute it by `kind`.

    The last `weights` of the inputs are constants: whoever wants to may rearrange them before the clock starts.
    """

    name: str
    group: str
    kind: str
    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    weights: int = 0
    quick: bool = False
    """Whether `--quick` keeps it."""
    tolerance: float | None = None
    file: str | None = None
    """The ONNX file, where the case is a model."""
    draws: tuple[tuple[Any, ...], ...] = ()
    """How each input of a model is drawn: rows of xmlc.bench.models."""

    @property
    def allowed(self) -> float:
        """The largest error that is not wrong, relative to the largest element."""
        return TOLERANCE[self.dtype] if self.tolerance is None else self.tolerance


def random_inputs(case: Case, seed: int = 0) -> list[Array]:
    """Normally distributed floats; integers from all of their range. Never zeros, whose products are cheap."""
    generator = np.random.default_rng(seed)
    dtype = DTYPES[case.dtype]
    if dtype.kind == "i":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max + 1
        return [generator.integers(low, high, shape, dtype=dtype) for shape in case.shapes]
    return [generator.standard_normal(shape, np.float32).astype(dtype) for shape in case.shapes]


def error_of(found: Sequence[Array], wanted: Sequence[Array]) -> float:
    """The largest error over the largest element of its output; infinite for another number or shape of outputs."""
    if len(found) != len(wanted) or any(a.shape != b.shape for a, b in zip(found, wanted)):
        return math.inf
    return max((error_of_one(a, b) for a, b in zip(found, wanted)), default=0.0)


def error_of_one(found: Array, wanted: Array) -> float:
    if not wanted.size:
        return 0.0
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    largest = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    worst = float(np.where(np.isnan(difference), np.inf, difference).max())
    return worst / largest if largest else math.inf
