"""Units: pieces of a module that are compiled on their own, so that several threads compile them at once.

The first unit has what is public; kernels are spread over all. Private functions that are to be inlined, and constants,
are in every unit that uses them. How many units there are depends on the module alone, not on the machine: the same
program gives the same code everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

KERNEL = "xmlc.kernel"
"""Attribute of a function that stays one: LLVM would take far longer for all kernels in one function."""
LEAST = 1500
"""Operations of a unit, at least: LLVM takes some 0.1 s for them, and a thread or a second object is worth that."""
MOST = 8


@dataclass(frozen=True)
class Unit:
    """What a unit defines, in the module's order, and the kernels of other units that it calls."""

    defined: tuple[Operation, ...]
    called: tuple[func.FuncOp, ...] = ()


def is_kernel(op: Operation) -> bool:
    return isinstance(op, func.FuncOp) and KERNEL in op.attributes and not op.is_declaration


def units_of(module: ModuleOp) -> list[Unit]:
    """The module in units of much the same size; in one, if it is small."""
    ops = list(module.body.block.ops)
    sizes = {op: sum(1 for _ in op.walk()) for op in ops if is_kernel(op)}
    count = min(MOST, len(sizes), sum(sizes.values()) // LEAST)
    if count < 2:
        return [Unit(tuple(ops))]
    symbols = {op.sym_name.data: op for op in ops if isinstance(op, func.FuncOp | memref.GlobalOp)}
    public = [op for op in ops if isinstance(op, func.FuncOp) and not is_private(op)]
    shares: list[list[Operation]] = [list(public), *([] for _ in range(count - 1))]
    weights = [0] * count
    for kernel in sorted(sizes, key=lambda op: -sizes[op]):
        lightest = weights.index(min(weights))
        shares[lightest].append(kernel)
        weights[lightest] += sizes[kernel]
    return [unit(ops, share, symbols) for share in shares]


def is_private(op: func.FuncOp) -> bool:
    return op.sym_visibility is not None and op.sym_visibility.data == "private"


def unit(ops: Sequence[Operation], share: Iterable[Operation], symbols: Mapping[str, Operation]) -> Unit:
    """The unit of these functions, with what else they need."""
    share = set(share)
    defined, waiting = set(share), list(share)
    called: set[Operation] = set()
    while waiting:
        for name in names_used(waiting.pop()):
            needed = symbols[name]
            if needed in defined or needed in called:
                continue
            if is_kernel(needed):
                called.add(needed)
            else:
                defined.add(needed)
                waiting.append(needed)
    kernels = tuple(op for op in ops if op in called and isinstance(op, func.FuncOp))
    return Unit(tuple(op for op in ops if op in defined), kernels)


def names_used(op: Operation) -> Iterable[str]:
    """The functions that are called and the constants that are read inside of an op."""
    for inner in op.walk():
        if isinstance(inner, func.CallOp):
            yield inner.callee.string_value()
        elif isinstance(inner, memref.GetGlobalOp):
            yield inner.name_.string_value()
