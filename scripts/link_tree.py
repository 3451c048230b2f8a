"""Make `build/links/xmlc`: the import names `xmlc.…` as a real folder tree, for tools that only read folders.

The top-level folders `dialects`, `passes`, `backends` and `frontend` are imported as `xmlc.dialects` and so on
through setuptools' `package-dir`. Python follows that map; pyright, import-linter and mkdocstrings do not, nor do
they follow links to folders. So the folders of the tree are real and its files are symbolic links. It is
git-ignored and brought up to date at every call.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINKS = ROOT / "build" / "links"


def package_folders() -> dict[str, str]:
    """Import name -> folder, for the packages that pyproject.toml's `package-dir` maps."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["tool"]["setuptools"]["package-dir"]


def name_in_tree(file: Path) -> Path:
    """The path in the tree of a file of ours; any other file stays itself."""
    for name, folder in package_folders().items():
        if file.is_relative_to(ROOT / folder):
            return LINKS / name.replace(".", "/") / file.relative_to(ROOT / folder)
    return file


def make_link_tree() -> Path:
    """Bring the tree up to date and return its folder. Two callers at once are harmless."""
    files = [file for folder in package_folders().values() for file in (ROOT / folder).rglob("*.py")]
    wanted = {name_in_tree(file): file for file in files}
    for found in LINKS.rglob("*.py"):
        if found not in wanted:
            found.unlink(missing_ok=True)
    for link, target in wanted.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink() and link.readlink() == target:
            continue
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(target)
        except FileExistsError:  # another process was quicker
            continue
    return LINKS


if __name__ == "__main__":
    sys.stdout.write(f"{make_link_tree()}\n")
