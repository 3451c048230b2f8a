"""Run what was recorded: interpreted while that is cheap, compiled once it has cost as much as compiling does.

Most graphs are small and are met once or twice, with sizes that never come again: interpreting them takes tens of
microseconds where compiling takes tens of milliseconds. So a graph is interpreted, by the definition of `ml` in NumPy,
until that has taken `WORTH_COMPILING` seconds in all, or would for the sizes that it has; then it is compiled, and the
time lost is at most what compiling takes. XMLC_TENSORS=compile compiles every graph at once, =interpret none.
XMLC_EXPLAIN=1 says what is done with each, and so does `xmlc.explain` of a tensor.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

from numpy.typing import NDArray

from xmlc.compiled import CompiledModule
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import Settings, compile_module
from xmlc.frontend.python.trace import Traced
from xmlc.options import EXPLAIN, TENSORS
from xmlc.pipeline import printed
from xmlc.tensors.graph import Node, Plan, plan_of

NDArrayAny = NDArray[Any]

LOG = logging.getLogger("xmlc.tensors")

WORTH_COMPILING = 0.03
"""Seconds of interpreting after which a graph is compiled: about what it takes to compile a small one."""

SECONDS_AN_ELEMENT = 5e-9
"""What interpreting an op costs for an element of its result, before it has been measured."""


class Program:
    """A plan as something to call: its program, and how it has been run so far."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.traced: Traced = plan.trace()
        self.weights = tuple(self.traced.weights.values())
        self.compiled: CompiledModule | None = None
        self.spent = 0.0
        elements = sum(prod(shape) for step in plan.steps for shape, _ in step.call.types)
        self.expected = elements * SECONDS_AN_ELEMENT

    def __call__(self, arrays: Sequence[NDArrayAny]) -> Sequence[NDArrayAny]:
        """The results of the steps that are kept, one after the other."""
        if self.compiled is not None:
            return self.compiled(*arrays)
        if self.will_be_compiled():
            self.say("compiling")
            self.compiled = compile_module(self.traced.module.clone(), self.traced.weights, Settings())
            return self.compiled(*arrays)
        self.say("interpreting")
        start = time.perf_counter()
        results = interpret(self.traced.module, "main", (*arrays, *self.weights))
        self.expected = time.perf_counter() - start
        self.spent += self.expected
        return results

    def will_be_compiled(self) -> bool:
        """Whether the next run is one of machine code."""
        policy = TENSORS.get()
        worth = self.spent + self.expected > WORTH_COMPILING
        return self.compiled is not None or policy == "compile" or (policy == "auto" and worth)

    def say(self, what: str) -> None:
        if EXPLAIN.get():
            LOG.warning("%s %s", what, self.describe())

    def describe(self) -> str:
        """The calls of the graph, and how long it was interpreted."""
        names = ", ".join(step.call.form.function.__name__ for step in self.plan.steps[:8])
        more = f" and {len(self.plan.steps) - 8} more" if len(self.plan.steps) > 8 else ""
        return f"{names}{more} (interpreted for {self.spent * 1e3:.1f} ms, {self.expected * 1e3:.1f} ms expected)"


@lru_cache(maxsize=1024)
def program_of(plan: Plan) -> Program:
    """The program of a plan; plans that are equal share it."""
    return Program(plan)


def evaluate(node: Node) -> Sequence[NDArrayAny]:
    """The values of a node. They are computed if it has none, with all on the way there that is still held."""
    if node.values is None:
        plan, kept, arrays = plan_of(node)
        results = iter(program_of(plan)(arrays))
        for each in kept:
            assert each.call is not None
            each.finish([next(results) for _ in each.call.types])
    assert node.values is not None
    return node.values


def explain(tensor: Any) -> str:
    """What is to be computed for a tensor, and how it will be run: for a reader. It is not computed by that."""
    node: Node = tensor.node
    if node.values is not None:
        return "it has its value"
    program = program_of(plan_of(node)[0])
    how = "compiled" if program.will_be_compiled() else "interpreted"
    return f"{program.describe()}\nit will be {how}:\n{printed(program.traced.module)}"
