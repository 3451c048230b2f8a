"""Output files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xmlc.dialects.diagnostics import CompileError
from xmlc.files import write_whole


def test_a_file_is_written_with_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    write_whole(tmp_path / "out", "text")
    assert (tmp_path / "out").read_text() == "text"
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_replaced_file_keeps_its_permissions_and_links_to_it(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to(file)
    write_whole(link, b"new")
    assert file.read_text() == "new" and link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    (tmp_path / "out").write_text("old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CompileError, match="no space left on device"):
        write_whole(tmp_path / "out", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_device_is_written_directly() -> None:
    write_whole(Path(os.devnull), "text")


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="it is a folder"):
        write_whole(tmp_path, "text")
