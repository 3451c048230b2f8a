"""A backend is an ordered table of stages: what `--emit`, dumps, timings, docs and tests read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place, place_of


@dataclass(frozen=True)
class Stage:
    """A level that the program is brought to by passes: its name, and the dialects that are gone after it.

    A stage without passes prints the module it is given as text or bytes: LLVM IR, assembly, an object.
    """

    name: str
    passes: tuple[ModulePass, ...] = ()
    removes: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    """Ops of a removed dialect that may stay."""


def refuse_leftovers(module: ModuleOp, stage: Stage) -> None:
    """Raise CompileError, naming all ops of dialects that `stage` removes which are still there."""
    found: Counter[str] = Counter()
    places: dict[str, Place | None] = {}
    for op in module.walk():
        if is_leftover(op, stage):
            found[op.name] += 1
            places.setdefault(op.name, place_of(op.location))
    if found:
        raise CompileError.of(
            [
                Diagnostic(f"{count} x {name} cannot be lowered by stage '{stage.name}'", places[name])
                for name, count in found.most_common()
            ]
        )


def is_leftover(op: Operation, stage: Stage) -> bool:
    return op.name.partition(".")[0] in stage.removes and op.name not in stage.keeps
