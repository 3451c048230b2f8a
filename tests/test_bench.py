"""The benchmarks: timing against a clock of the test's own, records, comparisons, and one small run for real."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import model, node

from xmlc.backends.cpu.jit import assembly
from xmlc.backends.cpu.target import parse_target
from xmlc.bench import runner
from xmlc.bench.case import Array, Case, error_of, random_inputs
from xmlc.bench.compare import compare
from xmlc.bench.contestant import Contestant, Declined
from xmlc.bench.kinds import KINDS
from xmlc.bench.measure import Plan, Timing, measure, runnable_threads, timing_of, wait_for_idle_threads
from xmlc.bench.micro import micro
from xmlc.bench.models import MODELS, model_inputs, models
from xmlc.bench.peers import PEERS, absent_peers, prepare_numpy, prepare_xmlc
from xmlc.bench.record import Cell, Outcome, Record, read_record
from xmlc.bench.reference import reference_of
from xmlc.bench.roofs import Roofs, measure_roofs, peaks, tile_peak_ir
from xmlc.bench.runner import under_roofs
from xmlc.bench.session import Orders, run_case
from xmlc.bench.summary import best_peer, geometric_mean, groups, ratio, share_of_roof, slowest
from xmlc.bench.table import cell_table, plain, seconds_text, troubles
from xmlc.bench.widen import widen
from xmlc.dialects.diagnostics import CompileError

ROOT = Path(__file__).resolve().parent.parent

ROOFS = Roofs({"f32": 1e9, "f64": 5e8}, {1000: 1e9, 10**6: 1e8}, {"f32": "fma", "f64": "fma"})


# --- timing


class Clock:
    """Time that passes only when a contestant runs."""

    def __init__(self) -> None:
        self.now = 0
        self.order: list[str] = []

    def __call__(self) -> int:
        return self.now

    def takes(self, name: str, *durations: int) -> Callable[[], None]:
        """A contestant that takes so many nanoseconds a call, the last of them from then on."""
        left = list(durations)

        def run() -> None:
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_a_timing_is_the_median_of_samples_with_its_quartiles() -> None:
    timing = timing_of([4.0, 1.0, 2.0, 3.0, 100.0], 1)
    assert (timing.median, timing.low, timing.high, timing.least, timing.samples) == (3.0, 2.0, 4.0, 1.0, 5)
    assert timing.spread == pytest.approx(2 / 3)
    assert timing_of([2.0], 1).spread == 0


def test_contestants_take_turns_and_each_begins_a_round_in_turn() -> None:
    clock = Clock()
    second = 10**9
    contestants = {name: clock.takes(name, second) for name in "abc"}
    measure(contestants, Plan(rounds=3, seconds=10), clock, sleep=lambda _: None)
    assert clock.order[3:] == list("abc" + "bca" + "cab")  # after one call each that finds how many fill a sample


def test_a_short_call_is_repeated_until_a_sample_is_long_enough() -> None:
    clock = Clock()
    timing = measure({"a": clock.takes("a", 1000)}, Plan(rounds=5, sample_s=0.001), clock, lambda _: None)["a"]
    assert timing.median == pytest.approx(1e-6)
    assert timing.calls == 1000
    assert timing.samples == 5


def test_a_slow_contestant_gets_fewer_samples_and_does_not_stop_the_others() -> None:
    clock = Clock()
    contestants = {"slow": clock.takes("slow", 10**9), "quick": clock.takes("quick", 10**7)}
    timings = measure(contestants, Plan(rounds=10, seconds=0.5), clock, lambda _: None)
    assert timings["slow"].samples == 1
    assert timings["quick"].samples == 10


def test_a_disturbed_sample_moves_the_spread_and_not_the_median() -> None:
    clock = Clock()
    run = clock.takes("a", *[10**8] * 3, 9 * 10**8, 10**8)
    timing = measure({"a": run}, Plan(rounds=7, seconds=10), clock, lambda _: None)["a"]
    assert timing.median == timing.least == pytest.approx(0.1)


def test_several_threads_are_given_time_to_fall_asleep() -> None:
    clock, pauses = Clock(), []
    measure({"a": clock.takes("a", 10**9)}, Plan(rounds=2, seconds=9, pause_s=0.003), clock, pauses.append)
    assert pauses == [0.003, 0.003]


def test_several_threads_are_warmed_up_before_each_sample() -> None:
    clock = Clock()
    plan = Plan(rounds=2, seconds=9, sample_s=0.001, warm_s=0.003)
    timing = measure({"a": clock.takes("a", 10**6)}, plan, clock, lambda _: None)["a"]
    assert timing.samples == 2
    assert len(clock.order) == 1 + 2 * (3 + 1)  # one call finds how many fill a sample


def test_an_idle_process_is_not_waited_for() -> None:
    before = time.perf_counter()
    wait_for_idle_threads(10)
    assert time.perf_counter() - before < 5


def test_threads_that_wait_for_a_core_are_not_idle(tmp_path: Path) -> None:
    mine = threading.get_native_id()
    states = {mine: "R (running)", mine + 1: "S", mine + 2: "R", mine + 3: "D"}
    for thread, state in states.items():
        (tmp_path / str(thread)).mkdir()
        (tmp_path / str(thread) / "stat").write_text(f"{thread} (a) R name) {state[:1]} 1 2 3\n")
    (tmp_path / "ended").mkdir()
    assert runnable_threads(str(tmp_path)) == 1
    assert runnable_threads(str(tmp_path / "none")) == 0


# --- cases and their right answers

SMALL = Case("softmax/f32/4x8", "softmax", "softmax", "f32", ((4, 8),))


def test_every_case_of_the_suite_has_its_own_name_and_a_kind() -> None:
    names = [case.name for case in micro()]
    assert len(set(names)) == len(names)
    assert {case.kind for case in micro()} == set(KINDS)


# one small case of every kind
SAMPLES = [
    Case("matmul", "", "matmul", "f32", ((5, 7), (7, 3))),
    Case("matmul f64", "", "matmul", "f64", ((2, 5, 7), (2, 7, 3))),
    Case("matmul bf16", "", "matmul", "bf16", ((5, 7), (7, 3))),
    Case("matmul f16", "", "matmul", "f16", ((5, 7), (7, 3))),
    Case("matmul i8", "", "matmul_i8", "i8", ((5, 7), (7, 3))),
    Case("transposed", "", "matmul_nt", "f32", ((5, 7), (3, 7))),
    Case("conv", "", "conv", "f32", ((1, 4, 6, 6), (8, 2, 3, 3), (8,)), {"stride": 2, "padding": 1, "groups": 2}, 2),
    Case(
        "depthwise", "", "conv", "f32", ((1, 4, 6, 6), (4, 1, 3, 3), (4,)), {"stride": 1, "padding": 1, "groups": 4}, 2
    ),
    SMALL,
    Case("layer_norm", "", "layer_norm", "f32", ((4, 8), (8,), (8,)), {}, 2),
    Case("gelu_chain", "", "gelu_chain", "f32", ((4, 8), (8,), (4, 8))),
    Case("sum", "", "sum", "f32", ((4, 8),), {"axis": 1}),
    Case("max", "", "max", "f32", ((4, 8),), {"axis": 0}),
    Case("argmax", "", "argmax", "f32", ((4, 8),), {"axis": 1}),
    Case("cumulative_sum", "", "cumulative_sum", "f32", ((4, 8),), {"axis": 0}),
    Case("sort", "", "sort", "f32", ((4, 8),)),
    Case("argsort", "", "argsort", "f32", ((4, 8),)),
    Case("topk", "", "topk", "f32", ((4, 8),), {"k": 3}),
    Case("transpose", "", "transpose", "f32", ((2, 3, 4),), {"order": (2, 0, 1)}),
    Case("attention", "", "attention", "f32", ((1, 2, 4, 64), (1, 2, 5, 64), (1, 2, 5, 64))),
]


def test_the_samples_cover_every_kind() -> None:
    assert {case.kind for case in SAMPLES} == set(KINDS)


@pytest.mark.parametrize("name", [name for name in PEERS if name not in absent_peers(list(PEERS))])
@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: case.name)
def test_a_contestant_that_takes_a_case_on_gives_the_right_answer(case: Case, name: str) -> None:
    if name == "torch.compile":
        pytest.skip("takes seconds a case, and computes what torch does")
    inputs = random_inputs(case)
    wanted, _ = reference_of(case, inputs)
    try:
        contestant = PEERS[name].prepare(case, inputs, 1)
    except Declined:
        return
    # OpenVINO computes products of f64 in f32, which is what the benchmark says of it
    allowed = 1e-6 if (name, case.dtype) == ("openvino", "f64") else case.allowed
    assert error_of(contestant.arrays(contestant.run()), wanted) <= allowed


def test_inputs_are_random_the_same_each_time_and_never_all_zeros() -> None:
    for case in SAMPLES:
        for first, second in zip(random_inputs(case), random_inputs(case)):
            np.testing.assert_array_equal(first, second)
            assert first.size < 4 or len(np.unique(first.astype(np.float64))) > 1


def test_an_error_is_relative_to_the_largest_element_and_a_wrong_shape_is_infinite() -> None:
    wanted = np.array([100.0, 1.0])
    assert error_of([np.array([100.0, 2.0])], [wanted]) == pytest.approx(0.01)
    assert error_of([np.array([100.0])], [wanted]) == math.inf
    assert error_of([np.array([np.nan, 1.0])], [wanted]) == math.inf
    assert error_of([np.array([np.nan])], [np.array([np.nan])]) == 0
    assert error_of([], [wanted]) == math.inf


def test_work_is_counted_from_shapes() -> None:
    assert KINDS["matmul"].flops([(2, 5, 7), (2, 7, 3)], (2, 5, 3)) == 2 * 2 * 5 * 7 * 3
    assert KINDS["conv"].flops([(1, 4, 6, 6), (8, 2, 3, 3), (8,)], (1, 8, 3, 3)) == 2 * 72 * 18


# --- a case


def correct(delay: Callable[[], None]) -> Any:
    def prepare(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
        def run() -> Any:
            delay()
            powers = np.exp(inputs[0] - inputs[0].max(-1, keepdims=True))
            return powers / powers.sum(-1, keepdims=True)

        return Contestant(run, lambda result: [result])

    return prepare


def shifted(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    return Contestant(lambda: inputs[0] + 1, lambda result: [result])


def declines(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    raise Declined("not today")


def fails(case: Case, inputs: Sequence[Array], threads: int) -> Contestant:
    raise ValueError("no such\nthing")


def small_cell(**contestants: Any) -> Cell:
    clock = Clock()
    delays = {name: correct(clock.takes(name, time)) for name, time in contestants.items() if isinstance(time, int)}
    plan = Plan(rounds=3, seconds=100)
    return run_case(SMALL, {**contestants, **delays}, 1, plan, lambda event, what: None, clock)


def test_a_wrong_answer_is_shown_and_its_time_does_not_count() -> None:
    cell = small_cell(xmlc=10**9, numpy=shifted)
    assert cell.outcomes["numpy"].status == "wrong"
    assert re.match(r"error \d.*, allowed 2e-05", cell.outcomes["numpy"].message)
    assert cell.seconds("numpy") is None
    assert best_peer(cell) is None
    assert ratio(cell) is None


def test_a_contestant_may_decline_and_one_that_fails_does_not_stop_the_others() -> None:
    cell = small_cell(xmlc=10**9, numpy=declines, torch=fails, jax=2 * 10**9)
    assert (cell.outcomes["numpy"].status, cell.outcomes["numpy"].message) == ("declined", "not today")
    assert (cell.outcomes["torch"].status, cell.outcomes["torch"].message) == ("error", "ValueError: no such thing")
    assert best_peer(cell) == ("jax", 2.0)
    assert ratio(cell) == 2.0


def test_a_roof_is_the_larger_of_computing_and_moving_in_the_cache_that_holds_the_data() -> None:
    assert ROOFS.seconds("f32", 10**9, 8) == 1.0
    assert ROOFS.seconds("f32", 0, 1000) == pytest.approx(1e-6)
    assert ROOFS.seconds("f32", 0, 1001) == pytest.approx(1001 / 1e8)
    assert ROOFS.seconds("f32", 0, 10**9) == pytest.approx(10)
    [cell] = under_roofs([small_cell(xmlc=10**9)], ROOFS, set())
    assert cell.bytes == 2 * 4 * 8 * 4
    assert share_of_roof(cell) == pytest.approx(cell.bytes / 1e9)
    [model] = under_roofs([small_cell(xmlc=10**9)], ROOFS, {SMALL.name})  # whose work is not counted
    assert share_of_roof(model) is None


def test_the_peak_of_the_matrix_unit_is_products_of_tiles_and_nothing_else() -> None:
    target = parse_target("x86_64-linux-gnu:amx")
    found = {peak.dtype: peak for peak in peaks(target)}
    assert {name: peak.name for name, peak in found.items()} == {
        "f32": "fma", "f64": "fma", "bf16": "tdpbf16ps", "i8": "tdpbssd",
    }  # fmt: skip
    text = assembly(tile_peak_ir(found["bf16"], 24), target, 2)
    loop = re.findall(r"\ttdpbf16ps\t%tmm(\d), %tmm(\d), %tmm(\d)", text)
    assert len(loop) == 24 and {sums for *_, sums in loop} == set("0123")
    assert re.search(r"\tldtilecfg\t", text)


def test_the_roofs_of_this_machine_are_plausible() -> None:
    found = measure_roofs(1)
    assert 1e9 < found.flops["f64"] < found.flops["f32"] < 1e13
    sizes = sorted(found.bandwidth)
    assert found.bandwidth[sizes[0]] > found.bandwidth[sizes[-1]] > 1e8


# --- records


def timed(seconds: float, spread: float = 0.0) -> Outcome:
    half = seconds * spread / 2
    return Outcome("ok", "", Timing(seconds, seconds - half, seconds + half, seconds - half, 5, 1), 0.1, 1e-7)


def cell(name: str, group: str = "g", threads: int = 1, **outcomes: Outcome) -> Cell:
    return Cell(name, group, "f32", threads, 100, 200, 0.5, "float64 by numpy", outcomes)


def record(*cells: Cell, **fields: Any) -> Record:
    made = Record(
        "micro",
        "2026-01-01T00:00:00+00:00",
        {"processor": "p", "cores": 2, "load": 0.1},
        {"xmlc": "0.1.0", "numpy": "2.0"},
        "abc",
        {"quick": True},
        {"jax": "pip install jax"},
        {1: ROOFS},
        list(cells),
    )
    return replace(made, **fields)


def test_a_record_survives_json() -> None:
    made = record(cell("a", xmlc=timed(1.0), numpy=Outcome("declined", "no")), cell("b", xmlc=Outcome("crash")))
    text = made.to_json()
    assert Record.from_json(text) == made
    assert len([line for line in text.splitlines() if '"case"' in line]) == 2  # a line a cell


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": 1}', '{"schema": 1, "roofs": 3, "cells": []}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(CompileError, match="'f' is not a record of xmlc bench"):
        Record.from_json(text, "f")


def test_a_record_of_another_schema_is_refused() -> None:
    text = record().to_json().replace('"schema": 1', '"schema": 2')
    with pytest.raises(CompileError, match="'f' is of schema 2, expected 1"):
        Record.from_json(text, "f")


def test_the_documentation_names_every_field_of_a_record() -> None:
    text = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    fields = {field for type_ in (Record, Cell, Outcome, Timing, Roofs) for field in type_.__dataclass_fields__}
    assert {field for field in fields if f"`{field}`" not in text} == set()


def test_the_records_in_the_repository_can_be_read() -> None:
    for file in (Path(__file__).parent.parent / "benchmarks" / "results").glob("*.bench.json"):
        assert read_record(file).cells


# --- summaries


def test_groups_are_geometric_means_over_the_best_peer_of_each_cell() -> None:
    a = cell("a", xmlc=timed(1.0), numpy=timed(4.0), torch=timed(8.0))
    b = cell("b", xmlc=timed(1.0), numpy=timed(3.0), torch=timed(1.0))
    found = groups(record(a, b))[0]
    assert found.ratio == pytest.approx(2.0)
    assert found.worst == 1.0
    assert found.against == {"numpy": pytest.approx(math.sqrt(12)), "torch": pytest.approx(math.sqrt(8))}
    assert found.share == pytest.approx(0.5)
    assert [each.case for each, _ in slowest(record(a, b), 1)] == ["b"]
    assert math.isnan(geometric_mean([]))


def test_the_table_shows_what_did_not_count() -> None:
    a = cell("a", xmlc=timed(1.5e-3), numpy=replace(timed(1.0), status="wrong", message="error 1"), jax=timed(3e-6))
    made = record(a)
    assert plain(cell_table(made)).splitlines()[2].split() == [
        "a", "1", "1.5", "ms", "3", "µs", "jax", "0.00x", "33333%", "0%"
    ]  # fmt: skip
    assert troubles(made) == ["a [1]: numpy wrong: error 1"]
    assert [seconds_text(each) for each in (2.0, 0.0123, 4.5e-8, None)] == ["2 s", "12.3 ms", "45 ns", "-"]


# --- comparisons


def test_a_change_beyond_the_noise_is_told_and_one_within_is_not() -> None:
    old = record(*(cell(name, xmlc=timed(1.0, 0.04)) for name in "abc"))
    new = record(cell("a", xmlc=timed(1.2, 0.04)), cell("b", xmlc=timed(1.06, 0.04)), cell("c", xmlc=timed(0.5)))
    made = compare(old, new)
    assert [change.verdict for change in made.changes] == ["slower", "", "faster"]
    assert made.mean == pytest.approx((1.2 * 1.06 * 0.5) ** (1 / 3))


def test_the_drift_of_the_machine_is_taken_out() -> None:
    old = record(cell("a", xmlc=timed(1.0), numpy=timed(1.0)), cell("b", xmlc=timed(1.0), numpy=timed(1.0)))
    new = record(cell("a", xmlc=timed(2.0), numpy=timed(2.0)), cell("b", xmlc=timed(3.0), numpy=timed(2.0)))
    made = compare(old, new)
    assert made.drift == {1: pytest.approx(2.0)}
    assert [(change.cell, change.verdict) for change in made.changes] == [("a [1]", ""), ("b [1]", "slower")]


def test_a_peer_of_another_version_says_nothing_about_the_machine() -> None:
    old = record(cell("a", xmlc=timed(1.0), numpy=timed(1.0)))
    new = record(cell("a", xmlc=timed(2.0), numpy=timed(2.0)), versions={"xmlc": "0.1.0", "numpy": "2.1"})
    made = compare(old, new)
    assert made.drift == {1: 1.0}
    assert made.notes == ["numpy: 2.0 then, 2.1 now"]
    assert made.regressions


def test_cells_that_broke_or_came_or_went_are_told() -> None:
    wrong = Outcome("wrong", "error 1")
    old = record(cell("a", xmlc=timed(1.0)), cell("b", xmlc=wrong), cell("c", xmlc=timed(1.0)))
    new = record(cell("a", xmlc=wrong), cell("b", xmlc=timed(1.0)), cell("a", threads=2, xmlc=timed(1.0)))
    made = compare(old, new)
    assert made.broken == {"a [1]": "wrong: error 1"}
    assert made.mended == ["b [1]"]
    assert (made.only_old, made.only_new) == (["c [1]"], ["a [2]"])


# --- models


def test_a_model_of_the_table_draws_its_inputs_and_any_other_what_it_declares(tmp_path: Path) -> None:
    onnx.save(model([node("Relu", "x", "y")], {"x": (2, 3)}, ["y"]), tmp_path / "mine.onnx")
    onnx.save(model([node("Relu", "input", "y")], {"input": (1, 4)}, ["y"]), tmp_path / "surrogate_mlp.onnx")
    mine, known = models(tmp_path)
    assert (mine.name, mine.shapes) == ("model/mine", ((2, 3),))
    assert (known.name, known.shapes) == ("model/surrogate_mlp/N=1", ((1, 4),))
    assert len(models(tmp_path, every_shape=True)) == 3
    (x,) = model_inputs(mine)
    wanted, source = reference_of(mine, [x])
    assert source == "float64 by the reference interpreter"
    np.testing.assert_array_equal(wanted[0], np.maximum(x, 0).astype(np.float64))
    contestant = prepare_xmlc(mine, [x], 1)
    np.testing.assert_array_equal(contestant.run()[0], np.maximum(x, 0))


def test_a_model_of_free_sizes_has_to_be_in_the_table(tmp_path: Path) -> None:
    onnx.save(model([node("Relu", "x", "y")], {"x": ("B", 3)}, ["y"]), tmp_path / "mine.onnx")
    with pytest.raises(CompileError, match="has free sizes"):
        models(tmp_path)


def test_a_folder_without_models_says_where_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="there are no ONNX files") as error:
        models(tmp_path)
    assert "fetch_models.py" in str(error.value)


def test_a_model_is_widened_to_float64_and_nothing_else_of_it_changes() -> None:
    made = model([node("Cast", "x", "c", to=onnx.TensorProto.FLOAT), node("Mul", "c two", "y")], {"x": (3,)}, ["y"],
                 {"two": np.float32(2)})  # fmt: skip
    wide = widen(made)
    assert {each.type.tensor_type.elem_type for each in wide.graph.input} == {onnx.TensorProto.DOUBLE}
    assert wide.graph.node[0].attribute[0].i == onnx.TensorProto.DOUBLE
    assert {each.data_type for each in wide.graph.initializer} == {onnx.TensorProto.DOUBLE}
    assert made.graph.initializer[0].data_type == onnx.TensorProto.FLOAT


def test_every_model_that_can_be_fetched_has_inputs() -> None:
    text = (ROOT / "benchmarks" / "fetch_models.py").read_text(encoding="utf-8")
    assert set(re.findall(r'^    "(\w+)": Row\(', text, re.MULTILINE)) == set(MODELS) - {"digits"} - exported_networks()


def exported_networks() -> set[str]:
    """The names in the table of the script that exports networks of torch; it is read, not run: it needs torch."""
    text = (ROOT / "benchmarks" / "export_torch_models.py").read_text(encoding="utf-8")
    return set(re.findall(r'"(\w+)"', text[text.index("NETWORKS: dict") :].partition("\n}\n")[0]))


def test_every_network_that_can_be_exported_has_inputs() -> None:
    assert len(exported_networks()) == 10
    assert exported_networks() <= MODELS.keys()


# --- the process that measures

CHILD = """\
import json, sys, time
orders = json.loads(sys.stdin.read())
def tell(event, what):
    print(json.dumps({"event": event, "what": what}), flush=True)
