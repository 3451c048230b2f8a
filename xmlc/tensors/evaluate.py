"""Run what was recorded: interpreted while that is cheap, compiled once it has cost as much as compiling does.

Most graphs are small and are met once or twice, with sizes that never come again: interpreting them takes tens of
microseconds where compiling takes tens of milliseconds. So a graph is interpreted, by the definition of `ml` in NumPy,
until that has taken `WORTH_COMPILING` seconds in all, or would for the sizes that it has; then it is compiled, and the
time lost is at most what compiling takes. XMLC_TENSORS=compile compiles every graph at once, =interpret none. That
is what a processor does; on a GPU everything is compiled, on the reference nothing (`Backend.policy`).
XMLC_EXPLAIN=1 says what is done with each, and so does `xmlc.explain` of a tensor.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

from xmlc.driver import Settings, any_target
from xmlc.frontend.python.trace import Traced
from xmlc.options import EXPLAIN
from xmlc.pipeline import printed
from xmlc.tensors.backend import Buffer, Runner
from xmlc.tensors.device import KINDS, Device
from xmlc.tensors.graph import Node, Plan, plan_of
from xmlc.tensors.host import Interpreted

LOG = logging.getLogger("xmlc.tensors")

WORTH_COMPILING = 0.03
"""Seconds of interpreting after which a graph is compiled: about what it takes to compile a small one."""

SECONDS_AN_ELEMENT = 5e-9
"""What interpreting an op costs for an element of its result, before it has been measured."""


class Program:
    """A plan as something to call on a device: its program, and how it has been run so far."""

    def __init__(self, plan: Plan, device: Device):
        self.plan = plan
        self.device = device
        self.backend = device.backend
        self.traced: Traced = plan.trace()
        self.interpreted = Interpreted(self.traced.module, self.traced.weights)
        self.compiled: Runner | None = None
        self.spent = 0.0
        elements = sum(prod(shape) for step in plan.steps for shape, _ in step.call.types)
        self.expected = elements * SECONDS_AN_ELEMENT

    def __call__(self, arrays: Sequence[Buffer]) -> Sequence[Buffer]:
        """The results of the steps that are kept, one after the other."""
        if self.compiled is not None:
            return self.backend.run(self.compiled, arrays)
        if self.will_be_compiled():
            self.say("compiling")
            settings = Settings(target=any_target(KINDS[self.device.kind].target))
            self.compiled = self.backend.compile(self.traced.module.clone(), self.traced.weights, settings)
            return self.backend.run(self.compiled, arrays)
        self.say("interpreting")
        start = time.perf_counter()
        results = self.backend.run(self.interpreted, arrays)
        self.expected = time.perf_counter() - start
        self.spent += self.expected
        return results

    def will_be_compiled(self) -> bool:
        """Whether the next run is one of machine code."""
        policy = self.backend.policy()
        worth = self.spent + self.expected > WORTH_COMPILING
        return self.compiled is not None or policy == "compile" or (policy == "auto" and worth)

    def say(self, what: str) -> None:
        if EXPLAIN.get():
            LOG.warning("%s %s", what, self.describe())

    def describe(self) -> str:
        """The calls of the graph, and how long it was interpreted."""
        names = ", ".join(step.call.form.function.__name__ for step in self.plan.steps[:8])
        more = f" and {len(self.plan.steps) - 8} more" if len(self.plan.steps) > 8 else ""
        where = f"{names}{more} on {self.device}"
        if self.backend.policy() == "compile":
            return where
        return f"{where} (interpreted for {self.spent * 1e3:.1f} ms, {self.expected * 1e3:.1f} ms expected)"


@lru_cache(maxsize=1024)
def program_of(plan: Plan, device: Device) -> Program:
    """The program of a plan on a device; plans that are equal share it."""
    return Program(plan, device)


def evaluate(node: Node) -> Sequence[Buffer]:
    """The values of a node. They are computed if it has none, with all on the way there that is still held."""
    if node.values is None:
        plan, kept, arrays = plan_of(node)
        results = iter(program_of(plan, node.device)(arrays))
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
    program = program_of(plan_of(node)[0], node.device)
    how = "compiled" if program.will_be_compiled() else "interpreted"
    return f"{program.describe()}\nit will be {how}:\n{printed(program.traced.module)}"
