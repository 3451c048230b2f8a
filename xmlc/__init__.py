"""xmlc: an ML compiler written wholly in Python on xDSL. The names below are its public interface.

A name is imported when it is first used, so that `import xmlc` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmlc.dialects.diagnostics import CompileError as CompileError

PUBLIC = {
    "CompileError": "xmlc.dialects.diagnostics",
}
"""Public name -> the module that defines it; the list for type checkers above names the same."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("xmlc")
    if name in PUBLIC:
        return getattr(import_module(PUBLIC[name]), name)
    raise AttributeError(f"module 'xmlc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC, "__version__"])
