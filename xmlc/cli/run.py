"""`xmlc run`: compile a program and run it on inputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np

from xmlc.backends.cuda.target import CudaTarget
from xmlc.cli.common import compiling, dumping, opened, settings_of, showing_lines_of
from xmlc.cli.remarks import listener, tell
from xmlc.files import make_folder, write_whole
from xmlc.inputs import Array, Sizes, check_inputs, check_sizes, load_arrays, npy, npz, random_arrays, read_input
from xmlc.logs import log_to_standard_error
from xmlc.pipeline import Timer
from xmlc.running import Run, run_program
from xmlc.sources import Source


@click.command()
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="or NAME=VALUE such as x=[1,2]")
@click.option("--inputs", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE.npz", help="by name")
@click.option("--random", "seed", type=click.IntRange(0), metavar="SEED", help="draw the inputs that are not given")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE.npz", help="write all outputs to one file")
@click.option("--output-dir", type=click.Path(path_type=Path), metavar="DIR", help="write each output to NAME.npy")
@click.option("--check", is_flag=True, help="compare with the reference interpreter; the exit code is 1 if they differ")
@click.option("--report", is_flag=True, help="run it for a second, and print to standard error what each kernel takes")
@click.option("--explain-miss", is_flag=True, help="say why the program was not found in the cache")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@compiling
def run(
    file: str,
    inputs: tuple[str, ...],
    files: tuple[Path, ...],
    seed: int | None,
    save: Path | None,
    output_dir: Path | None,
    check: bool,
    report: bool,
    explain_miss: bool,
    as_json: bool,
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
) -> int:
    """Compile the Toy, ONNX or MLIR program in FILE (`-`: standard input) and run it.

    Toy prints what it prints. The outputs of other programs are printed as NumPy prints arrays, or written to files.
    """
    log_to_standard_error()
    settings = settings_of(target, opt_level, threads, exact_convolutions, before, after, after_all, tune)
    settings.remarks = listener(remarks, remarks_json)
    if report and isinstance(settings.target, CudaTarget):
        raise click.UsageError("--report times kernels of the processor\nhint: xmlc compile --target=cuda --report")
    if report:
        settings.profile = import_module("xmlc.report").Profile()
    if explain_miss:
        settings.explain = lambda reason: click.echo(reason, err=True)
    source = opened(file, language, settings)
    with showing_lines_of(source), dumping(dump):
        arrays = inputs_of(source, inputs, files, bind, seed)
        done = run_program(source, bind, arrays, settings, check=check, printing=not as_json)
    write_outputs(done, save, output_dir)
    tell(settings.remarks, remarks, remarks_json)
    if as_json:
        click.echo(json.dumps(record(done, settings.timer if timing else None, values=not (save or output_dir))))
    else:
        show(done, silent=save is not None or output_dir is not None)
        if done.report is not None:
            click.echo(done.report.render(), err=True)
        if timing:
            click.echo(f"{settings.timer.render()}\n{most_memory()}", err=True)
    return 1 if done.differences else 0


def inputs_of(
    source: Source, inputs: Sequence[str], files: Sequence[Path], sizes: Sizes, seed: int | None
) -> dict[str, Array]:
    """Every input by name, checked; the weights of a program in MLIR are inputs too.

    Raises CompileError with all that is wrong.
    """
    check_sizes(sizes, source.inputs, source.name)
    arrays = {name: array for path in files for name, array in load_arrays(path).items()}
    arrays |= dict(read_input(text, source.inputs) for text in inputs)
    if seed is not None:
        arrays |= random_arrays(source.inputs, arrays, sizes, seed)
    check_inputs(arrays, source.inputs, source.name)
    return arrays


def write_outputs(done: Run, save: Path | None, folder: Path | None) -> None:
    if save is not None:
        write_whole(save, npz(done.outputs))
    if folder is not None:
        make_folder(folder)
        for name, array in done.outputs.items():
            write_whole(folder / f"{name.replace('/', '_')}.npy", npy(array))


def show(done: Run, silent: bool) -> None:
    """Print the outputs as NumPy does, and what the comparison found."""
    for name, array in done.outputs.items():
        shape = "x".join(map(str, array.shape)) or "scalar"
        click.echo(f"{name}: {array.dtype} {shape}")
        if not silent:
            click.echo(np.array2string(array, separator=" "))
    if done.differences is not None:
        sys.stdout.flush()
        for each in done.differences:
            click.echo(f"error: differs from the reference interpreter: {each}", err=True)
        if not done.differences:
            click.echo("agrees with the reference interpreter", err=True)


def most_memory() -> str:
    """`366.1 MiB  most memory of the process`"""
    from xmlc.report import mebibytes, peak_memory  # only who asks waits for them

    return f"{mebibytes(peak_memory())}  most memory of the process"


def record(done: Run, timer: Timer | None, values: bool) -> dict[str, Any]:
    """The same as data. Numbers that JSON lacks are written as strings."""
    outputs = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
        | ({"values": plain(array.tolist())} if values else {})
        for name, array in done.outputs.items()
    ]
    made: dict[str, Any] = {"outputs": outputs}
    if done.printed:
        made["printed"] = done.printed
    if done.differences is not None:
        made["agrees"] = not done.differences
        made["differences"] = [str(each) for each in done.differences]
    if done.report is not None:
        made["report"] = done.report.record()
    if timer is not None:
        made["timing"] = [{"part": name, "depth": depth, "ms": seconds * 1e3} for depth, name, seconds in timer.rows]
    return made


def plain(value: Any) -> Any:
    """Lists of numbers as JSON has them."""
    if isinstance(value, list):
        return [plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