for case in orders["cases"]:
    tell("case", case["name"])
    skipped = orders["skip"].get(case["name"], {})
    for peer in orders["peers"]:
        if peer in skipped:
            continue
        tell("trying", peer)
        if peer == "crashes":
            raise SystemExit(3)
        if peer == "hangs":
            time.sleep(60)
    outcomes = {name: {"status": status, "message": "", "timing": None, "prepare_s": None, "error": None}
                for name, status in {**dict.fromkeys(orders["peers"], "ok"), **skipped}.items()}
    tell("cell", {"case": case["name"], "group": "g", "dtype": "f32", "threads": 1, "flops": 0, "bytes": 0,
                  "roof_s": 0.0, "reference": "", "outcomes": outcomes})
tell("done", None)
"""


def test_a_contestant_that_crashes_or_hangs_loses_its_cell_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    monkeypatch.setattr(runner, "COMMAND", [sys.executable, str(tmp_path / "child.py")])
    cases = [SMALL, replace(SMALL, name="other")]
    found = runner.run_cases(cases, ["xmlc", "crashes", "hangs"], 1, Plan(), 1.0, lambda *_: None)
    statuses = [{name: each.status for name, each in cell.outcomes.items()} for cell in found.cells]
    assert statuses == [{"xmlc": "ok", "crashes": "crash", "hangs": "timeout"}] * 2
    assert found.left_out == []


def test_no_case_is_started_after_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "COMMAND", ["no such program"])
    found = runner.run_cases([SMALL], ["xmlc"], 2, Plan(), 1.0, lambda *_: None, deadline=0.0)
    assert found.left_out == ["softmax/f32/4x8 [2]"]


def test_what_was_measured_before_an_interruption_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(orders: Orders, found: runner.Findings, *_: Any) -> None:
        found.cells.append(cell(SMALL.name))
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "one_session", interrupted)
    found = runner.run_cases([SMALL, replace(SMALL, name="b")], ["xmlc"], 1, Plan(), 1.0, lambda *_: None)
    assert found.interrupted
    assert ([each.case for each in found.cells], found.left_out) == ([SMALL.name], ["b [1]"])


def test_orders_survive_their_way_to_the_process() -> None:
    orders = Orders(SAMPLES, ["xmlc"], 2, Plan(rounds=3), {"matmul": {"xmlc": "crash"}})
    again = Orders.from_json(orders.to_json())
    assert [case.shapes for case in again.cases] == [case.shapes for case in SAMPLES]
    assert (again.plan, again.skip) == (orders.plan, orders.skip)


# --- the command


def test_two_cases_are_measured_for_real(xmlc: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    only = "^softmax/f32/128x512$|^sum-axis1/f32/128x512$"
    code, out, err = xmlc("bench", "micro", "--quick", "--only", only, "--peers", "numpy", "-o", file)
    assert (code, err) == (0, "")
    made = read_record(file)
    assert [cell.case for cell in made.cells] == ["softmax/f32/128x512", "sum-axis1/f32/128x512"]
    for each in made.cells:
        assert {name: outcome.status for name, outcome in each.outcomes.items()} == {"xmlc": "ok", "numpy": "ok"}
        assert 0 < share_of_roof(each) < 2  # pyright: ignore[reportOptionalOperand]
    assert "softmax/f32/128x512" in out and "trust the ratios" in out
    assert xmlc("bench", "show", file).out == out
    code, out, _ = xmlc("bench", "compare", file, file)
    assert code == 0
    assert out.splitlines()[-1] == (
        "2 cells compared: geometric mean 1.000x without drift, 0 slower and 0 faster beyond the noise"
    )


def test_the_shipped_network_is_measured_where_no_folder_is_given(xmlc: Callable[..., Any]) -> None:
    assert xmlc("bench", "models", "--every-shape", "--list").out == "model/digits/N=1\nmodel/digits/N=64\n"


def test_comparing_shows_what_became_slower_and_says_so_by_its_exit_code(
    xmlc: Callable[..., Any], tmp_path: Path
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(record(cell("a", xmlc=timed(1.0)), cell("b", xmlc=timed(1.0))).to_json())
    new.write_text(record(cell("a", xmlc=timed(2.0)), cell("b", xmlc=Outcome("crash"))).to_json())
    code, out, _ = xmlc("bench", "compare", old, new)
    assert code == 1
    assert re.search(r"^a \[1\] +1 s +2 s +2.00x +2.00x +5% +slower$", out, re.MULTILINE)
    assert "broken: b [1]: crash" in out
    assert json.loads(xmlc("bench", "compare", old, new, "--json").out)["changes"][0]["verdict"] == "slower"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["micro", "--only", "zzz"], "error: no case matches 'zzz'"),
        (["micro", "--only", "("], "error: '(' is not a regular expression"),
        (["micro", "--peers", "nunpy"], "hint: did you mean 'numpy'?"),
        (["micro", "--threads", "two"], "error: cannot read the numbers of threads 'two'"),
        (["micor"], "hint: did you mean 'micro'?"),
    ],
)
def test_a_mistake_of_usage_is_told(xmlc: Callable[..., Any], arguments: list[str], message: str) -> None:
    code, _, err = xmlc("bench", *arguments)
    assert code == 2
    assert message in err


def test_a_plot_of_another_suffix_is_refused_before_anything_is_measured(xmlc: Callable[..., Any]) -> None:
    code, _, err = xmlc("bench", "micro", "--plot", "x.txt")
    assert (code, err) == (1, "error: cannot plot to 'x.txt'\nhint: give a file that ends in .png, .svg, .pdf\n")


def test_a_plot_is_drawn_where_matplotlib_is_there(xmlc: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(record(cell("a", xmlc=timed(1.0), numpy=timed(2.0)), cell("b", xmlc=Outcome("crash"))).to_json())
    code, _, err = xmlc("bench", "show", file, "--plot", tmp_path / "r.svg")
    if "matplotlib" in err:
        assert (code, err) == (
            1,
            "error: plots need matplotlib, which is not installed\nhint: pip install 'xmlc[bench]'\n",
        )
    else:
        assert "<svg" in (tmp_path / "r.svg").read_text()


def test_the_peers_are_listed_with_how_to_install_them(xmlc: Callable[..., Any]) -> None:
    records = json.loads(xmlc("bench", "peers", "--json").out)
    assert [each["peer"] for each in records] == list(PEERS)
    assert all(each["installed"] or each["what"].startswith("pip install") for each in records)


def test_numpy_declines_what_it_has_no_fast_arithmetic_for() -> None:
    with pytest.raises(Declined, match="NumPy has no fast bf16 arithmetic"):
        prepare_numpy(SAMPLES[2], random_inputs(SAMPLES[2]), 1)


# --- networks of torch


def test_torch_runs_the_network_that_was_exported_beside_a_model_and_declines_one_without(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    onnx_file = tmp_path / "mlp.onnx"
    onnx_file.write_bytes((ROOT / "examples" / "digits.onnx").read_bytes())
    (case,) = models(tmp_path)
    (x,) = model_inputs(case)
    with pytest.raises(Declined, match=r"no export of torch's own beside this one"):
        PEERS["torch"].prepare(case, [x], 1)
    network = torch.nn.Linear(784, 3).eval()
    torch.export.save(torch.export.export(network, (torch.from_numpy(x),)), tmp_path / "mlp.pt2")
    contestant = PEERS["torch"].prepare(case, [x], 1)
    (found,) = contestant.arrays(contestant.run())
    assert np.allclose(found, network(torch.from_numpy(x)).detach().numpy(), rtol=1e-5)
