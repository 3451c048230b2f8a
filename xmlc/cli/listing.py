"""`xmlc list`: what there is — passes, operations, stages, targets, settings — as a table or as JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, cast

import click

from xmlc.cli.group import Group

Record = dict[str, object]


def show(records: Sequence[Record], as_json: bool) -> None:
    """Print records with equal keys: one JSON list, or one line each with the columns aligned."""
    if as_json:
        click.echo(json.dumps(records, indent=2, default=str))
        return
    rows = [[str(value) for value in record.values()] for record in records]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def summary(thing: object) -> str:
    """The first line of a docstring of the thing's own; a dataclass without one gets a signature, which is none."""
    text = (thing.__doc__ or "") if isinstance(thing, type) else (inspect.getdoc(thing) or "")
    first = inspect.cleandoc(text).partition("\n")[0]
    return "" if first.startswith(f"{getattr(thing, '__name__', '')}(") else first


def pass_records(everything: bool) -> Iterable[Record]:
    """Name, options and summary of our passes, or of xDSL's too."""
    from xdsl.passes import get_pass_option_infos

    from xmlc.passes import PASSES
    from xmlc.pipeline import known_passes

    for name, load in sorted((known_passes() if everything else PASSES).items()):
        made = load()
        infos = [(info.name.replace("_", "-"), info.default_value) for info in get_pass_option_infos(made)]
        options = " ".join(f"{option}={default}" if default else option for option, default in infos)
        yield {"pass": f"{name}{{{options}}}" if options else name, "summary": summary(made)}


def op_records(dialect: str | None) -> Iterable[Record]:
    """Name and summary of the operations of our dialects, or of one dialect that is ours or xDSL's."""
    from xmlc.dialects import DIALECTS, context
    from xmlc.wording import known_names

    known = context()
    if dialect is not None and dialect not in known.registered_dialect_names:
        hint = known_names(dialect, known.registered_dialect_names)
        raise click.UsageError(f"unknown dialect '{dialect}'\nhint: {hint}")
    for name in [dialect] if dialect is not None else sorted(DIALECTS):
        for op in sorted(known.get_dialect(name).operations, key=lambda op: op.name):
            yield {"operation": op.name, "summary": summary(op)}


def targets() -> dict[str, Callable[[], Sequence[Any]]]:
    """Target name -> loader of its table of stages: `TARGETS` of xmlc.backends."""
    found = getattr(import_module("xmlc.backends"), "TARGETS", {})
    return cast(dict[str, Callable[[], Sequence[Any]]], found)


def stage_records() -> Iterable[Record]:
    """Target, name, passes and removed dialects of every stage, in order."""
    for target, load in targets().items():
        for stage in load():
            passes = ",".join(str(each.spec()) for each in stage.passes)
            yield {"target": target, "stage": stage.name, "removes": ",".join(stage.removes), "passes": passes}


FEATURES = (
    "avx2", "fma", "f16c", "avx512f", "avx512bf16", "avx512fp16", "avx512vnni", "avxvnni", "amx-tile", "amx-bf16",
    "amx-int8", "neon", "bf16", "dotprod", "i8mm", "v",
)  # fmt: skip
"""What generated code may gain from, of all that LLVM knows about a processor."""


def target_records() -> Iterable[Record]:
    """What code can be made for: this processor, its levels, others; of GPUs only that there is a target."""
    from xmlc.backends.cpu.target import LEVELS, host, levels_here, parse_target

    others = [f"{name}-linux-gnu:{level}" for name in LEVELS if name != host().architecture for level in LEVELS[name]]
    for name in ("cpu", *(f"cpu:{level}" for level in levels_here()), *others):
        target = parse_target(name)
        found = set(target.features.split(","))
        yield {
            "target": name,
            "processor": target.processor,
            "vectors": f"{target.vector_registers} of {target.vector_bits} bits",
            "caches": ", ".join(f"{size // 1024} KiB" for size in target.caches) or "-",
            "cores": target.cores if target.caches else "-",
            "runs here": "yes" if target.is_host else "no",
            "ends in": targets()["cpu"]()[-1].name,
            "features": " ".join(each for each in FEATURES if f"+{each}" in found) or f"those of {target.processor}",
        }
    for name, load in targets().items():
        if name != "cpu":
            unknown = dict.fromkeys(("processor", "vectors", "caches", "cores", "runs here"), "-")
            yield {"target": name, **unknown, "ends in": load()[-1].name, "features": "-"}


def option_records() -> Iterable[Record]:
    """Name, present value and meaning of every setting of the environment."""
    from xmlc.options import OPTIONS

    for option in OPTIONS.values():
        yield {"setting": option.name, "value": option.get(), "meaning": option.help}


as_json = click.option("--json", "as_json", is_flag=True, help="print JSON")


@click.group(cls=Group, name="list")
def list_() -> None:
    """Show what there is."""


@list_.command()
@click.option("--all", "everything", is_flag=True, help="xDSL's passes too")
@as_json
def passes(everything: bool, as_json: bool) -> None:
    """Passes that `xmlc opt -p` takes, with their options and defaults."""
    show(list(pass_records(everything)), as_json)


@list_.command()
@click.option("--dialect", help="this dialect only; xDSL's dialects too can be named")
@as_json
def ops(dialect: str | None, as_json: bool) -> None:
    """Operations of our dialects."""
    show(list(op_records(dialect)), as_json)


@list_.command()
@as_json
def stages(as_json: bool) -> None:
    """Stages of every target, in order: the values of `--emit`."""
    show(list(stage_records()), as_json)


@list_.command(name="targets")
@as_json
def targets_(as_json: bool) -> None:
    """Targets: the values of `--target`. Any other LLVM triple of these architectures is one too."""
    show(list(target_records()), as_json)


@list_.command()
@as_json
def options(as_json: bool) -> None:
    """Settings that are read from the environment, with their present values."""
    show(list(option_records()), as_json)
