"""Sizes of inputs, numbers or symbols, carried through a program of `ml` that leaves sizes open as `?`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import prod
from typing import cast

from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.ml.shaping import ReshapeOp
from xmlc.dialects.ml.types import (
    DYNAMIC,
    TensorLike,
    element_of,
    expect_type,
    inferred_types,
    shape_of,
    shape_text,
    tensor,
)


def infer_sizes(module: ModuleOp, function: FuncOp, shapes: Sequence[Sequence[int]]) -> None:
    """Give the tensors that a function takes these shapes, and each `?` of its body what its op's operands say.

    The laws of the ops are checked on the way, so that whoever lets them assume something of symbols
    (`dialects.sizes.assuming`) has it all afterwards. Raises CompileError where a law does not hold, and for a `?` that
    does not follow from operands: in a `broadcast`, an `iota`, an op with regions, a function that is called.
    """
    for argument, shape in zip(function.body.block.args, shapes, strict=True):
        Rewriter.replace_value_with_new_type(argument, tensor(shape, element_of(argument)))
    for op in function.body.block.ops:
        try:
            if isinstance(op, ReturnOp):
                return_types(function, op)
            else:
                infer(op)
        except VerifyException as error:
            raise CompileError(f"'{op.name}': {error}", place=place_of(op.location)) from error
    refuse_unknown(module)


def infer(op: Operation) -> None:
    """Let the results of an op say of each `?` what its operands do."""
    known = inferred_types(op)
    if op.regions or len(known) != len(op.results):
        return
    for result, found in zip(op.results, known):
        sizes = [b if a == DYNAMIC else a for a, b in zip(shape_of(result), shape_of(found), strict=True)]
        if isinstance(op, ReshapeOp) and sizes.count(DYNAMIC) == 1 and DYNAMIC not in shape_of(op.x):
            sizes[sizes.index(DYNAMIC)] = prod(shape_of(op.x)) // prod(size for size in sizes if size != DYNAMIC)
        if tuple(sizes) != shape_of(result):
            Rewriter.replace_value_with_new_type(result, tensor(sizes, element_of(result)))


def return_types(function: FuncOp, op: ReturnOp) -> None:
    """Let the type of a function say what it returns, where it left that open."""
    found = [each.type for each in op.operands]
    inputs, declared = function.body.block.arg_types, function.function_type.outputs.data
    for stated, each in zip(declared, found, strict=True):
        expect_type(stated, cast(TensorLike, each))
    function.properties["function_type"] = FunctionType.from_lists(list(inputs), found)


def refuse_unknown(module: ModuleOp) -> None:
    """Raise CompileError for the first tensor of which a size is still open."""
    for op in module.walk():
        for value in values_of(op):
            if isinstance(value.type, TensorType) and DYNAMIC in shape_of(value):
                shape = shape_text(shape_of(value))
                raise CompileError(
                    f"'{op.name}': the size `?` in {shape} does not follow from operands",
                    place=place_of(op.location),
                    hint='say in the types what it is, as in tensor<?x4xf32, ["n", "4"]>, from the inputs on',
                )


def values_of(op: Operation) -> Generator[SSAValue]:
    yield from op.results
    for region in op.regions:
        for block in region.blocks:
            yield from block.args
