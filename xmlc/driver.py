"""From a module to machine code: run a target's stages, or find the result in the cache.

What only a compilation needs (passes, the printer of LLVM IR) is imported when one happens: a program found in the
cache starts without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeAlias

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from xmlc.arguments import Array
from xmlc.backends.cpu.target import Target, parse_target
from xmlc.backends.cuda.target import CudaTarget, parse_cuda
from xmlc.backends.signature import PREPARE, EntryPoint, Signature, arena_bytes, completed, signature_of
from xmlc.cache import Cache
from xmlc.cache_key import cache_key, explain_miss
from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.sizes import assumptions_of, read_size
from xmlc.importing import imported, quickly
from xmlc.options import CACHE, DETERMINISTIC, DUMP, EXACT_CONVOLUTIONS, NUM_THREADS, VERIFY
from xmlc.pipeline import Timer, Watcher, printed, run_passes
from xmlc.wording import did_you_mean

if TYPE_CHECKING:
    from xmlc.backends.stages import Stage
    from xmlc.compiled import CompiledModule
    from xmlc.compiled_cuda import CudaModule
    from xmlc.passes.remarks import Remarks
    from xmlc.report import Profile
    from xmlc.tuning.report import TuningReport

STAGE = "xmlc.stage"
"""Attribute of a module: the name of the stage it was brought to, so that its text can be resumed from there."""
KERNELS = "linalg"
"""The stage at which kernels are functions whose schedules are not chosen yet."""
STRUCTURED = "structured"
"""The last stage of the CPU that is MLIR."""

AnyTarget: TypeAlias = Target | CudaTarget

StageWatcher = Callable[[str, "ModuleOp | str | bytes"], None]
"""Called after each stage with its name and what it gave: the module (not to be changed), text, or bytes."""


def default_threads() -> int:
    """What XMLC_NUM_THREADS says, else the first number of OMP_NUM_THREADS if there is a runtime for it, else one."""
    wanted = NUM_THREADS.get()
    if wanted is not None:
        return wanted
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, int(first)) if first.isdecimal() else 1


@dataclass
class Settings:
    """How to compile: for what, how hard, and who watches. A compilation that is watched is not skipped by the cache.

    `remake` gives the module anew, as it was at first: for the reproducer of a failure.
    """

    target: AnyTarget = field(default_factory=lambda: parse_target("cpu"))
    opt_level: int = 2
    threads: int = field(default_factory=default_threads)
    """How many threads the code is made for; what is too small for them runs in one."""
    exact_convolutions: bool = field(default_factory=EXACT_CONVOLUTIONS.get)
    """Whether convolutions are the sums that they are, without transforms that round more (docs/convolutions.md)."""
    deterministic: bool = field(default_factory=DETERMINISTIC.get)
    """Whether a GPU adds floats in an order that is the same in every run, where another one is faster."""
    watchers: Sequence[Watcher] = ()
    stage_watchers: Sequence[StageWatcher] = ()
    timer: Timer = field(default_factory=Timer)
    remake: Callable[[], ModuleOp] | None = None
    explain: Callable[[str], None] | None = None
    """Told whether the program was found in the cache, and if not, why."""
    remarks: Remarks | None = None
    """Collects what the passes have to say."""
    tune: float | None = None
    """Seconds to spend on timing the schedules of kernels of a GPU: see `xmlc.tuning`."""
    tuned: Callable[[TuningReport], None] | None = None
    """Told what tuning found."""
    state_schedules: Callable[[ModuleOp], None] | None = None
    """Has kernels of a GPU, at the level `linalg`, state schedules that are known to be fast."""
    profile: Profile | None = None
    """Learns what kernels there are and what each does, and has the program time them; such code is not cached."""

    @property
    def cpu(self) -> Target:
        """The processor to compile for, where it is one."""
        assert isinstance(self.target, Target)
        return self.target

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at how a program is compiled, so that it is although the cache has it."""
        return bool(self.watchers or self.stage_watchers or self.remarks or self.profile or self.tune is not None)

    @property
    def all_watchers(self) -> list[Watcher]:
        """Those given, then those of our own; the timer last, so that the time of a pass is not that of the others."""
        return [*self.watchers, *([self.remarks] if self.remarks else []), self.timer]


def any_target(text: str) -> AnyTarget:
    """The target that `text` names: see `parse_target` and `parse_cuda`. Raises CompileError where it names none."""
    return parse_cuda(text) if text.partition(":")[0] == "cuda" else parse_target(text)


