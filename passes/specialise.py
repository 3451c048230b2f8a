"""Specialise: give free sizes of a program numbers, and so make it one for these sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.ir import Attribute, Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.attributes import integers
from xmlc.dialects.ml.shaping import SizesOp, SliceOp
from xmlc.dialects.ml.types import DYNAMIC, TensorLike, shape_of, tensor, type_of
from xmlc.dialects.sizes import ASSUMED, Size, assumptions_of, encoding_of, evaluated, symbol


@dataclass(frozen=True)
class Specialise(ModulePass):
    """Replace free sizes by numbers, in programs of `ml`: `specialise{sizes="batch=2,length=16"}`."""

    name = "specialise"
    sizes: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        given: dict[str, int] = {}
        for part in filter(None, self.sizes.split(",")):
            name, _, number = part.partition("=")
            if not number.isdecimal():
                raise CompileError(f"cannot read the size '{part}'", hint="write NAME=NUMBER, with commas between them")
            given[name] = int(number)
        specialise(op, given)


def specialise(module: ModuleOp, given: Mapping[str, int]) -> None:
    """Give the free sizes of a program these numbers; those that are not given stay free.

    Raises CompileError where the numbers are not what the program assumes of its sizes.
    """

    def value(name: str) -> int:
        return given.get(name, symbol(name))

    natural = [evaluated(each, value) for each in assumptions_of(module).natural]
    broken = [each for each in natural if not isinstance(each, Size) and each < 0]
    if broken:
        raise CompileError(f"the program was not made for {', '.join(f'{n} = {size}' for n, size in given.items())}")
    left = [each for each in natural if isinstance(each, Size)]
    module.attributes.pop(ASSUMED, None)
    if left:
        module.attributes[ASSUMED] = encoding_of(left)
    for op in list(module.walk()):
        for region in op.regions:
            for block in region.blocks:
                for argument in block.args:
                    Rewriter.replace_value_with_new_type(argument, with_sizes(argument.type, value))
        for result in op.results:
            Rewriter.replace_value_with_new_type(result, with_sizes(result.type, value))
        rewrite_properties(op, value)


def with_sizes(type_: Attribute, value: Callable[[str], int]) -> Attribute:
    """The type with sizes in the place of symbols."""
    if not isinstance(type_, TensorType):
        return type_
    found: TensorLike = type_of(cast(Attribute, type_))
    return tensor([evaluated(size, value) for size in shape_of(found)], found.element_type)


def rewrite_properties(op: Operation, value: Callable[[str], int]) -> None:
    """Let the properties of an op say what its types now do."""
    match op:
        case func.FuncOp():
            old = op.function_type
            op.properties["function_type"] = FunctionType.from_lists(
                [with_sizes(each, value) for each in old.inputs], [with_sizes(each, value) for each in old.outputs]
            )
        case SizesOp():
            op.properties["sizes"] = encoding_of([evaluated(size, value) for size in op.values()])
        case SliceOp():
            sizes = zip(op.sizes.get_values(), shape_of(op.out), strict=True)
            op.properties["sizes"] = integers(
                DYNAMIC if isinstance(now, Size) else now if size == DYNAMIC else size for size, now in sizes
            )
        case _:
            pass
