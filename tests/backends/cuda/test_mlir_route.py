"""The level `nvvm` stands by itself: MLIR lowers our text to LLVM IR whose PTX ptxas takes."""

from __future__ import annotations

import subprocess

import pytest
from gpu_corpus import SMALL
from oracle import MLIR_TRANSLATE, mlir_opt, needs_mlir
from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cuda.compile import assembled, find_ptxas, ptx
from xmlc.backends.cuda.target import parse_cuda
from xmlc.bench.gpu.cases import Case
from xmlc.dialects import gpu
from xmlc.driver import Settings, run_stages
from xmlc.pipeline import printed

LOWERING = (
    "convert-vector-to-scf,expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-math-to-llvm,"
    "gpu.module(convert-gpu-to-nvvm{use-bare-ptr-memref-call-conv=1}),"
    "convert-vector-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,"
    "convert-func-to-llvm{use-bare-ptr-memref-call-conv=1},finalize-memref-to-llvm,convert-nvvm-to-llvm,"
    "reconcile-unrealized-casts"
)


def lowered(case: Case) -> ModuleOp:
    module = case.module()
    run_stages(module, None, "nvvm", Settings(target=parse_cuda("cuda:sm_90a")))
    return module


def by_mlir(module: ModuleOp) -> str:
    """The LLVM IR that MLIR makes of the kernels of a module."""
    kernels = next(op for op in module.ops if isinstance(op, gpu.ModuleOp))
    found = mlir_opt(printed(ModuleOp([kernels.clone()])), f"--pass-pipeline=builtin.module({LOWERING})")
    inside = found[found.index("{", found.index("gpu.module")) + 1 : found.rindex("}", 0, found.rindex("}"))]
    assert MLIR_TRANSLATE is not None
    return subprocess.run(
        [MLIR_TRANSLATE, "--mlir-to-llvmir"], input=inside, capture_output=True, text=True, check=True
    ).stdout


@needs_mlir
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_mlir_lowers_kernels_to_ptx(case: Case) -> None:
    target = parse_cuda("cuda:sm_90a")
    made = ptx(by_mlir(lowered(case)), target)
    assert ".visible .entry" in made
    if find_ptxas() is not None:
        assert all(each.spill_bytes == 0 for each in assembled(made, target).resources)


def test_no_op_of_gpu_is_left_that_has_an_instruction() -> None:
    text = printed(lowered(Case("softmax", "f32", 256, 384)))
    assert "gpu.thread_id" not in text and "gpu.shuffle" not in text and "gpu.barrier" not in text
    assert "nvvm.read.ptx.sreg.tid.x" in text and "nvvm.shfl.sync" in text
