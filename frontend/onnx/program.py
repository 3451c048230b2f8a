"""What an import gives: the module, its signature, and the weights that are its trailing arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from xmlc.frontend.onnx.tensors import Array


@dataclass(frozen=True)
class Port:
    """An input or output of the model.

    `declared` are the sizes as the model names them: a number, a symbol, or None where it says nothing (and is
    itself None where the model gives no rank); `shape` are the sizes this program was imported for.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    declared: tuple[int | str | None, ...] | None = None


@dataclass(frozen=True)
class Program:
    """`@main` of `module` takes the `inputs` in order, then the `weights` in order, and returns `outputs`."""

    module: ModuleOp
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: dict[str, Array]
