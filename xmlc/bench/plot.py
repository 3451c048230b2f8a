"""A record as a picture: xmlc against the best peer, and everybody's share of the roof; PNG or SVG by the suffix."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xmlc.bench.peers import OURS
from xmlc.bench.record import Cell, Record
from xmlc.bench.summary import geometric_mean, peers_of, ratio, share_of_roof
from xmlc.bench.table import threads_text
from xmlc.dialects.diagnostics import CompileError

SUFFIXES = (".png", ".svg", ".pdf")
QUICKER, SLOWER, NEUTRAL = "#2a7f4f", "#c0504d", "#444444"
PEER_COLOURS = ("#4c72b0", "#dd8452", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")
ROW_INCHES = 0.19


def check_plot(path: Path) -> None:
    """Raise CompileError, before any time is spent on measuring, where `write_plot` will not be able to do it."""
    if path.suffix not in SUFFIXES:
        raise CompileError(f"cannot plot to '{path}'", hint=f"give a file that ends in {', '.join(SUFFIXES)}")
    if find_spec("matplotlib") is None:
        raise CompileError("plots need matplotlib, which is not installed", hint="pip install 'xmlc[bench]'")


def write_plot(record: Record, path: Path, threads: int | None = None) -> None:
    """Draw the cells with so many threads (the least, by default) into a file."""
    check_plot(path)
    chosen = min(record.roofs) if threads is None else threads
    cells = [cell for cell in record.cells if cell.threads == chosen]
    if not cells:
        raise CompileError(f"the record has no cells with {chosen} threads")
    pyplot: Any = import_module("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    has_roof = any(cell.roof_s for cell in cells)
    height = 1.5 + ROW_INCHES * (len(cells) + 0.8 * len({cell.group for cell in cells}))
    figure, axes = pyplot.subplots(
        1, 2 if has_roof else 1, figsize=(14 if has_roof else 9, height), sharey=True, squeeze=False
    )
    places = positions(cells)
    draw_ratios(axes[0][0], cells, places)
    if has_roof:
        draw_shares(axes[0][1], cells, places)
    head = f"xmlc {record.versions.get('xmlc', '')} {record.commit}, {record.suite}, {record.date[:10]}"
    where = f"{record.machine.get('processor')}, {threads_text(chosen)}"
    figure.suptitle(f"{head} — {where}", fontsize=11, y=1 - 0.12 / height, va="top")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / height))
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise CompileError(f"cannot write '{path}': {error.strerror}") from error
    finally:
        pyplot.close(figure)


def positions(cells: list[Cell]) -> list[float]:
    """The height of each row; a gap between groups."""
    places: list[float] = []
    at = 0.0
    for i, cell in enumerate(cells):
        if i and cell.group != cells[i - 1].group:
            at += 0.8
        places.append(at)
        at += 1
    return places


def draw_ratios(axis: Any, cells: list[Cell], places: list[float]) -> None:
    """Bars from 1: to the right where xmlc is quicker than the best peer."""
    ratios = [ratio(cell) for cell in cells]
    for place, value in zip(places, ratios):
        if value is None:
            axis.text(1.0, place, " no comparison", va="center", fontsize=6.5, color=NEUTRAL)
            continue
        axis.barh(place, value - 1, left=1, height=0.72, color=QUICKER if value >= 1 else SLOWER)
        outside = {"ha": "left" if value >= 1 else "right", "va": "center", "fontsize": 6.5, "color": NEUTRAL}
        axis.text(value * (1.04 if value >= 1 else 0.96), place, f"{value:.2f}", **outside)
    known = [value for value in ratios if value is not None]
    low, high = min([*known, 0.5]) * 0.6, max([*known, 2.0]) * 1.6
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    ticks = [each for each in (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= each <= high]
    axis.set_xticks(ticks, [f"{each:g}x" for each in ticks], fontsize=8)
    axis.set_xticks([], minor=True)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(places, [cell.case for cell in cells], fontsize=7)
    axis.set_ylim(max(places) + 0.8, min(places) - 0.8)
    axis.set_title(f"speed relative to the best peer (geometric mean {geometric_mean(known):.2f}x)", fontsize=9, pad=22)
    axis.tick_params(axis="y", length=0)
    finish(axis)


def draw_shares(axis: Any, cells: list[Cell], places: list[float]) -> None:
    """A dot a contestant: how much of the roof it reaches."""
    names = peers_of(cells)
    for name, colour in zip(names, PEER_COLOURS * 2):
        draw_dots(axis, cells, places, name, {"color": colour, "s": 13, "alpha": 0.85, "linewidths": 0})
    draw_dots(axis, cells, places, OURS, {"color": "black", "s": 26, "marker": "D", "zorder": 3})
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]
    low = axis.get_xlim()[0]
    ticks = [each for each in ticks if each >= low * 0.9]
    axis.set_xticks(ticks, [f"{each:.1%}" if each < 0.01 else f"{each:.0%}" for each in ticks], fontsize=8)
    axis.set_xticks([], minor=True)
    axis.set_title("share of the roof: measured multiply-add peak or memory bandwidth", fontsize=9, pad=22)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=8, fontsize=7, frameon=False, borderpad=0.3)
    axis.tick_params(axis="y", length=0)
    finish(axis)


def draw_dots(axis: Any, cells: list[Cell], places: list[float], name: str, style: dict[str, Any]) -> None:
    points = [(share_of_roof(cell, name), place) for cell, place in zip(cells, places)]
    known = [(share, place) for share, place in points if share is not None]
    if known:
        axis.scatter([share for share, _ in known], [place for _, place in known], label=name, **style)


def finish(axis: Any) -> None:
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
