"""What is measured on a GPU: operations, element types, sizes, and the schedules of a ladder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

Peer = Callable[[Any, Sequence[Any]], Any]
"""f(torch, operands), or JAX's"""

WIDE, SCALE, OTHER = "wide", "scale", "other"
"""Operands: of all points; of one row; the second factor of a product."""
BYTES = {"f32": 4, "bf16": 2, "f16": 2}
KEPT = 64
"""The k of topk."""
TORCH = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


@dataclass(frozen=True)
class Operation:
    """One operation: how it is built for us and for PyTorch, and how many elements it must read and write."""

    build: Callable[..., SSAValue | tuple[SSAValue, ...]]
    peer: Peer
    """On operands in float64 it is the reference; of sorts, on the operands as they are."""
    operands: tuple[str, ...] = (WIDE,)
    written: Callable[[int, int], int] = lambda rows, columns: rows * columns
    by_rows: bool = True
    """Whether rows do not depend on each other."""
    index: bool = False
    """Whether the results are i64 places."""


def one_of_each_row(rows: int, columns: int) -> int:
    return rows


def gelu_chain(x: SSAValue, w: SSAValue, b: SSAValue) -> SSAValue:
    """gelu(x * w + b) + x"""
    from xmlc.dialects.ml import functions as F

    return F.add(F.gelu(F.add(F.mul(x, w), b)), x)


def layer_norm(x: SSAValue, w: SSAValue, b: SSAValue) -> SSAValue:
    from xmlc.dialects.ml import functions as F

    return F.layer_norm(x, w, b, axis=1)


def rms_norm(x: SSAValue, w: SSAValue) -> SSAValue:
    from xmlc.dialects.ml import functions as F

    return F.rms_norm(x, w, axis=1)


def built(name: str, *more: Any, **options: Any) -> Callable[..., Any]:
    def build(*operands: SSAValue) -> Any:
        from xmlc.dialects.ml import functions as F

        return getattr(F, name)(*operands, *more, **options)

    return build


def with_places(rows: int, columns: int) -> int:
    """Elements of 32 bits that values and i64 places are."""
    return 3 * rows * columns


def torch_chain(torch: Any, given: Sequence[Any]) -> Any:
    x, w, b = given
    return torch.nn.functional.gelu(x * w + b) + x


def torch_layer_norm(torch: Any, given: Sequence[Any]) -> Any:
    x, w, b = given
    return torch.nn.functional.layer_norm(x, x.shape[-1:], w, b, 1e-5)


def torch_rms_norm(torch: Any, given: Sequence[Any]) -> Any:
    x, w = given
    return torch.nn.functional.rms_norm(x, x.shape[-1:], w, 1e-5)


OPERATIONS: Mapping[str, Operation] = {
    "chain": Operation(gelu_chain, torch_chain, (WIDE, SCALE, SCALE)),
    "softmax": Operation(built("softmax", 1), lambda torch, given: torch.softmax(given[0], -1)),
    "log_softmax": Operation(built("log_softmax", 1), lambda torch, given: torch.log_softmax(given[0], -1)),
    "layer_norm": Operation(layer_norm, torch_layer_norm, (WIDE, SCALE, SCALE)),
    "rms_norm": Operation(rms_norm, torch_rms_norm, (WIDE, SCALE)),
    "row_sum": Operation(built("reduce_sum", axes=[1]), lambda torch, given: given[0].sum(1), written=one_of_each_row),
    "column_sum": Operation(
        built("reduce_sum", axes=[0]),
        lambda torch, given: given[0].sum(0),
        written=lambda rows, columns: columns,
        by_rows=False,
    ),
    "full_sum": Operation(
        built("reduce_sum", axes=[0, 1]),
        lambda torch, given: given[0].sum(),
        written=lambda rows, columns: 1,
        by_rows=False,
    ),
    "argmax": Operation(
        built("argmax", 1), lambda torch, given: given[0].argmax(1), written=lambda rows, columns: 2 * rows, index=True
    ),
    "transpose": Operation(built("transpose", (1, 0)), lambda torch, given: given[0].t().contiguous(), by_rows=False),
    "cumsum": Operation(built("cumulative_sum", axis=1), lambda torch, given: given[0].cumsum(1)),
    "sort": Operation(
        built("sort", axis=1),
        lambda torch, given: torch.sort(given[0], dim=1, stable=True),
        written=with_places,
        by_rows=False,
    ),
    "topk": Operation(
        built("topk", KEPT, axis=1),
        lambda torch, given: torch.topk(given[0], KEPT, dim=1),
        written=lambda rows, columns: with_places(rows, KEPT),
        by_rows=False,
    ),
    "matmul": Operation(built("matmul"), lambda torch, given: given[0] @ given[1], (WIDE, OTHER), by_rows=False),
}


