"""Every op of `ml` becomes kernels for every architecture that we promise."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_corpus import needs_ptxas
from kernels_on_threads import mapped, run
from ml_samples import SAMPLES, Sample
from xdsl.dialects.builtin import f32

from xmlc.backends.cuda.compile import assembled, llvm_ir, ptx
from xmlc.backends.cuda.target import parse_cuda
from xmlc.dialects.reference.interpreter import interpret
from xmlc.meaning import difference


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_op_gives_on_threads_what_its_reference_gives(sample: Sample) -> None:
    element = f32 if f32 in sample.elements else sample.elements[0]
    inputs = sample.inputs(element)
    with np.errstate(all="ignore"):
        expected = interpret(sample.module(element), "main", [x.copy() for x in inputs])
        found = run(mapped(sample.module(element)), inputs)
    for a, b in zip(expected, found):
        assert difference("a result", a, b.view(a.dtype).reshape(a.shape)) is None


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
