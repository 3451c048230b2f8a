"""Run a program of any source on given inputs, and compare it with the reference interpreter."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from xmlc.backends.cpu.target import Target
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings, compile_for_target, entry_of
from xmlc.inputs import Array, Arrays, Port, Sizes, known_sizes, missing
from xmlc.sources import Program, Source, open_source
from xmlc.versions import Versions

if TYPE_CHECKING:
    from xmlc.compiled import CompiledModule
    from xmlc.compiled_cuda import CudaModule
    from xmlc.meaning import Difference, Outcome
    from xmlc.report import Report

AnyModule: TypeAlias = "CompiledModule | CudaModule"


@dataclass(frozen=True)
class Run:
    """What a run gave: outputs by name, what was printed if it was kept, and differences if it was compared."""

    outputs: dict[str, Array]
    printed: str = ""
    differences: list[Difference] | None = None
    report: Report | None = None
    """How long each kernel takes, where the settings asked for it."""


def compile_source(source: Source, sizes: Sizes, arrays: Arrays, settings: Settings) -> AnyModule:
    """The program as a Python function, for the shapes of the arrays (and, where shapes depend on them, the values)."""
    settings.timer.start("import")
    program = source.make(sizes, arrays)
    settings.timer.stop()
    settings.remake = lambda: source.make(sizes, arrays).module
    return compile_for_target(program.module, program.weights, settings)


def load(
    path: str | Path,
    sizes: Sizes | None = None,
    *,
    weights: Arrays | None = None,
    settings: Settings | None = None,
    specialise: int = 0,
) -> AnyModule | Versions:
    """The Toy, ONNX or MLIR program of a file as a Python function of arrays.

    `sizes` gives those of free dimensions by name, or whole shapes by the name of an input; `weights` those of a
    program in MLIR, by name. Sizes of a program in ONNX or MLIR that are not given stay free: the function
    takes inputs of every size, and its first call compiles it for all of them. `specialise` is for how many
    combinations of shapes it is compiled for that combination alone, which can be faster. Raises CompileError.

        network = xmlc.load("digits.onnx")
        (probabilities,) = network(image)
    """
    source = open_source(str(path))
    arrays = weights or {}
    lacking = [missing(port, source.name) for port in source.inputs if port.weight and port.name not in arrays]
    if lacking:
        raise CompileError.of(lacking)
    settings, sizes = settings or Settings(), sizes or {}
    known = known_sizes(source.inputs, arrays, sizes)
    if source.make_free is not None and any(is_free(port, sizes, known) for port in source.inputs):
        return Versions(source, sizes, settings, specialise, arrays)
    return compile_source(source, sizes, arrays, settings)


def is_free(port: Port, sizes: Sizes, known: Mapping[str, int]) -> bool:
    """Whether a size of an input is not known; an input of unknown rank is not free but missing."""
    if port.name in sizes or port.sizes is None:
        return False
    return any(not isinstance(size, int) and size not in known for size in port.sizes)


def run_program(
    source: Source, sizes: Sizes, arrays: Arrays, settings: Settings, *, check: bool = False, printing: bool = True
) -> Run:
    """Compile and run. With `check`, interpret the program as the source made it, and compare.

    What the program prints goes to standard output, or is only kept if not `printing`.
    """
    compiled = compile_source(source, sizes, arrays, settings)
    inputs = [arrays[each.name] for each in compiled.signature.inputs]
    given = [array.copy() for array in inputs]  # a function on memrefs may write to them
    settings.timer.start("run")
    keep = check or not printing
    with contextlib.redirect_stdout(io.StringIO()) if keep else contextlib.nullcontext() as stream:
        results = compiled(*given)
    settings.timer.stop()
    report = None
    if settings.profile and isinstance(settings.target, Target):
        report, results = reported(cast("CompiledModule", compiled), inputs, settings), results[:-1]
    printed = stream.getvalue() if stream else ""
    if printing and printed:
        print(printed, end="")
    named = compiled.signature.outputs
    if not named and not printed:  # a function on memrefs, as a user wrote it: what it left in them
        named, results = compiled.signature.inputs, tuple(given)
    outputs = {each.name: result for each, result in zip(named, results)}
    if not check:
        return Run(outputs, printed, report=report)
    from xmlc.meaning import Outcome, differences

    settings.timer.start("interpret")
    names = [each.name for each in compiled.signature.inputs]
    expected = interpreted(source.make(sizes, arrays), dict(zip(names, inputs)))
    settings.timer.stop()
    expected = Outcome(expected.results[: len(results)], expected.printed)  # without the arena
    return Run(outputs, printed, differences(expected, Outcome(results, printed)), report)


def reported(compiled: CompiledModule, inputs: Sequence[Array], settings: Settings) -> Report:
    """The report on a program that times its kernels."""
    from xmlc.bench.roofs import measure_roofs
    from xmlc.report import measure

    assert settings.profile is not None
    settings.timer.start("report")
    with contextlib.redirect_stdout(io.StringIO()):
        made = measure(compiled, settings.profile, inputs, settings.threads, measure_roofs(settings.threads))
    settings.timer.stop()
    return made


def interpreted(program: Program, inputs: Arrays) -> Outcome:
    """What the reference interpreter makes of a program and its inputs by name, in order."""
    from xmlc.meaning import Outcome, run

    if any(op.name == "toy.func" for op in program.module.ops):
        from xmlc.dialects.reference.interpreter import interpret
        from xmlc.printing import PRINT_FUNCTIONS

        with contextlib.redirect_stdout(io.StringIO()) as stream:
            interpret(program.module, "main", [], PRINT_FUNCTIONS)
        return Outcome((), stream.getvalue())
    given = {**inputs, **program.weights}
    return run(program.module, entry_of(program.module).sym_name.data, list(given.values()), names=list(given))
