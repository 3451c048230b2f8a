"""Results as arrays of the library that a function was called with: `xmlc.compile(returns="caller")`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place
from xmlc.tensors.tensor import Tensor

RETURNS = ("arrays", "caller")
"""What a compiled function may give: NumPy's arrays or such as stay on their device, or the caller's own kind."""


def callers_kind(leaves: Sequence[Any]) -> Callable[[Any], Any]:
    """What makes an array of ours one of the library of the first array among the arguments, without a copy.

    Raises CompileError for a library that takes no arrays by DLPack.
    """
    first = next((each for each in leaves if hasattr(each, "__dlpack__")), None)
    if first is None or isinstance(first, np.ndarray | np.generic | Tensor):
        return lambda found: found  # ours are NumPy's, and given tensors we give tensors
    if hasattr(first, "__array_namespace__"):
        return first.__array_namespace__().from_dlpack
    library = type(first).__module__.partition(".")[0]
    made = getattr(sys.modules[library], "from_dlpack", None)
    if made is None:
        raise CompileError(
            f"{library} has no from_dlpack to make its arrays of ours", place=user_place(), hint='returns="arrays"'
        )
    return made
