"""Building ops in the place of others, with their locations."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from xdsl.builder import Builder, ImplicitBuilder
from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Attribute, Operation
from xdsl.rewriter import InsertPoint


@contextmanager
def building(at: InsertPoint, location: Attribute) -> Generator[None]:
    """Ops made in the `with` block go to `at`; those without a location get this one."""

    def locate(made: Operation) -> None:
        if isinstance(made.location, UnknownLoc):
            made.location = location  # pyright: ignore[reportAttributeAccessIssue]

    with ImplicitBuilder(Builder(at, operation_insertion_handler=[locate])):
        yield
