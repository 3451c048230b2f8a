"""Targets are found, narrowed and printed; unknown ones are refused with a suggestion."""

from __future__ import annotations

import pytest

from xmlc.backends.cpu.matrix_unit import ask, permitted
from xmlc.backends.cpu.target import host, levels_here, parse_target
from xmlc.dialects.diagnostics import CompileError


def test_cpu_is_the_host_with_all_it_has() -> None:
    target = parse_target("cpu")
    assert target == host() and target.is_host
    assert target.lanes(32) * 32 == target.vector_bits
    assert target.cores >= 1


def test_a_level_narrows_the_host() -> None:
    for level in levels_here():
        target = parse_target(f"cpu:{level}")
        assert target.triple == host().triple
        stated = {name[1:] for name in target.features.split(",") if name}
        assert target.is_host == (target.vector_bits <= host().vector_bits and stated <= host().instructions)


def test_a_triple_is_a_baseline_of_its_architecture() -> None:
    target = parse_target("aarch64-linux-gnu")
    assert (target.vector_bits, target.vector_registers, target.is_host) == (128, 32, False)
    assert parse_target("x86_64-linux-gnu:avx512").vector_registers == 32
    assert parse_target("arm64-apple-darwin").architecture == "aarch64"


def test_a_target_prints_what_it_is() -> None:
    assert "vectors    16 registers of 256 bits" in str(parse_target("x86_64-linux-gnu:avx2"))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("cpuu", "unknown target 'cpuu'", "did you mean cpu?"),
        ("x86_64-linux-gnu:avx21", "unknown x86_64 instruction set 'avx21'", "did you mean avx2?"),
        ("sparc-sun-solaris", "unknown architecture 'sparc'", "known: x86_64, aarch64, riscv64"),
    ],
)
def test_an_unknown_target_suggests_a_known_one(text: str, message: str, hint: str) -> None:
    with pytest.raises(CompileError) as raised:
        parse_target(text)
    assert str(raised.value) == f"error: {message}\nhint: {hint}"


def test_a_level_tells_what_it_has_dot_products_of() -> None:
    found = {name: parse_target(f"x86_64-linux-gnu:{name}").dots for name in ("sse2", "avx512", "avx512-dot")}
    assert found == {"sse2": ("i16",), "avx512": ("i16",), "avx512-dot": ("bf16", "i8", "i16")}
    assert parse_target("aarch64-linux-gnu").dots == ()


def test_a_level_tells_what_it_has_tiles_of() -> None:
    assert parse_target("x86_64-linux-gnu:amx").tiles == ("bf16", "i8")
    assert "tiles      bf16, i8" in str(parse_target("x86_64-linux-gnu:amx"))
    assert parse_target("x86_64-linux-gnu:avx512-dot").tiles == ()


def test_the_system_is_asked_for_the_matrix_unit_where_there_is_one() -> None:
    asked: list[bool] = []

    def answer(granted: bool) -> bool:
        asked.append(granted)
        return granted

    without, unit = {"avx2": True, "amx-tile": False}, {"avx2": True, "amx-tile": True, "amx-bf16": True}
    assert permitted(without, lambda: answer(True)) == without and not asked
    assert permitted(unit, lambda: answer(True)) == unit
    assert permitted(unit, lambda: answer(False)) == {"avx2": True, "amx-tile": False, "amx-bf16": False}
    assert asked == [True, False]


def test_asking_a_system_for_what_it_lacks_is_no_error() -> None:
    assert ask() in (True, False)
