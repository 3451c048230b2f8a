"""Our dialects by name, and the context in which text that uses them or xDSL's is parsed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from xdsl.context import Context
from xdsl.dialects import get_all_dialects
from xdsl.ir import Dialect

from xmlc.dialects.implicit_building import build_in_threads

build_in_threads()


def in_module(module: str, name: str) -> Callable[[], Dialect]:
    """A loader of the dialect `name` of `module`: nothing is imported before it is used."""
    return lambda: cast(Dialect, getattr(import_module(module), name))


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "amx": in_module("xmlc.dialects.amx", "AMX"),
    "arith": in_module("xmlc.dialects.arith", "ARITH"),
    "avx512": in_module("xmlc.dialects.avx512", "AVX512"),
    "fused": in_module("xmlc.dialects.fused", "FUSED"),
    "gpu": in_module("xmlc.dialects.gpu", "GPU"),
    "grouped": in_module("xmlc.dialects.grouped", "GROUPED"),
    "memref": in_module("xmlc.dialects.memref", "MEMREF"),
    "ml": in_module("xmlc.dialects.ml", "ML"),
    "nvvm": in_module("xmlc.dialects.nvvm", "NVVM"),
    "toy": in_module("xmlc.dialects.toy", "Toy"),
}
"""Name -> loader. Adding a dialect is adding a row; where xDSL has one of the same name, ours is used."""


def context(*, allow_unregistered: bool = False) -> Context:
    """A context with our dialects and xDSL's, each loaded when the first of its ops or attributes is met."""
    made = Context(allow_unregistered=allow_unregistered)
    for name, load in (get_all_dialects() | DIALECTS).items():
        made.register_dialect(name, load)
    return made
