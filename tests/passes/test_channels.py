"""Padding some channels at a time: convolutions by a filter for each channel, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from small_convolutions import Program, expect_compiled, expect_meaning, program, workspace

from xmlc import ml

CASES: dict[str, tuple[Sequence[int], Sequence[int], dict[str, Any]]] = {
    "image": ((1, 9, 20, 40), (3, 3), {"low": (1, 1), "high": (1, 1)}),
    "strides": ((1, 9, 20, 40), (5, 3), {"low": (2, 1), "high": (2, 0), "strides": (2, 2)}),
    "dilations": ((1, 9, 8, 33), (3, 3), {"low": (2, 6), "high": (2, 0), "dilations": (2, 3)}),
    "images": ((3, 4, 5, 35), (3, 3), {"low": (0, 1), "high": (1, 1)}),
    "one row": ((1, 1, 7, 36), (1, 3), {"low": (0, 1), "high": (0, 1)}),
    "series": ((2, 40, 37), (5,), {"low": (2,), "high": (3,)}),
    "volume": ((1, 3, 4, 5, 36), (3, 1, 3), {"low": (1, 0, 1), "high": (1, 0, 1)}),
    "few channels": ((1, 9, 20, 3), (3, 3), {"low": (1, 1), "high": (1, 1)}),
    "not padded": ((1, 9, 20, 40), (3, 3), {}),
}


def case(name: str) -> Program:
    image, kernel, window = CASES[name]
    shapes = (image, (*kernel, image[-1]), image[-1:])
    return program(shapes, lambda x, w, b: ml.relu(ml.channels_last_depthwise_conv(x, w, b, **window)))


@pytest.mark.parametrize("name", CASES)
def test_the_meaning_is_kept(name: str) -> None:
    expect_meaning(case(name))


@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("name", CASES)
def test_it_compiles(name: str, threads: int) -> None:
    expect_compiled(case(name), threads)


@pytest.mark.parametrize("name", ("image", "images", "series"))
def test_a_vector_of_channels_is_all_that_is_padded(name: str) -> None:
    _, (image, *_) = case(name)
    assert workspace(case(name)[0], vector_bits=512) < image.nbytes


def test_pixels_that_do_not_fit_the_cache_are_padded_as_a_whole() -> None:
    _, (image, *_) = case("image")
    assert workspace(case("image")[0], vector_bits=512, second_cache=4096) > image.nbytes
