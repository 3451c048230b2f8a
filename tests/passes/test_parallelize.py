"""Parallelize: chunks cover every iteration once, meaning stays, and buffers that iterations fill are not shared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import STEPS, random_program
from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import IndexType, MemRefType, ModuleOp, f32
from xdsl.ir import Block
from xdsl.passes import ModulePass
from xdsl.utils.test_value import create_ssa_value

from xmlc.backends.cpu import stages
from xmlc.check import Checker
from xmlc.dialects import context
from xmlc.passes import parallelize
from xmlc.passes.parallelize import Cut, Parallelize, in_pieces
from xmlc.pipeline import run_passes


@given(st.integers(1, 10**6), st.sampled_from([1, 16]), st.integers(2, 64), st.integers(1, 64))
def test_chunks_hold_all_iterations(trips: int, unit: int, threads: int, pieces: int) -> None:
    cut = Cut(scf.ForOp.create(), trips, unit, threads, pieces)
    assert cut.size % unit == 0
    assert cut.size * cut.chunks >= trips
    assert 0 < cut.evenness <= 1


def test_chunks_are_as_many_as_are_even() -> None:
    def cut(trips: int) -> Cut:
        zero, one, end = (arith.ConstantOp.from_int_and_width(n, IndexType()) for n in (0, 1, trips))
        return Cut(scf.ForOp(zero, end, one, [], Block(arg_types=(IndexType(),))), trips, 1, 2)

    assert [in_pieces(cut(trips), 64).size for trips in (9, 341)] == [5, 3]
    assert in_pieces(cut(341), 1).pieces == 1


def test_how_often_a_loop_runs_over_blocks_that_may_be_cut_off() -> None:
    """(min(?, 100) + 15) / 16"""
    most, unit, more = (arith.ConstantOp.from_int_and_width(n, IndexType()) for n in (100, 16, 15))
    unknown = memref.DimOp(create_ssa_value(MemRefType(f32, (-1,))), unit)
    steps = arith.DivUIOp(arith.AddiOp(arith.MinSIOp(unknown, most), more), unit)
    assert parallelize.known(steps.result) == 7
    assert parallelize.known(arith.AddiOp(unknown, more).result) is None


def eager(passes: tuple[ModulePass, ...]) -> list[ModulePass]:
    """The passes, with every loop shared among three threads that can be, in many chunks."""
    return [Parallelize(3, 0, 1) if isinstance(each, Parallelize) else each for each in passes]


def lowered(program: ModuleOp, monkeypatch: pytest.MonkeyPatch) -> int:
    """Interpret a program before and after each pass; how many parallel loops there are in the end."""
    monkeypatch.setattr(parallelize, "LANES", 1)
    monkeypatch.setattr(parallelize, "LEAST_GAIN", 1.0)
    monkeypatch.setattr(parallelize, "EVEN_PIECES", 0.0)
    checker, made = Checker(), context()
    for stage in stages.CPU:
        run_passes(program, eager(stage.passes), made, watchers=[checker], verify_each=True)
    return sum(isinstance(op, scf.ParallelOp) for op in program.walk())


@pytest.mark.parametrize("step", STEPS)
def test_sharing_loops_keeps_the_meaning(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        lowered(random_program(seed, (step,), 3), monkeypatch)


def test_random_programs_have_loops_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(lowered(random_program(seed, most=3), monkeypatch) for seed in range(4)) > 0
