"""The figures of the documentation, made from the records in benchmarks/results.

    python scripts/figures.py            # rewrite them, after records have been renewed
    python scripts/figures.py --check    # only say whether that would change a page

A page marks where figures stand; what is between the marks is made by the function of FIGURES that they name:

    <!-- figures: suites -->
    …
    <!-- end -->
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from xmlc.bench.peers import OURS
from xmlc.bench.record import Cell, Record, read_record
from xmlc.bench.summary import Group, best_peer, geometric_mean, groups, ratio, share_of_roof, slowest
from xmlc.bench.table import seconds_text, share_text, size_text, threads_text

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MACHINE = "epyc-zen5-2core"
"""The machine whose records of operations and models the pages show."""

FAR = tuple(
    f"{kind} out of cache"
    for kind in ("softmax", "layer_norm", "gelu_chain", "reduction", "transpose", "order", "attention")
)
"""The groups whose cases are shown one by one, with the least time that the machine allows."""


def newest(name: str) -> Path:
    """The latest of the records whose names are a date and `name`."""
    return max(RECORDS.glob(f"????-??-??-{name}"))


def measured(suite: str, machine: str = MACHINE) -> Record:
    return read_record(newest(f"{machine}-{suite}.bench.json"))


def contents(name: str) -> Any:
    return json.loads((RECORDS / name).read_text(encoding="utf-8"))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table of Markdown; all columns but the first `words` are aligned to the right."""
    lines = [heads, [*["---"] * words, *["---:"] * (len(heads) - words)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def times(value: float) -> str:
    """`1.58`: how many times as quick."""
    return f"{value:.2f}"


def title(cell: Cell) -> str:
    """`softmax 1024x1024`: a case without the type that all of its kind have."""
    return " ".join(part for part in cell.case.split("/") if part not in ("f32", "model"))


# --- Suites


def suites() -> str:
    """The names of the records, and a row for each suite and number of threads."""
    what = {"micro": "single operations", "models": "trained models", "torch": "networks of torch"}
    rows: list[Sequence[str]] = []
    for suite, name in what.items():
        record = measured(suite)
        for group in (each for each in groups(record) if each.name == "all"):
            least = [cell for cell, value in slowest(record, len(record.cells)) if value == group.worst]
            against = (times(group.against[peer]) for peer in ("onnxruntime", "openvino"))
            worst = f"{times(group.worst)}: {title(least[0])}"
            rows.append((f"{group.cells} {name}", str(group.threads), times(group.ratio), *against, worst))
    names = ", ".join(f"`{newest(f'{MACHINE}-{suite}.bench.json').name}`" for suite in what)
    heads = ("suite", "threads", "best peer", "onnxruntime", "OpenVINO", "worst cell")
    return f"Records: {names}.\n\n{table(heads, rows)}"


def operations() -> str:
    """A row for each group of single operations: one thread, then two."""
    rows: dict[str, list[Group]] = {}
    for group in groups(measured("micro")):
        rows.setdefault(group.name, []).append(group)
    counts = [group.threads for group in rows["all"]]
    heads = ["operations", "cases"]
    for count in counts:
        heads += [f"{threads_text(count)} (worst)", "of the roof"]
    return table(
        heads,
        (
            (
                name,
                str(found[0].cells),
                *(
                    text
                    for each in found
                    for text in (f"{times(each.ratio)} ({times(each.worst)})", share_text(each.share))
                ),
            )
            for name, found in rows.items()
        ),
    )


def two_threads() -> str:
    """Products with two threads and every peer in the process."""
    record = measured("gemm-2threads")
    every = {group.name: group.ratio for group in groups(record)}
    worst, value = slowest(record, 1)[0]
    return (
        f"`{newest(f'{MACHINE}-gemm-2threads.bench.json').name}`: {times(every['all'])} in geometric mean, "
        f"{times(every['gemm f32 square'])} for square ones of f32 and {times(every['gemm f64 square'])} of f64; "
        f"worst {times(value)}: {worst.case.rpartition('/')[2]}."
    )


def far() -> str:
    """One thread, cases that no cache holds: the least time, xmlc's, the best peer's, shares of the least time."""
    rows: list[Sequence[str]] = []
    for cell in measured("micro").cells:
        peer, ours = best_peer(cell), cell.seconds(OURS)
        if cell.threads != 1 or cell.group not in FAR or peer is None or ours is None:
            continue
        name, theirs = peer
        reached = share_of_roof(cell, name)
        work = f"{cell.bytes / 2**20:.0f} MiB", f"{cell.flops / 1e6:.0f}", seconds_text(cell.roof_s)
        mine = f"{seconds_text(ours)}, {share_text(share_of_roof(cell))}"
        peer = f"{name} {seconds_text(theirs)}, {share_text(reached)}"
        rows.append((title(cell), *work, mine, peer, share_text(1.5 * (reached or 0.0))))
    return table(("case", "memory", "Mflop", "least time", "xmlc", "best peer", "1.5 times the peer"), rows)


def memory_roofs() -> str:
    """What memory gives to loops that read, write or copy."""
    one, two = (contents("memory_roofs.json")["rates"][threads] for threads in ("1", "2"))
    sizes = [size_text(int(size)) for size in one["read"]]
    rows = (
        (kind, *(f"{rate / 1e9:.0f} GB/s" for rate in (*each.values(), *two[kind].values())))
        for kind, each in one.items()
    )
    return table(("", *sizes, *(f"{size}, 2 threads" for size in sizes)), rows)


def attention_roof() -> str:
    """Attention of many queries as shares of the peak of multiply-adds, which took turns with it."""
    cells: list[dict[str, Any]] = contents("attention_roof.json")["cells"]
    rows: list[Sequence[str]] = []
    for cell in cells:
        seconds: dict[str, float] = cell["seconds"]
        shares = {who: cell["flops"] / cell["peak"] / took for who, took in seconds.items()}
        theirs = max((who for who in shares if who != OURS), key=lambda who: shares[who])
        mine = f"{seconds_text(seconds[OURS])}, {share_text(shares[OURS])}"
        peer = f"{theirs} {seconds_text(seconds[theirs])}, {share_text(shares[theirs])}"
        peak = f"{cell['peak'] / 1e9:.0f} GFLOP/s"
        gain = times(seconds[theirs] / seconds[OURS])
        about = cell["case"].rpartition("/")[2], str(cell["threads"])
        rows.append((*about, peak, mine, peer, gain, share_text(1.5 * shares[theirs])))
    return table(("attention", "threads", "peak", "xmlc", "best peer", "gain", "1.5 times the peer"), rows)


def multiply_adds() -> str:
    """What products of squares in f32 reach, beside a loop of multiply-adds in turns with them."""
    kinds = ("of the loop", "of the best trial", "loop, of the best trial")
    rows: list[Sequence[str]] = []
    for threads, name in ((1, "multiply_adds.json"), (2, "multiply_adds_2_threads.json")):
        for size, found in contents(name)["sizes"].items():
            middle = (
                share_text(found[kind][1]) for kind in ("of the loop", "of the best trial", "loop, of the best trial")
            )
            rows.append((f"{size}×{size}×{size}", str(threads), *middle))
    return table(("product", "threads", *kinds), rows)


def matrix_unit() -> str:
    """Products of narrow types where there is a matrix unit, beside the best peer's."""
    record = measured("gemm", "emerald-rapids")
    rows: list[Sequence[str]] = []
    for kind in ("bf16", "i8"):
        ratios = [[ratio(cell) for cell in record.cells if (cell.dtype, cell.threads) == (kind, n)] for n in (1, 2)]
        means = (times(geometric_mean(value for value in each if value)) for each in ratios)
        rows.append((kind, str(len(ratios[0])), *means))
    return table(("type", "shapes", "1 thread", "2 threads"), rows)


# --- GPU


def gpu_cells() -> dict[str, Any]:
    """Cells of the grid by name."""
    return {cell["case"]: cell for cell in json.loads(newest("h200-cuda-grid.json").read_text("utf-8"))["cells"]}


def of_a_copy(cell: Any, name: str) -> str:
    """The share of the bandwidth of a copy that a contestant reaches."""
    return share_text(cell["copy seconds"] / cell["seconds"][name])


LARGE = 64 << 20
"""Bytes of an operand from which on a cell is about memory."""


def is_large(cell: Any) -> bool:
    """Whether the operand of a cell of the grid takes at least LARGE bytes."""
    _, element, size = cell["case"].split()[:3]
    rows, columns = map(int, size.split("x"))
    return rows * columns * (4 if element == "f32" else 2) >= LARGE


def gpu_grid() -> list[Any]:
    """The cells of the grid, without the rungs of ladders."""
    return [cell for name, cell in gpu_cells().items() if "[" not in name]


def gpu_peers() -> str:
    """How many times as quick as each peer."""
    peers = ("torch", "torch.compile", "torch.compile, default", "jax", "cub")
    rows: list[Sequence[str]] = []
    for peer in peers:
        cells = [cell for cell in gpu_grid() if peer in cell["seconds"]]
        found = [(cell["seconds"][peer] / cell["seconds"][OURS], cell) for cell in cells]
        large = [gain for gain, cell in found if is_large(cell)]
        worst, cell = min(found, key=lambda each: each[0])
        gains = times(geometric_mean(gain for gain, _ in found)), times(geometric_mean(large))
        rows.append((peer, str(len(found)), gains[0], str(len(large)), gains[1], f"{times(worst)} ({cell['case']})"))
    return table(("peer", "cells", "faster", "of 64 MiB and more", "faster", "least"), rows)


def gpu_copies() -> str:
    """The share of a copy's bandwidth, by operation, over large cells."""
    rows: list[Sequence[str]] = []
    for operation in dict.fromkeys(cell["case"].split()[0] for cell in gpu_grid()):
        if operation not in ("sort", "topk"):
            cells = [each for each in gpu_grid() if each["case"].startswith(f"{operation} ") and is_large(each)]
            shares = [cell["share of copy"] for cell in cells]
            rest = [each for each in cells if not each["case"].endswith("x1048576")]
            least = min(rest, key=lambda each: each["share of copy"])
            named = f"{share_text(least['share of copy'])} ({least['case'].partition(' ')[2]})"
            long = geometric_mean(each["share of copy"] for each in cells if each not in rest)
            mean = share_text(geometric_mean(shares))
            rows.append((operation, str(len(cells)), mean, named, share_text(long)))
    return table(("operation", "cells", "mean", "least but for rows of a million", "rows of a million"), rows)


def gpu_scans() -> str:
    """Running sums: the rungs of the ladder, and PyTorch."""
    cells, sizes = gpu_cells(), ("16384x8192", "64x1048576")
    rungs = {
        "hillis-steele": "a block for each row; log n steps, each adding what is 1, 2, 4 … before",
        "work-efficient": "up a tree of sums and down again: 2 n additions, more barriers",
        "look-back": "a block for each tile, which waits only for sums of tiles before it",
    }
    rows: list[Sequence[str]] = []
    for rung, what in rungs.items():
        rows.append((f"`{rung}`", what, *(of_a_copy(cells[f"cumsum f32 {size} [{rung}]"], OURS) for size in sizes)))
    rows.append(("PyTorch", "", *(of_a_copy(cells[f"cumsum f32 {size}"], "torch") for size in sizes)))
    return table(("rung", "what changes", *sizes), rows, words=2)


def gpu_sums() -> str:
    """Sums of rows: the rungs of the ladder."""
    cells = gpu_cells()
    rungs = {
        "naive": "a thread for each row",
        "shared": "a block for each row, which adds up in a tree in shared memory",
        "shuffle": "warps add up by shuffles, shared memory is between warps only",
    }
    found = {rung: of_a_copy(cells[f"row_sum f32 16384x8192 [{rung}]"], OURS) for rung in rungs}
    rows = ((f"`{rung}`", what, found[rung]) for rung, what in rungs.items())
    return table(("rung", "what changes", "of a copy"), rows, words=2)


def gpu_sorts() -> str:
    """Microseconds of stable sorts that give places too."""
    names = (OURS, "torch", "cub")
    rows: list[Sequence[str]] = []
    for name, cell in gpu_cells().items():
        kind, _, size = name.partition(" ")
        if kind == "sort" and cell["seconds"][OURS] > 50e-6 and not size.startswith("f16"):
            found = (cell["seconds"].get(each) for each in names)
            rows.append((size, *(f"{seconds * 1e6:.0f}" if seconds else "-" for seconds in found)))
    return table(("values and places", OURS, "`torch.sort(stable=True)`", "`cupy.argsort`"), rows)


# --- Compiling, memory, threads, training


def compile_times() -> str:
    """A row for each network: seconds to compile it anew, from the cache, and what torch.compile takes."""
    record = contents("compile_time.json")
    rows: list[Sequence[str]] = []
    for name, found in sorted(record["models"].items(), key=lambda item: item[1]["bytes"]):
        cached, torch = found["cached"]["compile"], found.get("torch.compile", {}).get("median_s")
        cold = found["cold"]["compile"]["median_s"]
        known = f"{cached['median_s']:.2f} ({cached['best_s']:.2f}-{cached['worst_s']:.2f})"
        rows.append((name, f"{found['bytes'] / 1e6:.0f} MB", f"{cold:.2f}", known, f"{torch:.1f}" if torch else "-"))
    one = record["one_line_cold"]
    line = f"A function of one line: {one['median_s']:.2f} s. Networks, in seconds, medians of {one['runs']} runs:"
    return f"{line}\n\n{table(('network', 'size', 'cold', 'from the cache (least-most)', 'torch.compile'), rows)}"


def memory() -> str:
    """How much memory models take, beside onnxruntime."""
    models = contents("memory.json")["models"]
    ratios = {name.split("/")[1]: each["xmlc"] / each["onnxruntime"] for name, each in models.items()}
    arenas = geometric_mean(each["arena"] / each["live"] for each in models.values() if each["live"])
    least, *_, most = (f"{times(value)} ({name})" for value, name in sorted((v, k) for k, v in ratios.items()))
    mean = times(geometric_mean(ratios.values()))
    return (
        f"On {len(models)} models, one thread (`benchmarks/results/memory.json`): {mean} times onnxruntime's in "
        f"geometric mean, {least} to {most}; the arena is {times(arenas)} times the least possible."
    )


def training() -> str:
    """A row for each network and number of threads: a step's milliseconds."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for record in map(contents, ("training.json", "training_2_threads.json")):
        for network, step in record["steps"].items():
            found[network, str(record["threads"])] = step["median_ms"]
    others = [name for name in dict.fromkeys(name for steps in found.values() for name in steps) if name != OURS]

    def text(steps: dict[str, float], name: str) -> str:
        return f"{steps[name]:.1f} ({times(steps[name] / steps[OURS])})" if name in steps else "-"

    rows = ((*key, f"{steps[OURS]:.1f}", *(text(steps, name) for name in others)) for key, steps in found.items())
    return table(("network", "threads", OURS, *others), rows)


def python_calls() -> str:
    """What a call from Python costs."""
    found = contents("python_calls.json")
    return (
        f"A call costs {found['beyond_us']:.1f} µs beyond NumPy's `add`; tracing and compiling a function of ten "
        f"operations takes {found['cold_ms']:.0f} ms, {found['cached_ms']:.0f} ms from the cache "
        "(`benchmarks/results/python_calls.json`)."
    )


def pools() -> str:
    """Speed-up of two threads by xmlc's pool and by OpenMP: the median, the least, the most."""
    gains: dict[str, Any] = contents("threads.json")["gains"]
    rows: list[Sequence[str]] = []
    columns = [(what, kind) for what in ("nothing", "something of the same priority") for kind in ("pool", "OpenMP")]
    for model in gains["nothing"]:
        found = (gains[what][model][kind] for what, kind in columns)
        rows.append((model.split("/")[1], *(f"{middle:.2f} ({least:.2f}-{most:.2f})" for least, middle, most in found)))
    crowded = "one more of the same priority"
    return table(("program", "pool", "OpenMP", f"pool, {crowded}", f"OpenMP, {crowded}"), rows)


FIGURES: dict[str, Callable[[], str]] = {
    "attention-roof": attention_roof,
    "compile-times": compile_times,
    "far": far,
    "gpu-copies": gpu_copies,
    "gpu-peers": gpu_peers,
    "gpu-scans": gpu_scans,
    "gpu-sorts": gpu_sorts,
    "gpu-sums": gpu_sums,
    "matrix-unit": matrix_unit,
    "memory": memory,
    "memory-roofs": memory_roofs,
    "multiply-adds": multiply_adds,
    "operations": operations,
    "pools": pools,
    "python-calls": python_calls,
    "suites": suites,
    "training": training,
    "two-threads": two_threads,
}


def brought_up_to_date(page: str) -> str:
    """A page with the figures of the records as they are now. Raises KeyError for a mark that names none."""
    return MARKED.sub(lambda found: f"{found[1]}\n{FIGURES[found[2]]()}\n\n{found[3]}", page)


def main() -> int:
    checking, stale = "--check" in sys.argv[1:], False
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        page = path.read_text(encoding="utf-8")
        fresh = brought_up_to_date(page)
        if fresh == page:
            continue
        stale = True
        if checking:
            print(f"{path.relative_to(ROOT)} has figures of old records: run python scripts/figures.py")
        else:
            path.write_text(fresh, encoding="utf-8")
    return int(checking and stale)


if __name__ == "__main__":
    sys.exit(main())
