"""From a module to machine code: run a target's stages, or find the result in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from xmlc.backends.cpu.emit import emit_module
from xmlc.backends.cpu.jit import assembly, compile_to_object
from xmlc.backends.cpu.stages import CPU
from xmlc.backends.cpu.target import Target, parse_target
from xmlc.backends.signature import Signature, arena_bytes, signature_of
from xmlc.backends.stages import Stage, refuse_leftovers
from xmlc.cache import Cache
from xmlc.compiled import Array, CompiledModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.options import CACHE
from xmlc.pipeline import Timer, Watcher, printed, run_passes, spell
from xmlc.wording import did_you_mean

STRUCTURED = "structured"
"""The last stage that is MLIR."""


@dataclass
class Settings:
    """How to compile: for what, how hard, and who watches."""

    target: Target = field(default_factory=lambda: parse_target("cpu"))
    opt_level: int = 2
    watchers: Sequence[Watcher] = ()
    timer: Timer = field(default_factory=Timer)


def stage_named(name: str) -> Stage:
    """The stage of that name. Raises CompileError with the one that may have been meant."""
    for stage in CPU:
        if stage.name == name:
            return stage
    names = [stage.name for stage in CPU]
    raise CompileError(
        f"unknown stage '{name}'", hint=did_you_mean(name, names) or f"the stages are {', '.join(names)}"
    )


def stages_between(after: str | None, until: str) -> list[Stage]:
    """The stages with passes that come after one (from the first if None) and up to another."""
    names = [stage.name for stage in CPU]
    start = 0 if after is None else names.index(after) + 1
    return [stage for stage in CPU[start : names.index(until) + 1] if stage.passes]


def run_stages(module: ModuleOp, stages: Sequence[Stage], settings: Settings) -> None:
    """Bring a module, in place, through stages; after each, nothing may be left of what it removes."""
    context = Context()
    for stage in stages:
        settings.timer.start(f"stage {stage.name}")
        run_passes(module, stage.passes, context, watchers=[settings.timer, *settings.watchers])
        refuse_leftovers(module, stage)
        settings.timer.stop()


def emit(module: ModuleOp, stage: str, settings: Settings) -> str | bytes:
    """What `--emit=stage` gives for a module of any earlier level: MLIR, LLVM IR, assembly, or an object file."""
    wanted = stage_named(stage)
    run_stages(module, stages_between(None, stage if wanted.passes else STRUCTURED), settings)
    if wanted.passes:
        return printed(module)
    text = emit_module(module, settings.target)
    match stage:
        case "llvm":
            return text
        case "asm":
            return assembly(text, settings.target, settings.opt_level)
        case _:
            return compile_to_object(text, settings.target, settings.opt_level)


def entry_of(module: ModuleOp, name: str) -> FuncOp:
    """The function `name` of a module. Raises CompileError where there is none."""
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == name:
            return op
    raise CompileError(f"the module has no function @{name} to run")


@dataclass(frozen=True)
class Compiled:
    """A compiled program as it is kept in the cache: signature, bytes of arena, object file."""

    signature: Signature
    arena_bytes: int
    code: bytes

    def to_bytes(self) -> bytes:
        head = json.dumps({"signature": self.signature.to_json(), "arena_bytes": self.arena_bytes})
        return head.encode() + b"\n" + self.code

    @classmethod
    def from_bytes(cls, data: bytes) -> Compiled:
        head, _, code = data.partition(b"\n")
        record = json.loads(head)
        return cls(Signature.from_json(record["signature"]), record["arena_bytes"], code)


def cache_key(module: ModuleOp, settings: Settings) -> str:
    """A hash of all that the machine code depends on: program, target, options, version."""
    stages = ";".join(spell(stage.passes) for stage in CPU)
    parts = [printed(module), repr(settings.target), str(settings.opt_level), stages]
    parts += [f"{name} {version(name)}" for name in ("xmlc", "xdsl", "llvmlite")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def compile_program(module: ModuleOp, settings: Settings) -> Compiled:
    """Machine code for the entry function @main of a module, from the cache where it is there."""
    timer = settings.timer
    cache = Cache() if CACHE.get() else None
    timer.start("cache")
    key = cache_key(module, settings)
    found = cache.get(key) if cache else None
    timer.stop()
    if found is not None:
        return Compiled.from_bytes(found)
    run_stages(module, stages_between(None, "ml"), settings)
    signature = signature_of(entry_of(module, "main"))
    run_stages(module, stages_between("ml", STRUCTURED), settings)
    timer.start("emit LLVM IR")
    text = emit_module(module, settings.target)
    timer.stop()
    timer.start("LLVM")
    code = compile_to_object(text, settings.target, settings.opt_level)
    timer.stop()
    made = Compiled(signature, arena_bytes(entry_of(module, "main")), code)
    if cache:
        cache.put(key, made.to_bytes())
    return made


def compile_module(
    module: ModuleOp, weights: Mapping[str, Array] | None = None, settings: Settings | None = None
) -> CompiledModule:
    """The entry function @main of a module as a Python function; the module is consumed.

    `weights` are the arrays of the arguments marked `ml.weight`, by their `ml.name`.
    """
    made = compile_program(module, settings or Settings())
    return CompiledModule(made.signature, made.code, made.arena_bytes, weights or {})


