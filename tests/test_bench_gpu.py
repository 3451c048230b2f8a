"""`xmlc bench --device cuda` as far as it goes without a GPU: its cases, and that they compile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.bench.gpu.build import build
from xmlc.bench.gpu.cases import LADDERS, Case, cases
from xmlc.bench.gpu.cccl import cccl_call
from xmlc.cli.bench import bench


def test_each_case_has_a_file_of_its_own() -> None:
    files = [case.file for case in cases()]
    assert len(set(files)) == len(files)


def test_a_case_moves_its_operands_and_its_result_once() -> None:
    assert Case("softmax", "bf16", 64, 128).moved == 2 * 64 * 128 * 2
    assert Case("row_sum", "f32", 64, 128).moved == (64 * 128 + 64) * 4


@pytest.mark.parametrize("operation", LADDERS)
def test_the_rungs_of_a_ladder_are_different_code(operation: str, tmp_path: Path) -> None:
    (name, option), rungs, _ = LADDERS[operation]
    made = [build(Case(operation, "f32", 256, 256, (name, option, rung)), tmp_path, "cuda") for rung in rungs]
    assert len({CudaArtifact.from_bytes(path.read_bytes()).code for path in made}) == len(rungs)


def test_the_cases_are_listed() -> None:
    shown = CliRunner().invoke(bench, ["--device", "cuda", "--list", "--only", "^softmax f32"])
    assert "softmax f32 16384x8192" in shown.output.splitlines()


def test_only_what_was_compiled_before_needs_a_folder() -> None:
    assert "need --folder" in CliRunner().invoke(bench, ["gpu", "--built"]).output


def test_a_device_is_one_of_those_that_there_are() -> None:
    shown = CliRunner().invoke(bench, ["--device=cudo", "--list"])
    assert shown.exit_code == 2 and "unknown device 'cudo'" in shown.output and "did you mean 'cuda'" in shown.output


def test_cub_is_a_peer_where_it_is_installed() -> None:
    torch = SimpleNamespace(bfloat16="bf16")
    assert cccl_call("softmax", torch, None) is None
    assert cccl_call("row_sum", torch, SimpleNamespace(dtype="f32")) is None
