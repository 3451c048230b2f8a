"""What notebooks show: the text of a program, every character of it, with colours."""

from __future__ import annotations

import html
import re

import numpy as np

import xmlc
from xmlc.notebook import COLOURS, highlighted


def test_a_program_is_shown_in_colours() -> None:
    lowered = xmlc.compile(lambda x: x * 2 + 1).lower(np.ones((2, 3), np.float32))
    shown = lowered._repr_html_()
    assert html.unescape(re.sub(r"<[^<>]*>", "", shown)) == str(lowered)
    assert f'<span style="color:{COLOURS["op"]}">ml.mul</span>' in shown
    assert f'<span style="color:{COLOURS["type"]}">tensor&lt;2x3xf32&gt;</span>' in shown


def test_text_that_is_no_program_is_escaped() -> None:
    assert "&lt;script&gt;" in highlighted('<script> // "x" & y')
