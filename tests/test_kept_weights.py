"""Packed weights are kept in the cache: mapped by the next process, made anew for other weights."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from onnx_models import model, node

import xmlc
from xmlc import files, kept_weights, options
from xmlc.buffers import ALIGNMENT
from xmlc.cache import Cache
from xmlc.compiled import CompiledModule
from xmlc.files import MappedFile, mapped
from xmlc.kept_weights import KeptWeights, bytes_on_huge_pages, file_of, identity, is_on_huge_pages
from xmlc.kept_weights import kept_weights as place_of

X = np.ones((8, 256), np.float32)


@pytest.fixture(autouse=True)
def small_weights_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_weights, "WORTH", 1)
    monkeypatch.setattr(files, "MAPPED", 1)


def product(path: Path, seed: int) -> np.ndarray:
    """Write a model that multiplies by a random matrix; returns the matrix."""
    weight = np.random.default_rng(seed).standard_normal((256, 96), dtype=np.float32)
    path.write_bytes(model([node("MatMul", "x w", "y")], {"x": X.shape}, ["y"], {"w": weight}).SerializeToString())
    return weight


def loaded(path: Path, cache: Path) -> CompiledModule:
    with options.CACHE.set(True), options.CACHE_DIR.set(cache):
        module = xmlc.load(path)
    assert isinstance(module, CompiledModule)
    return module


def test_the_second_time_nothing_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = product(tmp_path / "m.onnx", 0)
    first = loaded(tmp_path / "m.onnx", tmp_path / "cache")
    monkeypatch.setattr(CompiledModule, "placed", None)
    second = loaded(tmp_path / "m.onnx", tmp_path / "cache")
    for one, two in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(second(X)[0], X @ weight, rtol=1e-4, atol=1e-4)


def test_other_weights_in_the_same_file_are_packed_anew(tmp_path: Path) -> None:
    product(tmp_path / "m.onnx", 0)
    loaded(tmp_path / "m.onnx", tmp_path / "cache")
    weight = product(tmp_path / "m.onnx", 1)
    module = loaded(tmp_path / "m.onnx", tmp_path / "cache")
    np.testing.assert_allclose(module(X)[0], X @ weight, rtol=1e-4, atol=1e-4)


def test_weights_of_a_damaged_size_are_packed_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weight = product(tmp_path / "m.onnx", 0)
    loaded(tmp_path / "m.onnx", tmp_path / "cache")
    with options.CACHE_DIR.set(tmp_path / "cache"):
        (entry,) = [each for each in Cache().entries() if each.key.startswith("weights=")]
    entry.path.write_bytes(entry.path.read_bytes()[:-64])
    module = loaded(tmp_path / "m.onnx", tmp_path / "cache")
    assert "dropped the damaged cache entry" in caplog.text
    np.testing.assert_allclose(module(X)[0], X @ weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("huge", [True, False])
def test_what_is_kept_comes_back_mapped_or_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, huge: bool) -> None:
    monkeypatch.setattr(kept_weights, "is_on_huge_pages", lambda whole, mapping: huge)
    kept = KeptWeights(Cache(tmp_path), "weights=0")
    assert kept.get() is None
    whole = np.arange(10_000, dtype=np.uint8)
    kept.put(whole)
    found = kept.get()
    assert found is not None
    np.testing.assert_array_equal(found, whole)
    assert found.ctypes.data % ALIGNMENT == 0
    assert (file_of(found) is not None) == huge


def test_few_weights_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_weights, "WORTH", 100)
    assert place_of(b"code", {"w": np.zeros(99, np.uint8)}) is None
    assert place_of(b"code", {"w": np.zeros(100, np.uint8)}) is not None


def test_many_weights_that_are_in_no_file_are_not_kept() -> None:
    assert place_of(b"code", {"w": np.zeros(kept_weights.HASHED + 1, np.uint8)}) is None


def test_another_place_depends_on_code_names_and_arrays() -> None:
    weight = np.arange(6, dtype=np.float32)
    found = [
        place_of(code, {name: array})
        for code in (b"one", b"two")
        for name in ("v", "w")
        for array in (weight, weight.reshape(2, 3), weight.view(np.int32), weight + 1)
    ]
    keys = {each.key for each in found if each is not None}
    assert len(keys) == len(found)


def test_an_array_of_a_file_is_known_by_its_place_there(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(64))
    file = mapped(tmp_path / "data")
    bytes_ = np.frombuffer(file, np.uint8)
    square = bytes_[:16].view(np.float32).reshape(2, 2)
    views = [square, square.T, bytes_[16:32].view(np.float32).reshape(2, 2), bytes_[:16], bytes_[:16].reshape(4, 4)]
    assert all(file_of(each) is file for each in views)
    assert len({identity(each) for each in views}) == len(views), "though all are zero"
    (tmp_path / "data").write_bytes(bytes(64))
    again = np.frombuffer(mapped(tmp_path / "data"), np.uint8)
    assert identity(again[:16]) != identity(bytes_[:16]), "it was written since"


def test_arrays_of_no_mapped_file_have_none() -> None:
    assert file_of(np.zeros(3)) is None
    assert file_of(np.frombuffer(b"abc", np.uint8)) is None
    assert file_of(np.frombuffer(mmap.mmap(-1, 10), np.uint8)) is None


def test_a_mapping_that_no_system_tells_of_is_on_small_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept_weights, "SMAPS", tmp_path / "missing")
    assert bytes_on_huge_pages(4096) == 0


@pytest.mark.parametrize("kilobytes", [0, 20480])
def test_the_system_tells_how_much_of_a_mapping_is_on_huge_pages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kilobytes: int
) -> None:
    (tmp_path / "smaps").write_text(
        "1000-2000 r--s 00000000 08:01 1 /other\nFilePmdMapped:    4096 kB\n"
        f"2000-3000 r--s 00000000 08:01 2 /ours\nRss: 1 kB\nFilePmdMapped:    {kilobytes} kB\n"
        "3000-4000 r--s 00000000 08:01 3 /last\nFilePmdMapped:    2048 kB\n"
    )
    monkeypatch.setattr(kept_weights, "SMAPS", tmp_path / "smaps")
    assert bytes_on_huge_pages(0x2040) == kilobytes << 10


def test_a_file_can_be_asked_for_huge_pages(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 5000)
    file: MappedFile = mapped(tmp_path / "data")
    whole = np.frombuffer(file, np.uint8)
    assert is_on_huge_pages(whole, file) == hasattr(mmap, "MADV_HUGEPAGE"), "so little need not be on any"
    assert bytes(whole) == b"x" * 5000
