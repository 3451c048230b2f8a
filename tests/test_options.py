"""Settings: where their values come from, and the message for a value that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmlc import options
from xmlc.dialects.diagnostics import CompileError


def test_a_setting_is_the_with_block_s_then_the_environment_s_then_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMLC_CACHE", raising=False)
    assert options.CACHE.get() is True
    monkeypatch.setenv("XMLC_CACHE", "off")
    assert options.CACHE.get() is False
    with options.CACHE.set(True):
        assert options.CACHE.get() is True
        with options.CACHE.set(False):
            assert options.CACHE.get() is False
        assert options.CACHE.get() is True
    assert options.CACHE.get() is False


@pytest.mark.parametrize(
    "name, text, hint",
    [
        ("XMLC_CACHE", "perhaps", "give 1 or 0"),
        ("XMLC_CACHE_LIMIT", "big", "give a number of bytes such as 500M or 2G"),
        ("XMLC_LOG", "loud", "give one of debug, info, warning, error"),
    ],
)
def test_a_wrong_value_says_what_is_wanted(monkeypatch: pytest.MonkeyPatch, name: str, text: str, hint: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(CompileError) as caught:
        options.OPTIONS[name].get()
    assert str(caught.value) == f"error: the environment variable {name} is '{text}'\nhint: {hint}"


@pytest.mark.parametrize("text, size", [("7", 7), ("2k", 2048), ("3M", 3 * 2**20), ("1G", 2**30)])
def test_sizes_have_units(text: str, size: int) -> None:
    assert options.read_size(text) == size


def test_the_cache_is_where_the_xdg_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMLC_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert options.CACHE_DIR.get() == Path("/some/where/xmlc")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert options.CACHE_DIR.get() == Path.home() / ".cache" / "xmlc"


def test_every_setting_has_the_prefix_and_a_meaning() -> None:
    assert all(name.startswith("XMLC_") and each.help for name, each in options.OPTIONS.items())
