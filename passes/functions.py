"""The functions of a module that passes go through."""

from __future__ import annotations

from xdsl.dialects import builtin, func


def defined_functions(module: builtin.ModuleOp) -> list[func.FuncOp]:
    """The functions that have a body, in the module's order; a list, since passes add functions as they go."""
    return [each for each in module.body.block.ops if isinstance(each, func.FuncOp) and not each.is_declaration]
