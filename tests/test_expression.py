"""`xmlc.expr`: a formula gives what NumPy's operators do, and says what it may not have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmlc
from xmlc.dialects.diagnostics import CompileError

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
Y = np.arange(1, 5, dtype=np.float32)

LEAVES = st.sampled_from(["x", "y", "2", "0.5", "pi"])
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*"]), inner),
        st.builds("{}({})".format, st.sampled_from(["sin", "tanh", "abs", "floor"]), inner),
        st.builds("where({} < {}, {}, -{})".format, inner, inner, inner, inner),
    ),
    max_leaves=5,
).filter(lambda text: "x" in text or "y" in text)
OF_NUMPY = {"sin": np.sin, "tanh": np.tanh, "abs": np.abs, "floor": np.floor, "pi": np.pi, "where": np.where}


@given(FORMULAS)
@settings(max_examples=15, deadline=None)
def test_a_formula_gives_what_numpy_gives(text: str) -> None:
    expression = xmlc.expr(text)
    names = {"x": X.astype(np.float64), "y": Y.astype(np.float64)}
    found = expression(**{name: names[name] for name in expression.names})
    np.testing.assert_allclose(found, eval(text, OF_NUMPY | names), rtol=1e-9, atol=1e-9)


def test_arguments_come_as_the_formula_names_them() -> None:
    wave = xmlc.expr("a * x**2 + sin(y)")
    assert wave.names == ("a", "x", "y") and repr(wave) == "xmlc.expr('a * x**2 + sin(y)')"
    expected = 2 * X**2 + np.sin(Y)
    np.testing.assert_allclose(wave(2.0, X, Y), expected, rtol=1e-5)
    np.testing.assert_allclose(wave(2.0, y=Y, x=X), expected, rtol=1e-5)
    np.testing.assert_array_equal(xmlc.expr("(0 < x < 1) | (x == y)")(X, Y), ((X > 0) & (X < 1)) | (X == Y))


MISTAKES = {
    "x +": "this is no formula",
    "sine(x)": "there is no function 'sine'",
    "x and y": "'and' and 'or' are of single values",
    "x.T": "this is no part of a formula",
    "[x]": "this is no part of a formula",
    "x + 'a'": "this is no part of a formula",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_at_its_column(text: str) -> None:
    with pytest.raises(CompileError, match=MISTAKES[text]) as caught:
        xmlc.expr(text)
    place = caught.value.diagnostics[0].place
    assert place is not None and place.file == "<formula>" and place.column


def test_missing_and_unknown_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="expected the arguments x, y, found x"):
        xmlc.expr("x + y")(X)
    with pytest.raises(TypeError, match="expected the arguments x, found z"):
        xmlc.expr("x")(z=X)
