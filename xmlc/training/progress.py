"""What one sees of training: a bar that shows progress and the loss, and a plot of the losses afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import rich.progress as bars

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place


class Progress:
    """A progress bar with the loss, smoothed; nothing is shown where the output is no terminal.

    with Progress(steps) as progress:
        for x, labels in batches(...):
            parameters, state, loss = step(parameters, state, x, labels)
            progress.advance(loss)
    """

    SMOOTHING = 0.95

    def __init__(self, steps: int, name: str = "training"):
        self.losses: list[float] = []
        """The loss of every step so far."""
        self.shown: float | None = None
        self.bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("loss {task.fields[loss]}"),
            bars.TimeRemainingColumn(),
        )
        self.bar.disable = not self.bar.console.is_terminal
        self.task = self.bar.add_task(name, total=steps, loss="-")

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def advance(self, loss: Any) -> None:
        """One step was taken, with this loss."""
        value = float(loss)
        self.losses.append(value)
        self.shown = value if self.shown is None else self.shown + (1 - self.SMOOTHING) * (value - self.shown)
        self.bar.update(self.task, advance=1, loss=f"{self.shown:.4f}")


def plot_losses(losses: dict[str, Sequence[float]], path: str | Path) -> None:
    """Write a picture (the suffix says of which kind) of losses by step, one line a name.

    Raises CompileError where matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        message = "a picture of losses needs matplotlib, which is not installed"
        raise CompileError(message, place=user_place(), hint="pip install 'xmlc[plot]'")
    figures: Any = import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, values in losses.items():
        axes.plot(values, label=name, linewidth=1)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    figure.savefig(path)
