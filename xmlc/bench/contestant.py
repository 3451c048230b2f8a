"""A contestant of one case: something to call while the clock runs, and its answer as NumPy arrays afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xmlc.bench.case import Array


class Declined(Exception):
    """This contestant does not do this case; the message says why. No mistake of anybody's."""


@dataclass(frozen=True)
class Contestant:
    """`run` computes the case on inputs that lie ready in the contestant's own form, and waits until it is done."""

    run: Callable[[], Any]
    arrays: Callable[[Any], list[Array]]
    """What `run` gave, as arrays; the clock does not run."""
