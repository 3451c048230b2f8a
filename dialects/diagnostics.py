"""A user's mistake: where it is, what it is, and what to try instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.dialects.builtin import CallSiteLoc, FileLineColLoc, NameLoc
from xdsl.ir import Attribute


@dataclass(frozen=True)
class Place:
    """A position in a user's file: 1-based line and column; line 0 names the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Diagnostic:
    """One message: lower case, no full stop, says what was found and what was wanted."""

    message: str
    place: Place | None = None
    hint: str | None = None
    source_line: str | None = None

    def render(self) -> str:
        """The message as text: place, message, then the source line with a caret, then the hint."""
        head = f"{self.place}: error: {self.message}" if self.place else f"error: {self.message}"
        lines = [head]
        if self.source_line is not None and self.place is not None and self.place.column:
            before = self.source_line[: self.place.column - 1]
            indent = "".join("\t" if character == "\t" else " " for character in before)
            lines += [self.source_line, indent + "^"]
        if self.hint is not None:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class CompileError(Exception):
    """The user's program or input is wrong. Carries every diagnostic found; never shows a traceback.

    Anything else that escapes the compiler is a bug of ours and keeps its traceback.
    """

    def __init__(
        self,
        message: str,
        *,
        place: Place | None = None,
        hint: str | None = None,
        source_line: str | None = None,
    ):
        self.diagnostics: tuple[Diagnostic, ...] = (Diagnostic(message, place, hint, source_line),)
        super().__init__(message)

    @classmethod
    def of(cls, diagnostics: list[Diagnostic]) -> CompileError:
        """One error made of several diagnostics, in the order found. `diagnostics` is not empty."""
        error = cls(diagnostics[0].message)
        error.diagnostics = tuple(diagnostics)
        return error

    def place_at(self, place: Place | None) -> None:
        """Say where the mistake is, of diagnostics that do not."""
        self.diagnostics = tuple(each if each.place else replace(each, place=place) for each in self.diagnostics)

    def __str__(self) -> str:
        return "\n".join(diagnostic.render() for diagnostic in self.diagnostics)


def place_of(location: Attribute) -> Place | None:
    """The user's place that an op's location names, or None where it names none.

    What was inlined is placed where it was written, not where it was called.
    """
    match location:
        case FileLineColLoc():
            return Place(location.filename.data, location.line.data, location.column.data)
        case CallSiteLoc():
            return place_of(location.callee)
        case NameLoc():  # a node of a graph that has no lines: the name stands for the file
            return Place(location.desc.data)
        case _:
            return None
