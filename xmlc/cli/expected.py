"""`--verify-diagnostics`: the errors that a test file announces in comments, against the errors that came.

    %0 = ml.add %a, %b : …  // expected-error {{cannot broadcast}}
    // expected-error@+1 {{unknown operation}}
    %1 = ml.ad %a, %b

`@+N` and `@-N` count lines from the comment's own; `@above` and `@below` name the nearest line without such a
comment. The text between the braces is part of the message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from xmlc.dialects.diagnostics import Diagnostic, Place

EXPECTED = re.compile(r"expected-error(?:@(above|below|[+-]\d+))?\s*\{\{(.*?)\}\}(?!\})")


def unexpected(text: str, name: str, first_line: int, found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """What does not agree: errors that no comment announces, and comments whose error did not come."""
    lines = text.split("\n")
    left = list(found)
    wrong: list[Diagnostic] = []
    for index, line in enumerate(lines):
        for match in EXPECTED.finditer(line):
            wanted = first_line + target(lines, index, match[1])
            for each in left:
                if each.place is not None and each.place.line == wanted and match[2] in each.message:
                    left.remove(each)
                    break
            else:
                place = Place(name, first_line + index, match.start() + 1)
                message = f'expected error "{match[2]}" was not produced on line {wanted}'
                wrong.append(Diagnostic(message, place, source_line=line))
    for each in left:
        wrong.append(Diagnostic(f"unexpected error: {each.message}", each.place, each.hint, each.source_line))
    return wrong


def target(lines: list[str], index: int, where: str | None) -> int:
    """The index of the line that the comment on line `index` speaks of."""
    if where is None:
        return index
    if where not in ("above", "below"):
        return index + int(where)
    step = 1 if where == "below" else -1
    index += step
    while 0 <= index < len(lines) and EXPECTED.search(lines[index]):
        index += step
    return index
