"""After how many reductions, one after the other, each step of a row program can be computed."""

from __future__ import annotations

from xmlc.passes.gpu.rows.program import Kind, Made, Program, Step


def levels_of(program: Program) -> dict[Step, int]:
    """A step at level n needs results of reductions at level n - 1, and none of a higher one."""
    levels: dict[Step, int] = {}
    for step in program.steps:
        needs = [
            levels[source.step] + (source.step.kind is Kind.REDUCE)
            for source in step.sources
            if isinstance(source, Made)
        ]
        levels[step] = max(needs, default=0)
    return levels
