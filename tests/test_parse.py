"""What our parser reads otherwise than xDSL's."""

from __future__ import annotations

import numpy as np
import pytest

from xmlc.dialects import context
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.shaping import ConstantOp
from xmlc.parse import parse_module


def constant(literal: str, type: str) -> np.ndarray:
    text = f"%c = ml.constant dense<{literal}> : {type}"
    op = parse_module(text, "text.mlir", context()).body.block.first_op
    assert isinstance(op, ConstantOp)
    return op.array()


@pytest.mark.parametrize(
    ("literal", "type", "value"),
    [
        ("0xFF800000", "tensor<f32>", -np.inf),
        ("0x7c00", "tensor<2xf16>", [np.inf, np.inf]),
        ("0xff80", "tensor<bf16>", -np.inf),
        ("[0x7FF0000000000000, 1.5]", "tensor<2xf64>", [np.inf, 1.5]),
        ("0x7fc00000", "tensor<f32>", np.nan),
        ("0x10", "tensor<i32>", 16),
    ],
)
def test_hexadecimal_digits_are_the_bits_of_a_float(literal: str, type: str, value: object) -> None:
    np.testing.assert_array_equal(constant(literal, type).astype(np.float64), value)


def test_bits_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(CompileError, match="expected the bits of one f16"):
        constant("0xFF800000", "tensor<f16>")
