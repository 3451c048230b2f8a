"""The cache: what is stored comes back whole or not at all, and the folder stays under its limit."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from xmlc.cache import Cache


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.get("key") is None
    cache.put("key", b"some\ndata\x00")
    assert cache.get("key") == b"some\ndata\x00"
    assert [(entry.key, entry.size) for entry in cache.entries()] == [("key", 10)]


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda data: data[:-1], "it holds 4 bytes and should hold 5"),
        (lambda data: data[:-1] + b"?", "its hash is wrong"),
        (lambda data: b"", "its header is not JSON"),
        (lambda data: b"\xff\n", "its header is not JSON"),
        (lambda data: b"{}\n", "its header lacks a field"),
        (lambda data: data.replace(b'"key"', b'"kex"'), "its header lacks a field"),
        (lambda data: data.replace(b'"key": "a"', b'"key": "b"'), "it was stored under another key"),
    ],
)
def test_a_damaged_entry_is_dropped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage, reason: str
) -> None:
    cache = Cache(tmp_path)
    cache.put("a", b"12345")
    path = cache.path("a")
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, "xmlc"):
        assert cache.get("a") is None
    assert f"dropped the damaged cache entry {path}: {reason}" in caplog.text
    assert not path.exists()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=3000)
    for age, key in enumerate(["new", "middle", "old"]):
        cache.put(key, b"x" * 700)
        os.utime(cache.path(key), (1e9 - age, 1e9 - age))
    cache.get("old")
    cache.put("another", b"x" * 700)
    assert {entry.key for entry in cache.entries()} == {"new", "old", "another"}


def test_data_over_the_limit_is_not_stored(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=10)
    cache.put("big", b"x" * 11)
    assert cache.entries() == []


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file")
    with caplog.at_level(logging.WARNING, "xmlc"):
        cache.put("key", b"data")
        assert cache.get("key") is None
    assert "cannot write the cache folder" in caplog.text


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path)
    cache.put("key", b"data")
    cache.folder.chmod(0o777)
    with caplog.at_level(logging.WARNING, "xmlc"):
        assert cache.get("key") is None
    assert "another user can write to it" in caplog.text
