"""`xmlc bench --device cuda` as far as it goes without a GPU: its cases, and that they compile."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.bench.gpu.build import build
from xmlc.bench.gpu.cases import LADDERS, OPERATIONS, Case, cases
from xmlc.bench.gpu.cccl import cccl_call
from xmlc.bench.gpu.jax_peer import PROGRAMS
from xmlc.bench.gpu.measure import to_json
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


def listed(*options: str) -> list[str]:
    return CliRunner().invoke(bench, ["--device", "cuda", "--list", *options]).output.splitlines()


def test_parts_are_the_whole_grid() -> None:
    assert sorted([*listed("--part", "1/2"), *listed("--part", "2/2")]) == sorted(listed())


@pytest.mark.parametrize("text", ["0/2", "3/2", "half"])
def test_what_is_no_part_is_refused(text: str) -> None:
    shown = CliRunner().invoke(bench, ["--device", "cuda", "--list", "--part", text])
    assert f"'{text}' is no part" in shown.output and "1/2 and 2/2 are halves" in shown.output


def test_records_of_parts_become_one(tmp_path: Path) -> None:
    names = listed("--only", "^softmax f32 (64x64|512x512)$")
    for date, name in zip(("2026-01-02", "2026-01-01"), reversed(names)):
        (tmp_path / f"{date}.json").write_text(to_json({"date": date, "cells": [{"case": name}], "left out": [date]}))
    joining = [option for path in tmp_path.iterdir() for option in ("--join", str(path))]
    record = json.loads(CliRunner().invoke(bench, ["gpu", *joining]).output)
    assert record["date"] == "2026-01-01" and [cell["case"] for cell in record["cells"]] == names
    assert sorted(record["left out"]) == ["2026-01-01", "2026-01-02"]


def test_every_operation_has_a_program_of_jax() -> None:
    assert PROGRAMS.keys() == OPERATIONS.keys()
