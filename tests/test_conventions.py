"""What holds of the whole project: lint, types, import rules, and that tables and packaging name all there is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import xmlc
from xmlc.cli import COMMANDS
from xmlc.dialects import DIALECTS
from xmlc.passes import PASSES

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PARTS = ("xmlc", "dialects", "passes", "backends", "frontend")


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["scripts/check_types.py"],
        ["scripts/check_imports.py"],
    ],
    ids=["lint", "format", "types", "imports"],
)
def test_the_whole_project_passes(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(PASSES))
def test_a_pass_has_its_name_a_docstring_and_a_filecheck_file(name: str) -> None:
    made = PASSES[name]()
    assert made.name == name
    assert made.__doc__ and not made.__doc__.startswith(f"{made.__name__}("), "the docstring that dataclass makes"
    files = [file.read_text(encoding="utf-8") for file in (ROOT / "filecheck_tests").rglob("*") if file.is_file()]
    run = re.compile(rf"RUN:.*-p[ ='\"]+[^|]*\b{re.escape(name)}\b")
    assert any(run.search(text) for text in files), f"no file in filecheck_tests runs -p {name}"


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_dialect_has_its_name_and_its_operations_docstrings(name: str) -> None:
    dialect = DIALECTS[name]()
    assert dialect.name == name
    ours = [op for op in dialect.operations if op.__module__.startswith("xmlc.")]
    assert [op.name for op in ours if not (op.__doc__ or "").strip()] == []


@pytest.mark.parametrize("name", sorted(xmlc.PUBLIC))
def test_a_public_name_exists_and_type_checkers_see_it(name: str) -> None:
    assert getattr(xmlc, name) is getattr(import_module(xmlc.PUBLIC[name]), name)
    assert f"import {name} as {name}" in (ROOT / "xmlc" / "__init__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_exists(name: str) -> None:
    assert getattr(import_module(COMMANDS[name].module), COMMANDS[name].function).name == name


def test_every_folder_of_modules_is_packaged() -> None:
    folders = {file.parent.relative_to(ROOT) for part in PARTS for file in (ROOT / part).rglob("*.py")}
    names = {".".join(folder.parts if folder.parts[0] == "xmlc" else ("xmlc", *folder.parts)) for folder in folders}
    assert names | {"xmlc.examples"} == set(PROJECT["tool"]["setuptools"]["packages"])
    assert [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []


def test_every_module_says_first_what_it_is_for() -> None:
    files = [file for part in PARTS for file in (ROOT / part).rglob("*.py") if file.stat().st_size]
    assert [str(file) for file in files if not file.read_text(encoding="utf-8").startswith(('"""', 'r"""'))] == []


def test_ci_runs_the_command_of_the_readme() -> None:
    commands = re.findall(r"```sh\n(python3 .*)\n```", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) == 2
    assert commands[0].endswith("xmlc demo") and commands[1].endswith("python -m pytest")
