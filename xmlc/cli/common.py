"""What `xmlc compile` and `xmlc run` share: their options, and the settings that these make."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xmlc.backends.cuda.target import CudaTarget
from xmlc.cli.remarks import remarking
from xmlc.cli.sources import with_source_lines
from xmlc.cli.watching import dumps, refuse_unknown_passes
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings, any_target, default_threads, stages
from xmlc.inputs import Sizes, read_sizes
from xmlc.options import DUMP, EXACT_CONVOLUTIONS
from xmlc.sources import OPEN, Source, open_program, read_program

if TYPE_CHECKING:
    from xmlc.tuning.report import TuningReport

Command = TypeVar("Command", bound=Callable[..., Any])


def bound_sizes(context: click.Context, _: click.Parameter, value: str) -> Sizes:
    """What `--bind B=1,S=16` gives."""
    try:
        return read_sizes(value)
    except ValueError as error:
        hint = "give sizes such as B=1,S=16 or x=1x3x32x32"
        raise click.UsageError(f"{error} in --bind\nhint: {hint}", context) from error


OPTIONS = (
    click.argument("file", type=click.Path(allow_dash=True)),
    click.option("--from", "language", type=click.Choice(list(OPEN)), help="the language, if not the suffix's"),
    click.option("--bind", callback=bound_sizes, default="", metavar="NAME=SIZE,…", help="sizes of free dimensions"),
    click.option("--target", default="cpu", show_default=True, help="cpu[:LEVEL], cuda[:sm_XX], or an LLVM triple"),
    click.option("-O", "opt_level", type=click.IntRange(0, 3), default=2, show_default=True, help="LLVM's effort"),
    click.option("--threads", type=click.IntRange(1), metavar="N", help="how many share a loop (XMLC_NUM_THREADS)"),
    click.option(
        "--exact-convolutions",
        is_flag=True,
        default=None,
        help="no transforms that round more (XMLC_EXACT_CONVOLUTIONS)",
    ),
    click.option(
        "--tune",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="time schedules of kernels on the GPU",
    ),
    click.option("--timing", is_flag=True, help="print to standard error where the time went"),
    click.option("--dump", type=click.Path(path_type=Path), metavar="DIR", help="write each stage there (XMLC_DUMP)"),
    click.option("--print-ir-before", "before", multiple=True, metavar="PASS", help="to standard error; repeatable"),
    click.option("--print-ir-after", "after", multiple=True, metavar="PASS", help="to standard error; repeatable"),
    click.option("--print-ir-after-all", "after_all", is_flag=True, help="to standard error after every pass"),
)


def compiling(command: Command) -> Command:
    """Give a command the options that say what to compile and how."""
    for option in reversed(OPTIONS):
        command = option(command)
    return remarking(command)


def settings_of(
    target: str,
    opt_level: int,
    threads: int | None,
    exact_convolutions: bool | None,
    before: tuple[str, ...],
    after: tuple[str, ...],
    all_: bool,
    tune: float | None = None,
) -> Settings:
    """How to compile, as the options say."""
    try:
        parsed = any_target(target)
    except CompileError as error:
        found = error.diagnostics[0]
        raise click.UsageError(f"{found.message}\nhint: {found.hint}") from error
    if before or after:
        known = [each.name for stage in stages(parsed) for each in stage.passes]
        refuse_unknown_passes((*before, *after), known, "`xmlc list stages` shows the passes of every stage")
    if tune is not None and not isinstance(parsed, CudaTarget):
        raise click.UsageError("--tune times kernels of a GPU\nhint: give --target=cuda")
    count = default_threads() if threads is None else threads
    exact = EXACT_CONVOLUTIONS.get() if exact_convolutions is None else exact_convolutions
    watchers = dumps(before, after, all_)
    return Settings(parsed, opt_level, count, exact, watchers=watchers, tune=tune, tuned=show_tuning)


def show_tuning(report: TuningReport) -> None:
    click.echo(report.render(), err=True)


def dumping(folder: Path | None) -> Any:
    """Within it, every stage is written to that folder."""
    return nullcontext() if folder is None else DUMP.set(folder)


def opened(file: str, language: str | None, settings: Settings) -> Source:
    """The program in a file; errors show the line that they speak of."""
    settings.timer.start("read")
    name, data = read_program(file)
    try:
        source = open_program(name, data, language)
    except CompileError as error:
        texts = {name: data.decode(errors="replace")} if isinstance(data, bytes) else {}
        raise with_source_lines(error, texts) from error
    settings.timer.stop()
    return source


@contextmanager
def showing_lines_of(source: Source) -> Generator[None]:
    """Errors within it show the line of the program that they speak of."""
    try:
        yield
    except CompileError as error:
        texts = {} if source.text is None else {source.name: source.text}
        raise with_source_lines(error, texts) from error
