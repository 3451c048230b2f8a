"""Properties of random programs: text round trip, and every pass and every stage keeps the meaning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from oracle import parse
from strategies import STEPS, programs, random_program
from xdsl.dialects.builtin import ModuleOp

from xmlc.backends import TARGETS
from xmlc.backends.stages import refuse_leftovers
from xmlc.check import Checker, check_pipeline
from xmlc.dialects import context
from xmlc.passes import PASSES
from xmlc.pipeline import printed, run_passes
from xmlc.verify import verification_errors

STAGES = tuple(TARGETS["cpu"]())
IN_STAGES = {each.name for stage in STAGES for each in stage.passes}
BY_ITSELF = sorted(set(PASSES) - IN_STAGES - {"time-kernels"})
"""Passes that no stage runs: each must take any program of the graph level. `time-kernels` takes lowered ones, and adds
an output to them: its tests are those of the report."""
OPTIONS: dict[str, dict[str, Any]] = {"batch": {"size": 2}}
"""What a pass must be told."""

few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@few
@given(programs())
def test_a_random_program_is_valid_and_survives_printing(program: ModuleOp) -> None:
    assert verification_errors(program) == []
    text = printed(program)
    assert printed(parse(text)) == text


@few
@given(programs())
def test_every_stage_of_the_cpu_backend_keeps_the_meaning(program: ModuleOp) -> None:
    lower(program)


@pytest.mark.parametrize("name", BY_ITSELF)
@few
@given(program=programs())
def test_a_pass_by_itself_keeps_the_meaning(name: str, program: ModuleOp) -> None:
    check_pipeline(program, [PASSES[name]()(**OPTIONS.get(name, {}))])


@pytest.mark.parametrize("step", STEPS)
def test_programs_of_one_kind_of_step_keep_their_meaning_through_every_stage(step: str) -> None:
    """Names the kind of op at fault more directly than a program of everything does."""
    for seed in range(8):
        lower(random_program(seed, (step,), 3))


def lower(program: ModuleOp) -> None:
    """Bring a program down all stages, interpreting and verifying it after each pass."""
    checker, made = Checker(), context()
    for stage in STAGES:
        run_passes(program, stage.passes, made, watchers=[checker], verify_each=True)
        refuse_leftovers(program, stage)
