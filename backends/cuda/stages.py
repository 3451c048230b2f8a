"""The stages of the CUDA backend, from the graph level to machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.passes import ModulePass

from xmlc.backends.cuda.target import CudaTarget
from xmlc.backends.graph_stages import graph_stages
from xmlc.backends.stages import Stage
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.expand_math.expand import ExpandMath
from xmlc.passes.gpu.atomic_updates import AtomicUpdates
from xmlc.passes.gpu.compute_narrow import ComputeNarrow
from xmlc.passes.gpu.lower_to_nvvm import LowerToNvvm
from xmlc.passes.gpu.map_columns import MapColumns
from xmlc.passes.gpu.map_contractions import MapContractions
from xmlc.passes.gpu.map_loops import MapLoops
from xmlc.passes.gpu.map_rows import MapRows
from xmlc.passes.gpu.map_scans import MapScans
from xmlc.passes.gpu.map_sorts import MapSorts
from xmlc.passes.gpu.map_transpose import MapTranspose
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.plan_memory import PlanMemory

CUDA = (
    *graph_stages(fuses_attention=False, sorted_bits=64),
    Stage(
        "gpu",
        (
            Bufferize(),
            ComputeNarrow(),
            MapContractions(),
            MapTranspose(),
            MapScans(),
            MapSorts(),
            MapColumns(),
            MapRows(),
            LowerLinalg(),
            AtomicUpdates(),
            MapLoops(),
            ExpandMath(device=True),
            PlanMemory(),
        ),
        removes=("linalg", "tensor"),
    ),
    Stage("nvvm", (LowerToNvvm(),)),
    Stage("llvm"),
    Stage("ptx"),
    Stage("cubin"),
)

LARGEST_CLUSTER = 8
"""Blocks of a cluster that every device with clusters runs."""


def fitted(passes: Sequence[ModulePass], target: CudaTarget, deterministic: bool = False) -> list[ModulePass]:
    """The passes, those with a cost model given what a device is like, those that do not keep an order whether to."""
    cluster = LARGEST_CLUSTER if target.has_clusters else 1

    def fit(each: ModulePass) -> ModulePass:
        match each:
            case MapRows():
                return replace(each, most_cluster=cluster)
            case AtomicUpdates():
                return replace(each, floats=not deterministic)
            case _:
                return each

    return [fit(each) for each in passes]
