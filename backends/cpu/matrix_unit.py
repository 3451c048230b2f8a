"""Leave to use the matrix unit (AMX), which Linux gives to a process that asks: its tiles make every thread's state
larger by 8 KiB."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping

ARCH_PRCTL, REQUEST_FEATURE, TILE_DATA = 158, 0x1023, 18
"""The system call on x86-64, what it is to do, and the feature: see Linux's `asm/prctl.h`."""
TILES = "amx-"
"""What LLVM's names of the instruction sets of the unit begin with."""


def ask() -> bool:
    """Ask for this process and all its threads; whether it was granted."""
    if not sys.platform.startswith("linux"):
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_FEATURE, TILE_DATA) == 0


def permitted(features: Mapping[str, bool], ask: Callable[[], bool] = ask) -> dict[str, bool]:
    """The features of a processor, without the matrix unit where the system, asked for it, refuses."""
    if not features.get("amx-tile") or ask():
        return dict(features)
    return {name: present and not name.startswith(TILES) for name, present in features.items()}
