"""Check who imports whom: run import-linter's contracts (see pyproject.toml) over the link tree."""

from __future__ import annotations

import subprocess
import sys

from link_tree import ROOT, make_link_tree

LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True, no_logo=True))
"""


def main() -> int:
    command = [sys.executable, "-c", LINT, str(ROOT / "pyproject.toml")]
    # started in the tree, since Python and import-linter look in the current folder first
    return subprocess.run(command, cwd=make_link_tree(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
