"""Run pyright on the whole project, or on the files given: `python scripts/check_types.py [FILE…]`.

Each module is checked under its import name, in the link tree: under two paths its classes would be two types.
Nothing is downloaded: the wheel `pyright` holds the checker and its extra `nodejs` holds node.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from link_tree import LINKS, ROOT, make_link_tree, name_in_tree, package_folders


def name_in_project(report: str) -> str:
    """The report with the paths of the tree turned back into the files that people edit."""
    for name, folder in package_folders().items():
        if "." in name:
            report = report.replace(f"{LINKS / name.replace('.', '/')}/", f"{folder}/")
    return report.replace(f"{LINKS}/", "").replace(f"{ROOT}/", "")


def main(files: list[str]) -> int:
    make_link_tree()
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # no look for a newer version
    paths = [str(name_in_tree(Path(file).resolve())) for file in files]
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *paths]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    sys.stdout.write(name_in_project(done.stdout))
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
