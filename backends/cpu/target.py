"""What code is generated for: a processor described well enough to choose vector widths and tiles."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from xmlc.backends.cpu.matrix_unit import permitted
from xmlc.dialects.diagnostics import CompileError


@dataclass(frozen=True)
class Target:
    """A processor to generate code for; hashable, so that it can be part of a cache key."""

    name: str
    """What the user wrote: `cpu`, `cpu:avx2`, `aarch64-linux-gnu`."""
    triple: str
    processor: str
    """LLVM's name of the processor: `x86-64-v3`, `znver5`; empty for the architecture's baseline."""
    features: str
    """LLVM's feature list: `+avx2,-avx512f`."""
    vector_bits: int
    vector_registers: int
    cores: int = 1
    caches: tuple[int, ...] = ()
    """Bytes of data cache a core can use, from the first level outwards; empty when unknown."""
    is_host: bool = False
    """Whether code for this target can be loaded into this process."""

    @property
    def architecture(self) -> str:
        return self.triple.split("-", 1)[0]

    @property
    def converts_half(self) -> bool:
        """Whether f16 <-> f32 is an instruction here; where it is not, the emitter spells it with integers."""
        if self.architecture != "x86_64":
            return self.architecture != "riscv64"
        return "f16c" in self.instructions

    @property
    def instructions(self) -> frozenset[str]:
        """LLVM's names of the instruction sets the processor has, of those that anything here asks for."""
        stated = {name[1:] for name in self.features.split(",") if name.startswith("+")}
        return frozenset(stated) | INSTRUCTIONS.get(self.processor, frozenset())

    @property
    def dots(self) -> tuple[str, ...]:
        """Element types that one instruction multiplies and sums in groups (see `grouped.dot`)."""
        return tuple(element for element, features in DOTS.items() if self.instructions & features)

    @property
    def tiles(self) -> tuple[str, ...]:
        """Element types whose tiles a matrix unit multiplies (see `amx`)."""
        return tuple(element for element, feature in TILES.items() if {"amx-tile", feature} <= self.instructions)

    @property
    def data_layout(self) -> str:
        """LLVM's data layout of the triple."""
        return layout_of(self.triple)

    def lanes(self, bits: int) -> int:
        """How many elements of `bits` bits one vector register holds."""
        return max(1, self.vector_bits // bits)

    def __str__(self) -> str:
        caches = ", ".join(f"{size // 1024} KiB" for size in self.caches) or "unknown"
        return "\n".join(
            (
                f"target     {self.name}",
                f"triple     {self.triple}",
                f"processor  {self.processor or 'baseline'}",
                f"vectors    {self.vector_registers} registers of {self.vector_bits} bits",
                f"tiles      {', '.join(self.tiles) or 'none'}",
                f"caches     {caches}",
                f"cores      {self.cores}",
                f"runs here  {'yes' if self.is_host else 'no'}",
            )
        )


# name after `cpu:` -> LLVM processor, features, vector bits, vector registers; by architecture
LEVELS: dict[str, dict[str, tuple[str, str, int, int]]] = {
    "x86_64": {
        "sse2": ("x86-64", "", 128, 16),
        "sse4": ("x86-64-v2", "", 128, 16),
        "avx2": ("x86-64-v3", "", 256, 16),
        "avx512": ("x86-64-v4", "", 512, 32),
        "avx512-dot": ("x86-64-v4", "+avx512vnni,+avx512bf16", 512, 32),
        "avx512-fp16": ("x86-64-v4", "+avx512vnni,+avx512bf16,+avx512fp16", 512, 32),
        "amx": ("x86-64-v4", "+avx512vnni,+avx512bf16,+amx-tile,+amx-bf16,+amx-int8", 512, 32),
    },
    "aarch64": {"neon": ("generic", "+neon", 128, 32)},
    "riscv64": {
        "rv64gc": ("generic-rv64", "+m,+a,+f,+d,+c", 64, 32),  # no vectors: one register holds one number
        "rvv": ("generic-rv64", "+m,+a,+f,+d,+c,+v", 128, 32),  # of the application profiles, at least so wide
    },
}
BASELINE: dict[str, str] = {"x86_64": "sse2", "aarch64": "neon", "riscv64": "rv64gc"}
# LLVM processor -> what it has beyond the features that are stated
INSTRUCTIONS: dict[str, frozenset[str]] = {
    "x86-64": frozenset({"sse2"}),
    "x86-64-v2": frozenset({"sse2"}),
    "x86-64-v3": frozenset({"sse2", "avx2", "f16c"}),
    "x86-64-v4": frozenset({"sse2", "avx2", "f16c", "avx512bw"}),
}
# element type -> instruction sets that have a dot product of groups of it
DOTS: dict[str, frozenset[str]] = {
    "bf16": frozenset({"avx512bf16"}),
    "i8": frozenset({"avx512vnni"}),
    "i16": frozenset({"sse2"}),
}
# element type -> instruction set that multiplies tiles of it
TILES: dict[str, str] = {"bf16": "amx-bf16", "i8": "amx-int8"}
ALIASES: dict[str, str] = {"arm64": "aarch64", "amd64": "x86_64", "x86-64": "x86_64"}
TRIPLE = re.compile(r"(?P<architecture>[a-z0-9_]+)-[a-z0-9_.-]+$")


def parse_target(text: str) -> Target:
    """The target that `text` names: `cpu`, `cpu:LEVEL`, an LLVM triple, or `TRIPLE:LEVEL`.

    CompileError for an architecture or a level that is not known.
    """
    base, _, level = text.partition(":")
    if base == "cpu":
        return with_level(host(), text, level) if level and level != "host" else host()
    match = TRIPLE.match(base)
    if match is None:
        raise unknown("target", base, ["cpu", *(f"cpu:{name}" for name in levels_here())])
    architecture = ALIASES.get(match["architecture"], match["architecture"])
    if architecture not in LEVELS:
        raise unknown("architecture", architecture, list(LEVELS))
    triple = "-".join((architecture, *base.split("-")[1:]))
    empty = Target(text, triple, "", "", 128, 16)
    return with_level(empty, text, level or BASELINE[architecture])


def with_level(target: Target, name: str, level: str) -> Target:
    """`target` restricted to the instruction set `level`. CompileError where its architecture lacks it."""
    rows = LEVELS[target.architecture]
    if level not in rows:
        raise unknown(f"{target.architecture} instruction set", level, list(rows))
    processor, features, bits, registers = rows[level]
    # Code of a wider level cannot be loaded on a host without it.
    needed = {name[1:] for name in features.split(",") if name}
    runs_here = target.is_host and bits <= target.vector_bits and needed <= target.instructions | {"neon"}
    return replace(
        target,
        name=name,
        processor=processor,
        features=features,
        vector_bits=bits,
        vector_registers=registers,
        is_host=runs_here,
    )


def unknown(kind: str, found: str, known: list[str]) -> CompileError:
    close = get_close_matches(found, known, n=1, cutoff=0.6)
    meant = f"did you mean {close[0]}?" if close else "known: " + ", ".join(known)
    return CompileError(f"unknown {kind} '{found}'", hint=meant)


def levels_here() -> tuple[str, ...]:
    """The levels `cpu:LEVEL` accepts on this machine."""
    return tuple(LEVELS[host().architecture])


@cache
def host() -> Target:
    """The processor this process runs on, with everything it has."""
    # llvmlite takes 0.1 s to import: only those who ask for a target pay for it.
    from xmlc.backends.cpu.llvm import binding

    triple: str = binding.get_process_triple()
    found = permitted(binding.get_host_cpu_features())
    features = ",".join(("+" if present else "-") + name for name, present in sorted(found.items()))
    if found.get("avx512f") and found.get("avx512vl"):
        bits, registers = 512, 32
    elif found.get("avx2"):
        bits, registers = 256, 16
    elif platform.machine() in ("arm64", "aarch64"):
        bits, registers = 128, 32
    else:
        bits, registers = 128, 16
    return Target(
        "cpu", triple, binding.get_host_cpu_name(), features, bits, registers, core_count(), cache_sizes(), True
    )


def core_count() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_sizes() -> tuple[int, ...]:
    """Bytes of each data or unified cache of core 0, innermost first; empty where Linux does not tell."""
    levels: dict[int, int] = {}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind = (folder / "type").read_text().strip()
            size = (folder / "size").read_text().strip()
            level = int((folder / "level").read_text())
        except (OSError, ValueError):
            continue  # a container may hide some of these files
        if kind != "Instruction" and size.endswith("K"):
            levels[level] = int(size[:-1]) * 1024
    return tuple(levels[level] for level in sorted(levels))


@cache
def layout_of(triple: str) -> str:
    from xmlc.backends.cpu.llvm import binding, initialize

    initialize(triple)
    return str(binding.Target.from_triple(triple).create_target_machine().target_data)
