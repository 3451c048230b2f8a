"""The level `nvvm` stands by itself: MLIR lowers our text to LLVM IR whose PTX ptxas takes."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from oracle import MLIR_TRANSLATE, mlir_opt, needs_mlir, parse
from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cuda.compile import assembled, ptx
from xmlc.backends.cuda.target import parse_cuda
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
TEXTS = {
    "chain": """
        %a = ml.exp %x : tensor<256x384xT> -> tensor<256x384xT>
        %y = ml.mul %a, %x : tensor<256x384xT>, tensor<256x384xT> -> tensor<256x384xT>""",
    "softmax": """
        %y = ml.softmax %x axis = 1 : tensor<256x384xT> -> tensor<256x384xT>""",
    "column sums": """
        %s = ml.reduce_sum %x axes = [0] : tensor<256x384xT> -> tensor<384xT>
        %y = ml.sub %x, %s : tensor<256x384xT>, tensor<384xT> -> tensor<256x384xT>""",
}


def lowered(name: str, element: str) -> ModuleOp:
    text = f"""
    func.func @main(%x: tensor<256x384xT>) -> tensor<256x384xT> {{{TEXTS[name]}
      func.return %y : tensor<256x384xT>
    }}"""
    module = parse(text.replace("T>", f"{element}>"))
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
@pytest.mark.parametrize("element", ["f32", "bf16"])
@pytest.mark.parametrize("name", TEXTS)
def test_mlir_lowers_kernels_to_ptx(name: str, element: str) -> None:
    target = parse_cuda("cuda:sm_90a")
    made = ptx(by_mlir(lowered(name, element)), target)
    assert ".visible .entry" in made
    if shutil.which("ptxas") is not None:
        assert all(each.spill_bytes == 0 for each in assembled(made, target).resources)


def test_no_op_of_gpu_is_left_that_has_an_instruction() -> None:
    text = printed(lowered("softmax", "f32"))
    assert "gpu.thread_id" not in text and "gpu.shuffle" not in text and "gpu.barrier" not in text
    assert "nvvm.read.ptx.sreg.tid.x" in text and "nvvm.shfl.sync" in text
