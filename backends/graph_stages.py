"""The stages that every backend begins with, down to `linalg`: they do not know yet what they are compiled for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.passes import ModulePass
from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination
from xdsl.transforms.dead_code_elimination import DeadCodeElimination

from xmlc.backends.stages import Stage
from xmlc.passes.assign_layouts import AssignLayouts
from xmlc.passes.bind_sizes import BindSizes
from xmlc.passes.decompose import Decompose
from xmlc.passes.deduplicate_kernels import DeduplicateKernels
from xmlc.passes.donate_buffers import DonateBuffers
from xmlc.passes.fold import Fold
from xmlc.passes.form_kernels import FormKernels
from xmlc.passes.fuse_linalg import FuseLinalg
from xmlc.passes.fuse_patterns import FusePatterns
from xmlc.passes.hoist_weights import HoistWeights
from xmlc.passes.infer_shapes import InferShapes
from xmlc.passes.inline import Inline
from xmlc.passes.lower_ml.lower import LowerMl
from xmlc.passes.lower_print import LowerPrint
from xmlc.passes.lower_toy import LowerToy
from xmlc.passes.pack_weights import PackWeights
from xmlc.passes.simplify import Simplify
from xmlc.passes.simplify_toy import SimplifyToy
from xmlc.passes.strength_reduction import StrengthReduction
from xmlc.passes.winograd import UseWinograd


def graph_stages(*, fuses_attention: bool, sorted_bits: int) -> tuple[Stage, ...]:
    """Whether the backend has kernels for attention as a whole, and of how many bits elements are that it sorts."""
    return (
        Stage("toy", (Inline(), InferShapes(), SimplifyToy())),
        Stage(
            "ml",
            (
                LowerToy(),
                Decompose("derivatives"),  # whatever derivatives there are were taken
                *(Fold(), Simplify(), StrengthReduction(pointwise=False)),  # a reshape would part product and epilogue
                *(FusePatterns(), Fold(), Simplify()),
                *(Decompose("recurrent"), Decompose("contraction"), Simplify()),  # what their weights become is hoisted
                *(UseWinograd(), AssignLayouts(), Simplify(), PackWeights()),
                *(CommonSubexpressionElimination(), DeadCodeElimination(), HoistWeights()),
            ),
            removes=("toy",),
            keeps=("toy.print",),
        ),
        Stage(
            "kernels",
            (
                Decompose(fuses_attention=fuses_attention),
                Fold(),
                Simplify(),
                CommonSubexpressionElimination(),
                FormKernels(),
                DeduplicateKernels(),
            ),
        ),
        Stage(
            "linalg",
            (BindSizes(), LowerMl(sorted_bits=sorted_bits), LowerPrint(), FuseLinalg(), DonateBuffers()),
            removes=("ml", "toy"),
        ),
    )


def exact(passes: Sequence[ModulePass]) -> list[ModulePass]:
    """The passes, such that convolutions are the sums that they are."""
    return [replace(each, size=0) if isinstance(each, UseWinograd) else each for each in passes]