def stages(target: AnyTarget | None = None) -> Sequence[Stage]:
    """The table of stages of a target, of the CPU if none is given."""
    from xmlc.backends import TARGETS

    return TARGETS["cuda" if isinstance(target, CudaTarget) else "cpu"]()


def stage_named(name: str, target: AnyTarget | None = None) -> Stage:
    """The stage of that name. Raises CompileError with the one that may have been meant."""
    names = [stage.name for stage in stages(target)]
    if name not in names:
        hint = did_you_mean(name, names) or f"the stages are {', '.join(names)}"
        raise CompileError(f"unknown stage '{name}'", hint=hint)
    return stages(target)[names.index(name)]


def last_of_mlir(target: AnyTarget) -> str:
    """The last stage that is MLIR: what comes after it is text or bytes."""
    return [stage.name for stage in stages(target) if stage.passes][-1]


def stages_between(after: str | None, until: str, target: AnyTarget | None = None) -> list[Stage]:
    """The stages with passes that come after one (from the first if None) and up to another."""
    names = [stage.name for stage in stages(target)]
    start = 0 if after is None else names.index(after) + 1
    return [stage for stage in stages(target)[start : names.index(until) + 1] if stage.passes]


def stage_of(module: ModuleOp, target: AnyTarget | None = None) -> str | None:
    """The stage that a module has been brought to, or None if it is as a front end or a user made it.

    The attribute `xmlc.stage` says it. A module without one starts at the beginning, where stages that it is
    already past change nothing, unless it holds `linalg` and nothing above: then it starts there.
    """
    match module.attributes.get(STAGE):
        case StringAttr(data=name):
            return stage_named(name, target).name
        case _:
            dialects = {op.name.partition(".")[0] for op in module.walk()}
            return None if dialects & {"ml", "toy"} or dialects <= {"builtin", "func"} else "linalg"


def run_stages(module: ModuleOp, after: str | None, until: str, settings: Settings) -> None:
    """Bring a module, in place, from a stage to another; after each, nothing may be left of what it removes."""
    from xmlc.backends.stages import refuse_leftovers

    context = Context()
    target = settings.target
    wanted = stages_between(after, until, target)
    for index, stage in enumerate(wanted):
        before = [each for earlier in wanted[:index] for each in earlier.passes]
        settings.timer.start(f"stage {stage.name}")
        passes = fitted_passes(stage, settings)
        if settings.profile and stage.name == STRUCTURED:
            from xmlc.backends.cpu.stages import timed

            passes = timed(passes, entry_of(module).sym_name.data)
        with settings.remarks.collecting() if settings.remarks else nullcontext():
            run_passes(
                module,
                passes,
                context,
                watchers=settings.all_watchers,
                verify_each=VERIFY.get(),
                remake=remade(settings, after, before, context),
            )
        refuse_leftovers(module, stage)
        settings.timer.stop()
        module.attributes[STAGE] = StringAttr(stage.name)
        if settings.state_schedules and stage.name == KERNELS:
            settings.state_schedules(module)
        watch(settings, stage.name, module)


def fitted_passes(stage: Stage, settings: Settings) -> list[ModulePass]:
    """The passes of a stage as they are for a target and the settings; only that target's passes are imported."""
    from xmlc.backends.graph_stages import exact

    if isinstance(settings.target, Target):
        from xmlc.backends.cpu.stages import fitted

        passes = fitted(stage.passes, settings.target, settings.threads)
    else:
        from xmlc.backends.cuda.stages import fitted as fitted_for_gpu

        passes = fitted_for_gpu(stage.passes, settings.target, settings.deterministic)
    return exact(passes) if settings.exact_convolutions else passes


def remade(
    settings: Settings, after: str | None, passes: Sequence[ModulePass], context: Context
) -> Callable[[], ModuleOp] | None:
    """What makes the module as it was before a stage: made anew, then the passes of the stages before."""
    remake, target = settings.remake, settings.target
    if remake is None:
        return None

    def make() -> ModuleOp:
        module = remake()
        if stage_of(module, target) != after:  # run_stages was called in two steps: the first is to be repeated
            assert after is not None
            first = stages_between(stage_of(module, target), after, target)
            run_passes(module, [each for stage in first for each in stage.passes], context)
        run_passes(module, passes, context)
        return module

    return make


def watch(settings: Settings, stage: str, made: ModuleOp | str | bytes) -> None:
    if settings.profile:
        settings.profile.look(stage, made)
    for watcher in settings.stage_watchers:
        watcher(stage, made)


