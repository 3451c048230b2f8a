"""Padding part by part: grouped convolutions pad what each step of the outermost loop reads, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from small_convolutions import Program, expect_compiled, expect_meaning, program, workspace

from xmlc import ml

CASES: dict[str, tuple[Sequence[int], Sequence[int], dict[str, Any]]] = {
    "depthwise": ((1, 5, 9, 20), (5, 1, 3, 3), {"groups": 5, "low": (1, 1), "high": (1, 1)}),
    "stride 2": ((1, 5, 9, 21), (5, 1, 3, 3), {"groups": 5, "low": (1, 1), "high": (1, 1), "strides": (2, 2)}),
    "padded on one side": ((1, 4, 8, 18), (4, 1, 3, 3), {"groups": 4, "low": (0, 2), "high": (2, 0)}),
    "narrow rows": ((1, 4, 6, 3), (4, 1, 3, 3), {"groups": 4, "low": (1, 1), "high": (1, 1)}),
    "wide padding": ((1, 3, 4, 5), (3, 1, 3, 3), {"groups": 3, "low": (20, 19), "high": (1, 40), "dilations": (5, 7)}),
    "several channels a group": ((1, 6, 7, 17), (4, 3, 3, 3), {"groups": 2, "low": (1, 1), "high": (1, 1)}),
    "several images": ((3, 4, 7, 9), (4, 1, 3, 3), {"groups": 4, "low": (1, 1), "high": (1, 1)}),
    "series": ((1, 4, 40), (4, 1, 5), {"groups": 4, "low": (2,), "high": (2,)}),
    "one group": ((1, 4, 7, 9), (4, 4, 3, 3), {"low": (1, 1), "high": (1, 1)}),
}


def case(name: str) -> Program:
    image, weight, window = CASES[name]
    return program((image, weight, weight[:1]), lambda x, w, b: ml.conv(x, w, b, **window))


@pytest.mark.parametrize("name", CASES)
def test_the_meaning_is_kept(name: str) -> None:
    expect_meaning(case(name))


@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("name", CASES)
def test_it_compiles(name: str, threads: int) -> None:
    expect_compiled(case(name), threads)


def test_no_more_is_padded_than_one_step_reads() -> None:
    assert workspace(case("depthwise")[0]) < 5 * 11 * 22 * 4
    assert workspace(case("one group")[0]) == 4 * 9 * 11 * 4


def test_planes_that_would_not_stay_in_cache_are_padded_before() -> None:
    assert workspace(case("depthwise")[0], second_cache=2048) == 5 * 11 * 22 * 4
