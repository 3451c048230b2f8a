"""`--report`: what a program does is counted right, its times add up, and they are not kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from oracle import parse
from xdsl.context import Context

from xmlc.bench.roofs import Roofs
from xmlc.driver import Settings, compile_module
from xmlc.passes.kernel_costs import kernel_costs
from xmlc.pipeline import read_pipeline, run_passes
from xmlc.report import Profile, measure

Run = Callable[..., tuple[int, str, str]]

PROGRAM = """\
func.func @main(%x: tensor<64x64xf32>, %table: tensor<1000x64xf32>, %i: tensor<64xi32>) -> tensor<64x64xf32> {
  %r = ml.gather %table, %i axis = 0 : tensor<1000x64xf32>, tensor<64xi32> -> tensor<64x64xf32>
  %a = ml.matmul %x, %r : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %b = ml.exp %a : tensor<64x64xf32> -> tensor<64x64xf32>
  %c = ml.matmul %b, %x : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  func.return %c : tensor<64x64xf32>
}
"""
MATRIX = 64 * 64 * 4
ROOFS = Roofs({"f32": 1e15}, {1: 1e15}, {"f32": "fma"})


def test_a_kernel_costs_its_operations_and_what_it_reads_and_writes_once() -> None:
    module = parse(PROGRAM)
    run_passes(module, read_pipeline("form-kernels,lower-ml,fuse-linalg"), Context())
    costs = kernel_costs(module)
    assert costs["matmul_exp"].flops == 2 * 64**3 + 64**2
    assert costs["matmul_exp"].moved == 3 * MATRIX
    assert costs["matmul"].flops == 2 * 64**3
    # of the table only the rows that are gathered
    assert costs["gather"].moved == 2 * MATRIX + 64 * 4


def test_the_times_of_kernels_add_up_to_less_than_the_whole_and_results_are_the_same() -> None:
    generator = np.random.default_rng(0)
    x, table = (generator.standard_normal(shape, np.float32) * 0.1 for shape in ((64, 64), (1000, 64)))
    i = generator.integers(0, 1000, 64, np.int32)
    (expected,) = compile_module(parse(PROGRAM))(x, table, i)
    profile = Profile()
    compiled = compile_module(parse(PROGRAM), settings=Settings(profile=profile))
    found, times = compiled(x, table, i)
    assert np.array_equal(found, expected)
    assert times.shape == (len(profile.kernels), 2)
    assert (times[:, 0] > 0).all() and (times[:, 1] == 1).all()
    report = measure(compiled, profile, [x, table, i], 1, ROOFS)
    assert sum(row.seconds for row in report.rows) <= report.seconds
    assert {row.kernel for row in report.rows} == {"gather", "matmul_exp", "matmul"}
    row = next(row for row in report.rows if row.kernel == "matmul")
    assert row.flop_rate is not None and np.isclose(row.flop_rate, 2 * 64**3 / row.seconds)
    assert report.peak_bytes > 2**20


def test_code_that_times_its_kernels_is_not_kept_in_the_cache() -> None:
    for profile in (None, Profile(), None):
        compiled = compile_module(parse(PROGRAM), settings=Settings(profile=profile))
        assert len(compiled.signature.outputs) == (2 if profile else 1)


def test_a_report_is_printed_beside_the_outputs(xmlc: Run) -> None:
    code, out, err = xmlc("run", "-", "--from", "mlir", "--random", 0, "--report", "--check", text=PROGRAM)
    assert code == 0
    assert out.startswith("output0: float32 64x64\n") and "kernel times" not in out
    assert "matmul_exp" in err and "memory: arena" in err and "agrees with the reference" in err


def test_a_report_is_data_too(xmlc: Run) -> None:
    code, out, _ = xmlc("run", "-", "--from", "mlir", "--random", 0, "--report", "--json", text=PROGRAM)
    assert code == 0
    report = json.loads(out)["report"]
    assert {"kernel", "seconds", "flops_per_second", "share_of_roof", "places"} <= report["rows"][0].keys()


def test_a_program_past_its_kernels_cannot_be_timed(xmlc: Run) -> None:
    lowered = xmlc("compile", "-", "--from", "mlir", "--emit", "structured", text=PROGRAM)[1]
    code, _, err = xmlc("run", "-", "--random", 0, "--report", text=lowered)
    assert code == 1
    assert "error: the program is past the stage at which kernels are timed\n" in err
    assert "hint: start from an earlier stage" in err
