"""What the right answer of a case is, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from xmlc.bench.case import Array, Case
from xmlc.bench.kinds import KINDS
from xmlc.dialects.diagnostics import CompileError

FLOAT64, INTEGERS = "float64 by numpy", "exact integers by numpy"
MODEL64, MODEL32 = "float64 by the reference interpreter", "float32 by onnxruntime"


def reference_of(case: Case, inputs: Sequence[Array]) -> tuple[list[Array], str]:
    """The answer, and its source.

    A micro case is computed in float64 (exactly, for integers) from the inputs as the contestants get them. So is a
    model: its float64 twin is run by the NumPy interpreter that defines what `ml` means. The importer is the one that
    xmlc compiles with: a mistake of it would show as every other runtime being wrong. Where xmlc cannot import a model,
    onnxruntime's answer stands in.
    """
    if case.file is not None:
        return answer_of_model(case.file, inputs)
    kind, keywords = KINDS[case.kind], dict(case.options)
    if case.dtype == "i8":
        # float64 holds every sum of products of bytes exactly, and has a fast product
        exact: Any = kind.arrays(Float64Integers, *(each.astype(np.float64) for each in inputs), **keywords)
        return [exact], INTEGERS
    wide = [each.astype(np.float64) for each in inputs]
    made = kind.reference(*wide, **keywords) if kind.reference else kind.arrays(np, *wide, **keywords)
    return [np.asarray(made)], FLOAT64


class Float64Integers:
    """NumPy where `int32` means float64."""

    int32 = np.float64
    matmul = np.matmul


def answer_of_model(file: str, inputs: Sequence[Array]) -> tuple[list[Array], str]:
    from xmlc.bench.widen import widen
    from xmlc.frontend.onnx.load import load
    from xmlc.onnx_backend import prepare

    wide = [each.astype(np.float64) if each.dtype == np.float32 else each for each in inputs]
    try:
        return list(prepare(widen(load(file)), execute="interpret").run(wide)), MODEL64
    except NotImplementedError:
        session: Any = onnxruntime().InferenceSession(file, providers=["CPUExecutionProvider"])
        feeds = {each.name: array for each, array in zip(session.get_inputs(), inputs)}
        return [np.asarray(each) for each in session.run(None, feeds)], MODEL32


def onnxruntime() -> Any:
    """The module. Raises CompileError where it is not installed."""
    if find_spec("onnxruntime") is None:
        message = "the right answer of a model that xmlc cannot import is not known without onnxruntime"
        raise CompileError(message, hint="pip install onnxruntime")
    return import_module("onnxruntime")
