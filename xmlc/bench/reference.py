"""What the right answer of a case is, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from xmlc.bench.case import Array, Case
from xmlc.bench.kinds import KINDS

FLOAT64, INT32, ONNXRUNTIME, ONNX = "numpy float64", "numpy int32", "onnxruntime f32", "onnx.reference"


def reference_of(case: Case, inputs: Sequence[Array]) -> tuple[list[Array], str]:
    """The answer, and its source.

    A micro case is computed in float64 (exactly, for integers) from the inputs as the contestants get them. A model
    has no float64 twin: onnxruntime's answer stands in, or that of ONNX's reference evaluator.
    """
    if case.file is not None:
        return answer_of_model(case.file, inputs)
    kind, keywords = KINDS[case.kind], dict(case.options)
    if case.dtype == "i8":
        # float64 holds every sum of products of bytes exactly, and has a fast product
        exact: Any = kind.arrays(Float64Integers, *(each.astype(np.float64) for each in inputs), **keywords)
        return [exact], INT32
    wide = [each.astype(np.float64) for each in inputs]
    made = kind.reference(*wide, **keywords) if kind.reference else kind.arrays(np, *wide, **keywords)
    return [np.asarray(made)], FLOAT64


class Float64Integers:
    """NumPy where `int32` means float64."""

    int32 = np.float64
    matmul = np.matmul


def answer_of_model(file: str, inputs: Sequence[Array]) -> tuple[list[Array], str]:
    if find_spec("onnxruntime") is not None:
        import onnxruntime as ort

        session: Any = ort.InferenceSession(file, providers=["CPUExecutionProvider"])  # pyright: ignore
        feeds = {each.name: array for each, array in zip(session.get_inputs(), inputs)}
        return [np.asarray(each) for each in session.run(None, feeds)], ONNXRUNTIME
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator: Any = ReferenceEvaluator(onnx.load(file))
    made: Any = evaluator.run(None, dict(zip(evaluator.input_names, inputs)))
    return [np.asarray(each) for each in made], ONNX
