"""`toy.print` to loops that hand each element to a function of the runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.builder import ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects import arith, func, scf, tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, IntegerAttr, ModuleOp, TensorType, f64
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects import toy

NUMBER = "toy_print_f64"
NEWLINE = "toy_print_newline"
DECLARATIONS: dict[str, tuple[list[Attribute], list[Attribute]]] = {NUMBER: ([f64], []), NEWLINE: ([], [])}


@dataclass(frozen=True)
class LowerPrint(ModulePass):
    """Print a tensor by a loop for each axis, a number at a time, and a newline at the end of each inner loop.

    The numbers go to `@toy_print_f64(f64)`, the newlines to `@toy_print_newline()`: functions declared
    here and bound when the program is loaded. Comes before bufferisation: elements are read by
    `tensor.extract`.
    """

    name = "lower-print"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        prints = [inner for inner in op.walk() if isinstance(inner, toy.PrintOp)]
        for inner in prints:
            lower_print(inner)
        if prints:
            declare(op)


def declare(module: ModuleOp) -> None:
    """Adds the declarations that the module lacks."""
    present = {inner.sym_name.data for inner in module.ops if isinstance(inner, func.FuncOp)}
    for name, (inputs, outputs) in DECLARATIONS.items():
        if name not in present:
            module.body.block.add_op(func.FuncOp.external(name, inputs, outputs))


def lower_print(op: toy.PrintOp) -> None:
    """for i: for j: number(x[i, j]); newline()"""
    loops = Block()
    with ImplicitBuilder(loops):
        one = index(1) if toy.known(op.arg.type) else None
        print_rows(op.arg, [], one)
    made = list(loops.ops)
    for outer in made:
        for inner in outer.walk():
            inner.location = op.location
        outer.detach()
    block = op.parent
    assert block is not None
    block.insert_ops_before(made, op)
    block.erase_op(op)


def print_rows(x: SSAValue, at: list[SSAValue], one: SSAValue | None) -> None:
    """Builds what prints the part of `x` that the indices `at` lead to."""
    assert isinstance(x.type, TensorType)
    shape: tuple[int, ...] = x.type.get_shape()  # pyright: ignore[reportUnknownMemberType]
    axis = len(at)
    if axis == len(shape):
        number = tensor.ExtractOp(x, at, f64)
        func.CallOp(NUMBER, [number.result], [])
        return
    assert one is not None
    size = index(shape[axis]) if shape[axis] != DYNAMIC_INDEX else tensor.DimOp(x, index(axis)).result

    def body(i: SSAValue) -> None:
        print_rows(x, [*at, i], one)
        # The innermost loop prints one row, which ends where the loop around it goes on.
        if axis != len(shape) - 1:
            func.CallOp(NEWLINE, [], [])

    loop(size, one, body)


def loop(size: SSAValue, one: SSAValue, body: Callable[[SSAValue], None]) -> Operation:
    """for i in 0 … size: body(i)"""
    block = Block(arg_types=[IndexType()])
    with ImplicitBuilder(block):
        body(block.args[0])
        scf.YieldOp()
    return scf.ForOp(index(0), size, one, [], Region(block))


def index(value: int) -> SSAValue:
    return arith.ConstantOp(IntegerAttr(value, IndexType())).result
