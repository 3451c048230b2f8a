"""Bisection: which pass of a pipeline breaks a program, and a file that shows it.

A pass breaks the program if it raises, if it leaves a module that does not verify, or if the program then computes
something else on random inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.check import Meaning
from xmlc.pipeline import printed, spell, versions
from xmlc.verify import verification_errors


@dataclass(frozen=True)
class Culprit:
    """The pass found: its position, what goes wrong, and the text of a reproducer with the program before it."""

    position: int
    transformation: ModulePass
    reason: str
    reproducer: str

    @property
    def file_name(self) -> str:
        """A name for the reproducer's file, made of the pass and the content."""
        content = hashlib.sha256(self.reproducer.encode()).hexdigest()[:12]
        return f"xmlc-{self.transformation.name}-{content}.mlir"


def bisect(
    make: Callable[[], ModuleOp], passes: Sequence[ModulePass], context: Context, *, seed: int = 0
) -> Culprit | None:
    """The first pass after which the program is broken, found by running prefixes of the pipeline; None if none is.

    `make` returns the program anew each time it is called. Raises CompileError if that is the user's mistake.
    """
    meaning = Meaning(make(), seed)

    def broken(count: int) -> str | None:
        """What is wrong after the first `count` passes."""
        module = make()
        try:
            for each in passes[:count]:
                each.apply(context, module)
        except Exception as error:  # any: that a pass raises is what is looked for
            return f"{type(error).__name__}: {error}"
        if errors := verification_errors(module):
            return "\n".join(each.render() for each in errors)
        return "\n".join(meaning.changes(module)) or None

    reason = broken(len(passes))
    if reason is None:
        return None
    good, bad = 0, len(passes)
    while bad - good > 1:
        middle = (good + bad) // 2
        found = broken(middle)
        if found is None:
            good = middle
        else:
            bad, reason = middle, found
    module = make()
    for each in passes[:good]:
        each.apply(context, module)
    culprit = passes[good]
    reproducer = (
        f"// the pass '{culprit.name}' of {versions()} breaks this program\n"
        + "".join(f"// {line}\n" for line in reason.splitlines())
        + f"// the whole pipeline was: {spell(passes)}\n"
        f"// RUN: xmlc bisect %s --allow-unregistered-dialect --seed {seed} --passes '{spell([culprit])}'\n"
        f"{printed(module, generic=True)}"
    )
    return Culprit(good, culprit, reason, reproducer)
