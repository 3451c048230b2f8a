"""The documentation is true: its code runs, and the tour shows what its commands print."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "page", ["add-an-op", "add-a-rewrite", "add-a-pass", "add-a-backend", "python", "training", "tensors"]
)
def test_the_code_of_a_page_runs(page: str) -> None:
    script = (
        "import sys; sys.path.insert(0, 'scripts'); from check_pages import code_of;"
        "path = sys.argv[1]; exec(compile(code_of(open(path, encoding='utf-8').read()), path, 'exec'))"
    )
    command = [sys.executable, "-W", "error", "-c", script, f"docs/{page}.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_figures_are_those_of_the_records() -> None:
    command = [sys.executable, "scripts/figures.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_figure_stands_in_a_page() -> None:
    functions = runpy.run_path(str(ROOT / "scripts" / "figures.py"))["FIGURES"]
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in functions if f"<!-- figures: {name} -->" not in pages] == []


def test_the_tour_shows_what_its_commands_print() -> None:
    command = [sys.executable, "scripts/check_pages.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
