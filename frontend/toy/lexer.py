"""Toy's words: source text to a list of tokens, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from xmlc.dialects.diagnostics import Diagnostic, Place

KEYWORDS = frozenset({"def", "return", "struct", "var"})

WORDS = re.compile(
    r"""
      (?P<skip>    [ \t\r\n]+ | \#[^\n]* )
    | (?P<number>  (?: \d+ (?: \.\d* )? | \.\d+ ) (?: [eE][+-]?\d+ )? (?![\w.]) )
    | (?P<name>    [A-Za-z_][A-Za-z0-9_]* )
    | (?P<symbol>  [-+*.,;=<>(){}\[\]] )
    | (?P<mistake> [\w.]+ | . )
    """,
    re.VERBOSE,
)


class Kind(StrEnum):
    """What a token is; the value is how a message calls it."""

    NUMBER = "number"
    NAME = "name"
    KEYWORD = "keyword"
    SYMBOL = "symbol"
    END = "end of file"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the source: `text` exactly as written ("" at the end of the file)."""

    kind: Kind
    text: str
    place: Place

    def __str__(self) -> str:
        return f"'{self.text}'" if self.text else str(self.kind)


def tokens_of(source: str, filename: str) -> tuple[list[Token], list[Diagnostic]]:
    """The tokens of `source`, ending in one of kind END, and a diagnostic for each word that is none.

    Lines and columns count from 1, a tab is one column. A `#` starts a comment that ends with its line.
    """
    lines = source.split("\n")
    tokens: list[Token] = []
    mistakes: list[Diagnostic] = []
    line, line_start, end = 1, 0, 0
    for match in WORDS.finditer(source):
        place = Place(filename, line, match.start() - line_start + 1)
        text, group = match.group(), match.lastgroup
        if group == "skip":
            if newlines := text.count("\n"):
                line += newlines
                line_start = match.start() + text.rindex("\n") + 1
            end = match.end()
            continue
        if group == "mistake":
            what = "malformed number" if text[0].isdigit() else "unexpected character"
            mistakes.append(Diagnostic(f"{what} '{text}'", place, source_line=lines[line - 1]))
            # A malformed number still stands where a number should: the parser goes on as if it were one.
            if text[0].isdigit():
                tokens.append(Token(Kind.NUMBER, "0", place))
        elif group == "name" and text in KEYWORDS:
            tokens.append(Token(Kind.KEYWORD, text, place))
        else:
            assert group is not None
            tokens.append(Token(Kind(group), text, place))
        end = match.end()
    tokens.append(Token(Kind.END, "", Place(filename, line, end - line_start + 1)))
    return tokens, mistakes
