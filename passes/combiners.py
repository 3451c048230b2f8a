"""The ops that fold elements into one: what reductions and scans are made of."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.ir import Operation

COMBINERS: dict[type[Operation], str] = {
    arith.AddfOp: "add",
    arith.MulfOp: "mul",
    arith.MaximumfOp: "maximumf",
    arith.MinimumfOp: "minimumf",
    arith.AddiOp: "add",
    arith.MuliOp: "mul",
    arith.MaxSIOp: "maxsi",
    arith.MinSIOp: "minsi",
    arith.MaxUIOp: "maxui",
    arith.MinUIOp: "minui",
    arith.AndIOp: "and",
    arith.OrIOp: "or",
}
"""Ops that fold elements -> their name as a kind of vector.reduction."""
