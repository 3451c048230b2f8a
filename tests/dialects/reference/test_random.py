"""The generator gives the published numbers; what is made of them has the moments it should have."""

from __future__ import annotations

import numpy as np
import pytest
from ml_samples import operand_type, program
from xdsl.dialects.builtin import bf16, f16, f32, f64
from xdsl.ir import Attribute

from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.dialects.reference.random import threefry2x32
from xmlc.passes.decompose.random import threefry2x32 as decomposed_threefry2x32

# key, counter, words: the known-answer file of Random123, the reference code of Salmon et al. 2011
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN)
def test_the_words_are_the_published_ones(
    key: tuple[int, int], counter: tuple[int, int], words: tuple[int, int]
) -> None:
    assert threefry2x32(key, counter) == words
    types = [operand_type(each) for each in ("u32:2", "u32:", "u32:")]
    module = program(types, lambda key, a, b: decomposed_threefry2x32(key, (a, b)))
    result = interpret(module, "main", [np.array(key, np.uint32), *map(np.asarray, map(np.uint32, counter))])
    assert tuple(map(int, result)) == words


@pytest.mark.parametrize("element", [f64, f32, f16, bf16], ids=str)
def test_uniform_numbers_fill_the_interval_and_stay_below_its_end(element: Attribute) -> None:
    module = program([operand_type("u32:2")], lambda key: F.random_uniform(key, (4000,), element, 1.0, 3.0))
    (x,) = interpret(module, "main", [np.array([1, 2], np.uint32)])
    x = x.astype(np.float64)
    assert 1 <= x.min() < 1.02 and 2.9 < x.max() < 3
    assert abs(x.mean() - 2) < 0.03 and abs(x.var() - 1 / 3) < 0.02


def test_normal_numbers_have_the_mean_and_the_scale_asked_for() -> None:
    module = program([operand_type("u32:2")], lambda key: F.random_normal(key, (4000,), f32, 5.0, 2.0))
    (x,) = interpret(module, "main", [np.array([1, 2], np.uint32)])
    assert abs(x.mean() - 5) < 0.1 and abs(x.std() - 2) < 0.1
    assert 0.94 < np.mean(abs(x - 5) < 4) < 0.965  # 0.9545 within two standard deviations


def test_an_element_depends_on_its_number_not_on_the_shape() -> None:
    module = program([operand_type("u32:2")], lambda key: [F.random_uniform(key, s, f32) for s in ((2, 3), (4,))])
    matrix, vector = interpret(module, "main", [np.array([7, 9], np.uint32)])
    np.testing.assert_array_equal(matrix.ravel()[:4], vector)
