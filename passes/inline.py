"""Inlining: a call becomes the body of the function it calls, of `func` and `toy` alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, CallSiteLoc, DictionaryAttr, ModuleOp, StringAttr, SymbolRefAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import IsTerminator

from xmlc.dialects import toy
from xmlc.dialects.diagnostics import CompileError, place_of

Cast = Callable[[SSAValue, Attribute], Operation]


@dataclass(frozen=True)
class Convention:
    """How the calls of a dialect work: the function they name, and what makes an argument fit a parameter."""

    function: type[Operation]
    cast: Cast | None


CONVENTIONS: Mapping[type[Operation], Convention] = {
    func.CallOp: Convention(func.FuncOp, cast=None),
    # A generic function takes tensors of any shape: inlining specialises it for the arguments' shapes.
    toy.GenericCallOp: Convention(toy.FuncOp, cast=toy.CastOp),
}
KEPT_WHOLE = "xmlc.kernel"
"""The attribute of a function that stays a function: it is launched, not inlined."""


@dataclass(frozen=True)
class Inline(ModulePass):
    """Replace each call by its callee's body; remove private functions that nothing names any more.

    Not inlined: functions that are only declared, that have several blocks, that are kernels, and calls in
    a cycle. An inlined op's location tells both where it was written and where it was called. Exact.
    """

    name = "inline"
    limit: int = 1_000_000

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {name.data: function for function in op.ops if (name := symbol_of(function)) is not None}
        budget = self.limit
        # Callees first: what is copied into a caller has no calls left in it.
        for function in callees_first(functions):
            for call in list(function.walk()):
                callee = callee_of(call, functions)
                # A call that is still there when its callee's turn has not come yet is one of a cycle.
                if callee is None or not can_inline(callee) or calls_itself(callee, functions):
                    continue
                budget -= sum(1 for _ in callee.walk())
                if budget < 0:
                    message = f"inlining the calls of this program makes more than {self.limit} operations"
                    raise CompileError(message, place=place_of(call.location))
                inline_call(call, callee)
        remove_unnamed(op)


def symbol_of(op: Operation) -> StringAttr | None:
    name = op.properties.get("sym_name")
    return name if isinstance(name, StringAttr) else None


def callee_of(call: Operation, functions: Mapping[str, Operation]) -> Operation | None:
    """The function that a call names, None for other ops and other functions."""
    convention = CONVENTIONS.get(type(call))
    if convention is None:
        return None
    callee = call.properties["callee"]
    assert isinstance(callee, SymbolRefAttr)
    function = functions.get(callee.root_reference.data)
    return function if isinstance(function, convention.function) else None


def callees_of(function: Operation, functions: Mapping[str, Operation]) -> Iterator[Operation]:
    for op in function.walk():
        if (callee := callee_of(op, functions)) is not None:
            yield callee


def callees_first(functions: Mapping[str, Operation]) -> list[Operation]:
    """The functions, each after those it calls; in a cycle, in some order."""
    order: list[Operation] = []
    seen: set[Operation] = set()
    for root in functions.values():
        path = [(root, callees_of(root, functions))] if root not in seen else []
        seen.add(root)
        while path:
            function, callees = path[-1]
            callee = next((callee for callee in callees if callee not in seen), None)
            if callee is None:
                order.append(function)
                path.pop()
            else:
                seen.add(callee)
                path.append((callee, callees_of(callee, functions)))
    return order


def can_inline(function: Operation) -> bool:
    return len(function.regions[0].blocks) == 1 and KEPT_WHOLE not in function.attributes


def calls_itself(function: Operation, functions: Mapping[str, Operation]) -> bool:
    """Whether a call in the function leads back to it. (Others were inlined when the callees had their turn.)"""
    rest, seen = [function], set[Operation]()
    while rest:
        for callee in callees_of(rest.pop(), functions):
            if callee is function:
                return True
            if callee not in seen:
                seen.add(callee)
                rest.append(callee)
    return False


def inline_call(call: Operation, callee: Operation) -> None:
    """Copies the callee's ops in front of the call, then removes the call."""
    block = call.parent
    assert block is not None
    convention = CONVENTIONS[type(call)]
    body = callee.regions[0].block

    def fitted(value: SSAValue, wanted: Attribute) -> SSAValue:
        if value.type == wanted:
            return value
        assert convention.cast is not None, f"{value.type} is no {wanted}"
        made = convention.cast(value, wanted)
        made.location = call.location
        block.insert_op_before(made, call)
        return made.results[0]

    values: dict[SSAValue, SSAValue] = {
        parameter: fitted(argument, parameter.type) for parameter, argument in zip(body.args, call.operands)
    }
    for op in body.ops:
        if op.has_trait(IsTerminator):
            for result, value in zip(call.results, op.operands):
                result.replace_all_uses_with(fitted(values.get(value, value), result.type))
            break
        copy = op.clone(values)
        for inner in copy.walk():
            inner.location = CallSiteLoc(inner.location, call.location)
        block.insert_op_before(copy, call)
    block.erase_op(call)


def remove_unnamed(module: ModuleOp) -> None:
    """Removes private functions with a body that no other function names, until there are none."""
    while True:
        named = {
            name: owner
            for owner in module.ops
            for op in owner.walk()
            for attribute in (*op.properties.values(), *op.attributes.values())
            for name in names_in(attribute)
        }
        unnamed = [op for op in module.ops if is_private_function(op) and symbol_text(op) not in named]
        if not unnamed:
            return
        for op in unnamed:
            op.detach()
            op.erase()


def names_in(attribute: Attribute) -> Iterator[str]:
    """The symbols that an attribute refers to."""
    match attribute:
        case SymbolRefAttr():
            yield attribute.root_reference.data
        case ArrayAttr(data=inner) | DictionaryAttr(data=inner):  # pyright: ignore[reportUnknownVariableType]
            parts: list[Attribute] = [*(inner.values() if isinstance(inner, Mapping) else inner)]  # pyright: ignore
            for part in parts:
                yield from names_in(part)
        case _:
            return


def symbol_text(op: Operation) -> str | None:
    name = symbol_of(op)
    return None if name is None else name.data


def is_private_function(op: Operation) -> bool:
    known = any(isinstance(op, convention.function) for convention in CONVENTIONS.values())
    return known and op.properties.get("sym_visibility") == StringAttr("private") and bool(op.regions[0].blocks)
