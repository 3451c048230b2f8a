"""The functions of the Python array API standard 2024.12, on tensors and in functions that are being traced.

    from xmlc import numpy as xp

    x = xp.linspace(0, 1, 5)

Most make `ml` programs (`xmlc.tensors.operations`). Those whose result's shape depends on values need the values at
once (`xmlc.tensors.eager`), and matrix decompositions, Fourier transforms and complex numbers are NumPy's work
(`xmlc.tensors.library`).
"""

from __future__ import annotations

import numpy as np

from xmlc.dialects.dtypes import bfloat16 as bfloat16
from xmlc.frontend.python.functions import e as e
from xmlc.frontend.python.functions import inf as inf
from xmlc.frontend.python.functions import nan as nan
from xmlc.frontend.python.functions import newaxis as newaxis
from xmlc.frontend.python.functions import pi as pi
from xmlc.numpy import fft as fft
from xmlc.numpy import linalg as linalg
from xmlc.numpy.information import *  # noqa: F403
from xmlc.tensors.eager import *  # noqa: F403
from xmlc.tensors.operations import *  # noqa: F403
from xmlc.tensors.tensor import Tensor as Tensor

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""Versions of the standard that a library may ask for."""
__array_api_version__ = VERSIONS[-1]

bool = np.dtype(np.bool_)
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))
complex64, complex128 = np.dtype(np.complex64), np.dtype(np.complex128)
