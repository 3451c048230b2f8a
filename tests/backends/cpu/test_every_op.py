"""Every op of `ml`, with every element type it takes, gives as machine code what its reference gives.

Samples of one element type are compiled as one program, so that all of them take seconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from ml_corners import CORNERS
from ml_samples import NAMED, NUMBERS, OPS, SAMPLES, Array, Sample, program
from oracle import mlir_opt, needs_mlir
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32, i32
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import ELEMENTS, FLOATS, TO_NUMPY, is_float
from xmlc.dialects.ml import elementwise as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import STAGE, Settings, compile_module
from xmlc.meaning import difference
from xmlc.pipeline import printed


class Batch(NamedTuple):
    """Several samples as one program, the inputs of all, and what each of its results belongs to."""

    module: ModuleOp
    inputs: list[Array]
    labels: list[str]


def batch(samples: Sequence[Sample], element: Attribute) -> Batch:
    labels: list[str] = []

    def build(*arguments: SSAValue) -> list[SSAValue]:
        rest, results = list(arguments), list[SSAValue]()
        for sample in samples:
            count = len(sample.operands)
            made = sample.build(*rest[:count])
            made = list(made.results) if isinstance(made, Operation) else made
            made = [made] if isinstance(made, SSAValue) else list(made)
            rest[:count] = []
            results += made
            labels.extend(f"{sample} on {', '.join(sample.operands)}, result {k}" for k in range(len(made)))
        return results

    types = [type for sample in samples for type in sample.types(element)]
    return Batch(program(types, build), [x for sample in samples for x in sample.inputs(element)], labels)


MLIR_LEVELS = ("linalg", "structured")


class Outcome(NamedTuple):
    """What the reference gives, what machine code gives, and the program at every level."""

    expected: list[Array]
    found: Sequence[Array]
    levels: dict[str, str]


def outcome(module: ModuleOp, inputs: Sequence[Array], *, simplified: bool = False) -> Outcome:
    """Run a module both ways; it is consumed. LLVM's vectorisers run at level 1 too, and 3 takes thrice as long.

    The passes of the graph level, which would fold and rewrite some ops away, run only if `simplified`.
    """
    with np.errstate(all="ignore"):
        expected = interpret(module, "main", [x.copy() for x in inputs])
    levels: dict[str, str] = {}

    def record(stage: str, made: ModuleOp | str | bytes) -> None:
        if stage in MLIR_LEVELS:
            assert isinstance(made, ModuleOp)
            levels[stage] = printed(made)

    if not simplified:
        module.attributes[STAGE] = StringAttr("ml")
    compiled = compile_module(module, settings=Settings(opt_level=1, stage_watchers=[record]))
    return Outcome([np.asarray(each) for each in expected], compiled(*inputs), levels)


@cache
def outcome_of_samples(element: Attribute) -> tuple[list[str], Outcome]:
    """All samples of one element type: what each result belongs to, and the results."""
    module, inputs, labels = batch(of_element((*SAMPLES, *CORNERS), element), element)
    return labels, outcome(module, inputs)


def of_element(samples: Sequence[Sample], element: Attribute) -> list[Sample]:
    return [sample for sample in samples if element in sample.elements]


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_machine_code_of_every_sample_agrees_with_the_reference(element: Attribute) -> None:
    check(*outcome_of_samples(element))


def check(labels: Sequence[str], made: Outcome) -> None:
    wrong = [difference(each, a, b) for each, a, b in zip(labels, made.expected, made.found, strict=True)]
    assert not any(wrong), "\n".join(str(each) for each in wrong if each)


@pytest.mark.parametrize("element", (f32, i32), ids=str)
def test_the_graph_passes_keep_what_every_sample_gives(element: Attribute) -> None:
    module, inputs, labels = batch(of_element((*SAMPLES, *CORNERS), element), element)
    check(labels, outcome(module, inputs, simplified=True))


@needs_mlir
@pytest.mark.parametrize("level", MLIR_LEVELS)
def test_mlir_accepts_every_sample_at(level: str) -> None:
    texts = [outcome_of_samples(element)[1].levels[level] for element in ELEMENTS]
    mlir_opt("\n// -----\n".join(texts), "--split-input-file", "-o", os.devnull)


# --- extreme numbers, all with all


def extremes(element: Attribute) -> Array:
    """Numbers of a type that are special or next to something special."""
    dtype = TO_NUMPY[element]
    if element == NAMED["i1"]:
        return np.array([False, True])
    if not is_float(element):
        limits = np.iinfo(dtype)
        around = {*range(-4, 5), 7, limits.bits - 1, limits.bits, limits.bits + 1, 100}
        edges = {limits.min, limits.min + 1, limits.max // 2, limits.max - 1, limits.max}
        return np.array(sorted(x for x in around | edges if limits.min <= x <= limits.max), dtype)
    with np.errstate(all="ignore"):
        one, tiny = dtype.type(1), np.finfo(np.float32 if dtype.itemsize == 2 else dtype).tiny
        positive = [
            0.0,
            0.25,
            0.5,
            1,
            1.5,
            2,
            2.5,
            3,
            3.5,
            np.pi,
            7,
            10.5,
            88,
            89,
            127.5,
            128,
            255,
            256,
            300,
            709,
            710,
            1e4,
        ]
        positive += [32767, 32768, 65504, 2.0**31, 2.0**32, 2.0**63, 2.0**64, 1e30, 3e38, 1e300, np.inf, float(tiny)]
        array = np.array(positive).astype(dtype)
        near_one = np.array([np.nextafter(one, dtype.type(2)), np.nextafter(one, dtype.type(0))], dtype)
        smallest = np.nextafter(dtype.type(0), one).reshape(1)
        largest = np.nextafter(dtype.type(np.inf), one).reshape(1)
        array = np.unique(np.concatenate([array, near_one, smallest, largest]))
    return np.concatenate([array, -array, np.array([np.nan], dtype)])


UNARY = tuple(op for op in OPS.values() if issubclass(op, ml.UnaryOp))
BINARY = tuple(op for op in OPS.values() if issubclass(op, ml.BinaryOp) and op is not ml.CompareOp)


def elementwise_program(element: Attribute, count: int) -> tuple[ModuleOp, list[str]]:
    """Every elementwise op on a row of numbers, on a row and a column, and every cast of the row."""
    labels: list[str] = []

    def build(row: SSAValue, column: SSAValue) -> list[SSAValue]:
        made: list[SSAValue] = []

        def add(value: SSAValue, note: str = "") -> None:
            assert isinstance(value.owner, Operation)
            labels.append(f"{value.owner.name} {note}".strip())
            made.append(value)

        for op in UNARY:
            if element in op.ACCEPTS:
                add(op(row).out)
        for op in BINARY:
            if element in op.ACCEPTS:
                add(op(row, column).out)
        for predicate in ml.Predicate:
            add(F.compare(row, column, predicate), predicate.value)
        for to in ELEMENTS:
            add(ml.CastOp(row, to).out, f"to {to}")
        if element in FLOATS:
            add(F.gelu(row, ml.GeluForm.TANH), "tanh")
        if element in NUMBERS:
            add(F.clamp(row, F.scalar(row, 1), column))
        return made

    return program([tensor((count,), element), tensor((count, 1), element)], build), labels


EITHER_ZERO = frozenset({"ml.max", "ml.min", "ml.clamp", "ml.relu", "ml.elu"})
"""Ops that choose between 0 and -0, of which either is right."""

ABSOLUTE = {"ml.gelu": 1e-6, "ml.silu": 1e-30, "ml.floor_div": 1}
"""How far ops may be off where they cancel, or round x / y before they take the floor."""


def mistakes(label: str, x: Array, y: Array | None, expected: Array, found: Array) -> list[str]:
    """The first elements that differ by more than rounding, with their operands."""
    if expected.dtype.kind in "iub":
        wrong = expected != found
    else:
        a, b = expected.astype(np.float64), found.astype(np.float64)
        wrong = ~close(a, b, expected.dtype, label.partition(" ")[0])
    operands = [np.broadcast_to(each, expected.shape)[wrong] for each in (x, y) if each is not None]
    lines = zip(*operands, expected[wrong], found[wrong])
    return [f"{label}{tuple(map(str, line[:-2]))} is {line[-2]}, found {line[-1]}" for line in list(lines)[:4]]


ROUNDING = {"float64": 1e-14, "float32": 3e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
SMALLEST = {"float64": 1e-307, "float32": 1e-37, "float16": 1.3e-7, "bfloat16": 1e-37}
"""What numbers are rounded to relative to their size, and below which size in steps of this."""


def close(a: Array, b: Array, dtype: np.dtype[Any], name: str) -> Array:
    slack = ROUNDING[dtype.name] * np.abs(a) + SMALLEST[dtype.name] + ABSOLUTE.get(name, 0)
    with np.errstate(all="ignore"):
        near = np.abs(a - b) <= slack
    same_zero = (a != 0) | (b != 0) | (np.signbit(a) == np.signbit(b)) | (name in EITHER_ZERO)
    return np.where(np.isnan(a), np.isnan(b), (a == b) & same_zero | near & (a != b) & np.isfinite(b))


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_machine_code_of_elementwise_ops_is_right_at_extreme_numbers(element: Attribute) -> None:
    row = extremes(element)
    column = row.reshape(-1, 1)
    module, labels = elementwise_program(element, len(row))
    expected, found, _ = outcome(module, [row, column])
    wrong: list[str] = []
    for label, a, b in zip(labels, expected, found, strict=True):
        wrong += mistakes(label, row, column if a.ndim == 2 else None, a, b)
    assert not wrong, "\n".join(wrong)
