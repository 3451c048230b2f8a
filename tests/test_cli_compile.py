"""`xmlc compile`: every stage of every language, resuming from each, and each message that a user can get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from gpu_corpus import needs_ptxas
from onnx import TensorProto, helper

from xmlc.driver import stages
from xmlc.passes.form_kernels import FormKernels
from xmlc.passes.lower_ml.lower import LowerMl

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits.onnx"
TOY = ROOT / "examples" / "toy" / "structs.toy"

Run = Callable[..., tuple[int, str, str]]

MLIR_STAGES = ["source", *(stage.name for stage in stages() if stage.passes)]

SOFTMAX = """\
func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = ml.softmax %x axis = 1 : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
"""


@pytest.mark.parametrize("stage", MLIR_STAGES)
def test_a_toy_program_is_resumed_from_every_stage(xmlc: Run, stage: str) -> None:
    code, text, err = xmlc("compile", TOY, "--emit", stage)
    assert (code, err) == (0, "")
    assert xmlc("run", "-", text=text) == (0, "31.000000 \n", "")


@pytest.mark.parametrize("stage", MLIR_STAGES)
def test_a_network_is_resumed_from_every_stage(xmlc: Run, stage: str, tmp_path: Path) -> None:
    program, weights = tmp_path / "net.mlir", tmp_path / "weights.npz"
    made = xmlc("compile", DIGITS, "--bind", "N=2", "--emit", stage, "-o", program, "--save-weights", weights)
    assert made == (0, "", "")
    code, out, err = xmlc("run", program, "--inputs", weights, "--random", 5, "--json", "--check")
    assert (code, err) == (0, "")
    expected = xmlc("run", DIGITS, "--bind", "N=2", "--random", 5, "--json").out
    found = json.loads(out)
    assert found["agrees"]
    np.testing.assert_allclose(
        found["outputs"][0]["values"], json.loads(expected)["outputs"][0]["values"], rtol=1e-5, atol=1e-7
    )


def test_the_stages_that_are_text(xmlc: Run) -> None:
    assert xmlc("compile", TOY, "--emit", "ast").out.startswith("  Module:\n")
    assert "toy.generic_call @apply" in xmlc("compile", TOY, "--emit", "source").out
    assert "generic_call" not in xmlc("compile", TOY, "--emit", "toy").out
    assert "define void @main(" in xmlc("compile", TOY, "--emit", "llvm").out
    assert "main:" in xmlc("compile", TOY, "--emit", "asm").out


def test_the_output_says_what_is_wanted(xmlc: Run, tmp_path: Path) -> None:
    for suffix, start in ((".o", b"\x7fELF"), (".ll", b"target "), (".s", b"\t."), (".mlir", b"builtin.module")):
        file = tmp_path / f"x{suffix}"
        assert xmlc("compile", TOY, "-o", file).code == 0
        assert file.read_bytes().startswith(start), suffix


def test_every_stage_is_dumped(xmlc: Run, tmp_path: Path) -> None:
    assert xmlc("compile", TOY, "-o", tmp_path / "x.o", "--dump", tmp_path / "dump").code == 0
    names = sorted(file.name for file in (tmp_path / "dump").iterdir())
    assert names == [
        f"{index:02}-{stage}{ {'llvm': '.ll', 'asm': '.s', 'obj': '.o'}.get(stage, '.mlir') }"
        for index, stage in enumerate(["source", *(stage.name for stage in stages())])
    ]


def test_the_program_is_printed_around_passes(xmlc: Run) -> None:
    err = xmlc("compile", TOY, "--emit", "toy", "--print-ir-before", "inline", "--print-ir-after", "infer-shapes").err
    assert err.index("IR Dump Before inline") < err.index("toy.generic_call") < err.index("IR Dump After infer-shapes")
    assert xmlc("compile", TOY, "--emit", "toy", "--print-ir-after-all").err.count("IR Dump After") == 3


def test_timing_names_stages_and_passes(xmlc: Run) -> None:
    lines = xmlc("compile", TOY, "--emit", "llvm", "--timing").err.splitlines()
    assert any(line.endswith("  stage linalg") for line in lines)
    assert any(line.endswith("    lower-ml") for line in lines)


def test_levels_and_targets_give_other_code(xmlc: Run) -> None:
    fast = xmlc("compile", "-", "--emit", "asm", "-O3", text=SOFTMAX).out
    plain = xmlc("compile", "-", "--emit", "asm", "-O0", text=SOFTMAX).out
    arm = xmlc("compile", "-", "--emit", "asm", "--target", "aarch64-linux-gnu", text=SOFTMAX).out
    assert len({fast, plain, arm}) == 3
    assert "fmul" in arm or "fdiv" in arm


MISTAKES: list[tuple[list[object], str, int, str]] = [
    (["/no/such.toy"], "", 1, "error: cannot read '/no/such.toy': no such file\n"),
    (["/"], "", 1, "error: cannot read '/': it is a folder\n"),
    ([TOY, "--emit", "lnalg"], "", 2, "error: unknown stage 'lnalg'\nhint: did you mean 'linalg'?\n"),
    ([TOY, "--emit", "qq"], "", 2, "error: unknown stage 'qq'\nhint: known: asm, ast, kernels, linalg"),
    ([DIGITS, "--emit", "ast"], "", 1, f"{DIGITS}: error: only Toy has a syntax tree; a program in ONNX has none\n"),
    ([TOY, "--target", "cp"], "", 2, "error: unknown target 'cp'\nhint: did you mean cpu?\n"),
    ([TOY, "-O7"], "", 2, "error: invalid value for '-O': 7 is not in the range 0<=x<=3\n"),
    ([TOY, "--print-ir-after", "inlin"], "", 2, "error: unknown pass 'inlin'\nhint: did you mean 'inline'?\n"),
    (
        [TOY, "--print-ir-before", "qqqq"],
        "",
        2,
        "error: unknown pass 'qqqq'\nhint: `xmlc list stages` shows the passes of every stage\n",
    ),
    ([TOY, "--from", "json"], "", 2, "error: invalid value for '--from': 'json' is not one of 'toy', 'onnx', 'mlir'\n"),
    (
        [DIGITS],
        "",
        1,
        "error: input 'image' has free sizes: image: float32 Nx1x8x8\n"
        "hint: give them, such as --bind N=1, or the input itself\n",
    ),
    (
        [DIGITS, "--bind", "M=1"],
        "",
        1,
        f"{DIGITS}: error: the program has no size and no input named 'M'\nhint: its free sizes are N\n",
    ),
    (
        ["-", "--bind", "N=1"],
        SOFTMAX.replace("2x3", "?x3"),
        1,
        "<stdin>: error: the program has no size and no input named 'N'\n"
        "hint: its free sizes have no names: give the shapes of input0: float32 ?x3\n",
    ),
    (
        [DIGITS, "--bind", "N=x"],
        "",
        2,
        "error: cannot read 'N=x' in --bind\nhint: give sizes such as B=1,S=16 or x=1x3x32x32\n",
    ),
    (["-"], "", 1, "<stdin>:1:1: error: could not parse entire input, found the end of the text\n"),
    (["-"], "func.func @main() {", 1, "<stdin>:1:20: error: "),
    (["-", "--from", "onnx"], "junk", 1, "<stdin>: error: not an ONNX model, or a truncated one\n"),
    (["-"], "def main() { print(1) }", 1, "<stdin>:1:23: error: expected"),
    (
        ["-", "--emit", "ml"],
        SOFTMAX.replace("func.func @main", "module attributes {xmlc.stage = \"linalg\"} {\nfunc.func @main") + "}",
        1,
        "<stdin>:1:1: error: the program is at stage 'linalg' already, which comes after 'ml'\n",
    ),
    (
        ["-"],
        SOFTMAX.replace("func.func @main", "module attributes {xmlc.stage = \"linlg\"} {\nfunc.func @main") + "}",
        1,
        "error: unknown stage 'linlg'\nhint: did you mean 'linalg'?\n",
    ),
    (
        ["-"],
        SOFTMAX.replace("2x3", "?x3"),
        1,
        "error: input 'input0' has free sizes: input0: float32 ?x3\n"
        "hint: give them, such as --bind input0=1x3, or the input itself\n",
    ),
    (
        ["-"],
        SOFTMAX.replace("axis = 1", "axis = 2"),
        1,
        "<stdin>:2:8: error: ",
    ),
    (
        ["-"],
        SOFTMAX.replace("@main", "@f") + SOFTMAX.replace("@main", "@g"),
        1,
        "<stdin>:1:1: error: the module has no function @main to run\n"
        "func.func @f(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {\n^\n"
        "hint: its public functions are @f, @g: name one of them @main\n",
    ),
    (
        ["-"],
        "func.func @main(%x: i32) -> i32 {\n  func.return %x : i32\n}",
        1,
        "<stdin>:1:1: error: the input 'input0' of @main is i32\n"
        "func.func @main(%x: i32) -> i32 {\n^\nhint: a program takes and gives tensors\n",
    ),
    (
        ["-", "--emit", "linalg"],
        SOFTMAX.replace("ml.softmax %x axis = 1", "toy.add %x, %x").replace("f32> -> tensor<2x3xf32>", "f32>"),
        1,
        "<stdin>:2:8: error: ",
    ),
    ([TOY, "-o", "/no/such/x.o"], "", 1, "error: cannot write '/no/such/x.o': no such folder\nhint: make the folder"),
    ([TOY, "-o", "/dev/null", "--dump", "/dev/null/x"], "", 1, "error: cannot make the folder '/dev/null/x': "),
]  # fmt: skip


@pytest.mark.parametrize("row", MISTAKES, ids=[" ".join(str(word) for word in row[0])[-40:] for row in MISTAKES])
def test_a_mistake_gets_its_message(xmlc: Run, row: tuple[list[object], str, int, str]) -> None:
    arguments, text, wanted, message = row
    code, out, err = xmlc("compile", *arguments, text=text)
    assert err.startswith(message), err
    assert (code, out) == (wanted, "")
    assert "Traceback" not in err


def test_a_truncated_model_is_refused(xmlc: Run, tmp_path: Path) -> None:
    file = tmp_path / "half.onnx"
    file.write_bytes(DIGITS.read_bytes()[:50_000])
    code, _, err = xmlc("compile", file)
    assert code == 1
    assert err.startswith(f"{file}: error: not an ONNX model, or a truncated one\nhint: ")


def test_all_unsupported_operators_are_named_at_once(xmlc: Run, tmp_path: Path) -> None:
    nodes = [helper.make_node("Frob", ["x"], [f"a{i}"], name=f"frob{i}", domain="some") for i in range(2)]
    nodes.append(helper.make_node("Twist", ["a0"], ["y"], name="twist", domain="some"))
    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", port[:1], port[1:])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("some", 1)]
    file = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports), file)
    code, _, err = xmlc("compile", file)
    assert code == 1
    assert err.splitlines()[:2] == [
        f"{file}: error: operator some:Frob is not supported: 2 nodes (frob0, frob1)",
        f"{file}: error: operator some:Twist is not supported: 1 node (twist)",
    ]


def test_a_failure_leaves_no_output(xmlc: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.o"
    assert xmlc("compile", "-", "-o", file, text="junk").code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_crash_of_a_stage_leaves_a_reproducer(xmlc: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setenv("XMLC_REPRODUCER_DIR", str(tmp_path))
    monkeypatch.setattr(FormKernels, "apply", crash)
    with pytest.raises(ZeroDivisionError) as caught:
        xmlc("compile", "-", "--emit", "linalg", text=SOFTMAX)
    (file,) = tmp_path.iterdir()
    assert any(str(file) in note for note in caught.value.__notes__)
    assert "ml.exp" in file.read_text(encoding="utf-8")
    assert "RUN: xmlc opt %s --allow-unregistered-dialect -p 'form-kernels," in file.read_text(encoding="utf-8")


def test_what_cannot_be_lowered_is_named_as_the_user_did(xmlc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LowerMl, "apply", lambda *_: None)
    err = xmlc("compile", "-", "--emit", "linalg", text=SOFTMAX).err
    place = "<stdin>:2:8: error: 1 x ml.reduce_max cannot be lowered by stage 'linalg'\n  %y = ml.softmax %x axis = 1"
    assert place in err
    err = xmlc("compile", DIGITS, "--bind", "N=1", "--emit", "linalg").err
    assert "relu_1 (Relu): error: 3 x ml.relu cannot be lowered by stage 'linalg'\n" in err


@pytest.mark.parametrize(
    ("stage", "contains"),
    [
        ("gpu", "gpu.launch_func @kernels::"),
        ("nvvm", "nvvm.read.ptx.sreg.tid.x"),
        ("llvm", 'target triple = "nvptx64-nvidia-cuda"'),
        ("ptx", ".target sm_80"),
    ],
)
def test_every_stage_of_the_gpu_is_printed(xmlc: Run, stage: str, contains: str) -> None:
    done = xmlc("compile", "-", "--target=cuda:sm_80", f"--emit={stage}", text=SOFTMAX)
    assert (done.code, done.err) == (0, "") and contains in done.out


def test_the_text_of_the_gpu_level_is_resumed(xmlc: Run) -> None:
    text = xmlc("compile", "-", "--target=cuda", "--emit=gpu", text=SOFTMAX).out
    whole = xmlc("compile", "-", "--target=cuda", "--emit=ptx", text=SOFTMAX).out
    assert xmlc("compile", "-", "--target=cuda", "--emit=ptx", text=text).out == whole


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cuda:sm_70", "sm_70 is too old\nhint: kernels are made for sm_80 and later"),
        ("cuda:90", "unknown target 'cuda:90'\nhint: write cuda or cuda:sm_90a"),
    ],
)
def test_a_gpu_that_is_none_is_refused(xmlc: Run, target: str, message: str) -> None:
    done = xmlc("compile", "-", f"--target={target}", "--emit=ptx", text=SOFTMAX)
    assert done.code == 2 and message in done.err


@needs_ptxas
def test_the_report_says_what_each_kernel_takes(xmlc: Run, tmp_path: Path) -> None:
    done = xmlc("compile", "-", "--target=cuda", "--emit=cubin", "-o", tmp_path / "x.cubin", "--report", text=SOFTMAX)
    assert done.code == 0
    assert "registers" in done.err and "spilled" in done.err and "softmax" not in done.out


def test_a_report_is_for_kernels_of_a_gpu(xmlc: Run) -> None:
    done = xmlc("compile", "-", "--emit=llvm", "--report", text=SOFTMAX)
    assert done.code == 2 and "--report tells what kernels of a GPU take" in done.err
