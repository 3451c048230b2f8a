"""What all tests share: the command `xmlc` run in this process, and an empty cache of the session's own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from xmlc import buffers, compiled
from xmlc.buffers import Outputs
from xmlc.cli import main

# a shared machine may be slow; CI must give the same verdict each time, elsewhere new examples are welcome
hypothesis.settings.register_profile("xmlc", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("xmlc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="run properties on all of their cases, not on a sample")


ROOT = Path(__file__).resolve().parent.parent


class Result(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


class BinaryInput(io.StringIO):
    """Text as standard input, for readers of bytes too."""

    @property
    def buffer(self) -> io.BytesIO:
        return io.BytesIO(self.getvalue().encode())


def run_xmlc(arguments: list[str], text: str = "") -> Result:
    """Run `xmlc ARGUMENTS` in this process, with `text` as its standard input."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, BinaryInput(text)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    finally:
        sys.stdin = before
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def xmlc() -> Callable[..., Result]:
    """`xmlc("opt", "-p", "cse", text="…")` runs the command and returns (code, out, err)."""
    return lambda *arguments, text="": run_xmlc([str(each) for each in arguments], text)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XMLC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def spoilt(array: NDArray[Any]) -> NDArray[Any]:
    """Memory as programs before have left it, at its worst: NaN for floats, -1 for integers."""
    np.ndarray(array.nbytes, np.uint8, array).fill(0xFF)
    return array


@pytest.fixture(scope="session", autouse=True)
def used_memory() -> Iterator[None]:
    """Arenas and outputs are memory used before: fresh memory is zero, and hides reads of what nothing has written."""
    allocate, maker = buffers.allocate, Outputs.maker

    def spoilt_block(size: int) -> NDArray[Any]:
        return spoilt(allocate(size))

    def spoilt_maker(self: Outputs, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], NDArray[Any]]:
        make = maker(self, shape, dtype)
        return lambda: spoilt(make())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "allocate", spoilt_block)
        patch.setattr(compiled, "allocate", spoilt_block)
        patch.setattr(Outputs, "maker", spoilt_maker)
        yield
