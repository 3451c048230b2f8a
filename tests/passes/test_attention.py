"""Attention in blocks means what the interpreter says: any sizes, masks, causality, groups, and what nobody sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import bf16, f16
from xdsl.passes import ModulePass

import xmlc
from xmlc.backends.cpu import stages
from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.driver import Settings
from xmlc.passes.attention.lower import LowerAttention
from xmlc.passes.remarks import Remarks

SIZES = {
    # batch, heads, groups, queries, keys, depth, width of values
    "one tile": (1, 1, 1, 4, 4, 4, 4),
    "one query": (2, 3, 3, 1, 70, 16, 16),
    "few queries": (1, 4, 2, 5, 37, 24, 140),
    "whole vectors": (1, 2, 2, 64, 96, 32, 32),
    "odd everything": (2, 2, 2, 37, 53, 19, 21),
    "several blocks": (1, 2, 1, 133, 200, 24, 70),
    "groups": (1, 6, 2, 17, 18, 8, 8),
}
FEW = ("one tile", "one query", "few queries")
MASKS = ("none", "keys", "flags", "causal", "causal with offset", "nothing seen", "rows", "flags of rows")


def force(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stages.fitted

    def fitted(passes: Sequence[ModulePass], *arguments: Any) -> list[ModulePass]:
        found = real(passes, *arguments)
        return [replace(each, schedule=schedule) if isinstance(each, LowerAttention) else each for each in found]

    monkeypatch.setattr(stages, "fitted", fitted)
    monkeypatch.setenv("XMLC_CACHE", "0")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("sizes", "schedule"), [*((each, "") for each in SIZES), *((each, "blocks") for each in FEW)])
def test_attention_means_what_the_interpreter_says(
    sizes: str, schedule: str, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if schedule:
        force(schedule, monkeypatch)
    batch, heads, groups, rows, columns, depth, width = SIZES[sizes]
    generator = np.random.default_rng(0)
    shapes = ((batch, heads, rows, depth), (batch, groups, columns, depth), (batch, groups, columns, width))
    arrays = [generator.standard_normal(shape, np.float32) for shape in shapes]
    types = {name: xmlc.tensor("x".join(map(str, shape)) + "xf32") for name, shape in zip("qkv", shapes)}
    options = {"causal": True, "offset": -3 if mask.endswith("offset") else 0} if mask.startswith("causal") else {}
    if mask in ("keys", "flags", "nothing seen"):
        flags = generator.random((batch, 1, 1, columns)) < (0 if mask == "nothing seen" else 0.7)
        arrays.append(flags if mask != "keys" else np.where(flags, 0, -np.inf).astype(np.float32))
        types["m"] = xmlc.tensor(f"{batch}x1x1x{columns}x{'f32' if mask == 'keys' else 'i1'}")
    if mask.endswith("rows"):
        flags = generator.random((batch, heads, rows, columns)) < 0.7
        arrays.append(flags if mask != "rows" else np.where(flags, 0.5, -np.inf).astype(np.float32))
        types["m"] = xmlc.tensor(f"{batch}x{heads}x{rows}x{columns}x{'f32' if mask == 'rows' else 'i1'}")
    builder = xmlc.Builder()
    with builder.function(**types) as f:
        f.returns(F.attention(f["q"], f["k"], f["v"], f["m"] if "m" in types else None, **options))
    (wanted,) = builder.interpret(*arrays)
    (found,) = builder.compile()(*arrays)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("kind", "error"), [("bf16", 2e-2), ("f16", 2e-3)])
@pytest.mark.parametrize("mask", ["none", "causal", "rows", "flags"])
def test_attention_of_narrow_numbers_is_in_f32(mask: str, kind: str, error: float) -> None:
    batch, heads, groups, rows, columns, depth, width = SIZES["groups"]
    generator = np.random.default_rng(0)
    shapes = ((batch, heads, rows, depth), (batch, groups, columns, depth), (batch, groups, columns, width))
    types = {name: xmlc.tensor("x".join(map(str, each)) + f"x{kind}") for name, each in zip("qkv", shapes)}
    dtype = TO_NUMPY[{"bf16": bf16, "f16": f16}[kind]]
    arrays = [generator.standard_normal(shape).astype(dtype) for shape in shapes]
    if mask in ("rows", "flags"):
        flags = generator.random((rows, columns)) < 0.7
        arrays.append(flags if mask == "flags" else np.where(flags, 0.5, -np.inf).astype(dtype))
        types["m"] = xmlc.tensor(f"{rows}x{columns}x{'i1' if mask == 'flags' else kind}")
    builder = xmlc.Builder()
    with builder.function(**types) as f:
        f.returns(F.attention(f["q"], f["k"], f["v"], f["m"] if "m" in types else None, causal=mask == "causal"))
    said = Remarks()
    with said.collecting():
        compiled = builder.compile()
    assert any("attention in blocks" in each.message for each in said.found)
    (wanted,), (found,) = builder.interpret(*arrays), compiled(*arrays)
    np.testing.assert_allclose(found.astype(np.float32), wanted.astype(np.float32), rtol=error, atol=error)


@pytest.mark.parametrize("sizes", ["whole vectors", "odd everything", "several blocks"])
def test_attention_of_narrower_vectors_means_the_same(sizes: str) -> None:
    batch, heads, groups, rows, columns, depth, width = SIZES[sizes]
    generator = np.random.default_rng(0)
    shapes = ((batch, heads, rows, depth), (batch, groups, columns, depth), (batch, groups, columns, width))
    builder = xmlc.Builder()
    with builder.function(
        **{name: xmlc.tensor(f"{'x'.join(map(str, each))}xf32") for name, each in zip("qkv", shapes)}
    ) as f:
        f.returns(F.attention(f["q"], f["k"], f["v"], causal=True))
    arrays = [generator.standard_normal(shape, np.float32) for shape in shapes]
    (wanted,) = builder.interpret(*arrays)
    (found,) = builder.compile(Settings(target=parse_target("cpu:avx2")))(*arrays)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


def test_nan_and_infinities_spoil_their_query_only() -> None:
    q, k, v = (np.random.default_rng(i).standard_normal((1, 1, 20, 8)).astype(np.float32) for i in range(3))
    q[0, 0, 3, 0], q[0, 0, 7, 1] = np.nan, np.inf
    builder = xmlc.Builder()
    with builder.function(**dict.fromkeys("qkv", xmlc.tensor("1x1x20x8xf32"))) as f:
        f.returns(F.attention(f["q"], f["k"], f["v"]))
    (found,) = builder.compile()(q, k, v)
    spoilt = np.isnan(found).any(axis=(0, 1, 3))
    assert list(np.flatnonzero(spoilt)) == [3, 7]
