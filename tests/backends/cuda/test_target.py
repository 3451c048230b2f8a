"""Which GPUs there is code for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xmlc.backends.cuda import compile
from xmlc.backends.cuda.compile import assembled, ptx
from xmlc.backends.cuda.target import DEFAULT, TRIPLE, parse_cuda
from xmlc.dialects.diagnostics import CompileError


def test_cuda_alone_means_the_newest_that_we_tune_for() -> None:
    assert parse_cuda("cuda").processor == DEFAULT
    assert parse_cuda("cuda:sm_80").processor == "sm_80"


@pytest.mark.parametrize(
    "text, message",
    [
        ("cuda:fast", "unknown target 'cuda:fast'"),
        ("cuda:sm_70", "sm_70 is too old"),
        ("cuda:sm_95", "there is no architecture sm_95"),
    ],
)
def test_other_targets_are_refused(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        parse_cuda(text)


@pytest.mark.parametrize("processor", ["sm_80", "sm_90a", "sm_100f", "sm_103a", "sm_110", "sm_120", "sm_121a"])
def test_ptx_is_of_a_version_that_has_the_architecture(processor: str) -> None:
    target = parse_cuda(f"cuda:{processor}")
    kernel = f'target triple = "{TRIPLE}"\ndefine ptx_kernel void @k() {{\n ret void\n}}'
    assert f".target {processor}" in ptx(kernel, target)


def test_a_missing_ptxas_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile, "find_ptxas", lambda: None)
    with pytest.raises(CompileError, match="ptxas is not installed"):
        assembled("", parse_cuda("cuda"))


def test_ptxas_is_found_in_its_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia" / "cu13" / "bin" / "ptxas"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    assert compile.find_ptxas() == str(program)
