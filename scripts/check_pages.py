"""The code of the documentation: run it, and bring what commands print in `console` blocks up to date.

    python scripts/check_pages.py            # rewrite docs/tour.md with what its commands print now
    python scripts/check_pages.py --check    # only say whether that would change it

A `console` block holds commands after `$ ` and what they print. They run in the repository's root; `xmlc` is the
command line in this process, so that a page takes a second.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOUR = ROOT / "docs" / "tour.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def printed_by(command: str) -> str:
    """What `xmlc … | filter | …` prints, standard error included; the filters run in a shell."""
    from xmlc.cli import main

    first, *filters = command.split(" | ")
    words = shlex.split(first)
    if words[0] != "xmlc":
        return subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    out = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(words[1:])
    if not filters:
        return out.getvalue()
    rest = " | ".join(filters)
    done = subprocess.run(["bash", "-c", rest], input=out.getvalue(), capture_output=True, text=True, check=True)
    return done.stdout


def brought_up_to_date(page: str) -> str:
    """The text of a page with its `console` blocks printed anew."""

    def renew(block: re.Match[str]) -> str:
        commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
        shown = "".join(f"$ {command}\n{printed_by(command).rstrip()}".rstrip() + "\n" for command in commands)
        return f"```console\n{shown}```"

    return BLOCK.sub(renew, page)


def code_of(page: str) -> str:
    """The Python of a page as one file, its lines where they stand in the page."""
    lines = page.splitlines()
    kept = [""] * len(lines)
    for block in PYTHON.finditer(page):
        first = page.count("\n", 0, block.start(1))
        for index, line in enumerate(block[1].splitlines(), first):
            kept[index] = line
    return "\n".join(kept) + "\n"


def main() -> int:
    page = TOUR.read_text(encoding="utf-8")
    fresh = brought_up_to_date(page)
    if fresh == page:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{TOUR.relative_to(ROOT)} is not up to date: run python scripts/check_pages.py")
        return 1
    TOUR.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
