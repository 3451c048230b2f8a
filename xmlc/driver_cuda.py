"""From a module to a program on a GPU: the kernels' code, what the host does, and both loaded onto a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from xmlc.arguments import Array
from xmlc.backends.cuda.artifact import CudaArtifact, Entry
from xmlc.backends.cuda.driver import Device, NvidiaDriver, driver_of
from xmlc.backends.cuda.target import CudaTarget, parse_cuda
from xmlc.backends.signature import EntryPoint, Signature, arena_bytes, completed
from xmlc.compiled_cuda import CudaModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings, cached, entry_of, prepare_of, to_last_mlir, watch
from xmlc.importing import quickly

ANY_DEVICE = "cuda"
"""The target that means the device which is there."""


def device_code(module: ModuleOp, stage: str, target: CudaTarget, settings: Settings) -> str | bytes:
    """The kernels of a module of the last level that is MLIR, at the stage `llvm`, `ptx` or `cubin`."""
    from xmlc.backends.cuda import compile

    settings.timer.start("stage llvm")
    made: str | bytes = compile.llvm_ir(module, target)
    settings.timer.stop()
    watch(settings, "llvm", made)
    if stage == "llvm":
        return made
    settings.timer.start("stage ptx")
    made = compile.ptx(made, target)
    settings.timer.stop()
    watch(settings, "ptx", made)
    if stage == "ptx":
        return made
    settings.timer.start("stage cubin")
    made = compile.assembled(made, target).code
    settings.timer.stop()
    watch(settings, "cubin", made)
    return made


def compile_artifact(module: ModuleOp, settings: Settings) -> CudaArtifact:
    """A module as a program for a GPU: with machine code where ptxas is installed, else with PTX."""
    from xmlc.backends.cuda.compile import find_ptxas

    target = settings.target
    assert isinstance(target, CudaTarget)
    signature, prepare_signature = to_last_mlir(module, settings)
    code = device_code(module, "cubin" if find_ptxas() else "ptx", target, settings)
    main = entry(module, entry_of(module), signature)
    before = prepare_of(module)
    prepare = entry(module, before, prepare_signature) if before and prepare_signature else None
    return CudaArtifact(main, prepare, code.encode() if isinstance(code, str) else code)


def entry(module: ModuleOp, function: FuncOp, signature: Signature) -> Entry:
    from xmlc.backends.cuda.host_steps import launch_program

    signature = completed(signature, function, ())
    return Entry(EntryPoint(signature, arena_bytes(function)), launch_program(module, function))


def compile_for_gpu(module: ModuleOp, weights: Mapping[str, Array], settings: Settings, device: int = 0) -> CudaModule:
    """The entry function of a module as a Python function that runs on a GPU; the module is consumed.

    The target `cuda` means what the device is. Raises CompileError where there is no GPU, or where the target is newer.
    """
    driver = driver_of(device)
    settings = with_schedules(module, for_device(settings, driver.device), driver)
    with quickly():
        data = cached(module, settings, lambda told: compile_artifact(module, told).to_bytes())
    settings.timer.start("load")
    loaded = CudaModule(CudaArtifact.from_bytes(data), weights, driver)
    settings.timer.stop()
    return loaded


def for_device(settings: Settings, device: Device) -> Settings:
    """The settings, the target `cuda` being what the device is. CompileError where the target is newer."""
    target = settings.target
    assert isinstance(target, CudaTarget)
    if target.name == ANY_DEVICE:
        there = parse_cuda(f"{ANY_DEVICE}:{device.processor}")
        target = replace(there, name=target.name, multiprocessors=device.multiprocessors)
    check(target, device.processor, device.name)
    return replace(settings, target=target)


def with_schedules(module: ModuleOp, settings: Settings, driver: NvidiaDriver) -> Settings:
    """The settings, with what is known of kernels on the device, after tuning where they ask for it.

    The module stays as it is.
    """
    if settings.tune is not None:
        from xmlc.tuning.known import Known
        from xmlc.tuning.progress import progress_bar
        from xmlc.tuning.search import Tuner
        from xmlc.tuning.stopwatch import DeviceStopwatch

        with progress_bar() as progress:
            known = Known(driver.device)
            tuner = Tuner(settings, DeviceStopwatch(driver), known, settings.tune, progress)
            report = tuner.tune(module.clone())
        if settings.tuned:
            settings.tuned(report)
        return replace(settings, state_schedules=known.state_schedules)

    def state_schedules(module: ModuleOp) -> None:  # what it imports, a program found in the cache does not need
        from xmlc.tuning.known import Known

        Known(driver.device).state_schedules(module)

    return replace(settings, state_schedules=state_schedules)


def tuned_for_device(module: ModuleOp, settings: Settings, device: int = 0) -> Settings:
    """Settings that compile the module by the schedules that tuning on a device finds, for that device."""
    driver = driver_of(device)
    return with_schedules(module, for_device(settings, driver.device), driver)


def check(target: CudaTarget, processor: str, name: str) -> None:
    """Raise CompileError if a device does not run code for a target."""
    wanted, found = target.processor.removeprefix("sm_"), processor.removeprefix("sm_")
    only_there = wanted[-1] in "af" and wanted.rstrip("af") != found.rstrip("af")
    if only_there or int(wanted.rstrip("af")) > int(found.rstrip("af")):
        raise CompileError(
            f"the program is for {target.processor}, the GPU ({name}) is {processor}",
            hint=f"compile it for --target=cuda:{processor}",
        )
