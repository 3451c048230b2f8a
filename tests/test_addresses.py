"""Addresses of arrays, read from their structs: those that NumPy tells."""

from __future__ import annotations

import numpy as np
import pytest

from xmlc.addresses import Array, address, read

WHOLE = np.arange(24, dtype=np.float32).reshape(4, 6)
READ_ONLY = WHOLE.copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "array", [WHOLE, WHOLE[1:, 2:], WHOLE.T, READ_ONLY, np.array(1.0), np.empty((0, 3)), WHOLE.view(np.recarray)]
)
def test_an_address_is_what_numpy_tells(array: Array) -> None:
    assert address(array) == array.ctypes.data


def test_this_interpreter_and_numpy_are_read_directly() -> None:
    assert address is read
