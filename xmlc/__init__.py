"""xmlc: an ML compiler written wholly in Python on xDSL. The names below are its public interface.

A name is imported when it is first used, so that `import xmlc` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmlc.builder import Builder as Builder
    from xmlc.builder import ml as ml
    from xmlc.builder import tensor as tensor
    from xmlc.dialects.diagnostics import CompileError as CompileError
    from xmlc.driver import compile_module as compile_module
    from xmlc.running import load as load

PUBLIC = {
    "Builder": "xmlc.builder",
    "CompileError": "xmlc.dialects.diagnostics",
    "compile_module": "xmlc.driver",
    "load": "xmlc.running",
    "ml": "xmlc.builder",
    "tensor": "xmlc.builder",
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
