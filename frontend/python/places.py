"""Places in the user's Python source: where an op was made, and where a mistake is."""

from __future__ import annotations

import linecache
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import CodeType

from xdsl.dialects.builtin import FileLineColLoc, IntAttr, StringAttr, UnknownLoc
from xdsl.ir import Operation

from xmlc.dialects.diagnostics import CompileError, Place

PACKAGE = Path(sys.modules["xmlc"].__path__[0])
SIDE_BY_SIDE = Path(__file__).resolve().parents[2]
"""A checkout has the folders `dialects`, `frontend` … beside `xmlc`; an installed package has them inside of it."""
FOLDERS = (PACKAGE, *[SIDE_BY_SIDE / each for each in ("dialects", "passes", "frontend")])
OURS = tuple(f"{each}{os.sep}" for each in (*FOLDERS, Path(sys.modules["xdsl"].__path__[0])))
"""Folders whose frames are not the user's."""
EXAMPLES = f"{PACKAGE / 'examples'}{os.sep}"
"""What an installed package has besides, and is written as a user writes."""


def locate(op: Operation) -> None:
    """Give an op, and those inside it, the line of Python that made it."""
    place = user_place()
    if place is None:
        return
    location = FileLineColLoc(StringAttr(place.file), IntAttr(place.line), IntAttr(place.column))
    for inner in op.walk():
        if isinstance(inner.location, UnknownLoc):
            inner.location = location


def user_place() -> Place | None:
    """The innermost line that is neither ours nor xDSL's."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if is_user(frame.f_code):
            return place_in(frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return None


def at_user_line(error: Exception, hint: str | None = None) -> CompileError:
    """The error of an op that cannot be made, at the line that made it: the innermost that is the user's."""
    trace, place = error.__traceback__, user_place()
    while trace is not None:
        if is_user(trace.tb_frame.f_code):
            place = place_in(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    line = linecache.getline(place.file, place.line).rstrip("\n") if place else None
    return CompileError(str(error), place=place, source_line=line, hint=hint)


def is_user(code: CodeType) -> bool:
    file = code.co_filename
    is_ours = file.startswith(OURS) and not file.startswith(EXAMPLES)
    return not is_ours and file != contextmanager.__code__.co_filename


def place_in(code: CodeType, instruction: int) -> Place:
    """The place in the file of an instruction, given by its offset in bytes."""
    positions = list(code.co_positions())[instruction // 2]
    return Place(code.co_filename, positions[0] or code.co_firstlineno, (positions[2] or 0) + 1)
