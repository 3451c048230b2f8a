"""The command line: each message that a user can get, and what a command prints when all is well."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnregisteredOp
from xdsl.passes import ModulePass

from xmlc import passes
from xmlc.cache import Cache
from xmlc.dialects.diagnostics import CompileError, Diagnostic

Run = Callable[..., tuple[int, str, str]]

PROGRAM = """\
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  func.return %2 : i32
}
"""


@dataclass(frozen=True)
class Crash(ModulePass):
    """Fails as a bug would."""

    name = "crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise ZeroDivisionError("a bug")


@dataclass(frozen=True)
class Refuse(ModulePass):
    """Refuses every program."""

    name = "refuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise CompileError.of([Diagnostic("this program is refused"), Diagnostic("and for a second reason")])


@dataclass(frozen=True)
class Break(ModulePass):
    """Moves the last op but one of the first function to its start, before what it uses."""

    name = "break"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        block = next(iter(op.body.block.ops)).regions[0].block
        last = block.last_op
        assert last is not None and last.prev_op is not None and block.first_op is not None
        moved = last.prev_op
        moved.detach()
        block.insert_op_before(moved, block.first_op)


@pytest.fixture(autouse=True)
def bad_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (Crash, Refuse, Break):
        monkeypatch.setitem(passes.PASSES, made.name, lambda made=made: made)


def test_opt_reads_standard_input_and_writes_standard_output(xmlc: Run) -> None:
    code, out, err = xmlc("opt", "-p", "cse", text=PROGRAM)
    assert (code, err) == (0, "")
    assert out.count("arith.addi") == 1


def test_opt_writes_the_file_it_is_told_to(xmlc: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mlir", tmp_path / "out.mlir"
    source.write_text(PROGRAM)
    assert xmlc("opt", source, "-o", target) == (0, "", "")
    assert target.read_text() == xmlc("opt", source)[1]


def test_opt_writes_no_file_when_there_was_an_error(xmlc: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.mlir"
    code, _, _ = xmlc("opt", "-o", target, "--split-input-file", text=PROGRAM + "// -----\nbad")
    assert code == 1
    assert list(tmp_path.iterdir()) == []


def test_opt_prints_generic_form(xmlc: Run) -> None:
    assert '"arith.addi"(' in xmlc("opt", "--print-op-generic", text=PROGRAM)[1]


def test_opt_prints_the_module_around_the_passes_asked_for(xmlc: Run) -> None:
    _, _, err = xmlc("opt", "-p", "canonicalize,cse", "--print-ir-before", "cse", text=PROGRAM)
    assert "IR Dump Before cse" in err and "canonicalize" not in err
    _, _, err = xmlc("opt", "-p", "canonicalize,cse", "--print-ir-after", "canonicalize", text=PROGRAM)
    assert "IR Dump After canonicalize" in err and "cse" not in err
    _, _, err = xmlc("opt", "-p", "canonicalize,cse", "--print-ir-after-all", text=PROGRAM)
    assert "IR Dump After canonicalize" in err and "IR Dump After cse" in err


def test_opt_shows_where_the_time_went_as_a_tree(xmlc: Run) -> None:
    _, out, err = xmlc("opt", "-p", "cse", "--timing", text=PROGRAM)
    assert "func.func" in out
    assert [line.split()[-1] for line in err.splitlines()] == [
        "part",
        "opt",
        "parse",
        "verify",
        "passes",
        "cse",
        "print",
    ]
    assert "      cse" in err


def test_opt_accepts_unknown_operations_when_asked_to(xmlc: Run) -> None:
    assert '"some.op"()' in xmlc("opt", "--allow-unregistered-dialect", text='"some.op"() : () -> ()')[1]
    assert UnregisteredOp.name == "builtin.unregistered"


MISTAKES = [
    (["opt", "-p", "canonicaliz"], 2, "error: unknown pass 'canonicaliz'\nhint: did you mean 'canonicalize'?\n"),
    (["opt", "-p", "zzz"], 2, "error: unknown pass 'zzz'\nhint: `xmlc list passes --all` shows every pass\n"),
    (["opt", "-p", "cse,,"], 2, "error: cannot read the pipeline 'cse,,'\nhint: pass-pipeline:1:5"),
    (
        ["opt", "-p", "lower-affine{x=1}"],
        2,
        "error: the pass 'lower-affine' has no option 'x'\nhint: there are none\n",
    ),
    (
        ["opt", "-p", "test-lower-linalg-to-snitch{x=1}"],
        2,
        "error: the pass 'test-lower-linalg-to-snitch' has no option 'x'\n",
    ),
    (["opt", "--print-ir-after", "cs"], 2, "error: unknown pass 'cs'\nhint: did you mean 'cse'?\n"),
    (["opt", "--verify-eac"], 2, "error: unknown option '--verify-eac'\nhint: did you mean '--verify-each'"),
    (["opt", "--zzz"], 2, "error: unknown option '--zzz'\nhint: `xmlc opt --help` shows how it is used\n"),
    (["op"], 2, "error: unknown command 'op'\nhint: did you mean 'opt'?\n"),
    (["list", "pases"], 2, "error: unknown command 'pases'\nhint: did you mean 'passes'?\n"),
    (["list", "ops", "--dialect", "arih"], 2, "error: unknown dialect 'arih'\nhint: did you mean 'arith'?\n"),
    (["opt", "/no/such.mlir"], 1, "error: cannot read '/no/such.mlir': no such file\n"),
    (["opt", "/"], 1, "error: cannot read '/': it is a folder\n"),
    (
        ["opt", "-o", "/no/such/folder/x"],
        1,
        "error: cannot write '/no/such/folder/x': no such folder\nhint: make the folder '/no/such/folder' first\n",
    ),
    (["opt", "-p", "refuse"], 1, "error: this program is refused\nerror: and for a second reason\n"),
]


@pytest.mark.parametrize("arguments, wanted, message", MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_a_mistake_gets_its_message(xmlc: Run, arguments: list[str], wanted: int, message: str) -> None:
    code, _, err = xmlc(*arguments, text=PROGRAM)
    assert err.startswith(message)
    assert code == wanted


TEXTS = [
    (
        "arith.adi %a, %b : i32",
        "<stdin>:1:1: error: unknown operation 'arith.adi'\narith.adi %a, %b : i32\n^\nhint: did you mean 'arith.andi'",
    ),
    ("arth.addi", "unknown operation 'arth.addi'\narth.addi\n^\nhint: did you mean 'arith.addi'?\n"),
    ("arith.zzzzz", "hint: `xmlc list ops --dialect arith` shows the operations of the dialect 'arith'\n"),
    ('"qqqq.op"() : () -> ()', "hint: --allow-unregistered-dialect accepts operations of unknown dialects"),
    ("func.func @f(%a: i32) {\n  func.return", "<stdin>:2:14: error: "),
    ("", "<stdin>:1:1: error: could not parse entire input, found the end of the text\n"),
    ("func.func @f() {\n  arith.addi %a, %b : i32\n  func.return\n}", "error: values used but not defined: [%a, %b]"),
    ("func.func @f() {\n  \"test.op\"() {a = \"} : () -> ()\n}", "end of file reached before closing string literal"),
    ("\ufefffunc.func @f() {\n  %# = x\n}", "<stdin>:2:3: error: expected a name after '%', '#', '^' or '!'\n"),
]  # fmt: skip


@pytest.mark.parametrize("text, message", TEXTS, ids=range(len(TEXTS)))
def test_malformed_text_gets_a_message_with_its_place(xmlc: Run, text: str, message: str) -> None:
    code, out, err = xmlc("opt", text=text)
    assert message in err
    assert (code, out) == (1, "")
    assert "Traceback" not in err


def test_bytes_that_are_not_text_are_placed(xmlc: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.mlir"
    file.write_bytes(b"module {\n  \xff}")
    assert xmlc("opt", file).err == f"{file}:2:3: error: byte 0xff is not UTF-8 text\n"


def test_every_wrong_op_is_reported_with_its_line_and_a_caret(xmlc: Run) -> None:
    ops = ["%0 = arith.addi %1, %a : i32", "%1 = arith.addi %2, %a : i32", "%2 = arith.addi %a, %a : i32"]
    text = "\n  ".join(["func.func @f(%a: i32) {", *ops, "func.return\n}"])
    code, _, err = xmlc("opt", text=text)
    assert code == 1
    assert err == (
        "<stdin>:2:8: error: 'arith.addi': operand 0 is used before it is defined, or where it may not be defined\n"
        "  %0 = arith.addi %1, %a : i32\n"
        "       ^\n"
        "<stdin>:3:8: error: 'arith.addi': operand 0 is used before it is defined, or where it may not be defined\n"
        "  %1 = arith.addi %2, %a : i32\n"
        "       ^\n"
    )


def test_verify_diagnostics_names_an_error_that_did_not_come(xmlc: Run) -> None:
    code, _, err = xmlc(
        "opt", "--verify-diagnostics", text="// expected-error@+1 {{something}}\nfunc.func private @f()"
    )
    assert code == 1
    assert '<stdin>:1:4: error: expected error "something" was not produced on line 2' in err


def test_verify_diagnostics_names_an_error_that_nobody_expected(xmlc: Run) -> None:
    code, _, err = xmlc("opt", "--verify-diagnostics", text="arith.adi")
    assert code == 1
    assert "<stdin>:1:1: error: unexpected error: unknown operation 'arith.adi'" in err


def test_a_crash_leaves_a_reproducer_that_replays_it(
    xmlc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMLC_REPRODUCER_DIR", str(tmp_path))
    with pytest.raises(ZeroDivisionError) as caught:
        xmlc("opt", "-p", "cse,crash,canonicalize", text=PROGRAM)
    (file,) = tmp_path.iterdir()
    (note,) = caught.value.__notes__
    assert f"replay it: xmlc opt {file} --allow-unregistered-dialect -p 'crash,canonicalize'" in note
    text = file.read_text()
    assert text.count("arith.addi") == 1, "the program as it was before the failing pass"
    assert "the whole pipeline was: cse,crash,canonicalize" in text and "xdsl 0.74.0" in text
    with pytest.raises(ZeroDivisionError):
        xmlc("opt", file, "--allow-unregistered-dialect", "-p", "crash,canonicalize")
    assert [file] == list(tmp_path.iterdir()), "the replay fails in the same way, with the same reproducer"


def test_a_pass_that_breaks_the_module_is_named(xmlc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMLC_REPRODUCER_DIR", str(tmp_path))
    with pytest.raises(Exception, match=r"after 'break': <stdin>:4:8: error: 'arith.muli': operand 0 is used before"):
        xmlc("opt", "-p", "break", text=PROGRAM)
    assert len(list(tmp_path.iterdir())) == 1


def test_list_shows_passes_and_their_options(xmlc: Run) -> None:
    assert re.search(r"^crash +Fails as a bug would\.$", xmlc("list", "passes").out, re.MULTILINE)
    everything = json.loads(xmlc("list", "passes", "--all", "--json").out)
    assert {"pass": "crash", "summary": "Fails as a bug would."} in everything
    assert any(row["pass"] == "cse" for row in everything)


def test_list_shows_the_operations_of_a_dialect(xmlc: Run) -> None:
    names = [row["operation"] for row in json.loads(xmlc("list", "ops", "--dialect", "arith", "--json").out)]
    assert "arith.addf" in names and names == sorted(names)


def test_list_shows_settings(xmlc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMLC_CACHE_LIMIT", "2M")
    values = {row["setting"]: row["value"] for row in json.loads(xmlc("list", "options", "--json").out)}
    assert values["XMLC_CACHE_LIMIT"] == 2 * 2**20


def test_cache_is_shown_checked_and_emptied(xmlc: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XMLC_CACHE_DIR", str(tmp_path))
    cache = Cache()
    cache.put("one", b"1")
    cache.put("two", b"22")
    assert {row["key"]: row["size"] for row in json.loads(xmlc("cache", "ls", "--json").out)} == {"one": 1, "two": 2}
    assert "2 entries, 3 of at most" in xmlc("cache", "ls").out
    cache.path("one").write_bytes(cache.path("one").read_bytes()[:-1] + b"x")
    code, out, err = xmlc("cache", "verify")
    assert code == 1
    assert "its hash is wrong" in out and "1 entries are sound, 1 were damaged and are removed" in out
    assert err.startswith("WARNING: xmlc.cache: dropped the damaged cache entry")
    assert xmlc("cache", "verify").code == 0
    assert xmlc("cache", "clear").out == "removed 1 entries\n"


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'xdsl', 'rich', 'onnx', 'llvmlite'}"
    script = f"import sys, xmlc.cli; xmlc.cli.main(['--help']); print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_names_what_a_result_depends_on(xmlc: Run) -> None:
    assert "xdsl 0.74.0" in xmlc("--version").out


def test_an_unterminated_string_is_found_at_once(xmlc: Run) -> None:
    start = time.monotonic()
    assert xmlc("opt", text='"' + "a" * 5000).code == 1
    assert time.monotonic() - start < 5
