"""What all tests share: the command `xmlc` run in this process, and an empty cache of the session's own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest

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