def with_dump(settings: Settings) -> Settings:
    """The settings, with the dump that XMLC_DUMP asks for."""
    folder = DUMP.get()
    if folder is None:
        return settings
    from xmlc.dump import Dump

    return replace(settings, stage_watchers=[*settings.stage_watchers, Dump(folder, settings)])


def emit(module: ModuleOp, stage: str, settings: Settings) -> str | bytes:
    """What `--emit=stage` gives for a module of any earlier level: MLIR, LLVM IR, assembly, or machine code."""
    target = settings.target
    wanted = stage_named(stage, target)
    settings = with_dump(settings)
    after, until = stage_of(module, target), stage if wanted.passes else last_of_mlir(target)
    names = [each.name for each in stages(target)]
    if after is not None and names.index(after) > names.index(until):
        raise CompileError(
            f"the program is at stage '{after}' already, which comes after '{until}'",
            place=place_of(module.location),
        )
    watch(settings, "source", module)
    run_stages(module, after, until, settings)
    if wanted.passes:
        return printed(module)
    if isinstance(target, CudaTarget):
        from xmlc.driver_cuda import device_code

        return device_code(module, stage, target, settings)
    text = llvm_ir(module, settings)
    if stage == "llvm":
        return text
    from xmlc.backends.cpu.pool import with_pool

    text = with_pool(text, target)
    if stage == "asm":
        from xmlc.backends.cpu.jit import assembly

        return assembly(text, target, settings.opt_level)
    return machine_code(text, settings)


def llvm_ir(module: ModuleOp, settings: Settings) -> str:
    from xmlc.backends.cpu.emit import emit_module

    settings.timer.start("stage llvm")
    text = emit_module(module, settings.cpu)
    settings.timer.stop()
    watch(settings, "llvm", text)
    return text


def machine_code(llvm_ir: str, settings: Settings) -> bytes:
    from xmlc.backends.cpu.jit import compile_to_object

    settings.timer.start("stage obj")
    code = compile_to_object(llvm_ir, settings.cpu, settings.opt_level)
    settings.timer.stop()
    watch(settings, "obj", code)
    return code


def objects(module: ModuleOp, settings: Settings) -> tuple[bytes, ...]:
    """The machine code of a module in one or several object files; in one where somebody looks at it."""
    if settings.is_watched:
        return (machine_code(llvm_ir(module, settings), settings),)
    from xmlc.backends.cpu.emit import emit_units
    from xmlc.backends.cpu.jit import compile_to_objects

    settings.timer.start("stage llvm")
    texts = emit_units(module, settings.cpu)
    settings.timer.stop()
    settings.timer.start("stage obj")
    code = compile_to_objects(texts, settings.cpu, settings.opt_level)
    settings.timer.stop()
    return code


def entry_of(module: ModuleOp) -> FuncOp:
    """The function that a module is run by: @main, or the only public one. Raises CompileError where there is none."""
    public = [
        op
        for op in module.ops
        if isinstance(op, FuncOp) and not op.is_declaration and op.sym_visibility != StringAttr("private")
    ]
    chosen = [op for op in public if op.sym_name.data == "main"] or public
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(f"@{op.sym_name.data}" for op in public)
    raise CompileError(
        "the module has no function @main to run",
        place=place_of(module.location),
        hint=f"its public functions are {names}: name one of them @main" if public else "it has no public function",
    )


def prepare_of(module: ModuleOp) -> FuncOp | None:
    """The function @prepare beside @main, which makes what @main takes in the place of weights; None without one."""
    main = entry_of(module)
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == PREPARE and op is not main and not op.is_declaration:
            return op if op.sym_visibility != StringAttr("private") else None
    return None


