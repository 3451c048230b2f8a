"""Programs as kernels, and what those do on interpreted threads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ml_samples import Array
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp

from xmlc.backends.cuda.stages import CUDA
from xmlc.backends.stages import Stage, refuse_leftovers
from xmlc.dialects import context
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.reference.interpreter import interpret_into


def mapped(module: ModuleOp, stages: Sequence[Stage] = CUDA) -> ModuleOp:
    """The module at the level `gpu`."""
    for stage in stages:
        for each in stage.passes:
            each.apply(context(), module)
        refuse_leftovers(module, stage)
    return module


def run(module: ModuleOp, inputs: Sequence[Array]) -> list[Array]:
    """What the kernels leave in the outputs of @main, by the interpreter of threads."""
    (main,) = (op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == "main")
    buffers: list[Array] = []
    for argument in main.body.block.args:
        kind = argument.type
        assert isinstance(kind, MemRefType)
        dtype = TO_NUMPY[kind.element_type]
        given = len(buffers) < len(inputs)
        buffers.append(inputs[len(buffers)].copy().view(dtype) if given else np.zeros(kind.get_shape(), dtype))
    interpret_into(module, "main", buffers)
    return buffers[len(inputs) :]
