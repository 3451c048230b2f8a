"""MLIR text to a module, each op knowing its place in the text; every mistake in the text is a CompileError."""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import accumulate
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import AnyFloat, FileLineColLoc, IntAttr, ModuleOp, StringAttr, UnknownLoc
from xdsl.ir import Operation
from xdsl.parser import AttrParser, Parser, ParserState
from xdsl.utils.exceptions import MultipleSpansParseError, ParseError, VerifyException
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import MLIRLexer

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
from xmlc.wording import in_our_words

LOG = logging.getLogger(__name__)
RESULTS = re.compile(r"%[^=]*=\s*")
UNKNOWN_OP = re.compile(r"Operation (\S+) is not registered")

# Messages of xDSL that do not say what is wrong, and what we say instead.
CLEARER = {
    "Expected suffix identifier after {first_char}": "expected a name after '%', '#', '^' or '!'",
    " in block definition": "expected an operation, a block or '}'",
    "Operation builtin.unregistered does not have a custom format.": "unknown operations are read in generic form only",
}

# What xDSL's lexer, parser and constructors of attributes raise on some malformed text instead of a ParseError.
MALFORMED = (VerifyException, ValueError, TypeError, AssertionError, LookupError, AttributeError, NotImplementedError)


integer = lru_cache(maxsize=1024)(IntAttr)
"""Lines and columns are few: not each op makes its own."""


class LinearLexer(MLIRLexer):
    """xDSL's lexer, whose own pattern for strings takes exponential time where the closing quote is missing."""

    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"')


class BitsElement(Parser._TensorLiteralElement):  # pyright: ignore[reportPrivateUsage]
    """An element of a dense literal in hexadecimal: for a float its bits, which xDSL takes for its value.

    Infinities and NaNs are spelled so, `dense<0xFF800000> : tensor<f32>`.
    """

    def to_type(self, parser: AttrParser, type: Any) -> Any:
        if not isinstance(type, AnyFloat) or not isinstance(self.value, int):
            return super().to_type(parser, type)
        if self.is_negative or self.value >= 1 << 8 * type.compile_time_size:
            parser.raise_error(f"expected the bits of one {type}", at_position=self.span)
        return type.unpack(self.value.to_bytes(type.compile_time_size, "little"), 1)[0]


class LocatingParser(Parser):
    """xDSL's parser, which gives each op that states no location the place of its name in the text."""

    def __init__(self, context: Context, text: str, filename: str):
        super().__init__(context, "", filename)
        self._parser_state = ParserState(LinearLexer(Input(text, filename)))
        self.text = text
        self.filename = StringAttr(filename)
        self.line_starts = list(accumulate((len(line) for line in text.splitlines(keepends=True)), initial=0))

    def parse_operation(self) -> Operation:
        start = self.pos
        op = super().parse_operation()
        if isinstance(op.location, UnknownLoc):
            op.location = self.location(start)
        return op

    def _parse_tensor_literal_element(self) -> Any:
        element = super()._parse_tensor_literal_element()
        if not element.span.text.lower().startswith(("0x", "-0x")):
            return element
        return BitsElement(element.is_negative, element.value, element.span)

    def location(self, start: int) -> FileLineColLoc:
        """The place of the op whose text, results included, begins at `start`."""
        results = RESULTS.match(self.text, start)
        at = results.end() if results else start
        line = bisect_right(self.line_starts, at)
        return FileLineColLoc(self.filename, integer(line), integer(at - self.line_starts[line - 1] + 1))


def parse_module(text: str, filename: str, context: Context, *, first_line: int = 1) -> ModuleOp:
    """The module that `text` spells; a list of ops without `builtin.module` around it is put into one.

    `first_line` is the number of the text's first line in the file. Raises CompileError, with a place, on any text
    that is not a module made of the context's ops. The module is not verified: see xmlc.verify.
    """
    text = "\n" * (first_line - 1) + text
    try:
        parser = LocatingParser(context, text, filename)
    except ParseError as error:
        raise at_span(error.span, error.msg, context) from error
    try:
        module = parser.parse_module()
    except MultipleSpansParseError as error:
        raise with_references(error, context) from error
    except ParseError as error:
        raise at_span(error.span, error.msg, context) from error
    except RecursionError as error:
        raise CompileError("the text is nested too deeply", place=Place(filename)) from error
    except MALFORMED as error:
        LOG.debug("the parser raised this on the user's text", exc_info=error)
        here = Span(parser.pos, parser.pos, parser.lexer.input)
        raise at_span(here, str(error) or "malformed text", context) from error
    if isinstance(module.location, UnknownLoc):
        module.location = FileLineColLoc(parser.filename, integer(first_line), integer(1))
    return module


def with_references(error: MultipleSpansParseError, context: Context) -> CompileError:
    """The error and, as diagnostics of their own, the other places it speaks of."""
    found = list(at_span(error.span, error.msg, context).diagnostics)
    for span, message in error.refs:
        found += at_span(span, message or (error.ref_text or "here").rstrip(":"), context).diagnostics
    return CompileError.of(found)


def at_span(span: Span[str] | Span[bytes], message: str, context: Context) -> CompileError:
    """`message` of xDSL, said in our way, at a place in the text."""
    source = str(span.input.content)
    unknown = UNKNOWN_OP.fullmatch(message)
    if unknown:  # xDSL points behind the name
        span = replace(span, start=source.rfind(unknown[1], 0, span.start))
    location = span.get_location()
    line = source.split("\n")[location.line - 1]
    place = Place(location.file, location.line, location.col)
    if unknown:
        message, hint = f"unknown operation '{unknown[1]}'", op_hint(unknown[1], context)
    else:
        message, hint = in_our_words(CLEARER.get(message, message)), None
        if span.start >= len(source.rstrip()):
            message += ", found the end of the text"
    return CompileError.of([Diagnostic(message, place, hint, line)])


def op_hint(name: str, context: Context) -> str:
    """What an unknown op's name may have meant: another op of its dialect, or another dialect."""
    prefix, _, rest = name.partition(".")
    dialects = sorted(context.registered_dialect_names)
    if prefix in dialects:
        known = [op.name.partition(".")[2] for op in context.get_dialect(prefix).operations]
        close = get_close_matches(rest, known, n=1)
        shown = f"`xmlc list ops --dialect {prefix}` shows the operations of the dialect '{prefix}'"
        return f"did you mean '{prefix}.{close[0]}'?" if close else shown
    if close := get_close_matches(prefix, dialects, n=1):
        return f"did you mean '{close[0]}.{rest}'?"
    return "--allow-unregistered-dialect accepts operations of unknown dialects, in generic form"
