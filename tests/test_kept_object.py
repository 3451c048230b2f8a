"""Small modules are compiled once and then found in the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmlc import kept_object, options
from xmlc.backends.cpu.target import host

MODULE = f"""target datalayout = "{host().data_layout}"
target triple = "{host().triple}"
define void @nothing() {{
  ret void
}}
"""


@pytest.mark.parametrize("on", [True, False])
def test_a_module_is_compiled_once_where_the_cache_is_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    compiled: list[str] = []

    def compile_to_object(text: str, target: object, opt_level: int) -> bytes:
        compiled.append(text)
        return b"code"

    monkeypatch.setattr(kept_object, "compile_to_object", compile_to_object)
    with options.CACHE.set(on), options.CACHE_DIR.set(tmp_path):
        assert [kept_object.kept_object(MODULE, 2) for _ in range(3)] == [b"code"] * 3
    assert compiled == [MODULE] * (1 if on else 3)
