"""Run the RUN lines of every file in filecheck_tests/, one case a file, without starting a process.

A RUN line is a pipeline of `xmlc …` and `filecheck …`, as a shell would run it:

    // RUN: xmlc opt %s -p simplify | filecheck %s
    // RUN: not xmlc opt %s 2>&1 | filecheck %s --check-prefix ERROR
    // REQUIRES: mlir-opt-22

`%s` is the file, `%S` its folder, `%t` a path for a file of the test's own, `2>&1` joins standard error to the output,
`> FILE` stores the output, a `\\` at the end continues the line. Other programs are started if they are installed and
named by a REQUIRES line, without which the file is skipped.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import filecheck.main
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "filecheck_tests"
FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".mlir", ".toy", ".ll") and path.is_file())
RUN = re.compile(r"\bRUN:\s*(.*?)\s*$")
REQUIRES = re.compile(r"\bREQUIRES:\s*(.*?)\s*$", re.MULTILINE)


def run_lines(text: str) -> Iterator[str]:
    """The commands of the RUN lines, continuations joined."""
    pending = ""
    for line in text.splitlines():
        if match := RUN.search(line):
            pending += match[1]
            if pending.endswith("\\"):
                pending = pending[:-1]
            else:
                yield pending
                pending = ""
    assert pending == "", "the last RUN line ends in a backslash"


def check(arguments: list[str], text: str) -> tuple[int, str, str]:
    """Run filecheck in this process: (code, output, errors)."""
    out, before = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            filecheck.main.main(["filecheck", *arguments])
        code = 0
    except SystemExit as exit:
        code = int(exit.code or 0)
    finally:
        sys.stdin = before
    return code, "", out.getvalue()


def run_line(line: str, substitutions: dict[str, str], xmlc: Callable[..., tuple[int, str, str]]) -> None:
    """Run one pipeline; fail if any of its commands does."""
    text = ""
    for command in split_pipeline(line):
        words = [re.sub("%[sSt]", lambda match: substitutions[match[0]], word) for word in command]
        wanted_failure = words[0] == "not"
        words = words[wanted_failure:]
        joined = "2>&1" in words
        words = [word for word in words if word != "2>&1"]
        target = Path(words[words.index(">") + 1]) if ">" in words else None
        words = words[: words.index(">")] if ">" in words else words
        if words[0] == "xmlc":
            code, out, err = xmlc(*words[1:], text=text)
        elif words[0] == "filecheck":
            code, out, err = check(words[1:], text)
        else:
            done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
            code, out, err = done.returncode, done.stdout, done.stderr
        spelled = shlex.join(words)
        if wanted_failure:
            assert code != 0, f"should have failed: {spelled}\n{out}"
        else:
            assert code == 0, f"exit code {code}: {spelled}\n{err}\ninput:\n{text if words[0] != 'xmlc' else ''}"
        text = out + err if joined else out
        if target:
            target.write_text(text, encoding="utf-8")
            text = ""


def split_pipeline(line: str) -> Iterator[list[str]]:
    """The words of each command between the bars of a shell pipeline."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    command: list[str] = []
    for word in lexer:
        if word == "|":
            yield command
            command = []
        else:
            command.append(word)
    yield command


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(FOLDER)) for file in FILES])
def test_file_says_what_it_gets(file: Path, tmp_path: Path, xmlc: Callable[..., tuple[int, str, str]]) -> None:
    text = file.read_text(encoding="utf-8")
    lines = list(run_lines(text))
    assert lines, "the file has no RUN line"
    for tool in REQUIRES.findall(text):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    for line in lines:
        run_line(line, {"%s": str(file), "%S": str(file.parent), "%t": str(tmp_path / "t")}, xmlc)


def test_a_wrong_check_line_fails(tmp_path: Path, xmlc: Callable[..., tuple[int, str, str]]) -> None:
    file = tmp_path / "wrong.mlir"
    file.write_text("// CHECK: nothing like it\nfunc.func private @f()\n")
    with pytest.raises(AssertionError, match="nothing like it"):
        run_line("xmlc opt %s | filecheck %s", {"%s": str(file)}, xmlc)


def test_not_wants_a_failure(tmp_path: Path, xmlc: Callable[..., tuple[int, str, str]]) -> None:
    file = tmp_path / "right.mlir"
    file.write_text("func.func private @f()\n")
    with pytest.raises(AssertionError, match="should have failed"):
        run_line("not xmlc opt %s", {"%s": str(file)}, xmlc)


def test_run_lines_continue_after_a_backslash() -> None:
    assert list(run_lines("// RUN: a \\\n// RUN: b\n// RUN: c")) == ["a b", "c"]
