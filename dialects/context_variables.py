"""A value for a context variable while a block of code runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def setting(variable: ContextVar[T], value: T) -> Generator[None]:
    """The variable has the value inside the `with` block, and afterwards the one it had before."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
