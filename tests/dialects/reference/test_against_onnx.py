"""The composites that ONNX has as operators mean what its own reference implementation computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from ml_samples import operand_type, program
from onnx.reference import ReferenceEvaluator

from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret

Case = tuple[str, dict[str, Any], str, int, Callable[..., Any]]


LSTM = "f32:4x2x3 f32:2x20x3 f32:2x20x5 f32:2x40 - f32:2x2x5 f32:2x2x5 f32:2x15"
GRU = "f32:4x2x3 f32:1x15x3 f32:1x15x5 f32:1x30 - f32:1x2x5"
HEADS = "f32:2x4x3x5 f32:2x2x6x5 f32:2x2x6x2"
CASES: list[Case] = [
    ("Softmax", {"axis": 1}, "f32:2x5x3", 1, lambda x: F.softmax(x, 1)),
    ("LogSoftmax", {"axis": 0}, "f32:2x5x3", 1, lambda x: F.log_softmax(x, 0)),
    ("LayerNormalization", {"axis": 1}, "f32:2x5x3 f32:5x3 f32:5x3", 1, lambda *xs: F.layer_norm(*xs, axis=1)),
    ("RMSNormalization", {"axis": -1}, "f32:2x5x3 f32:3", 1, F.rms_norm),
    ("InstanceNormalization", {}, "f32:2x6x3 f32:6 f32:6", 1, F.instance_norm),
    ("BatchNormalization", {}, "f32:2x6x3 f32:6 f32:6 f32:6 +f32:6", 1, F.batch_norm),
    ("Attention", {}, f"{HEADS} i1:2x1x3x6", 1, F.attention),
    ("Attention", {"is_causal": 1}, f"{HEADS} f32:3x6", 1, lambda *xs: F.attention(*xs, causal=True)),
    (
        "LSTM",
        {"direction": "bidirectional", "hidden_size": 5},
        LSTM,
        3,
        lambda x, w, r, b, h, c, p: F.lstm(
            x, w, r, b, initial_h=h, initial_c=c, peepholes=p, direction="bidirectional"
        ),
    ),
    ("GRU", {"hidden_size": 5}, GRU, 2, lambda x, w, r, b, h: F.gru(x, w, r, b, initial_h=h)),
    (
        "GRU",
        {"hidden_size": 5, "linear_before_reset": 1},
        GRU,
        2,
        lambda x, w, r, b, h: F.gru(x, w, r, b, initial_h=h, linear_before_reset=True),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_a_composite_means_what_onnx_says(case: Case) -> None:
    operator, attributes, operands, results, build = case
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {}
    for index, each in enumerate(operands.split()):
        if each != "-":
            kind = operand_type(each)
            values = rng.normal(size=kind.get_shape())
            values = abs(values) if each.startswith("+") else values
            inputs[f"x{index}"] = values > 0 if "i1" in each else values.astype(np.float32)
    names = [f"x{index}" if each != "-" else "" for index, each in enumerate(operands.split())]
    node = onnx.helper.make_node(operator, names, [f"y{k}" for k in range(results)], **attributes)
    expected = ReferenceEvaluator(node).run(None, inputs)
    types = [operand_type(each) for each in operands.split() if each != "-"]
    found = interpret(program(types, build), "main", list(inputs.values()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
