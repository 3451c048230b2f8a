"""The kernels whose code is looked at without a GPU: those of `xmlc bench --device cuda`, large and small."""

from __future__ import annotations

import pytest

from xmlc.backends.cuda.compile import find_ptxas
from xmlc.bench.gpu.cases import OPERATIONS, Case

needs_ptxas = pytest.mark.skipif(find_ptxas() is None, reason="ptxas is not installed")
"""Marks a test of machine code."""

ORDERED = {"sort": (4096, 4096), "topk": (4096, 4096), "matmul": (4096, 4096)}
"""Operations that are looked at with one size."""
LARGE = ((16384, 8192), (2048, 65536))
"""Rows that one block holds, and rows that it does not."""

CORPUS = tuple(
    Case(operation, element, *size)
    for operation in OPERATIONS
    for size in ((ORDERED[operation],) if operation in ORDERED else LARGE)
    for element in ("f32", "bf16")
)
SMALL = tuple(Case(operation, element, 1024, 1024) for operation in OPERATIONS for element in ("f32", "bf16"))
"""Kernels of single blocks, without clusters."""
