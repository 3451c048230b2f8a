"""`xmlc opt`: run passes on MLIR text, as `mlir-opt` does."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.cli.expected import unexpected
from xmlc.cli.remarks import listener, remarking, tell
from xmlc.cli.sources import with_source_lines
from xmlc.cli.watching import Dump, refuse_unknown_passes
from xmlc.dialects import context as make_context
from xmlc.dialects.diagnostics import CompileError, Diagnostic
from xmlc.files import decode_text, read_text, write_whole
from xmlc.logs import log_to_standard_error
from xmlc.parse import parse_module
from xmlc.pipeline import Timer, Watcher, known_passes, printed, read_pipeline, run_passes
from xmlc.verify import verify

SEPARATOR = "// -----"


@dataclass(frozen=True)
class Settings:
    """What the command line asked for, for each chunk of the input."""

    passes: list[ModulePass]
    watchers: list[Watcher]
    timer: Timer
    generic: bool
    locations: bool
    allow_unregistered: bool
    verify_each: bool


@click.command()
@click.argument("file", default="-", type=click.Path(allow_dash=True))
@click.option("-o", "output", default="-", metavar="FILE", help="write the result here, whole or not at all")
@click.option(
    "-p", "--passes", "pipeline", default="", metavar="PASSES", help="such as 'canonicalize,simplify{rounds=4}'"
)
@click.option("--split-input-file", is_flag=True, help=f"work on each part between lines '{SEPARATOR}' by itself")
@click.option("--verify-diagnostics", is_flag=True, help="check the comments `expected-error {{…}}` against the errors")
@click.option("--print-ir-before", "before", multiple=True, metavar="PASS", help="print to standard error; repeatable")
@click.option("--print-ir-after", "after", multiple=True, metavar="PASS", help="print to standard error; repeatable")
@click.option("--print-ir-after-all", "after_all", is_flag=True, help="print to standard error after every pass")
@click.option("--print-op-generic", "generic", is_flag=True, help="print operations in their generic form")
@click.option("--print-debuginfo", "locations", is_flag=True, help="print the source location of every operation")
@click.option("--allow-unregistered-dialect", "allow_unregistered", is_flag=True, help="accept unknown operations")
@click.option("--verify-each/--no-verify-each", default=True, show_default=True, help="verify after every pass")
@click.option("--timing", is_flag=True, help="print to standard error where the time went")
@remarking
@click.option(
    "--check", is_flag=True, help="interpret the program around each pass; name the first that changes a result"
)
def opt(
    file: str,
    output: str,
    pipeline: str,
    split_input_file: bool,
    verify_diagnostics: bool,
    before: tuple[str, ...],
    after: tuple[str, ...],
    after_all: bool,
    generic: bool,
    locations: bool,
    allow_unregistered: bool,
    verify_each: bool,
    timing: bool,
    remarks: bool,
    remarks_json: Path | None,
    check: bool,
) -> int:
    """Run passes on the MLIR text of FILE, or of standard input, and print the result."""
    log_to_standard_error()
    refuse_unknown_passes((*before, *after), known_passes(), "`xmlc list passes --all` shows every pass")
    timer = Timer()
    watchers: list[Watcher] = []
    if before or after or after_all:
        names_after = None if after_all else frozenset(after)
        watchers.append(Dump(frozenset(before), names_after, generic, locations))
    if check:
        watchers.append(import_module("xmlc.check").Checker())
    collected = listener(remarks, remarks_json)
    if collected is not None:
        watchers.append(collected)
    watchers.append(timer)  # last, so that the time of a pass is not that of the other watchers
    passes = read_pipeline(pipeline)
    settings = Settings(passes, watchers, timer, generic, locations, allow_unregistered, verify_each)

    name = "<stdin>" if file == "-" else file
    text = decode_text(sys.stdin.buffer.read(), name) if file == "-" else read_text(Path(file))
    outputs: list[str] = []
    errors: list[Diagnostic] = []
    timer.start("opt")
    for first_line, chunk in chunks(text) if split_input_file else [(1, text)]:
        found: list[Diagnostic] = []
        try:
            with collected.collecting() if collected else nullcontext():
                outputs.append(transformed(chunk, name, first_line, settings))
        except CompileError as error:
            found += with_source_lines(error, {name: text}).diagnostics
        errors += unexpected(chunk, name, first_line, found) if verify_diagnostics else found
    timer.stop()

    if output == "-":
        click.echo(f"{SEPARATOR}\n".join(outputs), nl=False)
    elif not errors:
        write_whole(Path(output), f"{SEPARATOR}\n".join(outputs))
    tell(collected, remarks, remarks_json)
    if timing:
        click.echo(timer.render(), err=True)
    for each in errors:
        click.echo(each.render(), err=True)
    return 1 if errors else 0


def chunks(text: str) -> Iterable[tuple[int, str]]:
    """The parts of `text` between lines that are SEPARATOR, each with the number of its first line."""
    first_line, lines = 1, list[str]()
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if line.rstrip() == SEPARATOR:
            yield first_line, "".join(lines)
            first_line, lines = number + 1, []
        else:
            lines.append(line)
    yield first_line, "".join(lines)


def transformed(chunk: str, name: str, first_line: int, settings: Settings) -> str:
    """The text of one chunk after all passes. Raises CompileError."""
    context = make_context(allow_unregistered=settings.allow_unregistered)

    def parsed() -> ModuleOp:
        return parse_module(chunk, name, context, first_line=first_line)

    timer = settings.timer
    depth = len(timer.open)
    try:
        timer.start("parse")
        module = parsed()
        timer.stop()
        timer.start("verify")
        verify(module)
        timer.stop()
        timer.start("passes")
        run_passes(
            module,
            settings.passes,
            context,
            watchers=settings.watchers,
            verify_each=settings.verify_each,
            remake=parsed,
        )
        timer.stop()
        timer.start("print")
        return printed(module, generic=settings.generic, locations=settings.locations)
    finally:
        while len(timer.open) > depth:
            timer.stop()
