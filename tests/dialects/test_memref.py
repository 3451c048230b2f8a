"""What `memref.prefetch` refuses; what it looks like is in `filecheck_tests/dialects/memref.mlir`."""

from __future__ import annotations

import pytest
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects import context


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("%m[%i], read, locality<3>, data", "expected an index for each dimension"),
        ("%m[%i, %i], read, locality<4>, data", "locality must be between 0 and 3, found 4"),
    ],
)
def test_a_mistake_is_named(place: str, message: str) -> None:
    text = f"func.func @f(%m: memref<4x8xf32>, %i: index) {{ memref.prefetch {place} : memref<4x8xf32> func.return }}"
    with pytest.raises(VerifyException, match=message):
        Parser(context(), text).parse_module().verify()
