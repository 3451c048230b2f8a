"""`xmlc bisect`: find the pass of a pipeline that breaks a program, and write a file that shows it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from xdsl.dialects.builtin import ModuleOp

from xmlc.bisect import bisect as find_culprit
from xmlc.dialects import context as make_context
from xmlc.files import decode_text, read_text, write_whole
from xmlc.logs import log_to_standard_error
from xmlc.options import REPRODUCER_DIR
from xmlc.parse import parse_module
from xmlc.pipeline import read_pipeline
from xmlc.verify import verify


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("-p", "--passes", "pipeline", required=True, metavar="PASSES", help="such as 'canonicalize,cse'")
@click.option("-o", "output", metavar="FILE", help="write the reproducer here; else XMLC_REPRODUCER_DIR decides")
@click.option("--seed", default=0, show_default=True, help="what the random inputs are drawn with")
@click.option("--allow-unregistered-dialect", "allow_unregistered", is_flag=True, help="accept unknown operations")
def bisect(file: str, pipeline: str, output: str | None, seed: int, allow_unregistered: bool) -> int:
    """Find the first pass that breaks the program in FILE.

    A pass breaks it by raising, by leaving a program that does not verify, or by changing what it computes on random
    inputs. The program as it was before that pass is written to a file. The exit code is 0 if no pass breaks it,
    else 1.
    """
    log_to_standard_error()
    name = "<stdin>" if file == "-" else file
    text = decode_text(sys.stdin.buffer.read(), name) if file == "-" else read_text(Path(file))
    passes = read_pipeline(pipeline)
    context = make_context(allow_unregistered=allow_unregistered)

    def parsed() -> ModuleOp:
        return parse_module(text, name, context)

    verify(parsed())
    culprit = find_culprit(parsed, passes, context, seed=seed)
    if culprit is None:
        click.echo(f"no pass breaks the program ({len(passes)} passes, seed {seed})")
        return 0
    path = Path(output) if output else Path(REPRODUCER_DIR.get()) / culprit.file_name
    write_whole(path, culprit.reproducer)
    click.echo(f"pass {culprit.position + 1} of {len(passes)}, '{culprit.transformation.name}', breaks the program:")
    click.echo(culprit.reason)
    click.echo(f"the program before it is in {path}")
    return 1
