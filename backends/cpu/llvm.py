"""LLVM through llvmlite: parsing, its optimisation pipeline, code generation.

llvmlite lets one thread in at a time. LLVM itself works on modules of different contexts at once; so its two functions
that take nearly all the time are called without llvmlite's lock, straight from its library.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import llvmlite.binding

from xmlc.backends.cpu.target import Target

binding: Any = llvmlite.binding  # has no types


@cache
def initialize(triple: str) -> None:
    """Let LLVM know the target of a triple: this machine's alone takes 2 MB, all of them 12."""
    if triple.partition("-")[0] == binding.get_process_triple().partition("-")[0]:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
    else:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()


def target_machine(target: Target, opt_level: int) -> Any:
    """A new target machine: position-independent code, so that an object loads at any address."""
    initialize(target.triple)
    return binding.Target.from_triple(target.triple).create_target_machine(
        cpu=target.processor, features=target.features, opt=opt_level, reloc="pic", codemodel="small"
    )


def optimized(llvm_ir: str, machine: Any, opt_level: int) -> Any:
    """The parsed module after LLVM's pipeline, in a context of its own.

    A parse error is a bug of the emitter: it keeps its traceback, and names the line.
    """
    module = binding.parse_assembly(llvm_ir, binding.create_context())
    module.verify()
    options = binding.create_pipeline_tuning_options(opt_level)
    options.loop_vectorization = options.slp_vectorization = options.loop_interleaving = opt_level >= 2
    builder = binding.create_pass_builder(machine, options)
    passes = builder.getModulePassManager()
    library().LLVMPY_RunNewModulePassManager(passes, module, builder)
    return module


def machine_code(module: Any, machine: Any, *, as_text: bool) -> bytes:
    """The module as an object file, or as assembly text."""
    if as_text:
        return machine.emit_assembly(module).encode()
    with binding.ffi.OutputString() as error:
        buffer = library().LLVMPY_TargetMachineEmitToMemory(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    locked = binding.ffi.lib
    try:
        return ctypes.string_at(locked.LLVMPY_GetBufferStart(buffer), locked.LLVMPY_GetBufferSize(buffer))
    finally:
        locked.LLVMPY_DisposeMemoryBuffer(buffer)


@cache
def library() -> ctypes.CDLL:
    """llvmlite's library without its lock: for modules that are this thread's alone. Python's lock is released."""
    found = ctypes.CDLL(binding.ffi.lib._name)  # as a ctypes library has it, which llvmlite's wrapper stands for
    for name in ("LLVMPY_RunNewModulePassManager", "LLVMPY_TargetMachineEmitToMemory"):
        function, locked = getattr(found, name), getattr(binding.ffi.lib, name)
        function.argtypes, function.restype = locked.argtypes, locked.restype
    return found
