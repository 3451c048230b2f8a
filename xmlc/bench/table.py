"""Records and comparisons as text: tables by rich on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from xmlc.bench.compare import Comparison
from xmlc.bench.peers import OURS
from xmlc.bench.record import DECLINED, Cell, Record
from xmlc.bench.summary import best_peer, groups, peers_of, ratio, share_of_roof, slowest


@dataclass(frozen=True)
class Table:
    """A title, column heads, and rows of text; all columns but the first are aligned to the right."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def seconds_text(seconds: float | None) -> str:
    """Three digits and a unit: `1.23 ms`."""
    if seconds is None or math.isnan(seconds):
        return "-"
    scale, unit = next((each for each in UNITS if seconds >= each[0]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}" if seconds / scale < 1000 else f"{seconds / scale:.0f} {unit}"


def threads_text(count: int) -> str:
    """`1 thread`, `2 threads`"""
    return f"{count} thread{'s' if count > 1 else ''}"


def times_text(value: float | None) -> str:
    """A ratio: `1.23x`."""
    return "-" if value is None or math.isnan(value) else f"{value:.2f}x"


def share_text(value: float | None) -> str:
    """A percentage."""
    return "-" if value is None or math.isnan(value) else f"{value:.0%}"


def outcome_text(cell: Cell, name: str) -> str:
    """A contestant's time, or why it has none that counts."""
    outcome = cell.outcomes.get(name)
    if outcome is None or outcome.status == DECLINED:
        return "-"
    seconds = cell.seconds(name)
    return seconds_text(seconds) if seconds is not None else outcome.status.upper()


def cell_table(record: Record, cells: Sequence[Cell] | None = None) -> Table:
    """A row a cell: everybody's time, and xmlc's ratio to the best peer, share of the roof and spread."""
    chosen = record.cells if cells is None else cells
    names = peers_of(record.cells)
    heads = ("case", "threads", OURS, *names, "best peer", "ratio", "roof", "spread")
    rows: list[tuple[str, ...]] = []
    for cell in chosen:
        best, outcome = best_peer(cell), cell.outcomes.get(OURS)
        spread = f"{outcome.timing.spread:.0%}" if outcome and outcome.timing else "-"
        rows.append(
            (
                cell.case,
                str(cell.threads),
                *(outcome_text(cell, name) for name in (OURS, *names)),
                best[0] if best else "-",
                times_text(ratio(cell)),
                share_text(share_of_roof(cell)),
                spread,
            )
        )
    return Table("median time of a call", heads, rows)


def group_table(record: Record) -> Table:
    """Geometric means of each group."""
    names = peers_of(record.cells)
    rows = [
        (
            group.name,
            str(group.threads),
            f"{group.compared}/{group.cells}",
            times_text(group.ratio),
            times_text(group.worst),
            share_text(group.share),
            *(times_text(group.against.get(name)) for name in names),
        )
        for group in groups(record)
    ]
    heads = ("group", "threads", "cells", "best peer", "worst", "roof", *names)
    return Table("how many times as quick as … xmlc is (geometric means; above 1 is quicker)", heads, rows)


def slowest_table(record: Record, count: int) -> Table:
    """The cells where xmlc is behind the best peer, the furthest first."""
    rows = [
        (cell.case, str(cell.threads), times_text(value), best[0], share_text(share_of_roof(cell)))
        for cell, value in slowest(record, count)
        if value < 1 and (best := best_peer(cell))
    ]
    return Table("furthest behind the best peer", ("case", "threads", "ratio", "best peer", "roof"), rows)


def troubles(record: Record) -> list[str]:
    """A line for each contestant that failed somewhere, xmlc's first."""
    found: list[tuple[bool, str]] = []
    for cell in record.cells:
        for name, outcome in cell.outcomes.items():
            if outcome.status not in ("ok", DECLINED):
                message = f": {outcome.message}" if outcome.message else ""
                found.append((name != OURS, f"{cell.key}: {name} {outcome.status}{message}"))
    return [line for _, line in sorted(found, key=lambda each: each[0])]


def header(record: Record) -> list[str]:
    """The lines above the tables: when, where, with what, against which roofs."""
    machine = record.machine
    lines = [
        f"suite {record.suite}, {record.date}, xmlc {record.versions.get('xmlc', '?')} {record.commit}".rstrip(),
        f"{machine.get('processor')}, {machine.get('cores')} cores, load {machine.get('load')} before the run",
        ", ".join(f"{name} {version}" for name, version in record.versions.items() if name != "xmlc"),
    ]
    for threads, roofs in record.roofs.items():
        peaks = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in roofs.flops.items())
        bands = ", ".join(f"{size_text(size)} {rate / 1e9:.0f}" for size, rate in roofs.bandwidth.items())
        lines.append(f"roofs, {threads_text(threads)}: {peaks} GFLOP/s; triad within {bands} GB/s")
    lines += [f"absent: {name} ({install})" for name, install in record.absent.items()]
    crowd, cores = record.machine.get("load_after", 0.0), record.machine.get("cores", 1)
    if crowd > cores + 0.5:  # up to all of them are our own
        lines.append(
            f"at the end {crowd:.1f} processes wanted {cores} cores: several threads that wait for each other, "
            "as most peers' do, suffer from that most"
        )
    lines.append("times are of a machine that others may share: trust the ratios, not the milliseconds")
    return lines


def size_text(size: int) -> str:
    """`48 KiB`"""
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def change_table(comparison: Comparison, everything: bool = False) -> Table:
    """The cells that changed beyond the noise, or all of them; the slowest first."""
    chosen = [change for change in comparison.changes if everything or change.verdict]
    rows = [
        (
            change.cell,
            seconds_text(change.old_s),
            seconds_text(change.new_s),
            times_text(change.ratio),
            times_text(change.corrected),
            f"{change.noise:.0%}",
            change.verdict,
        )
        for change in sorted(chosen, key=lambda change: -change.corrected)
    ]
    heads = ("cell", "old", "new", "new/old", "without drift", "noise", "verdict")
    return Table("time, new over old (above 1 is slower)", heads, rows)


def plain(table: Table) -> str:
    """Aligned columns."""
    lines = [table.heads, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.heads))]
    text = [table.title]
    for line in lines:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))
        )
        text.append("  ".join((first, *others)).rstrip())
    return "\n".join(text)


def show(table: Table) -> None:
    """Print a table to standard output: by rich on a terminal wide enough for it."""
    import click

    if not sys.stdout.isatty():
        click.echo(plain(table))
        return
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(title=table.title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for i, head in enumerate(table.heads):
        made.add_column(head, justify="left" if i == 0 else "right", overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(cell, style=style_of(cell)) for cell in row))
    Console().print(made)


def style_of(cell: str) -> str:
    """Green where xmlc is quicker, red where it is much slower or wrong."""
    if cell in ("WRONG", "ERROR", "CRASH", "TIMEOUT", "slower"):
        return "red"
    if cell == "faster":
        return "green"
    if cell.endswith("x") and cell[:-1].replace(".", "").isdecimal():
        value = float(cell[:-1])
        return "green" if value >= 1 else "red" if value < 0.5 else ""
    return ""
