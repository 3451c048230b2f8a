"""The stages of the CPU backend, from the graph level to machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from xdsl.passes import ModulePass

from xmlc.backends.cpu.target import Target
from xmlc.backends.graph_stages import graph_stages
from xmlc.backends.stages import Stage
from xmlc.passes.attention.lower import LowerAttention
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.contractions.lower_free import LowerFreeContractions
from xmlc.passes.expand_math.expand import ExpandMath
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.lower_scans import LowerScans
from xmlc.passes.lower_sorts import LowerSorts
from xmlc.passes.lower_transposes import LowerTransposes
from xmlc.passes.parallelize import Parallelize
from xmlc.passes.plan_memory import PlanMemory
from xmlc.passes.rows.lower import LowerRows
from xmlc.passes.time_kernels import TimeKernels

CPU = (
    *graph_stages(fuses_attention=True, sorted_bits=32),
    Stage(
        "structured",
        (
            *(Bufferize(), LowerAttention(), LowerContractions(), LowerFreeContractions(), LowerRows()),
            *(LowerSorts(), LowerScans(), LowerTransposes(), LowerLinalg(), Parallelize(), ExpandMath(), PlanMemory()),
        ),
        removes=("linalg", "tensor", "fused"),
    ),
    Stage("llvm"),
    Stage("asm"),
    Stage("obj"),
)


def timed(passes: Sequence[ModulePass], entry: str) -> list[ModulePass]:
    """The passes, with one that has a program measure its kernels before memory is planned."""
    made: list[ModulePass] = []
    for each in passes:
        made += [TimeKernels(entry), each] if isinstance(each, PlanMemory) else [each]
    return made


def fitted(passes: Sequence[ModulePass], target: Target, threads: int = 1) -> list[ModulePass]:
    """The passes, with what their options say of the machine being what the target is, and so many threads."""
    known = {
        "vector_bits": target.vector_bits,
        "vector_registers": target.vector_registers,
        "dots": target.dots,
        "tiles": target.tiles,
        "avx512": target.architecture == "x86_64" and target.vector_bits == 512,
        "threads": threads,
        **dict(zip(("first_cache", "second_cache", "third_cache"), target.caches)),
    }
    return [
        replace(each, **{option.name: known[option.name] for option in fields(each) if option.name in known})
        for each in passes
    ]
