"""The names of functions that other functions have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def name_functions(names: Sequence[str], module: Mapping[str, Any]) -> None:
    """Give the functions of a module that others have made the names they have there."""
    for name in names:
        if callable(module[name]):
            module[name].__name__ = module[name].__qualname__ = name
