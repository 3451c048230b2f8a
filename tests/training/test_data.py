"""Batches, initial weights, parameters on disk, progress and plots."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from xmlc import training
from xmlc.dialects.diagnostics import CompileError

ROWS = np.arange(10)
TREE = {
    "layers": [{"weight": np.float32([[1, 2], [3, 4]]), "bias": np.float64([5])}],
    "step": np.int32(7),
    "half": np.array([1.5], ml_dtypes.bfloat16),
    "empty": np.zeros((0, 3), np.float16),
    "mask": np.array([True, False]),
}


def test_batches_hold_every_row_once_and_rows_stay_together() -> None:
    found = list(training.batches((ROWS, ROWS * 2), 5, shuffle=np.random.default_rng(0), epochs=2))
    assert len(found) == 4
    for first, second in (found[:2], found[2:]):
        assert sorted([*first[0], *second[0]]) == list(ROWS)
    assert all((doubled == 2 * row).all() for row, doubled in found)
    assert not np.array_equal(found[0][0], found[2][0])


@pytest.mark.parametrize(("keep_last", "sizes"), [(False, [4, 4]), (True, [4, 4, 2])])
def test_rows_that_fill_no_batch_are_left_out_unless_asked_for(keep_last: bool, sizes: list[int]) -> None:
    assert [len(each) for (each,) in training.batches((ROWS,), 4, keep_last=keep_last)] == sizes


def test_batches_are_of_arrays_of_one_length() -> None:
    with pytest.raises(ValueError, match=r"arrays of one length are taken in batches, found lengths \[9, 10\]"):
        list(training.batches((ROWS, ROWS[1:]), 2))


def test_a_batch_is_no_larger_than_the_data() -> None:
    with pytest.raises(ValueError, match="a batch has from 1 to 10 rows, as many as there are; 11 were asked for"):
        list(training.batches((ROWS,), 11))


@pytest.mark.parametrize("shape", [(300, 200), (200, 30, 3, 3)])
def test_initial_weights_have_the_variance_they_are_named_for(shape: tuple[int, ...]) -> None:
    inputs, outputs = (300, 200) if len(shape) == 2 else (270, 1800)
    random = np.random.default_rng(0)
    np.testing.assert_allclose(training.he_normal(random, shape).var(), 2 / inputs, rtol=0.05)
    np.testing.assert_allclose(training.glorot_uniform(random, shape).var(), 2 / (inputs + outputs), rtol=0.05)
    np.testing.assert_allclose(training.normal(random, shape, 0.5).var(), 0.25, rtol=0.05)


def test_a_bias_has_no_layer_to_be_drawn_for() -> None:
    with pytest.raises(ValueError, match=r"weights of a layer have two dimensions or more, found shape \(3,\)"):
        training.he_normal(np.random.default_rng(0), (3,))


def test_parameters_are_counted() -> None:
    assert training.parameter_count(TREE) == 4 + 1 + 1 + 1 + 0 + 2


def test_parameters_come_back_as_the_tree_they_were(tmp_path: Path) -> None:
    training.save_parameters(tmp_path / "p.safetensors", TREE)
    found = training.load_parameters(tmp_path / "p.safetensors", TREE)
    np.testing.assert_equal(found, TREE)
    assert found["half"].dtype == ml_dtypes.bfloat16
    found["layers"][0]["bias"][0] = 0  # a copy of its own


def test_parameters_come_back_by_name(tmp_path: Path) -> None:
    training.save_parameters(tmp_path / "p.safetensors", TREE)
    found = training.load_parameters(tmp_path / "p.safetensors")
    assert sorted(found) == ["empty", "half", "layers.0.bias", "layers.0.weight", "mask", "step"]


def test_what_is_saved_is_read_by_the_library_of_the_format(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    tree = {name: TREE[name] for name in ("layers", "step", "mask")}
    training.save_parameters(tmp_path / "mine", tree)
    found = safetensors.load_file(tmp_path / "mine")
    np.testing.assert_array_equal(found["layers.0.weight"], TREE["layers"][0]["weight"])
    safetensors.save_file(found, tmp_path / "theirs", {"made": "elsewhere"})
    np.testing.assert_equal(training.load_parameters(tmp_path / "theirs", tree), tree)


def test_other_parameters_than_those_saved_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    training.save_parameters(path, {"w": np.zeros(3, np.float32)})
    with pytest.raises(CompileError, match="does not hold the arrays of these parameters: b, w"):
        training.load_parameters(path, {"b": np.zeros(3)})
    with pytest.raises(CompileError, match=r"'w' in .* is float32 of shape \(3,\), expected float32 of shape \(4,\)"):
        training.load_parameters(path, {"w": np.zeros(4, np.float32)})


@pytest.mark.parametrize(
    "content",
    [
        b"abc",
        b"hello world, this is text",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 60) + json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}).encode(),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(CompileError, match="is not a file of safetensors"):
        training.load_parameters(tmp_path / "p")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"cannot read '.*p': no such file"):
        training.load_parameters(tmp_path / "p")


def test_an_array_that_the_format_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="the array 'z' has element type complex128, which safetensors cannot hold"):
        training.save_parameters(tmp_path / "p", {"z": np.zeros(2, complex)})


def test_progress_keeps_the_losses() -> None:
    with training.Progress(2) as progress:
        progress.advance(np.float32(3))
        progress.advance(1.0)
    assert progress.losses == [3.0, 1.0]


def test_a_picture_of_losses_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("xmlc.training.progress.find_spec", {"matplotlib": None}.get)
    with pytest.raises(CompileError, match="a picture of losses needs matplotlib, which is not installed"):
        training.plot_losses({"train": [3.0]}, tmp_path / "losses.svg")


def test_losses_are_plotted(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    training.plot_losses({"train": [3.0, 2.0, 1.0]}, tmp_path / "losses.svg")
    assert "<svg" in (tmp_path / "losses.svg").read_text(encoding="utf-8")
