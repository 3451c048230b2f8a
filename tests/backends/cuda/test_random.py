"""Random numbers are the same on a GPU as on the processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels_on_threads import mapped, run
from ml_samples import NAMED, program

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.random import KEY
from xmlc.driver import compile_module

KEYS = [np.array(words, np.uint32) for words in ((0, 0), (0xFFFFFFFF, 0x12345678))]
SHAPE = (37, 41)


def on_both(build: Any, element: str, key: Any) -> tuple[Any, Any]:
    """What threads give and what compiled code does."""

    def made(key: Any) -> Any:
        return build(key, SHAPE, NAMED[element], -1.5, 2.5)

    (on_gpu,) = run(mapped(program([KEY], made)), [key])[:1]
    (on_cpu,) = compile_module(program([KEY], made))(key)
    return on_gpu.view(TO_NUMPY[NAMED[element]]).reshape(SHAPE), on_cpu


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
def test_uniform_numbers_have_the_same_bits(element: str, key: Any) -> None:
    on_gpu, on_cpu = on_both(F.random_uniform, element, key)
    np.testing.assert_array_equal(on_gpu.view(np.uint8), on_cpu.view(np.uint8))
    assert len(np.unique(on_gpu.astype(np.float64))) > 100


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
def test_normal_numbers_are_of_the_same_bits_but_for_how_log_and_cos_round(element: str) -> None:
    on_gpu, on_cpu = (each.astype(np.float64) for each in on_both(F.random_normal, element, KEYS[1]))
    bound = {"f32": 1e-6, "f64": 1e-14, "f16": 2e-3, "bf16": 2e-2}[element]
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=bound, atol=bound)
