"""The source line that an error points at: kept from text given on standard input, read again from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place


def with_source_lines(error: CompileError, texts: dict[str, str] | None = None) -> CompileError:
    """The error, each diagnostic with the line it points at where that can be found.

    `texts` holds the text of what is no file, such as `<stdin>`, by name.
    """
    known = dict(texts or {})
    return CompileError.of([with_source_line(each, known) for each in error.diagnostics])


def with_source_line(diagnostic: Diagnostic, texts: dict[str, str]) -> Diagnostic:
    place = diagnostic.place
    if place is None or place.line == 0 or diagnostic.source_line is not None:
        return diagnostic
    lines = text_of(place, texts).split("\n")
    return replace(diagnostic, source_line=lines[place.line - 1]) if place.line <= len(lines) else diagnostic


def text_of(place: Place, texts: dict[str, str]) -> str:
    """The text that the place is in, or none: a location may name a file that is not here."""
    if place.file not in texts:
        try:
            texts[place.file] = Path(place.file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            texts[place.file] = ""
    return texts[place.file]
