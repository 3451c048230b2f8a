"""Compile the cases of `xmlc bench --device cuda` into files: that needs LLVM, and no GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr

from xmlc.backends.cuda.stages import CUDA, fitted
from xmlc.backends.cuda.target import CudaTarget
from xmlc.bench.gpu.cases import Case
from xmlc.driver import STAGE, Settings, any_target, run_stages
from xmlc.driver_cuda import compile_artifact
from xmlc.files import write_whole
from xmlc.pipeline import run_passes


def build(case: Case, folder: Path, target: str) -> Path:
    """Compile a case; the file that it is in."""
    settings = Settings(target=any_target(target))
    module = case.module()
    if case.schedule is not None:
        map_by(module, case.schedule, settings)
    path = folder / case.file
    write_whole(path, compile_artifact(module, settings).to_bytes())
    return path


def map_by(module: ModuleOp, schedule: tuple[str, str, str], settings: Settings) -> None:
    """Bring a module to the level `gpu` with an option of one pass stated."""
    name, option, value = schedule
    stage = next(each for each in CUDA if each.name == "gpu")
    before = CUDA[CUDA.index(stage) - 1].name
    run_stages(module, None, before, settings)
    assert isinstance(settings.target, CudaTarget)
    passes = fitted(stage.passes, settings.target)
    passes = [replace(each, **{option: value}) if each.name == name else each for each in passes]
    run_passes(module, passes, Context())
    module.attributes[STAGE] = StringAttr(stage.name)
