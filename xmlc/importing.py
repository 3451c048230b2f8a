"""Quick imports: what xDSL does for every op when its module is imported waits until it is needed.

xDSL parses the assembly format of an op when its class is made: 250 formats, of which a program meets a dozen. Inside
`quickly` a format is parsed when the first op of its kind is printed or read. Python's collector does not run either:
it would look again and again at what modules are made of, which stays. Both together save a fifth of a start.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdsl.irdl import IRDLOperation, OpDef
    from xdsl.irdl.declarative_assembly_format import FormatProgram
    from xdsl.parser import Parser
    from xdsl.printer import Printer


class DeferredFormat:
    """An assembly format that is parsed when it is used first."""

    def __init__(self, text: str, definition: OpDef):
        self.text = text
        self.definition = definition

    @cached_property
    def program(self) -> FormatProgram:
        """The format, parsed. Raises ParseError."""
        from xdsl.irdl.declarative_assembly_format_parser import FormatParser

        return FormatParser(self.text, self.definition).parse_format()

    def parse(self, parser: Parser, op_type: type[IRDLOperation]) -> IRDLOperation:
        return self.program.parse(parser, op_type)

    def print(self, printer: Printer, op: IRDLOperation) -> None:
        self.program.print(printer, op)


@contextmanager
def quickly() -> Generator[None]:
    """Imports inside defer the formats of ops, and nothing is collected; it may be nested, and used by threads."""
    with paused_collector(), deferred_formats():
        yield


@contextmanager
def paused_collector() -> Generator[None]:
    """Python's cyclic collector does not run inside, if it does outside.

    What was made inside counts as old when it runs again: else it would look at all of that at once, for 20 ms.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            if not gc.get_freeze_count():  # what the program froze stays frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


@contextmanager
def deferred_formats() -> Generator[None]:
    from xdsl.irdl.declarative_assembly_format import FormatProgram

    parsed_at_once: Any = FormatProgram.from_str
    if parsed_at_once is DeferredFormat:  # an import around this one, or another thread, has seen to it
        yield
        return
    FormatProgram.from_str = DeferredFormat  # pyright: ignore[reportAttributeAccessIssue]  # the same interface
    try:
        yield
    finally:
        FormatProgram.from_str = staticmethod(parsed_at_once)


def imported(module: str, name: str) -> Any:
    """The object `name` of a module, which is imported quickly."""
    with quickly():
        return getattr(import_module(module), name)
