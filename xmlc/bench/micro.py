"""The suite `micro`: single operations over a grid of sizes, in and out of cache."""

from __future__ import annotations

from collections.abc import Iterator

from xmlc.bench.case import Case


def name_of(*shapes: tuple[int, ...]) -> str:
    return "_".join("x".join(map(str, shape)) for shape in shapes)


def gemm(dtype: str, kind: str, m: int, n: int, k: int, shape: str, batch: int = 1, quick: bool = False) -> Case:
    lead = (batch,) if batch > 1 else ()
    right = (n, k) if kind == "matmul_nt" else (k, n)
    sizes = f"{f'{batch}x' if batch > 1 else ''}{m}x{n}x{k}"
    suffix = "-nt" if kind == "matmul_nt" else ""
    return Case(
        f"gemm{suffix}/{dtype}/{sizes}",
        f"gemm {dtype} {shape}",
        kind,
        dtype,
        ((*lead, m, k), (*lead, *right)),
        quick=quick,
    )


SQUARE: dict[str, tuple[int, ...]] = {
    "f32": (64, 128, 256, 512, 1024, 2048, 4096),
    "f64": (128, 512, 1024, 2048),
    "bf16": (128, 512, 1024, 2048),
    "f16": (128, 512, 1024),
    "i8": (128, 512, 1024, 2048),
}
QUICK_SQUARE = {128, 512}
# m, n, k: one row, one column, few rows, a short inner dimension, a long one
SKINNY = ((1, 4096, 4096), (4096, 1, 4096), (8, 4096, 1024), (32, 1024, 1024), (1024, 1024, 16), (64, 64, 16384))
QUICK_SKINNY = {(1, 4096, 4096), (32, 1024, 1024)}
BATCHED = ((12, 128, 128, 64), (64, 32, 32, 32), (8, 256, 256, 256), (96, 64, 64, 64))  # batch, m, n, k


def gemms() -> Iterator[Case]:
    for dtype, sizes in SQUARE.items():
        kind = "matmul_i8" if dtype == "i8" else "matmul"
        for n in sizes:
            yield gemm(dtype, kind, n, n, n, "square", quick=n in QUICK_SQUARE)
        if dtype in ("f32", "bf16"):
            for m, n, k in SKINNY:
                yield gemm(dtype, kind, m, n, k, "skinny", quick=dtype == "f32" and (m, n, k) in QUICK_SKINNY)
            for batch, m, n, k in BATCHED:
                yield gemm(dtype, kind, m, n, k, "batched", batch, quick=dtype == "f32" and batch == 12)
    yield gemm("f32", "matmul_nt", 512, 512, 512, "transposed", quick=True)
    yield gemm("f32", "matmul_nt", 32, 3072, 768, "transposed")


# network -> input (channels, size), output channels, kernel, stride, groups; padding keeps the size
CONVOLUTIONS: dict[str, tuple[tuple[int, int, int, int, int, int], ...]] = {
    "resnet50": (
        (3, 224, 64, 7, 2, 1),
        (64, 56, 64, 1, 1, 1),
        (64, 56, 64, 3, 1, 1),
        (64, 56, 256, 1, 1, 1),
        (128, 56, 128, 3, 2, 1),
        (128, 28, 128, 3, 1, 1),
        (256, 14, 256, 3, 1, 1),
        (1024, 14, 256, 1, 1, 1),
        (512, 7, 512, 3, 1, 1),
        (1024, 14, 2048, 1, 2, 1),
    ),
    "mobilenet": (
        (3, 224, 16, 3, 2, 1),
        (16, 112, 16, 3, 1, 16),
        (16, 112, 64, 1, 1, 1),
        (64, 112, 64, 3, 2, 64),
        (72, 56, 72, 5, 2, 72),
        (40, 28, 240, 1, 1, 1),
        (240, 28, 240, 3, 2, 240),
        (672, 14, 672, 5, 1, 672),
        (160, 7, 960, 1, 1, 1),
    ),
    "vgg": (
        (3, 224, 64, 3, 1, 1),
        (64, 224, 64, 3, 1, 1),
        (128, 112, 128, 3, 1, 1),
        (256, 56, 256, 3, 1, 1),
        (512, 28, 512, 3, 1, 1),
        (512, 14, 512, 3, 1, 1),
    ),
}
QUICK_CONVOLUTIONS = {(64, 56, 64, 3, 1, 1), (64, 56, 64, 1, 1, 1), (64, 112, 64, 3, 2, 64)}


