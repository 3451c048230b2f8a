"""The command `xmlc`: its table of subcommands, and what becomes of errors.

A subcommand's module is imported when the command runs, so `xmlc --help` stays quick.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from xmlc.cli.group import Group
from xmlc.importing import imported

DONE, WRONG, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the user's program or input is wrong; the command line is wrong; stopped from the keyboard."""


class Row(NamedTuple):
    """Where a subcommand is defined, and what `xmlc --help` says about it."""

    module: str
    function: str
    help: str


COMMANDS = {
    "run": Row("xmlc.cli.run", "run", "compile a Toy, ONNX or MLIR program and run it"),
    "compile": Row("xmlc.cli.compile", "compile", "print or write a program at any stage, up to machine code"),
    "demo": Row("xmlc.cli.demo", "demo", "compile a small network and classify handwritten digits"),
    "opt": Row("xmlc.cli.opt", "opt", "run passes on MLIR text"),
    "bisect": Row("xmlc.cli.bisect", "bisect", "find the pass of a pipeline that breaks a program"),
    "list": Row("xmlc.cli.listing", "list_", "show passes, operations, stages, targets, settings"),
    "bench": Row("xmlc.cli.bench", "bench", "measure xmlc and its peers side by side, compare records"),
    "cache": Row("xmlc.cli.cache", "cache", "show, empty or check the cache of compiled code"),
}
"""Adding a subcommand is adding a row."""


class LazyGroup(Group):
    """A group whose commands are the rows of COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        row = COMMANDS[cmd_name]
        return imported(row.module, row.function)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.help) for name, row in COMMANDS.items()])


def show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from xmlc.pipeline import versions

        click.echo(versions())
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=show_version, help="show versions")
def command() -> None:
    """Compile machine-learning programs: Toy, ONNX and MLIR to machine code.

    Exit codes: 0 done, 1 the program or its input is wrong, 2 the command line is wrong.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line given (or the process's) and return its exit code. Only our bugs leave as exceptions."""
    atexit.register(gc.freeze)  # what is there at the end goes with the process: looking for cycles in it takes 70 ms
    try:
        result = command.main(list(sys.argv[1:] if arguments is None else arguments), "xmlc", standalone_mode=False)
    except click.ClickException as error:
        show_mistake(error)
        return USAGE if isinstance(error, click.UsageError) else WRONG
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # any: to import CompileError before it is needed costs 0.1 s
        return report(error)
    return result if isinstance(result, int) else DONE


def show_mistake(error: click.ClickException) -> None:
    """Print a mistake of usage in the form of all our errors."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    message, _, hint = error.format_message().partition("\nhint: ")
    if isinstance(error, click.NoSuchOption):
        message = f"unknown option '{error.option_name}'"
        hint = " or ".join(f"'{each}'" for each in error.possibilities or ())
        hint = f"did you mean {hint}?" if hint else ""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "xmlc"
    click.echo(f"error: {message[:1].lower()}{message[1:].rstrip('.')}", err=True)
    click.echo(f"hint: {hint or f'`{path} --help` shows how it is used'}", err=True)


def report(error: Exception) -> int:
    """Print the user's mistake and return its exit code; raise anything else, which is a bug and has a traceback."""
    from xmlc.dialects.diagnostics import CompileError

    if not isinstance(error, CompileError):
        raise error
    from xmlc.cli.sources import with_source_lines
    from xmlc.pipeline import PipelineError

    click.echo(str(with_source_lines(error)), err=True)
    return USAGE if isinstance(error, PipelineError) else WRONG
