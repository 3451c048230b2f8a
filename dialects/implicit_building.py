"""xDSL's `ImplicitBuilder` in several threads at once.

Each thread has its own implicit builder, but what hands a new op to it, `Operation.__post_init__`, is put there by the
outermost `with` of a thread and taken away at its end, for all threads: of two threads that build, ops of one are
inserted twice, or not at all. Here it is put there once and stays; without a builder in its thread it does nothing.
"""

from __future__ import annotations

from functools import cache

import xdsl.builder
from xdsl.ir import Operation


@cache
def build_in_threads() -> None:
    """From now on `with ImplicitBuilder(...)` leaves the ops of other threads alone."""
    xdsl.builder._override_operation_post_init()  # pyright: ignore[reportPrivateUsage]
    xdsl.builder._override_operation_post_init = lambda: Operation.__post_init__  # pyright: ignore[reportPrivateUsage]
