"""What compiled programs print with: the functions that `lower-print` declares, as Python functions."""

from __future__ import annotations

import sys
from collections.abc import Callable


def print_number(number: float) -> None:
    """C's `%f`, and a space."""
    # The stream is looked up at each call: whoever redirects it, redirects the program too.
    sys.stdout.write(f"{number:f} ")


def print_newline() -> None:
    sys.stdout.write("\n")


PRINT_FUNCTIONS: dict[str, Callable[..., None]] = {
    "toy_print_f64": print_number,
    "toy_print_newline": print_newline,
}
"""The name of a declared function -> what it does: what the interpreter and the JIT bind it to."""
