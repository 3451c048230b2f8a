"""A module's weights are its own."""

from __future__ import annotations

import numpy as np
import pytest

import xmlc
from xmlc import ml
from xmlc.addresses import address
from xmlc.buffers import ALIGNMENT, HUGE
from xmlc.weights import owned


@pytest.mark.parametrize("size", [0, 1, 1000, HUGE + 3])
def test_copies_are_equal_aligned_and_contiguous(size: int) -> None:
    shifted = np.arange(size + 1, dtype=np.uint8)[1:]
    unaligned = np.arange(4 * size + 1, dtype=np.uint8)[1:].view(np.float32)
    rows = np.arange(size * 2, dtype=np.int16).reshape(2, size).T
    for given, copy in zip((shifted, unaligned, rows), owned([shifted, unaligned, rows]), strict=True):
        np.testing.assert_array_equal(copy, given)
        assert copy.flags.c_contiguous
        assert address(copy) % ALIGNMENT == 0 or size == 0
        assert not np.shares_memory(copy, given)


def test_a_number_is_a_weight_too() -> None:
    (copy,) = owned([np.array(2.5)])
    assert copy.shape == () and copy == 2.5


def test_a_program_does_not_see_what_happens_to_the_arrays_it_was_given() -> None:
    weights = np.ones(4, np.float32)
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("4xf32"), w=weights) as f:
        f.returns(ml.add(f["x"], f["w"]))
    function = builder.compile()
    weights[:] = 5
    np.testing.assert_array_equal(function(np.zeros(4, np.float32))[0], np.ones(4, np.float32))
