"""Where finished sums go: through the epilogue of the contraction, if it has one, into its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xdsl.dialects import math
from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.recognise import Contraction, Epilogue
from xmlc.passes.index_arithmetic import Index

IN_REGISTERS = 12
"""Ops of an epilogue that are repeated for every vector of a tile; a longer one is a loop over the tile's rows."""


@dataclass(frozen=True)
class Result:
    """The views that a tile is stored by; `read` holds what the epilogue's arguments are, None for the sum."""

    out: View
    sums: View | None
    """Where unfinished sums are kept, if they are."""
    epilogue: Epilogue | None = None
    read: tuple[View | SSAValue | None, ...] = ()

    @property
    def unfinished(self) -> View:
        assert self.sums is not None, "sums are stored only when they are finished"
        return self.sums

    def corner(self, emitter: Emitter, at: Mapping[int, Index], sizes: Mapping[int, Index]) -> Result:
        """The part that starts `at` these indices of the loops, of these sizes."""

        def moved(view: View) -> View:
            return emitter.corner(view, at, sizes)

        out = moved(self.out)
        return replace(
            self,
            out=out,
            sums=out if self.sums is self.out else self.sums and moved(self.sums),
            read=tuple(moved(each) if isinstance(each, View) else each for each in self.read),
        )


def is_long(epilogue: Epilogue | None) -> bool:
    """Whether an epilogue is too much code to repeat for every vector of a tile."""
    if epilogue is None:
        return False
    ops = list(epilogue.body.ops)
    return len(ops) > IN_REGISTERS or any(op.name.startswith(math.Math.name) for op in ops)


def result_of(emitter: Emitter, found: Contraction, last: int | None = None, keeps: bool = False) -> Result:
    """The views of a contraction's output and epilogue, and of its sums if the schedule `keeps` unfinished ones.

    `last` is the loop that goes last in each.
    """
    out = emitter.view(found.out, found.extents, last)
    if found.epilogue is None:
        return Result(out, out)
    keeps = keeps or found.start is None
    read = tuple(
        each if each is None or isinstance(each, SSAValue) else emitter.view(each, found.extents, last)
        for each in found.epilogue.operands
    )
    sums = None
    if keeps:
        sums = out if found.sums == found.out else emitter.view(found.sums, found.extents, last)
    return Result(out, sums, found.epilogue, read)
