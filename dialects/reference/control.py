"""What the control flow of `ml` means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xmlc.dialects.ml import control as ml
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.reference.interpreter import Frame, dtype_of


def if_(frame: Frame, op: ml.IfOp) -> None:
    frame.set(op, *frame.run(op.then if frame[op.condition] else op.otherwise))


def while_(frame: Frame, op: ml.WhileOp) -> None:
    carried: Sequence[Any] = frame.get(op.inits)
    while frame.run(op.condition, *carried)[0]:
        carried = frame.run(op.body, *carried)
    frame.set(op, *carried)


def scan(frame: Frame, op: ml.ScanOp) -> None:
    carried: Sequence[Any] = frame.get(op.inits)
    sequences = frame.get(op.sequences)
    steps = op.steps() if op.length is not None else len(sequences[0])
    outputs: list[Sequence[Any]] = []
    for step in reversed(range(steps)) if op.reverse is not None else range(steps):
        given = frame.run(op.body, *carried, *[each[step] for each in sequences])
        carried = given[: len(op.inits)]
        outputs.append(given[len(op.inits) :])
    if op.reverse is not None:
        outputs.reverse()
    stacked = [
        np.stack([each[k] for each in outputs])
        if outputs
        else np.zeros((0, *shape_of(result)[1:]), dtype_of(result.type))
        for k, result in enumerate(op.results[len(op.inits) :])
    ]
    frame.set(op, *carried, *stacked)


EVALUATE = {ml.IfOp: if_, ml.WhileOp: while_, ml.ScanOp: scan}
