"""Every op of `ml` becomes kernels for every architecture that we promise."""

from __future__ import annotations

import shutil

import pytest
from ml_samples import SAMPLES, Sample
from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cuda.compile import assembled, llvm_ir, ptx
from xmlc.backends.cuda.stages import CUDA
from xmlc.backends.cuda.target import parse_cuda
from xmlc.backends.stages import refuse_leftovers
from xmlc.dialects import context

needs_ptxas = pytest.mark.skipif(shutil.which("ptxas") is None, reason="ptxas is not installed")


def mapped(module: ModuleOp) -> ModuleOp:
    """The module at the level `gpu`."""
    for stage in CUDA:
        for each in stage.passes:
            each.apply(context(), module)
        refuse_leftovers(module, stage)
    return module


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_op_becomes_kernels(sample: Sample) -> None:
    module = mapped(sample.module(sample.elements[0]))
    module.verify()
    assert "\n.visible .entry" in ptx(llvm_ir(module, parse_cuda("cuda:sm_80")), parse_cuda("cuda:sm_80")) or not any(
        op.name == "gpu.launch_func" for op in module.walk()
    )


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("sample", SAMPLES[::7], ids=str)
def test_kernels_assemble(sample: Sample, architecture: str) -> None:
    target = parse_cuda(f"cuda:{architecture}")
    module = mapped(sample.module(sample.elements[-1]))
    assert all(each.spill_bytes == 0 for each in assembled(ptx(llvm_ir(module, target), target), target).resources)
