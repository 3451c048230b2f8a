"""Identical-kernel deduplication: kernels with the same body become one, so that each is compiled once.

A model repeats its layers; so do its kernels, apart from names and places.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr, SymbolRefAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.passes.form_kernels import KERNEL, fresh_name


def structure(block: Block, numbers: dict[SSAValue, int] | None = None) -> Hashable:
    """What a block computes, as a value to compare: ops, types and attributes, with values numbered in order."""
    numbers = {} if numbers is None else numbers
    for argument in block.args:
        numbers[argument] = len(numbers)
    ops: list[Hashable] = []
    for op in block.ops:
        operands = tuple(numbers[operand] for operand in op.operands)
        regions = tuple(structure(each, numbers) for region in op.regions for each in region.blocks)
        for result in op.results:
            numbers[result] = len(numbers)
        types = tuple(result.type for result in op.results)
        ops.append((op.name, operands, types, frozen(op.properties), frozen(op.attributes), regions))
    return tuple(argument.type for argument in block.args), tuple(ops)


def frozen(attributes: Mapping[str, Attribute]) -> Hashable:
    return tuple(sorted(attributes.items(), key=lambda item: item[0]))


@dataclass(frozen=True)
class DeduplicateKernels(ModulePass):
    """Keep the first of kernels with the same body, and call it for all of them."""

    name = "deduplicate-kernels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first: dict[Hashable, str] = {}
        instead: dict[str, str] = {}
        taken = {
            each.sym_name.data for each in op.ops if isinstance(each, func.FuncOp) and KERNEL not in each.attributes
        }
        for kernel in list(op.ops):
            if not isinstance(kernel, func.FuncOp) or KERNEL not in kernel.attributes:
                continue
            name, body = kernel.sym_name.data, structure(kernel.body.block)
            if body in first:
                kernel.detach()
                kernel.erase()
            else:
                first[body] = fresh_name(NUMBER.sub("", name), taken)
                kernel.properties["sym_name"] = StringAttr(first[body])
            instead[name] = first[body]
        redirect_calls(op, instead)


NUMBER = re.compile(r"_\d+$")
"""What `fresh_name` adds to a name: numbers are given anew, so that none is left out."""


def redirect_calls(module: Operation, instead: dict[str, str]) -> None:
    """Call `instead[name]` for `name`."""
    for call in module.walk():
        if isinstance(call, func.CallOp) and call.callee.string_value() in instead:
            call.properties["callee"] = SymbolRefAttr(instead[call.callee.string_value()])
