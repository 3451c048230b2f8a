"""What notebooks show of a program: its text in colours, as HTML that needs nothing else."""

from __future__ import annotations

import html
import re

TOKENS = re.compile(
    r"""(?P<comment>//[^\n]*)
    |(?P<string>"[^"\n]*")
    |(?P<symbol>@[\w.$-]+)
    |(?P<value>%[\w.$-]+|\^[\w.$-]+)
    |(?P<type>!?\b(?:tensor|memref|vector)<[^<>]*>|\b(?:[su]?i\d+|b?f\d+|index)\b)
    |(?P<op>\b[a-z_]\w*\.[\w.]+)
    |(?P<number>(?<![\w.])-?\d[\d.]*(?:[eE][+-]?\d+)?\b)""",
    re.VERBOSE,
)
"""What MLIR's text is made of, as far as it has a colour."""

COLOURS = {
    "comment": "#7a7a7a", "string": "#9a6324", "symbol": "#8250df", "value": "#0550ae", "type": "#1a7f37",
    "op": "#cf222e", "number": "#953800",
}  # fmt: skip


def highlighted(text: str) -> str:
    """MLIR text as an HTML element with its parts in colours."""
    parts: list[str] = []
    end = 0
    for token in TOKENS.finditer(text):
        parts.append(html.escape(text[end : token.start()]))
        parts.append(f'<span style="color:{COLOURS[str(token.lastgroup)]}">{html.escape(token.group())}</span>')
        end = token.end()
    parts.append(html.escape(text[end:]))
    return f'<pre style="overflow-x:auto;line-height:1.3">{"".join(parts)}</pre>'
