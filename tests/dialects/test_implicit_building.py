"""Programs are built and compiled in several threads at once."""

from __future__ import annotations

import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import xmlc
from xmlc import ml
from xmlc.compiled import CompiledModule


@pytest.fixture
def many_switches(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Threads take turns often."""
    monkeypatch.setenv("XMLC_CACHE", "0")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def compiled(size: int) -> CompiledModule:
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor(f"{size}x{size}xf32")) as f:
        f.returns(ml.matmul(f["x"], ml.exp(f["x"])))
    return xmlc.compile_module(builder.module)


@pytest.mark.usefixtures("many_switches")
def test_threads_that_compile_at_once_do_not_disturb_each_other() -> None:
    sizes = range(2, 10)
    with ThreadPoolExecutor(4) as threads:
        functions = list(threads.map(compiled, sizes))
    for size, function in zip(sizes, functions):
        x = np.linspace(0, 1, size * size, dtype=np.float32).reshape(size, size)
        np.testing.assert_allclose(function(x)[0], x @ np.exp(x), rtol=1e-5)
