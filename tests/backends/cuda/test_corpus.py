"""What ptxas says of the kernels of the benchmark: they assemble, and keep what they compute with in registers."""

from __future__ import annotations

import pytest
from gpu_corpus import CORPUS, needs_ptxas

from xmlc.backends.cuda.compile import assembled, llvm_ir, ptx
from xmlc.backends.cuda.target import parse_cuda
from xmlc.bench.gpu.cases import Case
from xmlc.driver import Settings, run_stages

SPILLS = {
    ("sm_80", Case("topk", "bf16", 4096, 4096)): 16,
    ("sm_90a", Case("matmul", "f32", 4096, 4096)): 32,
}
"""What does not fit into registers, in bytes; all other kernels spill nothing."""


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_kernel_assembles_and_spills_nothing(case: Case, architecture: str) -> None:
    target = parse_cuda(f"cuda:{architecture}")
    module = case.module()
    run_stages(module, None, "nvvm", Settings(target=target))
    found = assembled(ptx(llvm_ir(module, target), target), target).resources
    assert found and max(each.spill_bytes for each in found) <= SPILLS.get((architecture, case), 0)
