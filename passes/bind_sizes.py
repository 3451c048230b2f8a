"""Bind sizes: functions take the free sizes that they depend on as arguments of type index, and calls pass them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, IndexType, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects.ml.shaping import SizesOp
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.sizes import symbols_of
from xmlc.passes.functions import defined_functions
from xmlc.passes.size_values import SIZE, bound_sizes, function_around


@dataclass(frozen=True)
class BindSizes(ModulePass):
    """Give each function an index argument for each free size that its types name or that a callee takes."""

    name = "bind-sizes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {each.sym_name.data: each for each in defined_functions(op)}
        needed = {name: symbols_in(function) for name, function in functions.items()}
        calls = [call for call in op.walk() if isinstance(call, func.CallOp) and call.callee.string_value() in needed]
        while any(needs_more(call, needed) for call in calls):
            pass
        for name, function in functions.items():
            take(function, sorted(needed[name]))
        for call in calls:
            caller, callee = function_around(call), functions[call.callee.string_value()]
            given = bound_sizes(caller)
            sizes = [caller.body.block.args[given[symbol]] for symbol in bound_sizes(callee)]
            call.operands = [*call.operands[: len(callee.function_type.inputs) - len(sizes)], *sizes]


def is_tensor(type_: Attribute) -> bool:
    return isinstance(type_, TensorType)


def symbols_in(function: func.FuncOp) -> set[str]:
    """The free sizes that the types and the shape arithmetic of a function name."""
    found: set[str] = set()
    seen: set[Attribute] = set()
    for block in function.walk_blocks():
        values: list[SSAValue] = [*block.args, *(result for op in block.ops for result in op.results)]
        types = {type_ for value in values if is_tensor(type_ := value.type)} - seen
        seen |= types
        for size in (size for each in types for size in shape_of(each)):
            found |= symbols_of(size)
        for op in block.ops:
            if isinstance(op, SizesOp):
                found |= {name for size in op.values() for name in symbols_of(size)}
    return found


def needs_more(call: func.CallOp, needed: dict[str, set[str]]) -> bool:
    """Let a caller need what its callee needs; whether that is more than before."""
    caller, callee = needed[function_around(call).sym_name.data], needed[call.callee.string_value()]
    more = not callee <= caller
    caller |= callee
    return more


def take(function: func.FuncOp, names: list[str]) -> None:
    """Add an index argument for each name that is not bound yet."""
    names = [name for name in names if name not in bound_sizes(function)]
    if not names:
        return
    inputs = list(function.function_type.inputs)
    attributes = list(function.arg_attrs) if function.arg_attrs else [DictionaryAttr({})] * len(inputs)
    for name in names:
        argument = function.body.block.insert_arg(IndexType(), len(function.body.block.args))
        argument.name_hint = name
        inputs.append(argument.type)
        attributes.append(DictionaryAttr({SIZE: StringAttr(name)}))
    function.properties["function_type"] = FunctionType.from_lists(inputs, list(function.function_type.outputs))
    function.properties["arg_attrs"] = ArrayAttr(attributes)