@dataclass(frozen=True)
class Compiled:
    """A compiled program as it is kept in the cache: @main and, if there is one, @prepare; the object files of both."""

    main: EntryPoint
    prepare: EntryPoint | None
    code: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        entries = [self.main, *([self.prepare] if self.prepare else [])]
        head = [{"signature": each.signature.to_json(), "arena_bytes": str(each.arena_bytes)} for each in entries]
        record = {"entries": head, "sizes": [len(each) for each in self.code]}
        return b"\n".join([json.dumps(record).encode(), b"".join(self.code)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Compiled:
        head, _, code = data.partition(b"\n")
        record = json.loads(head)
        entries = [
            EntryPoint(Signature.from_json(each["signature"]), read_size(each["arena_bytes"]))
            for each in record["entries"]
        ]
        ends = list(accumulate(record["sizes"], initial=0))
        objects = tuple(code[start:end] for start, end in pairwise(ends))
        return cls(entries[0], entries[1] if len(entries) > 1 else None, objects)


def compile_program(module: ModuleOp, settings: Settings) -> Compiled:
    """Machine code for the entry function of a module, from the cache where it is there."""
    with quickly():
        return Compiled.from_bytes(cached(module, settings, lambda told: compile_anew(module, told).to_bytes()))


def key_of(module: ModuleOp, settings: Settings) -> str:
    """The key of what the cache has for a module: its text is the generic one, which needs no assembly formats."""
    return cache_key(
        printed(module, generic=True),
        settings.target,
        settings.opt_level,
        settings.threads,
        settings.exact_convolutions,
        settings.deterministic,
    )


def is_cached(settings: Settings) -> bool:
    """Whether what is made is kept for other processes: code that times its kernels is not."""
    return CACHE.get() and not settings.profile


def cached(module: ModuleOp, settings: Settings, make: Callable[[Settings], bytes]) -> bytes:
    """What the cache has for a module, or what `make` gives for the settings, with those who watch it."""
    timer = settings.timer
    settings = with_dump(settings)
    cache = Cache() if is_cached(settings) else None
    timer.start("cache")
    key = key_of(module, settings) if cache else ""
    found = cache.get(key) if cache and not settings.is_watched else None
    timer.stop()
    if settings.explain:
        settings.explain("found in the cache" if found else explain_miss(key, cache) if cache else "the cache is off")
    if found is not None:
        return found
    watch(settings, "source", module)
    made = make(settings)
    if cache:
        cache.put(key, made)
    return made


def to_last_mlir(module: ModuleOp, settings: Settings) -> tuple[Signature, Signature | None]:
    """Bring a module to the last stage that is MLIR; returns the signatures of @main and of @prepare."""
    after = stage_of(module, settings.target)
    if stages_between(after, "ml", settings.target):
        # types of the entry are read while unsigned integers are still told apart
        run_stages(module, after, "ml", settings)
        after = "ml"
    signature = signature_of(entry_of(module))
    before = prepare_of(module)
    prepare_signature = signature_of(before) if before else None
    run_stages(module, after, last_of_mlir(settings.target), settings)
    return signature, prepare_signature


def compile_anew(module: ModuleOp, settings: Settings) -> Compiled:
    """Machine code for the entry function of a module."""
    signature, prepare_signature = to_last_mlir(module, settings)
    if settings.profile:
        signature = settings.profile.added_to(signature, entry_of(module))
    code = objects(module, settings)
    entry = entry_of(module)
    main = EntryPoint(completed(signature, entry, assumptions_of(module).natural), arena_bytes(entry))
    prepare: EntryPoint | None = None
    if prepare_signature is not None:
        lowered = prepare_of(module)
        assert lowered is not None
        prepare = EntryPoint(prepare_signature, arena_bytes(lowered))
    return Compiled(main, prepare, code)


def compile_module(
    module: ModuleOp, weights: Mapping[str, Array] | None = None, settings: Settings | None = None
) -> CompiledModule:
    """The entry function of a module, @main or its only public one, as a Python function; the module is consumed.

    `weights` are the arrays of the arguments marked `ml.weight`, by their `ml.name`.
    """
    from xmlc.compiled import CompiledModule
    from xmlc.dynamic import DynamicModule
    from xmlc.kept_weights import kept_weights

    settings = settings or Settings()
    assert isinstance(settings.target, Target), "a program for a GPU is compiled by compile_for_target"
    made = compile_program(module, settings)
    settings.timer.start("load")
    kind = DynamicModule if made.main.signature.sizes else CompiledModule
    weights = weights or {}
    kept = kept_weights(made.to_bytes(), weights) if is_cached(settings) else None
    loaded = kind(made.main.signature, made.code, made.main.arena_bytes, weights, made.prepare, kept)
    settings.timer.stop()
    return loaded


def compile_for_target(
    module: ModuleOp, weights: Mapping[str, Array], settings: Settings
) -> CompiledModule | CudaModule:
    """The same for the target of the settings, a processor or a GPU."""
    if isinstance(settings.target, Target):
        return compile_module(module, weights, settings)
    compile_for_gpu: Callable[..., CudaModule] = imported("xmlc.driver_cuda", "compile_for_gpu")
    return compile_for_gpu(module, weights, settings)
