"""Donated arguments: whatever is given away, a program computes what it did, at every level and as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import programs
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, UnitAttr

from xmlc.backends.cpu.stages import CPU
from xmlc.check import Checker
from xmlc.dialects import context
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import compile_module, entry_of
from xmlc.meaning import Outcome, differences, random_inputs
from xmlc.passes.donate_buffers import DONATED
from xmlc.pipeline import run_passes

few = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def give_away(program: ModuleOp, chosen: int) -> None:
    """Mark the arguments of @main whose bit is set in `chosen`."""
    function = entry_of(program)
    count = len(function.function_type.inputs.data)
    before = function.arg_attrs.data if function.arg_attrs else [DictionaryAttr({})] * count
    function.properties["arg_attrs"] = ArrayAttr(
        [
            DictionaryAttr({**each.data, DONATED: UnitAttr()} if chosen >> i & 1 else each.data)
            for i, each in enumerate(before)
        ]
    )


@few
@given(programs(), st.integers(1, 15))
def test_programs_that_may_write_to_arguments_keep_their_meaning_as_buffers(program: ModuleOp, chosen: int) -> None:
    give_away(program, chosen)
    *first, linalg, structured = (stage.passes for stage in CPU if stage.passes)
    for passes in first:
        run_passes(program, passes, context())
    run_passes(program, (*linalg, structured[0]), context(), watchers=[Checker()], verify_each=True)


@few
@given(programs(), st.integers(1, 15))
def test_machine_code_that_writes_to_arguments_computes_what_is_meant(program: ModuleOp, chosen: int) -> None:
    give_away(program, chosen)
    inputs: list[Any] = [np.asarray(each) for each in random_inputs(entry_of(program), 0, 2)]
    expected = Outcome(tuple(interpret(program, "main", [each.copy() for each in inputs])), "")
    compiled = compile_module(program)
    found = compiled(*inputs)
    assert differences(expected, Outcome(found, "")) == []
    for number, output in compiled.signature.in_place:
        assert found[output] is inputs[number]
