"""Tiles become instructions of the matrix unit, in registers. Machines without one read the code, and do not run it."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from ml_samples import program
from xdsl.dialects.builtin import bf16, i8, i32
from xdsl.ir import Attribute

from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.driver import Settings, emit

AMX = Settings(target=parse_target("x86_64-linux-gnu:amx"))


def instructions(element: Attribute, rows: int, depth: int, columns: int) -> Counter[str]:
    """How often each instruction on tiles stands in the code of a product."""

    def build(*factors: object) -> list[object]:
        x, y = (F.cast(each, i32) if element == i8 else each for each in factors)  # pyright: ignore
        return [F.matmul(x, y)]  # pyright: ignore

    module = program([tensor((rows, depth), element), tensor((depth, columns), element)], build)  # pyright: ignore
    text = emit(module, "asm", AMX)
    assert isinstance(text, str)
    return Counter(re.findall(r"\t(t(?:dp|ile)[a-z0-9]+|ldtilecfg)", text))


@pytest.mark.parametrize(("element", "product"), [(bf16, "tdpbf16ps"), (i8, "tdpbssd")])
def test_a_product_takes_four_tiles_of_sums_and_spills_none(element: Attribute, product: str) -> None:
    found = instructions(element, 64, 512, 128)
    times = found[product] // 4  # LLVM may unroll the loops over register tiles, and inline the product
    each = dict.fromkeys((product, "tilezero", "tileloadd", "tilestored"), 4 * times)
    configured = found["ldtilecfg"]  # again after each call of memcpy, which copies rows
    assert 1 <= configured <= times and found == {**each, "ldtilecfg": configured, "tilerelease": 1}


def test_rows_that_are_left_over_have_tiles_of_their_own() -> None:
    found = instructions(bf16, 40, 128, 64)
    assert found["tdpbf16ps"] == found["tileloadd"] == found["tilestored"] >= 8 and found["ldtilecfg"] == 1
