"""`xmlc run`: what it prints and writes, and each message that a user can get."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from xmlc import options

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits.onnx"
TOY = ROOT / "examples" / "toy"

Run = Callable[..., tuple[int, str, str]]

ADD = """\
func.func @main(%x: tensor<2x2xf32> {ml.name = "x"}, %n: tensor<i64> {ml.name = "n"})
    -> (tensor<2x2xf32> {ml.name = "sum"}) {
  %m = ml.cast %n : tensor<i64> -> tensor<f32>
  %y = ml.add %x, %m : tensor<2x2xf32>, tensor<f32> -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}
"""


def test_toy_prints_what_it_prints(xmlc: Run) -> None:
    expected = "1.000000 2.000000 3.000000 \n4.000000 5.000000 6.000000 \n"
    assert xmlc("run", TOY / "transposes.toy") == (0, expected, "")
    assert json.loads(xmlc("run", TOY / "transposes.toy", "--json").out) == {"outputs": [], "printed": expected}


@pytest.mark.parametrize("file", sorted(TOY.glob("[!m]*.toy")), ids=lambda file: file.stem)
def test_every_toy_example_agrees_with_the_reference(xmlc: Run, file: Path) -> None:
    code, _, err = xmlc("run", file, "--check")
    assert (code, err) == (0, "agrees with the reference interpreter\n")


def test_outputs_are_printed_as_numpy_does(xmlc: Run) -> None:
    out = xmlc("run", "-", "--input", "x=[[1,2],[3,4]]", "--input", "n=10", text=ADD).out
    assert out == "sum: float32 2x2\n[[11. 12.]\n [13. 14.]]\n"


def test_outputs_are_written_to_files(xmlc: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    np.savez(tmp_path / "in.npz", n=np.int64(2))
    given = ["--input", f"x={tmp_path / 'x.npy'}", "--inputs", tmp_path / "in.npz"]
    made = xmlc("run", "-", *given, "--save", tmp_path / "out.npz", "--output-dir", tmp_path / "out", text=ADD)
    assert made == (0, "sum: float32 2x2\n", "")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["sum"], np.full((2, 2), 3, np.float32))
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "sum.npy"), np.full((2, 2), 3, np.float32))


def test_json_has_outputs_and_times(xmlc: Run) -> None:
    made = json.loads(xmlc("run", "-", "--random", 1, "--json", "--timing", "--check", text=ADD).out)
    assert made["outputs"][0]["name"] == "sum" and made["outputs"][0]["shape"] == [2, 2]
    assert made["agrees"] and made["differences"] == []
    assert {"read", "run", "interpret"} <= {row["part"] for row in made["timing"]}


def test_json_spells_what_json_lacks(xmlc: Run) -> None:
    made = json.loads(xmlc("run", "-", "--input", "x=[[1e39,-1e39],[1,2]]", "--input", "n=0", "--json", text=ADD).out)
    assert made["outputs"][0]["values"] == [["inf", "-inf"], [1.0, 2.0]]


def test_the_same_seed_gives_the_same_numbers(xmlc: Run) -> None:
    runs = [xmlc("run", DIGITS, "--bind", "N=1", "--random", seed).out for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_sizes_come_from_the_inputs(xmlc: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 8, 8), np.float32))
    assert xmlc("run", DIGITS, "--input", f"image={tmp_path / 'x.npy'}").out.startswith("probabilities: float32 3x10\n")


def test_an_input_whose_value_decides_shapes_is_compiled_in(xmlc: Run, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Expand", ["x", "shape"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    file = tmp_path / "expand.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)
    assert xmlc("run", file, "--input", "x=[5]", "--input", "shape=[2,3]", "--check").out.startswith("y: float32 2x3\n")
    code, _, err = xmlc("compile", file)
    assert (code, err.splitlines()[0]) == (1, "error: shapes in the model depend on the value of 'shape'")


def test_a_function_on_memrefs_shows_what_it_left(xmlc: Run) -> None:
    text = """func.func @twice(%a: memref<2xf32>) {
  %i = arith.constant 1 : index
  %x = memref.load %a[%i] : memref<2xf32>
  %y = arith.addf %x, %x : f32
  memref.store %y, %a[%i] : memref<2xf32>
  func.return
}"""
    code, out, err = xmlc("run", "-", "--input", "input0=[1,2]", "--check", text=text)
    assert (code, out) == (0, "input0: float32 2\n[1. 4.]\n"), err


def test_a_miss_is_explained(xmlc: Run, tmp_path: Path) -> None:
    with options.CACHE_DIR.set(tmp_path):
        said = [
            xmlc("run", "-", "--random", 0, "--explain-miss", *more, text=ADD).err
            for more in ([], [], ["-O1"], ["-O1", "--target", "cpu:sse2"])
        ]
    assert said[0] == "not in the cache: this program was not compiled before, or its code was dropped since\n"
    assert said[1] == "found in the cache\n"
    assert said[2] == "not in the cache: it was compiled before, but with another optimisation level\n"
    assert said[3] == "not in the cache: it was compiled before, but with another target\n"
    with options.CACHE.set(False):
        assert xmlc("run", "-", "--random", 0, "--explain-miss", text=ADD).err == "the cache is off\n"


MISTAKES: list[tuple[list[object], int, str]] = [
    (["/no/such.onnx"], 1, "error: cannot read '/no/such.onnx': no such file\n"),
    (
        [DIGITS],
        1,
        f"{DIGITS}: error: no value for the input image: float32 Nx1x8x8\n"
        "hint: --input image=FILE.npy gives it, --random SEED draws it\n",
    ),
    (
        [DIGITS, "--random", 0],
        1,
        "error: input 'image' has free sizes: image: float32 Nx1x8x8\n"
        "hint: give them, such as --bind N=1, or the input itself\n",
    ),
    (
        [DIGITS, "--random", 0, "--bind", "N=1", "--input", "imge=1"],
        1,
        f"{DIGITS}: error: the program has no input 'imge'\nhint: did you mean 'image'?\n",
    ),
    ([DIGITS, "--input", "image"], 1, "error: cannot read the input 'image'\nhint: give NAME=FILE.npy, or NAME=VALUE"),
    ([DIGITS, "--input", "image=f("], 1, "error: cannot read the value of the input 'image': 'f('\nhint: a value is"),
    ([DIGITS, "--input", "image='a'"], 1, "error: the value of the input 'image' is no number: ''a''\n"),
    ([DIGITS, "--input", "image=/no/such.npy"], 1, "error: cannot read '/no/such.npy': no such file\n"),
    ([DIGITS, "--inputs", "/no/such.npz"], 1, "error: cannot read '/no/such.npz': no such file\n"),
    ([DIGITS, "--inputs", DIGITS], 1, f"error: '{DIGITS}' is not a .npz file, or a damaged one\n"),
    ([DIGITS, "--input", "image=[[1,2]]"], 1, f"{DIGITS}: error: input 'image' has shape 1x2, expected Nx1x8x8\n"),
    (
        [DIGITS, "--inputs", ROOT / "examples" / "digits.npz"],
        1,
        f"{DIGITS}: error: the program has no input 'label'\nhint: known: image\n"
        f"{DIGITS}: error: input 'image' has element type uint8, expected float32\n"
        "hint: convert it: array.astype('float32')\n",
    ),
    ([TOY / "prints.toy"], 1, f"error: cannot read '{TOY / 'prints.toy'}': no such file\n"),
    ([TOY / "mistakes.toy"], 1, f"{TOY / 'mistakes.toy'}:3:15: error: unknown variable 'c'\n  return (a + c) * 0.5;\n"),
    ([TOY / "structs.toy", "--input", "x=1"], 1, f"{TOY / 'structs.toy'}: error: the program has no input 'x'\n"),
    ([TOY / "structs.toy", "--chek"], 2, "error: unknown option '--chek'\nhint: did you mean '--check' or"),
    ([TOY / "structs.toy", "--random", "x"], 2, "error: invalid value for '--random': 'x' is not a valid integer"),
    (
        [DIGITS, "--random", 0, "--bind", "N=1", "--save", "/no/such/x.npz"],
        1,
        "error: cannot write '/no/such/x.npz': no such folder\nhint: make the folder '/no/such' first\n",
    ),
    (
        [DIGITS, "--random", 0, "--bind", "N=1", "--output-dir", DIGITS],
        1,
        f"error: cannot make the folder '{DIGITS}': a file of that name is there\n",
    ),
]


@pytest.mark.parametrize("row", MISTAKES, ids=[" ".join(str(word) for word in row[0])[-40:] for row in MISTAKES])
def test_a_mistake_gets_its_message(xmlc: Run, row: tuple[list[object], int, str]) -> None:
    arguments, wanted, message = row
    code, out, err = xmlc("run", *arguments)
    assert err.startswith(message), err
    assert (code, out) == (wanted, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("value", ["1.5", "1e30", "99999999999999999999"])
def test_a_value_that_its_type_cannot_hold_is_refused(xmlc: Run, value: str) -> None:
    code, _, err = xmlc("run", "-", "--random", 0, "--input", f"n={value}", text=ADD)
    assert code == 1
    assert err.startswith("error: the value of the input 'n' ")


def test_damaged_arrays_are_refused(xmlc: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.zeros(1000))
    file.write_bytes(file.read_bytes()[:500])
    assert xmlc("run", DIGITS, "--input", f"image={file}").err.startswith(f"error: '{file}' is not a .npy file")
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    assert xmlc("run", DIGITS, "--input", f"image={file}").err.startswith(f"error: '{file}' is not a .npy file")


def test_sizes_of_one_name_must_agree(xmlc: Run, tmp_path: Path) -> None:
    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B"]) for name in "xyz"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "y"], ["z"])], "g", port[:2], port[2:])
    file = tmp_path / "add.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)
    code, _, err = xmlc("run", file, "--input", "x=[1,2]", "--input", "y=[1,2,3]")
    assert code == 1
    assert err == (f"{file}: error: input 'y' has shape 3, expected B with B = 2\nhint: the input 'x' has B = 2\n")


def test_a_wrong_result_is_told(xmlc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from xmlc import running
    from xmlc.meaning import Outcome

    monkeypatch.setattr(running, "interpreted", lambda *_: Outcome((np.zeros((2, 2), np.float32),), ""))
    code, _, err = xmlc("run", "-", "--input", "x=[[1,2],[3,4]]", "--input", "n=10", "--check", text=ADD)
    assert code == 1
    assert err.startswith("error: differs from the reference interpreter: result 0 differs: relative error ")


def test_the_demo_classifies_digits(xmlc: Run) -> None:
    code, out, err = xmlc("demo")
    assert (code, err) == (0, "")
    assert "40 of 40 held-out digits are classified right" in out
    assert "agree with the reference interpreter" in out
    made = json.loads(xmlc("demo", "--json").out)
    assert made["agrees"] and made["right"] == 40
    names = [row["stage"] for row in made["stages"]]
    assert (names[0], names[-1]) == ("source", "obj")


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_run_on_the_processor_instead(xmlc: Run) -> None:
    done = xmlc("run", DIGITS, "--bind", "N=1", "--random", "0", "--target=cuda")
    assert done.code == 1 and done.out == ""
    assert "cuda-bindings is not installed" in done.err or "this machine has no NVIDIA" in done.err


def test_timing_tells_the_most_memory_too(xmlc: Run) -> None:
    *_, last = xmlc("run", "-", "--random", 1, "--timing", text=ADD).err.splitlines()
    assert re.fullmatch(r"[0-9.]+ MiB  most memory of the process", last)