@dataclass(frozen=True)
class Case:
    """An operation of a size and an element type, by a schedule if one is stated."""

    operation: str
    element: str
    rows: int
    columns: int
    schedule: tuple[str, str, str] | None = None
    """(pass, option, value)"""
    compilers: tuple[str, ...] = field(default=(), compare=False)
    """Which of COMPILERS are measured too: they take seconds for each case."""

    @property
    def name(self) -> str:
        rung = f" [{self.schedule[2]}]" if self.schedule else ""
        return f"{self.operation} {self.element} {self.rows}x{self.columns}{rung}"

    @property
    def file(self) -> str:
        return self.name.replace(" ", "-").replace("[", "").replace("]", "") + ".program"

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each operand."""
        known = {WIDE: (self.rows, self.columns), SCALE: (self.columns,), OTHER: (self.columns, self.rows)}
        return [known[each] for each in OPERATIONS[self.operation].operands]

    @property
    def moved(self) -> int:
        """The bytes that must be read or written at least."""
        written = OPERATIONS[self.operation].written(self.rows, self.columns)
        return (sum(map(prod, self.shapes)) + written) * BYTES[self.element]

    @property
    def operations(self) -> int:
        """Of a product: its multiplications and additions."""
        return 2 * self.rows * self.rows * self.columns if self.operation == "matmul" else 0

    def module(self) -> ModuleOp:
        import xmlc

        builder = xmlc.Builder()
        texts = ["x".join([*map(str, shape), self.element]) for shape in self.shapes]
        kinds: dict[str, Any] = {f"x{i}": xmlc.tensor(text) for i, text in enumerate(texts)}
        with builder.function(**kinds) as f:
            made = OPERATIONS[self.operation].build(*(f[name] for name in kinds))
            f.returns(*(made if isinstance(made, tuple) else (made,)))
        return builder.module


SIZES = (
    (64, 64), (512, 512), (1024, 1024), (4096, 4096), (16384, 1024), (16384, 8192), (65536, 256), (2048, 65536),
    (64, 1048576), (65536, 16384), (65536, 65536),
)  # fmt: skip
SORTED = {
    "sort": ((1, 1 << 20), (1, 1 << 24), (64, 1 << 20), (4096, 4096), (16384, 1024), (65536, 256)),
    "topk": ((64, 1 << 17), (4096, 4096), (16384, 1024)),
}
"""Sizes at which rows are put in order."""
COMPILERS: Mapping[str, str | None] = {
    "torch.compile": "max-autotune-no-cudagraphs",  # a graph would only hide its launches
    "torch.compile, default": "default",
    "jax": None,
}
"""Peers that compile -> the mode of torch.compile."""
ALL_COMPILERS = ((16384, 8192), (2048, 65536))
"""Sizes of f32 and bf16 at which all of them are measured; the first is at every size of f32."""
LADDERS: Mapping[str, tuple[tuple[str, str], tuple[str, ...], tuple[tuple[str, int, int], ...]]] = {
    "matmul": (
        ("map-contractions", "rung"),
        ("naive", "shared", "register", "pipelined"),
        (("f32", 4096, 4096),),
    ),
    "row_sum": (("map-rows", "exchange"), ("naive", "shared", "shuffle"), (("f32", 16384, 1024), ("f32", 16384, 8192))),
    "cumsum": (
        ("map-scans", "schedule"),
        ("hillis-steele", "work-efficient", "look-back"),
        (("f32", 16384, 8192), ("f32", 64, 1048576)),
    ),
}
"""Operation -> (the pass and its option), the rungs, and the element types and sizes at which they are measured."""


def compilers_of(element: str, size: tuple[int, int]) -> tuple[str, ...]:
    """Which are measured: each takes seconds for each case."""
    if size in ALL_COMPILERS and element != "f16":
        return tuple(COMPILERS)
    return tuple(COMPILERS)[:1] if element == "f32" else ()


def cases() -> list[Case]:
    """The whole grid, then the ladders."""
    made = [
        Case(operation, element, rows, columns, compilers=compilers_of(element, (rows, columns)))
        for operation in OPERATIONS
        if operation != "matmul" and operation not in SORTED
        for rows, columns in SIZES
        for element in BYTES
        if rows * columns < 2**32 or element != "f32"
    ]
    for operation, sizes in SORTED.items():
        made += [Case(operation, element, *size) for size in sizes for element in BYTES]
    for operation, ((name, option), rungs, sizes) in LADDERS.items():
        made += [
            Case(operation, element, rows, columns, (name, option, rung))
            for element, rows, columns in sizes
            for rung in rungs
        ]
    return made
