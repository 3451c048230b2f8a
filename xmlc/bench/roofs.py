"""What one run could reach: the processor's peak of multiply-adds and its memory bandwidth, measured right here.

Both are small kernels in LLVM IR through our own JIT, run by as many threads at once as the contestants may use.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import numpy as np

from xmlc.backends.cpu.jit import compile_to_object, load_object
from xmlc.backends.cpu.target import Target, host

TRIALS, TRIAL_S = 60, 0.002
"""Many short trials, of which the best counts: one of them falls between the turns that other processes take."""
ALIGNMENT = 4096


@dataclass(frozen=True)
class Roofs:
    """Operations a second by element type, and bytes a second by the size of the memory walked over."""

    flops: dict[str, float]
    bandwidth: dict[int, float]
    """Working set in bytes -> bytes a second; the last is larger than every cache."""
    instructions: dict[str, str]
    """Element type -> the instruction its peak was measured with."""

    def seconds(self, dtype: str, flops: int, moved: int) -> float:
        """The least time for so many operations and bytes: the larger of the two, as if they overlapped entirely."""
        sizes = sorted(self.bandwidth)
        size = next((each for each in sizes if each >= moved), sizes[-1])
        return max(flops / self.flops[dtype], moved / self.bandwidth[size])


# --- the kernels


TILE = "tile"
"""The type of a register of the matrix unit, which its instructions take by number."""


@dataclass(frozen=True)
class Peak:
    """A multiply-add instruction: its types, call, and how many operations it does."""

    dtype: str
    accumulator: str
    operand: str
    intrinsic: str
    accumulator_first: bool
    flops: int
    name: str


def peaks(target: Target) -> list[Peak]:
    """The instructions that this processor has, the best for each element type."""
    features = set(target.features.split(","))
    made: list[Peak] = []
    for dtype, element, bits in (("f32", "float", 32), ("f64", "double", 64)):
        lanes = target.lanes(bits)
        vector = f"<{lanes} x {element}>"
        made.append(Peak(dtype, vector, vector, f"llvm.fma.v{lanes}f{bits}", False, 2 * lanes, "fma"))
    if "+avx512bf16" in features:
        intrinsic = "llvm.x86.avx512bf16.dpbf16ps.512"
        made.append(Peak("bf16", "<16 x float>", "<32 x bfloat>", intrinsic, True, 64, "vdpbf16ps"))
    if "+avx512vnni" in features:
        intrinsic = "llvm.x86.avx512.vpdpbusd.512"
        made.append(Peak("i8", "<16 x i32>", "<64 x i8>", intrinsic, True, 128, "vpdpbusd"))
    if "+amx-bf16" in features:
        made.append(Peak("bf16", TILE, TILE, "llvm.x86.tdpbf16ps", True, 2 * 16 * 16 * 32, "tdpbf16ps"))
    if "+amx-int8" in features:
        made.append(Peak("i8", TILE, TILE, "llvm.x86.tdpbssd", True, 2 * 16 * 16 * 64, "tdpbssd"))
    return made


def peak_ir(peak: Peak, chains: int) -> str:
    """A loop of `chains` multiply-adds: enough of them are independent to hide the latency of each."""
    if peak.operand == TILE:
        return tile_peak_ir(peak, chains)
    types = (
        (peak.accumulator, peak.operand, peak.operand)
        if peak.accumulator_first
        else (peak.operand, peak.operand, peak.accumulator)
    )
    lines = [f"declare {peak.accumulator} @{peak.intrinsic}({', '.join(types)})"]
    lines += ["define void @main.packed(ptr %arguments) {", "entry:", "  %count = load i64, ptr %arguments"]
    lines += ["  %data.slot = getelementptr i8, ptr %arguments, i64 8", "  %data = load ptr, ptr %data.slot"]
    lines += [f"  %x = load {peak.operand}, ptr %data", f"  %y.slot = getelementptr {peak.operand}, ptr %data, i64 1"]
    lines += [f"  %y = load {peak.operand}, ptr %y.slot", "  br label %loop", "loop:"]
    lines += ["  %i = phi i64 [ 0, %entry ], [ %i.next, %loop ]"]
    for c in range(chains):
        lines.append(f"  %a{c} = phi {peak.accumulator} [ zeroinitializer, %entry ], [ %b{c}, %loop ]")
    for c in range(chains):
        values = (f"%a{c}", "%x", "%y") if peak.accumulator_first else ("%x", "%y", f"%a{c}")
        given = ", ".join(f"{type_} {value}" for type_, value in zip(types, values))
        lines.append(f"  %b{c} = call {peak.accumulator} @{peak.intrinsic}({given})")
    lines += ["  %i.next = add i64 %i, 1", "  %more = icmp ult i64 %i.next, %count"]
    lines += ["  br i1 %more, label %loop, label %done", "done:"]
    for c in range(chains):
        lines.append(f"  %s{c} = getelementptr {peak.accumulator}, ptr %data, i64 {c + 4}")
        lines.append(f"  store {peak.accumulator} %b{c}, ptr %s{c}")
    return "\n".join([*lines, "  ret void", "}"])


def tile_peak_ir(peak: Peak, chains: int) -> str:
    """The same of the matrix unit (AMX): sums in tiles 0 to 3, factors in tiles 4 to 7, of 16 rows of 64 bytes each."""
    configuration = bytes([1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8])
    lines = [f"@configuration = private constant [64 x i8] [{', '.join(f'i8 {byte}' for byte in configuration)}]"]
    lines += [f"declare void @{peak.intrinsic}(i8, i8, i8)", "declare void @llvm.x86.ldtilecfg(ptr)"]
    lines += ["declare void @llvm.x86.tilerelease()", "declare void @llvm.x86.tilezero(i8)"]
    lines += ["declare void @llvm.x86.tileloadd64(i8, ptr, i64)"]
    lines += ["define void @main.packed(ptr %arguments) {", "entry:", "  %count = load i64, ptr %arguments"]
    lines += ["  %data.slot = getelementptr i8, ptr %arguments, i64 8", "  %data = load ptr, ptr %data.slot"]
    lines += ["  call void @llvm.x86.ldtilecfg(ptr @configuration)"]
    lines += [f"  call void @llvm.x86.tilezero(i8 {tile})" for tile in range(4)]
    lines += [f"  call void @llvm.x86.tileloadd64(i8 {tile}, ptr %data, i64 64)" for tile in range(4, 8)]
    lines += ["  br label %loop", "loop:", "  %i = phi i64 [ 0, %entry ], [ %i.next, %loop ]"]
    for c in range(chains):
        lines.append(f"  call void @{peak.intrinsic}(i8 {c % 4}, i8 {4 + c % 2}, i8 {6 + c // 2 % 2})")
    lines += ["  %i.next = add i64 %i, 1", "  %more = icmp ult i64 %i.next, %count"]
    lines += ["  br i1 %more, label %loop, label %done", "done:", "  call void @llvm.x86.tilerelease()"]
    return "\n".join([*lines, "  ret void", "}"])


def triad_ir(target: Target) -> str:
    """a[i] = b[i] + 3 * c[i] over f64, all of it `repeats` times (McCalpin's STREAM triad)."""
    vector = f"<{target.lanes(64)} x double>"
    fma = f"llvm.fma.v{target.lanes(64)}f64"
    three = f"{vector} splat (double 3.0)"
    return f"""
declare {vector} @{fma}({vector}, {vector}, {vector})
define void @main.packed(ptr %arguments) {{
entry:
  %repeats = load i64, ptr %arguments
  %n.slot = getelementptr i64, ptr %arguments, i64 1
  %n = load i64, ptr %n.slot
  %a.slot = getelementptr i64, ptr %arguments, i64 2
  %a = load ptr, ptr %a.slot
  %b.slot = getelementptr i64, ptr %arguments, i64 3
  %b = load ptr, ptr %b.slot
  %c.slot = getelementptr i64, ptr %arguments, i64 4
  %c = load ptr, ptr %c.slot
  br label %outer
outer:
  %r = phi i64 [ 0, %entry ], [ %r.next, %outer.end ]
  br label %inner
inner:
  %i = phi i64 [ 0, %outer ], [ %i.next, %inner ]
  %ai = getelementptr {vector}, ptr %a, i64 %i
  %bi = getelementptr {vector}, ptr %b, i64 %i
  %ci = getelementptr {vector}, ptr %c, i64 %i
  %bv = load {vector}, ptr %bi, align 64
  %cv = load {vector}, ptr %ci, align 64
  %v = call {vector} @{fma}({vector} %cv, {three}, {vector} %bv)
  store {vector} %v, ptr %ai, align 64
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %n
  br i1 %more, label %inner, label %outer.end
outer.end:
  %r.next = add i64 %r, 1
  %again = icmp ult i64 %r.next, %repeats
  br i1 %again, label %outer, label %done
done:
  ret void
}}
"""


def loaded(text: str, target: Target) -> Callable[[Any], None]:
    return load_object(compile_to_object(text, target, 2)).function("main")


def aligned(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes on a page boundary, written once: pages that were never written have no memory of their own."""
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    memory[:] = 0
    return memory[-memory.ctypes.data % ALIGNMENT :][:size]


# --- measuring


def together(works: Sequence[Callable[[], None]]) -> float:
    """Seconds until all of the works are done, started at once, a thread each."""
    if len(works) == 1:
        before = time.perf_counter_ns()
        works[0]()
        return (time.perf_counter_ns() - before) * 1e-9
    barrier = Barrier(len(works))

    def timed(work: Callable[[], None], place: int) -> tuple[int, int]:
        stay_on_core(place)
        barrier.wait()
        before = time.perf_counter_ns()
        work()
        return before, time.perf_counter_ns()

    with ThreadPoolExecutor(len(works)) as pool:
        spans = list(pool.map(timed, works, range(len(works))))
    return (max(end for _, end in spans) - min(start for start, _ in spans)) * 1e-9


def stay_on_core(place: int) -> None:
    """Keep the calling thread on one core, another for each place: unplaced, two may share a core for a trial."""
    if hasattr(os, "sched_setaffinity"):  # Linux
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[place % len(cores)]})


def best_rate(works_of: Callable[[int], Sequence[Callable[[], None]]], amount: int) -> float:
    """The most of `amount` a second over some trials; `works_of(count)` does it `count` times in all threads."""
    count = 1
    while min(together(works_of(count)) for _ in range(5)) < TRIAL_S / 2:  # one alone may have been kept waiting
        count *= 2
    return max(count * amount / together(works_of(count)) for _ in range(TRIALS))


class PeakLoop:
    """A loop of multiply-adds on registers alone, which each of some threads goes through on its own."""

    def __init__(self, peak: Peak, target: Target, threads: int):
        chains = 24 if target.vector_registers >= 32 else 12
        self.function = loaded(peak_ir(peak, chains), target)
        self.memories = [aligned(64 * 64) for _ in range(threads)]
        for memory in self.memories:
            memory[:] = 0x3C  # 0.011 as f32 and bf16, 1.5e-18 as f64: nothing special, and no zeros
        self.operations = threads * chains * peak.flops
        """Of an iteration, in all threads."""

    def works(self, iterations: int) -> list[Callable[[], None]]:
        """What each thread does."""
        return [call(self.function, iterations, memory.ctypes.data) for memory in self.memories]


def peak_rate(peak: Peak, target: Target, threads: int) -> float:
    loop, iterations = PeakLoop(peak, target, threads), 1000
    return best_rate(lambda count: loop.works(count * iterations), iterations * loop.operations)


def bandwidth_at(size: int, target: Target, threads: int) -> float:
    """Bytes a second of the triad where its three arrays take `size` bytes in all threads together."""
    function = loaded(triad_ir(target), target)
    width = target.vector_bits // 8
    vectors = max(1, size // threads // 3 // width)
    arrays = [[aligned(vectors * width) for _ in range(3)] for _ in range(threads)]

    def works(count: int) -> list[Callable[[], None]]:
        return [call(function, count, vectors, *(each.ctypes.data for each in three)) for three in arrays]

    return best_rate(works, threads * vectors * width * 3)


def call(function: Callable[[Any], None], *values: int) -> Callable[[], None]:
    slots = (ctypes.c_int64 * len(values))(*values)
    return lambda: function(ctypes.addressof(slots))


def measure_roofs(threads: int, target: Target | None = None) -> Roofs:
    """The roofs of this machine for so many threads. An element type without an instruction gets f32's."""
    chosen = target or host()
    flops: dict[str, float] = {}
    instructions: dict[str, str] = {}
    for peak in peaks(chosen):
        flops[peak.dtype] = peak_rate(peak, chosen, threads)
        instructions[peak.dtype] = peak.name
    for dtype in ("f16", "bf16", "i8"):
        if dtype not in flops:
            flops[dtype], instructions[dtype] = flops["f32"], instructions["f32"]
    caches = chosen.caches or (32 * 2**10, 2**20)
    bandwidth = {size: bandwidth_at(size * 3 // 4, chosen, threads) for size in caches}
    largest = min(max(4 * caches[-1], 2**26), 2**29)
    bandwidth[largest] = bandwidth_at(largest, chosen, threads)
    return Roofs(flops, bandwidth, instructions)
