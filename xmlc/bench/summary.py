"""What a record says: the best peer of each cell, shares of the roof, geometric means of groups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xmlc.bench.peers import OURS
from xmlc.bench.record import Cell, Record


def geometric_mean(values: Iterable[float]) -> float:
    """NaN of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def best_peer(cell: Cell) -> tuple[str, float] | None:
    """The quickest peer with a right answer, and its seconds; None where there is no peer."""
    times = {name: cell.seconds(name) for name in cell.outcomes if name != OURS}
    right = {name: seconds for name, seconds in times.items() if seconds is not None}
    return min(right.items(), key=lambda item: item[1]) if right else None


def ratio(cell: Cell) -> float | None:
    """How many times as quick as the best peer xmlc is; None where one of them is missing."""
    best, ours = best_peer(cell), cell.seconds(OURS)
    return best[1] / ours if best and ours else None


def share_of_roof(cell: Cell, name: str = OURS) -> float | None:
    """The least time the roofs allow over the contestant's time; None where the work is unknown."""
    seconds = cell.seconds(name)
    return cell.roof_s / seconds if seconds and cell.roof_s else None


@dataclass(frozen=True)
class Group:
    """A row of the summary; means are geometric, over the cells that have both sides."""

    name: str
    threads: int
    cells: int
    compared: int
    ratio: float
    """xmlc against the best peer of each cell."""
    worst: float
    share: float
    """Of the roof."""
    against: dict[str, float]
    """xmlc against each peer, where both have a right answer."""


def peers_of(cells: Iterable[Cell]) -> list[str]:
    """The peers that were measured at least once, in the order of the record."""
    return list(
        dict.fromkeys(
            name for cell in cells for name in cell.outcomes if name != OURS and cell.seconds(name) is not None
        )
    )


def group_of(name: str, threads: int, cells: Sequence[Cell]) -> Group:
    ratios = [value for cell in cells if (value := ratio(cell)) is not None]
    shares = [value for cell in cells if (value := share_of_roof(cell)) is not None]
    against: dict[str, float] = {}
    for peer in peers_of(cells):
        pairs = [(cell.seconds(peer), cell.seconds(OURS)) for cell in cells]
        against[peer] = geometric_mean(theirs / ours for theirs, ours in pairs if theirs and ours)
    worst = min(ratios, default=math.nan)
    return Group(name, threads, len(cells), len(ratios), geometric_mean(ratios), worst, geometric_mean(shares), against)


def groups(record: Record) -> list[Group]:
    """A row for each group and number of threads, then one for all cells of each number of threads."""
    made: list[Group] = []
    for threads in sorted({cell.threads for cell in record.cells}):
        cells = [cell for cell in record.cells if cell.threads == threads]
        for name in dict.fromkeys(cell.group for cell in cells):
            made.append(group_of(name, threads, [cell for cell in cells if cell.group == name]))
        made.append(group_of("all", threads, cells))
    return made


def slowest(record: Record, count: int) -> list[tuple[Cell, float]]:
    """The cells where xmlc is furthest behind the best peer."""
    rated = [(cell, value) for cell in record.cells if (value := ratio(cell)) is not None]
    return sorted(rated, key=lambda pair: pair[1])[:count]
