"""A pass that changes what a program computes is caught, named, and shown in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import parse
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from xmlc.bisect import bisect
from xmlc.check import MeaningChanged, check_pipeline
from xmlc.dialects import context
from xmlc.meaning import Outcome, differences, entry_points, random_inputs, run
from xmlc.passes import PASSES

PROGRAM = """
func.func @main(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %s = arith.subf %a, %b : tensor<4xf32>
  %t = arith.mulf %s, %a : tensor<4xf32>
  %dead = arith.addf %t, %a : tensor<4xf32>
  func.return %t : tensor<4xf32>
}
"""


@dataclass(frozen=True)
class CommuteSubtraction(ModulePass):
    """a - b -> b - a: wrong on purpose."""

    name = "commute-subtraction"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for each in list(op.walk()):
            if isinstance(each, arith.SubfOp):
                PatternRewriter(each).replace(each, arith.SubfOp(each.rhs, each.lhs))


@dataclass(frozen=True)
class Keep(ModulePass):
    """Changes nothing."""

    name = "keep"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class Crash(ModulePass):
    """Raises, as a pass with a bug does."""

    name = "crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise RuntimeError("no such thing")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the passes above known to pipelines."""
    for each in (CommuteSubtraction, Keep, Crash):
        monkeypatch.setitem(PASSES, each.name, lambda each=each: each)


def test_check_names_the_first_pass_that_changes_a_result() -> None:
    with pytest.raises(MeaningChanged, match="the pass 'commute-subtraction' changes what") as caught:
        check_pipeline(parse(PROGRAM), (Keep(), CommuteSubtraction(), Keep()), seed=3)
    assert caught.value.culprit == "commute-subtraction"
    assert "@main: result 0 differs: relative error" in str(caught.value)
    assert "the seed 3" in str(caught.value)


def test_check_is_silent_when_the_meaning_is_kept() -> None:
    check_pipeline(parse(PROGRAM), (Keep(), Keep()))


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize(("broken", "reason"), [(CommuteSubtraction(), "result 0 differs"), (Crash(), "no such thing")])
def test_bisect_finds_the_pass_at_any_position(before: int, broken: ModulePass, reason: str) -> None:
    passes = [*[Keep()] * before, broken, *[Keep()] * (3 - before)]
    culprit = bisect(lambda: parse(PROGRAM), passes, context())
    assert culprit is not None
    assert (culprit.position, culprit.transformation) == (before, broken)
    assert reason in culprit.reason


@pytest.mark.usefixtures("planted")
def test_opt_check_reports_the_pass(xmlc: Callable[..., Any]) -> None:
    result = xmlc("opt", "--check", "-p", "keep,commute-subtraction", text=PROGRAM)
    assert result.code == 1
    assert "error: the pass 'commute-subtraction' changes what the program computes: @main: result 0" in result.err
    assert xmlc("opt", "--check", "-p", "keep,dce", text=PROGRAM).code == 0


@pytest.mark.usefixtures("planted")
def test_the_reproducer_of_bisect_shows_the_failure_again(xmlc: Callable[..., Any], tmp_path: Path) -> None:
    program, reproducer = tmp_path / "program.mlir", tmp_path / "reproducer.mlir"
    program.write_text(PROGRAM)
    found = xmlc("bisect", program, "--passes", "dce,keep,commute-subtraction,cse", "-o", reproducer)
    assert found.code == 1
    assert found.out.startswith("pass 3 of 4, 'commute-subtraction', breaks the program:\n@main: result 0 differs")
    text = reproducer.read_text()
    assert "arith.addf" not in text
    assert "--seed 0 --passes 'commute-subtraction'\n" in text
    again = xmlc("bisect", reproducer, "--passes", "commute-subtraction", "-o", tmp_path / "again.mlir")
    assert again.code == 1
    assert xmlc("bisect", program, "--passes", "dce,cse").out == "no pass breaks the program (2 passes, seed 0)\n"


def test_results_are_compared_across_calling_conventions() -> None:
    before = parse("""func.func @main(%x: tensor<3xui8>, %c: i1) -> (tensor<3xui8>, i1) {
  func.return %x, %c : tensor<3xui8>, i1
}""")
    after = parse("""func.func @main(%x: memref<3xi8>, %c: i1, %out: memref<3xi8> {xmlc.output},
    %arena: memref<64xi8> {xmlc.arena}) -> i1 {
  "memref.copy"(%x, %out) : (memref<3xi8>, memref<3xi8>) -> ()
  func.return %c : i1
}""")
    inputs = random_inputs(entry_points(before)["main"], 0)
    expected = run(before, "main", inputs)
    assert [result.dtype for result in expected.results] == [np.uint8, np.bool_]
    assert differences(expected, run(after, "main", inputs, expected)) == []


def test_memory_that_was_never_written_shows() -> None:
    before = parse("func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n  func.return %x : tensor<2xf32>\n}")
    after = parse("func.func @main(%x: memref<2xf32>, %out: memref<2xf32> {xmlc.output}) {\n  func.return\n}")
    inputs = random_inputs(entry_points(before)["main"], 0)
    expected = run(before, "main", inputs)
    (found,) = differences(expected, run(after, "main", inputs, expected))
    assert str(found) == "result 0 differs in 2 elements that are NaN or infinite"


@pytest.mark.parametrize(
    ("a", "b", "agree"),
    [
        (np.float32([1, 2]), np.float32([1, 2.00001]), True),
        (np.float32([1, 2]), np.float32([1, 2.01]), False),
        (np.float64([1, 2]), np.float64([1, 2.00001]), False),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), True),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, -np.inf]), False),
        (np.int32([1, 2]), np.int32([1, 3]), False),
        (np.uint8([200]), np.int8([-56]), True),
        (np.zeros((2, 3)), np.zeros((3, 2)), False),
        (np.bool_([True]), np.bool_([False]), False),
    ],
)
def test_tolerance_depends_on_the_type(a: Any, b: Any, agree: bool) -> None:
    assert (differences(Outcome((a,), ""), Outcome((b,), "")) == []) == agree


def test_what_is_printed_is_compared_as_numbers() -> None:
    assert differences(Outcome((), "1.000000 2.0 \n"), Outcome((), "1 2\n")) == []
    (found,) = differences(Outcome((), "1 2"), Outcome((), "1 3"))
    assert found.what == "what it prints differs"


def test_equal_seeds_give_equal_inputs_and_others_others() -> None:
    function = entry_points(parse(PROGRAM))["main"]
    first, again, other = (random_inputs(function, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
