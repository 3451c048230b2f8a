"""What memory allows a kernel that reads an array once and writes another: the roof of softmax, norms and sums.

    python benchmarks/memory_roofs.py -o benchmarks/results/memory_roofs.json

One thread and two, which share the arrays; loops of four vectors in LLVM IR through our own JIT. "past" stores past the
caches (non-temporal). Each trial of the last size is preceded by a walk through another array, so that nothing of it is
left in a cache.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xmlc.addresses import address
from xmlc.backends.cpu.target import Target, host
from xmlc.bench.machine import circumstances
from xmlc.bench.roofs import loaded, together
from xmlc.buffers import together as buffers
from xmlc.files import write_whole

SIZES = (256 << 10, 4 << 20, 64 << 20)
UNROLL = 4
TRIALS = 30
LEAST = 16 << 20
"""Bytes that a trial goes through, at least."""
KINDS = {
    "read": (True, None),
    "write": (False, ""),
    "write past the caches": (False, "past"),
    "copy": (True, ""),
    "copy, written past the caches": (True, "past"),
}


def loop_ir(target: Target, reads: bool, writes: str | None) -> str:
    """for i in range(n): sum += x[i]; y[i] = x[i], of vectors of f32, with either half left out."""
    lanes = target.lanes(32)
    kind = f"<{lanes} x float>"
    lines = ["define void @main.packed(ptr %arguments) {", "entry:", "  %n = load i64, ptr %arguments"]
    for slot, name in ((1, "x"), (2, "y")):
        lines.append(f"  %{name}.slot = getelementptr i64, ptr %arguments, i64 {slot}")
        lines.append(f"  %{name} = load ptr, ptr %{name}.slot")
    lines += ["  br label %loop", "loop:", "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]"]
    sums = [f"  %s{k} = phi {kind} [ zeroinitializer, %entry ], [ %t{k}, %loop ]" for k in range(UNROLL)]
    lines += sums if reads else []
    hint = ", !nontemporal !0" if writes else ""
    for k in range(UNROLL):
        lines.append(f"  %j{k} = add i64 %i, {k}")
        value = f"{kind} splat (float 1.0)"
        if reads:
            lines.append(f"  %x{k} = getelementptr {kind}, ptr %x, i64 %j{k}")
            lines.append(f"  %v{k} = load {kind}, ptr %x{k}, align {4 * lanes}")
            lines.append(f"  %t{k} = fadd {kind} %s{k}, %v{k}")
            value = f"{kind} %v{k}"
        if writes is not None:
            lines.append(f"  %y{k} = getelementptr {kind}, ptr %y, i64 %j{k}")
            lines.append(f"  store {value}, ptr %y{k}, align {4 * lanes}{hint}")
    lines += [f"  %next = add i64 %i, {UNROLL}", "  %more = icmp ult i64 %next, %n"]
    lines += ["  br i1 %more, label %loop, label %done", "done:"]
    if reads:
        lines += [f"  %r{k} = getelementptr {kind}, ptr %y, i64 {k}" for k in range(UNROLL)]
        lines += [f"  store {kind} %t{k}, ptr %r{k}" for k in range(UNROLL)]
    return "\n".join([*lines, "  ret void", "}", "!0 = !{i32 1}"])


def rates(threads: int) -> dict[str, dict[int, float]]:
    """Bytes a second of each kind and size, by so many threads at once; what is read and what is written both count."""
    target = host()
    functions = {name: loaded(loop_ir(target, *kind), target) for name, kind in KINDS.items()}
    arrays = buffers([((max(SIZES) // 4,), np.dtype(np.float32))] * 3)
    for each in arrays:
        each.fill(1)
    found: dict[str, dict[int, float]] = {name: {} for name in KINDS}
    for name, (reads, writes) in KINDS.items():
        for size in SIZES:
            share = size // threads
            vectors = share // (target.vector_bits // 8)
            starts = [[address(each) + place * share for each in arrays] for place in range(threads)]
            slots = [(ctypes.c_uint64 * 3)(vectors, x, y) for x, y, _ in starts]
            others = [(ctypes.c_uint64 * 3)(vectors, other, y) for _, y, other in starts]
            repeats = max(1, LEAST // size)

            def work(place: int, name: str = name, slots: Any = slots, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    functions[name](slots[place])

            works = [partial(work, place) for place in range(threads)]
            trials: list[float] = []
            for _ in range(TRIALS):
                for each in others if size == max(SIZES) else ():
                    functions["read"](each)
                trials.append(together(works))
            found[name][size] = size * repeats * (reads + (writes is not None)) / min(trials)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    arguments = parser.parse_args()
    found = {threads: rates(threads) for threads in (1, 2)}
    for threads, kinds in found.items():
        for name, each in kinds.items():
            sizes = ", ".join(f"{size >> 10} KiB {rate / 1e9:.0f} GB/s" for size, rate in each.items())
            print(f"{name} ({threads}): {sizes}")
    if arguments.output:
        record = {"what": "bytes a second, by number of threads", **circumstances(), "rates": found}
        write_whole(arguments.output, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
