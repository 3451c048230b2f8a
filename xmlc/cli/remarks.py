"""What `--remarks` and `--remarks-json` do for every command that runs passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xmlc.files import write_whole

if TYPE_CHECKING:
    from xmlc.passes.remarks import Remarks

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = (
    click.option("--remarks", is_flag=True, help="print to standard error what passes chose, left alone, and why"),
    click.option("--remarks-json", type=click.Path(path_type=Path), metavar="FILE.json", help="the same as JSON"),
)


def remarking(command: Command) -> Command:
    """Give a command the two options."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def listener(remarks: bool, remarks_json: Path | None) -> Remarks | None:
    """What collects remarks, if one of the options asks for them."""
    if not remarks and remarks_json is None:
        return None
    from xmlc.passes.remarks import Remarks

    return Remarks()


def tell(made: Remarks | None, remarks: bool, remarks_json: Path | None) -> None:
    """Print what was collected, or write it, as the options say."""
    if made is None:
        return
    if remarks and made.found:
        click.echo(made.render(), err=True)
    if remarks_json is not None:
        write_whole(remarks_json, json.dumps([each.record() for each in made.found], indent=1) + "\n")
