"""Our passes by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from xdsl.passes import ModulePass


def in_module(module: str, name: str) -> Callable[[], type[ModulePass]]:
    """A loader of the pass class `name` of `module`: nothing is imported before it is used."""
    return lambda: cast(type[ModulePass], getattr(import_module(module), name))


PASSES: dict[str, Callable[[], type[ModulePass]]] = {
    "decompose": in_module("xmlc.passes.decompose", "Decompose"),
    "assign-layouts": in_module("xmlc.passes.assign_layouts", "AssignLayouts"),
    "batch": in_module("xmlc.passes.batch", "Batch"),
    "bind-sizes": in_module("xmlc.passes.bind_sizes", "BindSizes"),
    "bufferize": in_module("xmlc.passes.bufferize", "Bufferize"),
    "deduplicate-kernels": in_module("xmlc.passes.deduplicate_kernels", "DeduplicateKernels"),
    "donate-buffers": in_module("xmlc.passes.donate_buffers", "DonateBuffers"),
    "differentiate": in_module("xmlc.passes.differentiate", "Differentiate"),
    "expand-math": in_module("xmlc.passes.expand_math.expand", "ExpandMath"),
    "fold": in_module("xmlc.passes.fold", "Fold"),
    "form-kernels": in_module("xmlc.passes.form_kernels", "FormKernels"),
    "fuse-linalg": in_module("xmlc.passes.fuse_linalg", "FuseLinalg"),
    "fuse-patterns": in_module("xmlc.passes.fuse_patterns", "FusePatterns"),
    "hoist-weights": in_module("xmlc.passes.hoist_weights", "HoistWeights"),
    "infer-shapes": in_module("xmlc.passes.infer_shapes", "InferShapes"),
    "inline": in_module("xmlc.passes.inline", "Inline"),
    "lower-attention": in_module("xmlc.passes.attention.lower", "LowerAttention"),
    "lower-contractions": in_module("xmlc.passes.contractions.lower", "LowerContractions"),
    "lower-free-contractions": in_module("xmlc.passes.contractions.lower_free", "LowerFreeContractions"),
    "lower-linalg": in_module("xmlc.passes.lower_linalg", "LowerLinalg"),
    "lower-ml": in_module("xmlc.passes.lower_ml.lower", "LowerMl"),
    "lower-print": in_module("xmlc.passes.lower_print", "LowerPrint"),
    "lower-gpu-to-nvvm": in_module("xmlc.passes.gpu.lower_to_nvvm", "LowerToNvvm"),
    "atomic-updates": in_module("xmlc.passes.gpu.atomic_updates", "AtomicUpdates"),
    "map-loops": in_module("xmlc.passes.gpu.map_loops", "MapLoops"),
    "map-transpose": in_module("xmlc.passes.gpu.map_transpose", "MapTranspose"),
    "map-contractions": in_module("xmlc.passes.gpu.map_contractions", "MapContractions"),
    "compute-narrow": in_module("xmlc.passes.gpu.compute_narrow", "ComputeNarrow"),
    "map-columns": in_module("xmlc.passes.gpu.map_columns", "MapColumns"),
    "map-rows": in_module("xmlc.passes.gpu.map_rows", "MapRows"),
    "map-scans": in_module("xmlc.passes.gpu.map_scans", "MapScans"),
    "map-sorts": in_module("xmlc.passes.gpu.map_sorts", "MapSorts"),
    "lower-scans": in_module("xmlc.passes.lower_scans", "LowerScans"),
    "lower-sorts": in_module("xmlc.passes.lower_sorts", "LowerSorts"),
    "lower-rows": in_module("xmlc.passes.rows.lower", "LowerRows"),
    "lower-transposes": in_module("xmlc.passes.lower_transposes", "LowerTransposes"),
    "lower-toy": in_module("xmlc.passes.lower_toy", "LowerToy"),
    "pack-weights": in_module("xmlc.passes.pack_weights", "PackWeights"),
    "parallelize": in_module("xmlc.passes.parallelize", "Parallelize"),
    "plan-memory": in_module("xmlc.passes.plan_memory", "PlanMemory"),
    "simplify": in_module("xmlc.passes.simplify", "Simplify"),
    "simplify-toy": in_module("xmlc.passes.simplify_toy", "SimplifyToy"),
    "winograd": in_module("xmlc.passes.winograd", "UseWinograd"),
    "specialise": in_module("xmlc.passes.specialise", "Specialise"),
    "strength-reduction": in_module("xmlc.passes.strength_reduction", "StrengthReduction"),
    "time-kernels": in_module("xmlc.passes.time_kernels", "TimeKernels"),
}
"""Name -> loader, as `-p` takes it. Adding a pass is adding a row; where xDSL has one of that name, ours is used."""
