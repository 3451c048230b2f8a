"""A list of passes: read from text such as `canonicalize,simplify{rounds=4}`, and run with what watches it."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from io import StringIO
from typing import Protocol

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.transforms import get_all_passes
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.sizes import UnknownSize, assuming, assumptions_of
from xmlc.files import write_whole
from xmlc.options import REPRODUCER_DIR
from xmlc.passes import PASSES
from xmlc.verify import verification_errors
from xmlc.wording import did_you_mean, known_names

VERSIONS = ("xmlc", "xdsl", "numpy", "llvmlite", "onnx")


class PipelineError(CompileError):
    """The text of a pipeline is wrong: on a command line, a mistake of usage."""


class BrokenModule(Exception):
    """A pass left a module that does not verify: a bug of the pass."""


class Watcher(Protocol):
    """Something that looks at the module around each pass: prints it, times it, compares its meaning."""

    def before(self, transformation: ModulePass, module: ModuleOp) -> None: ...

    def after(self, transformation: ModulePass, module: ModuleOp) -> None: ...


def known_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Name -> loader of every pass that `-p` takes: ours, and xDSL's where we have none of that name."""
    return get_all_passes() | PASSES


def read_pipeline(text: str) -> list[ModulePass]:
    """The passes that `text` names, with their options. Raises PipelineError, naming what is wrong."""
    try:
        return [make_pass(spec) for spec in parse_pipeline(text.strip())]
    except ArgSpecParseError as error:
        where, _, said = str(error).partition("\n")[2].partition("\n")
        raise PipelineError(f"cannot read the pipeline '{text}'", hint=f"{where}\n{said}".strip()) from error


def make_pass(spec: ArgSpec) -> ModulePass:
    """One pass with its options. Raises PipelineError for an unknown name or option or a value of the wrong type."""
    known = known_passes()
    if spec.name not in known:
        hint = did_you_mean(spec.name, known) or "`xmlc list passes --all` shows every pass"
        raise PipelineError(f"unknown pass '{spec.name}'", hint=hint)
    made = known[spec.name]()
    options = {field.name.replace("_", "-"): field for field in dataclasses.fields(made) if field.init}
    for name in spec.parameters:
        if name.replace("_", "-") not in options:
            hint = known_names(name, options)
            raise PipelineError(f"the pass '{spec.name}' has no option '{name}'", hint=hint)
    try:
        return made.from_spec(spec)
    except ValueError as error:
        types = ", ".join(f"{name}: {field.type}" for name, field in options.items())
        raise PipelineError(
            f"in the options of the pass '{spec.name}': {error}", hint=f"its options: {types}"
        ) from error


def run_passes(
    module: ModuleOp,
    passes: Sequence[ModulePass],
    context: Context,
    *,
    watchers: Sequence[Watcher] = (),
    verify_each: bool = False,
    remake: Callable[[], ModuleOp] | None = None,
) -> None:
    """Change `module` by each pass in turn.

    Raises CompileError where a pass refuses the program. Any other exception of a pass is a bug: if `remake` is
    given, which returns the module as it was at first, a reproducer is written and the exception notes its path.
    """
    for index, transformation in enumerate(passes):
        for watcher in watchers:
            watcher.before(transformation, module)
        try:
            with assuming(assumptions_of(module)):
                transformation.apply(context, module)
            if verify_each and (found := verification_errors(module)):
                raise BrokenModule(f"after '{transformation.name}': " + "\n".join(each.render() for each in found))
        except CompileError:
            raise
        except UnknownSize as error:
            message = f"the pass '{transformation.name}' has to know a size: {error}"
            raise CompileError(message, place=place_of(module.location), hint="give the free sizes") from error
        except DiagnosticException as error:  # how xDSL's passes refuse a program
            place = place_of(module.location)
            raise CompileError(f"the pass '{transformation.name}' failed: {error}", place=place) from error
        except Exception as error:  # any: it is only noted on, and goes on with its traceback
            if remake is not None:
                error.add_note(reproducer_note(remake, passes, index, context))
            raise
        for watcher in reversed(watchers):
            watcher.after(transformation, module)


def spell(passes: Sequence[ModulePass]) -> str:
    """The text that `read_pipeline` reads as these passes."""
    return ",".join(str(each.spec()) for each in passes)


def printed(module: ModuleOp, *, generic: bool = False, locations: bool = False) -> str:
    """The module as MLIR text, ending in a line end."""
    stream = StringIO()
    Printer(stream=stream, print_generic_format=generic, print_debuginfo=locations).print_op(module)
    return stream.getvalue() + "\n"


def versions() -> str:
    """The versions of what a result depends on, in one line."""
    return ", ".join([f"{name} {version(name)}" for name in VERSIONS] + [f"Python {platform.python_version()}"])


def reproducer_note(remake: Callable[[], ModuleOp], passes: Sequence[ModulePass], failed: int, context: Context) -> str:
    """Write the module as it was before the failed pass, and say where it is and how to replay the failure."""
    module = remake()
    for each in passes[:failed]:
        each.apply(context, module)
    replay = spell(passes[failed:])
    program = printed(module, generic=True)
    text = (
        f"// reproducer of a failure in the pass '{passes[failed].name}' of {versions()}\n"
        f"// the whole pipeline was: {spell(passes)}\n"
        f"// RUN: xmlc opt %s --allow-unregistered-dialect -p '{replay}'\n"
    )
    digest = hashlib.sha256((replay + program).encode()).hexdigest()[:12]
    path = REPRODUCER_DIR.get() / f"xmlc-{passes[failed].name}-{digest}.mlir"
    if not path.exists():  # a replay of it would only lose the whole pipeline
        write_whole(path, text + program)
    return (
        f"this is a bug of xmlc in the pass '{passes[failed].name}'; a reproducer was written to {path}\n"
        f"replay it: xmlc opt {path} --allow-unregistered-dialect -p '{replay}'"
    )


class Timer:
    """Measures parts of the work, one inside another, and shows them as a tree."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float]] = []
        self.open: list[tuple[int, float]] = []

    def start(self, name: str) -> None:
        """Begin a part, inside the one begun last that has not ended."""
        self.open.append((len(self.rows), time.perf_counter()))
        self.rows.append((len(self.open) - 1, name, 0.0))

    def stop(self) -> None:
        """End the part begun last."""
        row, started = self.open.pop()
        depth, name, _ = self.rows[row]
        self.rows[row] = (depth, name, time.perf_counter() - started)

    def before(self, transformation: ModulePass, module: ModuleOp) -> None:
        self.start(transformation.name)

    def after(self, transformation: ModulePass, module: ModuleOp) -> None:
        self.stop()

    def render(self) -> str:
        """One line a part: milliseconds, share of the whole, name."""
        whole = sum(seconds for depth, _, seconds in self.rows if depth == 0) or 1.0
        lines = [f"{'ms':>10}  {'share':>6}  part"]
        for depth, name, seconds in self.rows:
            lines.append(f"{seconds * 1e3:10.2f}  {seconds / whole:6.1%}  {'  ' * depth}{name}")
        return "\n".join(lines)
