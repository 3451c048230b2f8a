"""Fourier transforms of the array API standard, which are NumPy's: their results are complex."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmlc.tensors.device import Device
from xmlc.tensors.library import LibraryFunction
from xmlc.tensors.tensor import Tensor

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn",
]  # fmt: skip

fft, ifft, fftn, ifftn = map(LibraryFunction, (np.fft.fft, np.fft.ifft, np.fft.fftn, np.fft.ifftn))
rfft, irfft, rfftn, irfftn = map(LibraryFunction, (np.fft.rfft, np.fft.irfft, np.fft.rfftn, np.fft.irfftn))
hfft, ihfft = LibraryFunction(np.fft.hfft), LibraryFunction(np.fft.ihfft)
fftshift, ifftshift = LibraryFunction(np.fft.fftshift), LibraryFunction(np.fft.ifftshift)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Device | str | None = None) -> Tensor:
    """The frequencies of the elements of `fft` of n samples at distance d."""
    return Tensor(np.fft.fftfreq(n, d), dtype or float, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Device | str | None = None) -> Tensor:
    """The frequencies of the elements of `rfft` of n samples at distance d."""
    return Tensor(np.fft.rfftfreq(n, d), dtype or float, device)
