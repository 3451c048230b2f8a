"""Our backends: the table of stages of each target family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmlc.backends.stages import Stage


def cpu() -> Sequence[Stage]:
    from xmlc.backends.cpu.stages import CPU

    return CPU


def cuda() -> Sequence[Stage]:
    from xmlc.backends.cuda.stages import CUDA

    return CUDA


TARGETS: dict[str, Callable[[], Sequence[Stage]]] = {"cpu": cpu, "cuda": cuda}
"""Family of targets -> loader of its stages, so that nothing is imported before it is used."""
