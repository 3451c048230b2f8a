"""The dialect `avx512`: what its ops mean, and what their verifiers say."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import parse
from xdsl.context import Context
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.reference.interpreter import interpret
from xmlc.passes.expand_math import ExpandMath


def test_an_exponent_is_rounded_down() -> None:
    module = parse("""
        func.func @f(%x: vector<4xf32>, %k: vector<4xf32>) -> vector<4xf32> {
          %y = "avx512.scale"(%x, %k) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
          func.return %y : vector<4xf32>
        }""")
    x, k = np.array([1, 3, 1, 1], np.float32), np.array([0.75, -0.25, -200, np.inf], np.float32)
    (found,) = interpret(module, "f", [x, k])
    np.testing.assert_array_equal(found, [1, 1.5, 0, np.inf])


def test_a_table_is_asked_by_the_low_bits() -> None:
    module = parse("""
        func.func @f(%table: vector<16xf32>, %k: vector<16xi32>) -> vector<16xf32> {
          %y = "avx512.look_up"(%table, %k) : (vector<16xf32>, vector<16xi32>) -> vector<16xf32>
          func.return %y : vector<16xf32>
        }""")
    (found,) = interpret(module, "f", [np.arange(16, dtype=np.float32), np.arange(-16, 16, 2, np.int32)])
    np.testing.assert_array_equal(found, [*range(0, 16, 2)] * 2)


def test_a_table_has_sixteen_entries() -> None:
    module = parse("""
        func.func @f(%table: vector<8xf32>, %k: vector<8xi32>) -> vector<8xf32> {
          %y = "avx512.look_up"(%table, %k) : (vector<8xf32>, vector<8xi32>) -> vector<8xf32>
          func.return %y : vector<8xf32>
        }""")
    with pytest.raises(VerifyException, match="expected a vector of 16 elements, found vector<8xf32>"):
        module.verify()


@pytest.mark.parametrize("name", ["exp", "erf", "tanh"])
def test_functions_by_tables_mean_what_they_should(name: str) -> None:
    """In the interpreter, so on every machine."""
    module = parse(f"""
        func.func @f(%x: vector<16xf32>) -> vector<16xf32> {{
          %y = math.{name} %x : vector<16xf32>
          func.return %y : vector<16xf32>
        }}""")
    x = np.array([0, -0.0, 0.1, 0.127, -0.5, 1, -2, 3, 3.92, -5, 8, 30, -90, np.inf, -np.inf, np.nan], np.float32)
    with np.errstate(all="ignore"):
        (expected,) = interpret(module, "f", [x])
        ExpandMath(avx512=True).apply(Context(), module)
        (found,) = interpret(module, "f", [x])
    np.testing.assert_allclose(found, expected, rtol=3e-7)
