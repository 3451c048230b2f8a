"""The loops around a tile: each runs over all of its extent, in steps of the tile, and never past the end.

A tile that does not divide the extent either moves back for its last step, and computes some elements twice, or leaves
a smaller tile for the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Steps:
    """A loop around the tile, and how much of it one step takes."""

    loop: int
    extent: int
    size: int = 1
    overlaps: bool = False


Body = Callable[[Mapping[int, Index], Mapping[int, int]], None]
"""Emits one tile, at these indices, of these sizes."""


def around(emitter: Emitter, steps: Sequence[Steps], body: Body) -> None:
    """Loops over all steps, the first outermost. Different steps write different places, or the same results twice:
    they may run in any order and at once, but must not read what they write."""

    def nested(depth: int, at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
        if depth == len(steps):
            body(at, sizes)
            return
        step = steps[depth]
        size = min(step.size, step.extent)
        whole, left = divmod(step.extent, size)
        if left and step.overlaps:
            with emitter.loop(step.extent, size, parallel=True) as index:
                start = emitter.least(index, step.extent - size)
                nested(depth + 1, {**at, step.loop: start}, {**sizes, step.loop: size})
            return
        with emitter.loop(whole * size, size, parallel=True) as index:
            nested(depth + 1, {**at, step.loop: index}, {**sizes, step.loop: size})
        if left:
            nested(depth + 1, {**at, step.loop: whole * size}, {**sizes, step.loop: left})

    nested(0, {}, {})
