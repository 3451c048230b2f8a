"""Objects for other processors: of their machine and its calling convention, with its vector instructions."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

PROGRAM = """\
func.func @main(%x: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %a = ml.matmul %x, %x : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %b = ml.exp %a : tensor<64x64xf32> -> tensor<64x64xf32>
  func.return %b : tensor<64x64xf32>
}
"""
X86_64, AARCH64, RISCV = 62, 183, 243
DOUBLE_FLOAT_ABI = 4
"""Of an object's flags for RISC-V: floats are passed in registers of 64 bits."""


def machine_and_flags(code: bytes) -> tuple[int, int]:
    return struct.unpack_from("<H", code, 0x12)[0], struct.unpack_from("<I", code, 0x30)[0]


@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize(
    ("target", "machine", "multiply_add"),
    [
        ("cpu:sse2", X86_64, r"mulps\s.*xmm"),
        ("cpu:avx2", X86_64, r"vfmadd\d+ps\s.*ymm"),
        ("cpu:avx512", X86_64, r"vfmadd\d+ps\s.*zmm"),
        ("aarch64-linux-gnu", AARCH64, r"fmla\s+v\d+\.4s"),
        ("riscv64-linux-gnu", RISCV, r"fmadd\.s|vf"),
        ("riscv64-linux-gnu:rvv", RISCV, r"vfmacc\.v"),
    ],
)
def test_an_object_is_for_its_machine_and_uses_its_vectors(
    xmlc: Run, tmp_path: Path, target: str, machine: int, multiply_add: str, threads: int
) -> None:
    file = tmp_path / "x.o"
    arguments = ("compile", "-", "--from", "mlir", "--target", target, "--threads", threads)
    assert xmlc(*arguments, "-o", file, text=PROGRAM) == (0, "", "")
    found, flags = machine_and_flags(file.read_bytes())
    assert found == machine
    assert machine != RISCV or flags & DOUBLE_FLOAT_ABI
    assert re.search(multiply_add, xmlc(*arguments, "--emit", "asm", text=PROGRAM)[1])


def test_code_for_another_machine_is_refused_when_it_is_to_run(xmlc: Run) -> None:
    code, _, err = xmlc("run", "-", "--from", "mlir", "--random", 0, "--target", "riscv64-linux-gnu", text=PROGRAM)
    assert code == 1
    assert "error: code for riscv64 does not run on this machine" in err


def test_the_list_of_targets_tells_what_each_is_and_all_of_it_can_be_asked_for(xmlc: Run) -> None:
    rows = {line.split()[0]: line for line in xmlc("list", "targets")[1].splitlines()}
    assert {"cpu", "aarch64-linux-gnu:neon", "riscv64-linux-gnu:rvv"} <= rows.keys()
    assert "32 of 128 bits" in rows["riscv64-linux-gnu:rvv"] and " no " in rows["riscv64-linux-gnu:rvv"]
    assert " yes " in rows["cpu"]
    for target in rows:
        if not target.startswith("cuda"):
            code, out, _ = xmlc("compile", "-", "--from", "mlir", "--target", target, "--emit", "llvm", text=PROGRAM)
            assert code == 0 and out.startswith("target datalayout")


@pytest.mark.parametrize(("level", "adds"), [("avx512", "vaddps"), ("avx512-fp16", "vaddph")])
def test_half_floats_are_added_as_they_are_where_the_processor_can(xmlc: Run, level: str, adds: str) -> None:
    text = "func.func @main(%x: tensor<64xf16>) -> tensor<64xf16> {\n  %a = ml.add %x, %x : tensor<64xf16>, "
    text += "tensor<64xf16> -> tensor<64xf16>\n  func.return %a : tensor<64xf16>\n}\n"
    _, out, _ = xmlc("compile", "-", "--emit", "asm", f"--target=x86_64-linux-gnu:{level}", text=text)
    assert [each for each in ("vaddps", "vaddph") if each in out] == [adds]
