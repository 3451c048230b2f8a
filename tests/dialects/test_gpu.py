"""`gpu` and `nvvm`: read back as printed, accepted and spelled by MLIR as here, refused where they are wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from oracle import mlir_opt, needs_mlir, parse
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm import OPERATIONS
from xmlc.dialects.nvvm.spelling import SPELLING

FOLDER = Path(__file__).resolve().parents[2] / "filecheck_tests" / "dialects"
KERNEL = """gpu.module @m {{
  gpu.func @k(%x: f32, %i: i32, %b: i1, %near: !llvm.ptr<3>, %far: !llvm.ptr<1>) kernel {{
    {}
    gpu.return
  }}
}}"""


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["gpu.mlir", "nvvm.mlir"])
def test_what_is_printed_is_read_back(name: str) -> None:
    once = str(parse(text_of(name)))
    assert str(parse(once)) == once


@needs_mlir
@pytest.mark.parametrize("name", ["gpu.mlir", "nvvm.mlir"])
def test_mlir_accepts_what_is_printed(name: str) -> None:
    mlir_opt(str(parse(text_of(name))))


@needs_mlir
def test_a_generic_kernel_of_mlir_is_read_and_stays_a_kernel() -> None:
    generic = mlir_opt(text_of("gpu.mlir"), "--mlir-print-op-generic", "--mlir-print-local-scope")
    assert "gpu.func @known_sizes() kernel attributes {known_block_size" in str(parse(generic))


def test_every_op_of_nvvm_has_a_spelling_and_an_example() -> None:
    examples = {op.name for op in parse(text_of("nvvm.mlir")).walk()}
    assert [op.name for op in OPERATIONS if op not in SPELLING] == []
    registers = {name for name in (op.name for op in OPERATIONS) if ".sreg." in name}
    assert {op.name for op in OPERATIONS} - registers <= examples


@needs_mlir
def test_ops_are_spelled_as_mlir_spells_them() -> None:
    module = parse(text_of("nvvm.mlir").replace("gpu.module @module {", "").rstrip().removesuffix("}"))
    ops = [op for op in module.walk() if type(op) in SPELLING and op.name != "nvvm.barrier.arrive"]
    # MLIR writes barrier.arrive as a line of PTX, and translates functions of `llvm` only
    text = "\n".join(line for line in str(module).splitlines() if "nvvm.barrier.arrive" not in line)
    text = text.replace("gpu.func", "llvm.func").replace(" kernel {", " {").replace("gpu.return", "llvm.return")
    translate = shutil.which("mlir-translate-22")
    assert translate is not None
    done = subprocess.run([translate, "--mlir-to-llvmir"], input=text, capture_output=True, text=True, check=True)
    called = re.findall(r"call .*?@(llvm\.nvvm\.[\w.]+)\(", done.stdout)
    assert called == [SPELLING[type(op)](op).name for op in ops]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%r = gpu.subgroup_reduce add %x cluster(size = 3) : (f32) -> f32", "the cluster size is 3"),
        ("%r = gpu.subgroup_reduce add %x cluster(size = 32, stride = 2) : (f32) -> f32", "reaches over 64 lanes"),
        ("nvvm.cp.async.shared.global %near, %far, 8, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>", "expected 16"),
        ("nvvm.setmaxregister increase 100", "expected a multiple of 8 from 24 to 256"),
        ("%r = nvvm.vote.sync ballot %i, %b -> i1", "the result is i1, expected i32"),
        ("%r = nvvm.shfl.sync bfly %i, %x, %i, %i : f32 -> i32", "the result is i32, expected f32"),
    ],
)
def test_what_is_wrong_is_refused(line: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        parse(KERNEL.format(line)).verify()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu.module @m { gpu.func @k() -> (f32) kernel { gpu.return } }", "a kernel returns nothing"),
        (
            "gpu.module @m { gpu.func @k() kernel attributes {known_block_size = array<i32: 0, 1, 1>} { gpu.return } }",
            "three positive numbers",
        ),
    ],
)
def test_a_kernel_that_is_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        parse(text).verify()
