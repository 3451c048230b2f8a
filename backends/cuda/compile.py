"""From kernels to code: LLVM IR, PTX by LLVM, and a cubin by ptxas where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cpu.llvm import binding, initialize, machine_code, optimized
from xmlc.backends.cuda.emit import emit_kernels
from xmlc.backends.cuda.target import TRIPLE, CudaTarget
from xmlc.dialects.diagnostics import CompileError

EFFORT = 3


def llvm_ir(module: ModuleOp, target: CudaTarget) -> str:
    """The kernels of a module at the level `gpu` or `nvvm` as LLVM IR text."""
    return emit_kernels(module, target)


def ptx(llvm_ir: str, target: CudaTarget) -> str:
    """The PTX of a module of LLVM IR."""
    machine = target_machine(target)
    return machine_code(optimized(llvm_ir, machine, EFFORT), machine, as_text=True).decode().rstrip("\0")


def target_machine(target: CudaTarget) -> Any:
    initialize(TRIPLE)
    return binding.Target.from_triple(TRIPLE).create_target_machine(
        cpu=target.processor, features=target.features, opt=EFFORT
    )


@dataclass(frozen=True)
class Resources:
    """What ptxas says that a kernel takes."""

    kernel: str
    registers: int
    stack_bytes: int
    spill_bytes: int
    shared_bytes: int


@dataclass(frozen=True)
class Assembled:
    """Machine code for one architecture, and what each kernel in it takes."""

    code: bytes
    resources: tuple[Resources, ...]


def find_ptxas() -> str | None:
    """The program ptxas: that on the path, else that of the wheel nvidia-cuda-nvcc."""
    if (found := shutil.which("ptxas")) is not None:
        return found
    packages = find_spec("nvidia")
    folders = packages.submodule_search_locations if packages is not None else None
    return next((str(path) for folder in folders or () for path in Path(folder).glob("*/bin/ptxas")), None)


def assembled(ptx: str, target: CudaTarget) -> Assembled:
    """PTX through ptxas. CompileError where ptxas is not installed; what it refuses is a bug of ours."""
    found = find_ptxas()
    if found is None:
        raise CompileError(
            "ptxas is not installed", hint="pip install nvidia-cuda-nvcc, or stop at --emit=ptx, which needs none"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, code = Path(folder, "kernels.ptx"), Path(folder, "kernels.cubin")
        source.write_text(ptx)
        command = [found, f"-arch={target.processor}", "-v", "-o", str(code), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ptxas refused a kernel: {done.stderr}")
        return Assembled(code.read_bytes(), tuple(resources(done.stderr)))


def resources(report: str) -> list[Resources]:
    """The lines that `ptxas -v` prints, kernel by kernel."""
    found: list[Resources] = []
    for part in report.split("Compiling entry function '")[1:]:
        name = part.partition("'")[0]
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers, shared = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes smem", part)
        stack, stores, loads = (int(text) for text in frame.groups()) if frame else (0, 0, 0)
        found.append(
            Resources(
                name,
                int(registers[1]) if registers else 0,
                stack,
                stores + loads,
                int(shared[1]) if shared else 0,
            )
        )
    return found
