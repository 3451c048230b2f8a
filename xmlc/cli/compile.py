"""`xmlc compile`: a program at any stage of its way to machine code."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from xmlc.backends.cuda.target import CudaTarget
from xmlc.cli.common import compiling, dumping, opened, settings_of, showing_lines_of
from xmlc.cli.remarks import listener, tell
from xmlc.cli.resources import KernelResources
from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.driver import Settings, emit, stages
from xmlc.files import write_whole
from xmlc.inputs import Sizes, npz
from xmlc.logs import log_to_standard_error
from xmlc.picture import drawn
from xmlc.pipeline import printed
from xmlc.sources import Source
from xmlc.wording import known_names

TREE, SOURCE = "ast", "source"
"""What comes before the stages of the table: the syntax tree, and the module as the front end made it."""
PICTURE = ".svg"
BY_SUFFIX = {".ll": "llvm", ".s": "asm", ".mlir": "structured", ".ptx": "ptx", ".cubin": "cubin", PICTURE: "kernels"}
"""Suffix of the output -> the stage that is meant if none is named; any other is an object file."""


@click.command()
@click.option("--emit", "stage", metavar="STAGE", help="ast, source, or a stage of `xmlc list stages`; else from -o")
@click.option("-o", "output", default="-", metavar="FILE", help="write the result here; .svg: a picture of the graph")
@click.option("--save-weights", "weights", metavar="FILE.npz", help="write the program's weights here, by name")
@click.option("--report", is_flag=True, help="what each kernel of a GPU takes: registers, spills, shared memory")
@compiling
def compile(
    file: str,
    stage: str | None,
    output: str,
    weights: str | None,
    report: bool,
    language: str | None,
    bind: Sizes,
    target: str,
    opt_level: int,
    threads: int | None,
    exact_convolutions: bool | None,
    tune: float | None,
    timing: bool,
    dump: Path | None,
    before: tuple[str, ...],
    after: tuple[str, ...],
    after_all: bool,
    remarks: bool,
    remarks_json: Path | None,
) -> None:
    """Compile the Toy, ONNX or MLIR program in FILE (`-`: standard input) and print what a stage gives.

    The MLIR of each stage may be edited and given back: it is resumed from where it was printed.
    """
    log_to_standard_error()
    settings = settings_of(target, opt_level, threads, exact_convolutions, before, after, after_all, tune)
    known = [each.name for each in stages(settings.target)]
    stage = stage or BY_SUFFIX.get(Path(output).suffix, known[-1])
    if stage not in (TREE, SOURCE):
        names = [TREE, SOURCE, *known]
        if stage not in names:
            raise click.UsageError(f"unknown stage '{stage}'\nhint: {known_names(stage, names)}")
    if stage == known[-1] and output == "-" and sys.stdout.isatty():
        raise click.UsageError(f"machine code is nothing for a terminal\nhint: give -o FILE, or --emit={known[-2]}")
    pictured = Path(output).suffix == PICTURE
    settings.remarks = listener(remarks, remarks_json)
    resources = reported(settings, stage) if report else None
    source = opened(file, language, settings)
    with showing_lines_of(source), dumping(dump):
        made = result(source, stage, bind, settings, weights, pictured)
    write(output, made)
    tell(settings.remarks, remarks, remarks_json)
    if resources is not None:
        click.echo(resources.render(), err=True)
    if timing:
        click.echo(settings.timer.render(), err=True)


def reported(settings: Settings, stage: str) -> KernelResources:
    """What will know, after the compilation, what the kernels take."""
    if not isinstance(settings.target, CudaTarget) or stage not in ("ptx", "cubin"):
        hint = "give --target=cuda, and --emit=ptx or --emit=cubin"
        raise click.UsageError(f"--report tells what kernels of a GPU take\nhint: {hint}")
    made = KernelResources(settings.target)
    settings.stage_watchers = [*settings.stage_watchers, made]
    return made


def result(
    source: Source, stage: str, sizes: Sizes, settings: Settings, weights: str | None, pictured: bool
) -> str | bytes:
    """The text or bytes of a stage, or its graph as SVG."""
    if stage == TREE:
        if source.syntax_tree is None:
            languages = f"a program in {source.language.upper()} has none"
            raise CompileError(f"only Toy has a syntax tree; {languages}", place=Place(source.name))
        return source.syntax_tree()
    settings.timer.start("import")
    program = source.make(sizes, {})
    settings.timer.stop()
    settings.remake = lambda: source.make(sizes, {}).module
    if settings.tune is not None:
        from xmlc.driver_cuda import tuned_for_device

        settings = tuned_for_device(program.module, settings)
    if weights is not None:
        write_whole(Path(weights), npz(program.weights))
    made = printed(program.module) if stage == SOURCE else emit(program.module, stage, settings)
    return drawn(program.module, stage).svg if pictured else made


def write(output: str, made: str | bytes) -> None:
    if output != "-":
        write_whole(Path(output), made)
    else:
        click.echo(made if isinstance(made, bytes) or not made else made.removesuffix("\n"), nl=isinstance(made, str))
