"""LLVM through llvmlite: parsing, its optimisation pipeline, code generation; several threads may compile at once."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import llvmlite.binding

from xmlc.backends.cpu.target import Target

binding: Any = llvmlite.binding  # has no types
ffi: Any = llvmlite.binding.ffi


@cache
def initialize() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


def target_machine(target: Target, opt_level: int) -> Any:
    """A new target machine: position-independent code, so that an object loads at any address."""
    initialize()
    return binding.Target.from_triple(target.triple).create_target_machine(
        cpu=target.processor, features=target.features, opt=opt_level, reloc="pic", codemodel="small"
    )


def optimized(llvm_ir: str, machine: Any, opt_level: int) -> Any:
    """The parsed module after LLVM's pipeline, in a context of its own, so that threads do not meet.

    A parse error is a bug of the emitter: it keeps its traceback, and names the line.
    """
    module = binding.parse_assembly(llvm_ir, binding.create_context())
    module.verify()
    options = binding.create_pipeline_tuning_options(opt_level)
    options.loop_vectorization = options.slp_vectorization = options.loop_interleaving = opt_level >= 2
    builder = binding.create_pass_builder(machine, options)
    passes = builder.getModulePassManager()
    unlocked().LLVMPY_RunNewModulePassManager(passes._ptr, module._ptr, builder._ptr)
    return module


def machine_code(module: Any, machine: Any, *, as_text: bool) -> bytes:
    """The module as an object file, or as assembly text."""
    with ffi.OutputString() as error:
        buffer = unlocked().LLVMPY_TargetMachineEmitToMemory(machine._ptr, module._ptr, not as_text, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@cache
def unlocked() -> Any:
    """llvmlite's library without its lock, for the two calls that take long.

    llvmlite lets one thread at a time into LLVM. LLVM itself wants only that no two threads share a context,
    and each module here has its own. Seen: two threads are inside LLVM together for nine tenths of the time,
    and the objects are those of one thread. How much time that saves has not been measured on an idle machine.
    """
    library: Any = ctypes.CDLL(ffi.lib._name)
    library.LLVMPY_RunNewModulePassManager.argtypes = ffi.lib.LLVMPY_RunNewModulePassManager.argtypes
    library.LLVMPY_RunNewModulePassManager.restype = None
    emit = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    library.LLVMPY_TargetMachineEmitToMemory.argtypes = emit.argtypes
    library.LLVMPY_TargetMachineEmitToMemory.restype = emit.restype
    return library
