"""Checking that passes keep the meaning: the interpreter runs before and after each pass, on random inputs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.dialects import context as make_context
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.reference.interpreter import InterpreterError, UnknownOpError
from xmlc.meaning import Outcome, differences, entry_points, input_names, random_inputs, run
from xmlc.pipeline import run_passes

LOG = logging.getLogger("xmlc.check")

NO_MEANING = (InterpreterError, ArithmeticError, LookupError, TypeError, ValueError)
"""What interpreting a wrong module may raise."""


class MeaningChanged(CompileError):
    """A pass changed what the program computes: `culprit` is its name."""

    def __init__(self, culprit: str, message: str, seed: int):
        super().__init__(
            f"the pass '{culprit}' changes what the program computes: {message}",
            hint=f"inputs were drawn with the seed {seed}; `xmlc bisect` writes the program before the pass to a file",
        )
        self.culprit = culprit


class Meaning:
    """What the functions of a module give on random inputs; later forms of the module are compared with it.

    Functions that cannot be interpreted as they are given are left out, with a warning.
    """

    def __init__(self, module: ModuleOp, seed: int = 0):
        self.seed = seed
        self.inputs: dict[str, list[object]] = {}
        self.names: dict[str, list[str]] = {}
        self.outcomes: dict[str, Outcome] = {}
        for name, function in entry_points(module).items():
            self.names[name] = input_names(function)
            reason: Exception | None = None
            for integers_below in (4, 2, 1):  # integers may be indices into something small
                inputs = random_inputs(function, seed, integers_below)
                try:
                    self.outcomes[name] = run(module, name, inputs)
                except NO_MEANING as error:
                    reason = error
                    continue
                self.inputs[name] = inputs
                break
            else:
                LOG.warning("@%s is not checked: %s", name, reason)

    def changes(self, module: ModuleOp) -> list[str]:
        """What the module computes differently from the one at the start, in words; empty if nothing."""
        found: list[str] = []
        present = entry_points(module)
        for name, expected in list(self.outcomes.items()):
            if name not in present:
                found.append(f"there is no function @{name} any more")
                continue
            try:
                outcome = run(module, name, self.inputs[name], expected, self.names[name])
            except UnknownOpError as error:
                LOG.warning("@%s is not checked any further: %s", name, error)
                del self.outcomes[name]
                continue
            except NO_MEANING as error:
                found.append(f"@{name} cannot be interpreted any more: {error}")
                continue
            found += [f"@{name}: {each}" for each in differences(expected, outcome)]
        return found


class Checker:
    """Watches a pipeline: raises MeaningChanged after the first pass that changes a result.

    Every form of the module is compared with the first one, so that small errors cannot add up unseen.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed
        self.module: ModuleOp | None = None
        self.meaning: Meaning | None = None

    def before(self, transformation: ModulePass, module: ModuleOp) -> None:
        if self.module is not module:
            self.module, self.meaning = module, Meaning(module, self.seed)

    def after(self, transformation: ModulePass, module: ModuleOp) -> None:
        assert self.meaning is not None
        if changes := self.meaning.changes(module):
            raise MeaningChanged(transformation.name, "\n".join(changes), self.seed)


def check_pipeline(
    module: ModuleOp, passes: Sequence[ModulePass], *, context: Context | None = None, seed: int = 0
) -> None:
    """Change `module` by the passes. Raises MeaningChanged after the first that changes what the module computes."""
    run_passes(module, passes, context or make_context(), watchers=[Checker(seed)])