def convolutions() -> Iterator[Case]:
    for network, rows in CONVOLUTIONS.items():
        for row in rows:
            channels, size, outputs, kernel, stride, groups = row
            sizes = f"{channels}x{size}-{outputs}-k{kernel}s{stride}" + (f"g{groups}" if groups > 1 else "")
            shapes = ((1, channels, size, size), (outputs, channels // groups, kernel, kernel), (outputs,))
            options = {"stride": stride, "padding": kernel // 2, "groups": groups}
            quick = network != "vgg" and row in QUICK_CONVOLUTIONS
            yield Case(f"conv/{network}/{sizes}", f"conv {network}", "conv", "f32", shapes, options, 2, quick)


CACHED, STREAMED = "in cache", "out of cache"
# rows, columns; the last two exceed a second-level cache, the very last a third-level one as well
MATRICES = (
    ((32, 128), CACHED),
    ((128, 512), CACHED),
    ((1024, 1024), STREAMED),
    ((4096, 4096), STREAMED),
)
QUICK_MATRICES = {(128, 512), (1024, 1024)}
# what is done with elements in their order
ORDERED: tuple[tuple[str, dict[str, int]], ...] = (
    ("argmax", {"axis": 1}),
    ("argmax", {"axis": 0}),
    ("cumulative_sum", {"axis": 1}),
    ("cumulative_sum", {"axis": 0}),
    ("sort", {}),
    ("argsort", {}),
    ("topk", {"k": 8}),
)
# batch, heads, queries, keys, depth
ATTENTIONS = (
    ((1, 12, 32, 32, 64), CACHED),
    ((1, 12, 128, 128, 64), CACHED),
    ((1, 12, 512, 512, 64), STREAMED),
    ((1, 8, 2048, 2048, 64), STREAMED),
    ((1, 12, 1, 1024, 64), STREAMED),
)
# shape, order
TRANSPOSITIONS = (
    ((128, 128), (1, 0), CACHED),
    ((4096, 4096), (1, 0), STREAMED),
    ((1, 56, 56, 64), (0, 3, 1, 2), CACHED),
    ((8, 256, 56, 56), (0, 2, 3, 1), STREAMED),
    ((1, 128, 12, 64), (0, 2, 1, 3), CACHED),
)


def memory_bound() -> Iterator[Case]:
    for shape, where in MATRICES:
        quick = shape in QUICK_MATRICES
        row = shape[1:]
        name = name_of(shape)
        yield Case(f"softmax/f32/{name}", f"softmax {where}", "softmax", "f32", (shape,), quick=quick)
        yield Case(
            f"layer_norm/f32/{name}", f"layer_norm {where}", "layer_norm", "f32", (shape, row, row), {}, 2, quick
        )
        shapes = (shape, row, shape)
        yield Case(f"gelu_chain/f32/{name}", f"gelu_chain {where}", "gelu_chain", "f32", shapes, quick=quick)
        for kind, axis in (("sum", 1), ("sum", 0), ("max", 1)):
            what = f"{kind}-axis{axis}"
            yield Case(f"{what}/f32/{name}", f"reduction {where}", kind, "f32", (shape,), {"axis": axis}, quick=quick)
    for shape, where in MATRICES[1:3]:
        for kind, options in ORDERED:
            what = "".join([kind, *(f"-{name}{value}" for name, value in options.items())])
            quick = shape in QUICK_MATRICES and kind != "argsort"
            yield Case(f"{what}/f32/{name_of(shape)}", f"order {where}", kind, "f32", (shape,), options, quick=quick)
    for shape, order, where in TRANSPOSITIONS:
        name = f"transpose/f32/{name_of(shape)}-{''.join(map(str, order))}"
        yield Case(name, f"transpose {where}", "transpose", "f32", (shape,), {"order": order}, quick=len(shape) == 2)
    for (batch, heads, queries, keys, depth), where in ATTENTIONS:
        shapes = ((batch, heads, queries, depth), (batch, heads, keys, depth), (batch, heads, keys, depth))
        name = f"attention/f32/{batch}x{heads}x{queries}x{keys}x{depth}"
        yield Case(name, f"attention {where}", "attention", "f32", shapes, quick=queries in (128, 512))


def micro() -> list[Case]:
    """Every case of the suite, in the order of the report."""
    cases = [*gemms(), *convolutions(), *memory_bound()]
    groups = list(dict.fromkeys(case.group for case in cases))
    kinds = list(dict.fromkeys(group.partition(" ")[0] for group in groups))
    return sorted(cases, key=lambda case: (kinds.index(case.group.partition(" ")[0]), groups.index(case.group)))
