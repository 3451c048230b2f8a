"""Watchers that print the program to standard error around passes: `--print-ir-before`, `--print-ir-after`, `-all`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import click
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.pipeline import Watcher, printed
from xmlc.wording import did_you_mean


@dataclass(frozen=True)
class Dump:
    """Prints the module to standard error before or after some passes; None stands for all of them."""

    names_before: frozenset[str]
    names_after: frozenset[str] | None
    generic: bool = False
    locations: bool = False

    def before(self, transformation: ModulePass, module: ModuleOp) -> None:
        if transformation.name in self.names_before:
            self.show("Before", transformation, module)

    def after(self, transformation: ModulePass, module: ModuleOp) -> None:
        if self.names_after is None or transformation.name in self.names_after:
            self.show("After", transformation, module)

    def show(self, when: str, transformation: ModulePass, module: ModuleOp) -> None:
        text = printed(module, generic=self.generic, locations=self.locations)
        click.echo(f"// -----// IR Dump {when} {transformation.name} //----- //\n{text}", err=True)


def dumps(before: Collection[str], after: Collection[str], after_all: bool) -> list[Watcher]:
    """The watchers that these options ask for: one or none."""
    if not (before or after or after_all):
        return []
    return [Dump(frozenset(before), None if after_all else frozenset(after))]


def refuse_unknown_passes(names: Collection[str], known: Collection[str], where: str) -> None:
    """Raise a mistake of usage for a name that is not one of the known passes; `where` shows them all."""
    for name in names:
        if name not in known:
            raise click.UsageError(f"unknown pass '{name}'\nhint: {did_you_mean(name, known) or where}")
