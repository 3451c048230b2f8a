"""The host function of a program at the level `gpu` as a `LaunchProgram`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.dialects import arith, func, memref, scf
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    NoneAttr,
    StridedLayoutAttr,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.traits import SymbolTable

from xmlc.backends.cuda.host_arithmetic import DTYPES, INDEX, compute, computes
from xmlc.backends.cuda.program import (
    Address,
    Allocated,
    Argument,
    Buffer,
    Call,
    Compute,
    Constant,
    Copy,
    For,
    Given,
    If,
    Launch,
    LaunchProgram,
    Move,
    Read,
    Register,
    Scalar,
    Step,
    While,
    Write,
)
from xmlc.dialects import gpu
from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of


@dataclass(frozen=True)
class View:
    """A memref of the host: where it starts, and how its elements lie."""

    address: Address
    element: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return prod(self.sizes) * DTYPES[self.element].itemsize

    @property
    def is_contiguous(self) -> bool:
        wanted = contiguous(self.sizes)
        return all(size == 1 or a == b for size, a, b in zip(self.sizes, self.strides, wanted))


def contiguous(sizes: Sequence[int]) -> tuple[int, ...]:
    """Strides of elements that lie one behind the other."""
    return tuple(prod(sizes[axis + 1 :]) for axis in range(len(sizes)))


def launch_program(module: ModuleOp, entry: func.FuncOp) -> LaunchProgram:
    """The program of a host function at the level `gpu`. CompileError names every op that a host cannot run."""
    reader = Reader(module)
    for position, argument in enumerate(entry.body.block.args):
        reader.give(argument, Given(position))
    steps = reader.steps_of(entry.body.block)
    if reader.refused:
        raise CompileError.of(reader.refused)
    return LaunchProgram(tuple(reader.buffers), tuple(steps))


@dataclass
class Reader:
    """Turns ops of the host into steps; what is known now is computed now."""

    module: ModuleOp
    buffers: list[Buffer] = field(default_factory=list[Buffer])
    values: dict[SSAValue, Scalar | View] = field(default_factory=dict[SSAValue, "Scalar | View"])
    constants: dict[str, int] = field(default_factory=dict[str, int])
    registers: int = 0
    refused: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def steps_of(self, block: Block) -> list[Step]:
        """The steps of a block, without those of its terminator."""
        steps: list[Step] = []
        for op in block.ops:
            if op is block.last_op and op.name in ("func.return", "scf.yield", "scf.condition"):
                break
            row = ROWS.get(type(op))
            if row is None and computes(op.name):
                row = arithmetic
            if row is None:
                self.refused.append(Diagnostic(f"{op.name} is nothing that the host can do", place_of(op.location)))
                for result in op.results:
                    self.values[result] = self.register()
                continue
            row(self, op, steps)
        return steps

    def register(self) -> Register:
        self.registers += 1
        return Register(self.registers - 1)

    def buffer(self, made: Buffer) -> int:
        self.buffers.append(made)
        return len(self.buffers) - 1

    def give(self, value: SSAValue, made: Buffer) -> None:
        """A whole buffer as a memref."""
        kind = memref_type(value)
        sizes = kind.get_shape()
        self.values[value] = View(
            Address(self.buffer(made), 0), element_of(kind.element_type), sizes, contiguous(sizes)
        )

    def scalar(self, value: SSAValue) -> Scalar:
        found = self.values[value]
        assert not isinstance(found, View)
        return found

    def view(self, value: SSAValue) -> View:
        found = self.values[value]
        assert isinstance(found, View)
        return found

    def number(self, steps: list[Step], op: str, operands: tuple[Scalar, ...]) -> Scalar:
        """An op of two index values, computed now if both are known."""
        return self.computed(steps, op, 0, operands, INDEX, INDEX)

    def computed(
        self, steps: list[Step], op: str, predicate: int, operands: tuple[Scalar, ...], given: str, result: str
    ) -> Scalar:
        if not any(isinstance(each, Register) for each in operands):
            return compute(op, predicate, operands, given, result)
        register = self.register()
        steps.append(Compute(register, op, predicate, operands, given, result))
        return register

    def moved(self, steps: list[Step], view: View, indices: Sequence[Scalar]) -> Address:
        """Where the element at these indices is."""
        offset = view.address.offset
        size = DTYPES[view.element].itemsize
        for index, stride in zip(indices, view.strides):
            bytes_ = self.number(steps, "arith.muli", (index, stride * size))
            offset = self.number(steps, "arith.addi", (offset, bytes_))
        return Address(view.address.buffer, offset)


Row = Callable[[Reader, Any, list[Step]], None]


def memref_type(value: SSAValue) -> MemRefType[Attribute]:
    assert isinstance(value.type, MemRefType)
    return cast("MemRefType[Attribute]", value.type)  # pyright: ignore[reportUnknownMemberType]


def element_of(type: Attribute) -> str:
    """The name of a scalar type."""
    return INDEX if isinstance(type, IndexType) else str(type)


def constant(reader: Reader, op: arith.ConstantOp, steps: list[Step]) -> None:
    assert isinstance(op.value, IntegerAttr | FloatAttr)
    reader.values[op.result] = abs(op.value.value.data) if element_of(op.result.type) == "i1" else op.value.value.data


def arithmetic(reader: Reader, op: Operation, steps: list[Step]) -> None:
    predicate = op.predicate.value.data if isinstance(op, arith.CmpiOp | arith.CmpfOp) else 0
    operands = tuple(reader.scalar(each) for each in op.operands)
    given, result = element_of(op.operands[-1].type), element_of(op.results[0].type)
    reader.values[op.results[0]] = reader.computed(steps, op.name, predicate, operands, given, result)


def bytes_as(reader: Reader, op: memref.ViewOp, steps: list[Step]) -> None:
    source = reader.view(op.source)
    kind = memref_type(op.result)
    offset = reader.number(steps, "arith.addi", (source.address.offset, reader.scalar(op.byte_shift)))
    sizes = kind.get_shape()
    reader.values[op.result] = View(
        Address(source.address.buffer, offset), element_of(kind.element_type), sizes, contiguous(sizes)
    )


def subview(reader: Reader, op: memref.SubviewOp, steps: list[Step]) -> None:
    source, kind = reader.view(op.source), memref_type(op.result)
    given = iter(op.offsets)
    offsets = [reader.scalar(next(given)) if each == DYNAMIC_INDEX else each for each in op.static_offsets.get_values()]
    strides = strides_of(kind)
    address = reader.moved(steps, source, offsets)
    reader.values[op.result] = View(address, source.element, kind.get_shape(), strides)


def strides_of(kind: MemRefType[Attribute]) -> tuple[int, ...]:
    """The strides that a memref's type states."""
    match kind.layout:
        case NoneAttr():
            return contiguous(kind.get_shape())
        case StridedLayoutAttr() as layout:
            return tuple(cast("tuple[int, ...]", layout.get_strides()))
        case other:
            raise CompileError(f"the host cannot follow the layout {other}")


def reinterpret_cast(reader: Reader, op: memref.ReinterpretCastOp, steps: list[Step]) -> None:
    source, kind = reader.view(op.source), memref_type(op.result)
    (static,) = op.static_offsets.get_values()
    offset = reader.scalar(op.offsets[0]) if static == DYNAMIC_INDEX else static
    whole = View(Address(source.address.buffer, source.address.offset), source.element, (1,), (1,))
    address = reader.moved(steps, whole, (offset,))
    reader.values[op.result] = View(address, source.element, kind.get_shape(), strides_of(kind))


def reshaped(reader: Reader, op: Any, steps: list[Step]) -> None:
    """Another shape of the same contiguous elements, or the same shape."""
    source, kind = reader.view(op.operands[0]), memref_type(op.results[0])
    reader.values[op.results[0]] = View(source.address, source.element, kind.get_shape(), strides_of(kind))


def allocate(reader: Reader, op: memref.AllocOp | memref.AllocaOp, steps: list[Step]) -> None:
    kind = memref_type(op.memref)
    reader.give(op.memref, Allocated(prod(kind.get_shape()) * DTYPES[element_of(kind.element_type)].itemsize))


def nothing(reader: Reader, op: Operation, steps: list[Step]) -> None:
    """Buffers of the program live as long as it does."""


def get_global(reader: Reader, op: memref.GetGlobalOp, steps: list[Step]) -> None:
    name, kind = op.name_.root_reference.data, memref_type(op.memref)
    if name not in reader.constants:
        found = next(
            each for each in reader.module.ops if isinstance(each, memref.GlobalOp) and each.sym_name.data == name
        )
        if not isinstance(found.initial_value, DenseIntOrFPElementsAttr):
            raise CompileError(f"the global @{name} has no value", place=place_of(op.location))
        stored = np.frombuffer(found.initial_value.data.data, DTYPES[element_of(kind.element_type)])
        array = stored if stored.size == prod(kind.get_shape()) else np.broadcast_to(stored, kind.get_shape())
        reader.constants[name] = reader.buffer(Constant(base64.b64encode(array.tobytes()).decode()))
    sizes = kind.get_shape()
    address = Address(reader.constants[name], 0)
    reader.values[op.memref] = View(address, element_of(kind.element_type), sizes, contiguous(sizes))


def load(reader: Reader, op: memref.LoadOp, steps: list[Step]) -> None:
    view = reader.view(op.memref)
    address = reader.moved(steps, view, [reader.scalar(each) for each in op.indices])
    register = reader.register()
    steps.append(Read(register, address, view.element))
    reader.values[op.res] = register


def store(reader: Reader, op: memref.StoreOp, steps: list[Step]) -> None:
    view = reader.view(op.memref)
    address = reader.moved(steps, view, [reader.scalar(each) for each in op.indices])
    steps.append(Write(address, reader.scalar(op.value), view.element))


def copy(reader: Reader, op: memref.CopyOp, steps: list[Step]) -> None:
    source, target = reader.view(op.source), reader.view(op.destination)
    if not (source.is_contiguous and target.is_contiguous):
        message = "a copy between buffers that are not contiguous is work for a kernel"
        reader.refused.append(Diagnostic(message, place_of(op.location)))
    steps.append(Copy(source.address, target.address, source.bytes))


def launch(reader: Reader, op: gpu.LaunchFuncOp, steps: list[Step]) -> None:
    arguments: list[Argument] = []
    for value in op.arguments:
        found = reader.values[value]
        if isinstance(found, View):
            arguments.append(Argument(found.address))
        else:
            arguments.append(Argument(found, element_of(value.type)))
    steps.append(
        Launch(
            op.kernel.nested_references.data[0].data,
            tuple(reader.scalar(each) for each in op.grid),
            tuple(reader.scalar(each) for each in op.block),
            0 if op.dynamic is None else reader.scalar(op.dynamic),
            tuple(arguments),
            str(place_of(op.location) or ""),
            blocks_together(op),
        )
    )


def blocks_together(op: gpu.LaunchFuncOp) -> int:
    kernel = SymbolTable.lookup_symbol(op, op.kernel)
    stated = None if kernel is None else kernel.attributes.get(gpu.TOGETHER)
    return stated.value.data if isinstance(stated, IntegerAttr) else 0


def call(reader: Reader, op: func.CallOp, steps: list[Step]) -> None:
    name = op.callee.root_reference.data
    if op.results or any(isinstance(each.type, MemRefType) for each in op.operands):
        message = f"the host cannot call @{name}: only functions of numbers that return nothing"
        reader.refused.append(Diagnostic(message, place_of(op.location)))
        return
    steps.append(Call(name, tuple(reader.scalar(each) for each in op.operands)))


def results(reader: Reader, op: Operation) -> tuple[Register, ...]:
    """A register for each result of an op with regions."""
    made: list[Register] = []
    for result in op.results:
        if isinstance(result.type, MemRefType):
            message = f"{op.name} passes on a buffer, which the host cannot follow"
            reader.refused.append(Diagnostic(message, place_of(op.location)))
        register = reader.register()
        reader.values[result] = register
        made.append(register)
    return tuple(made)


def passed(reader: Reader, block: Block, skip: int = 0) -> tuple[Scalar, ...]:
    """What the terminator of a block passes on."""
    assert block.last_op is not None
    return tuple(cast(Scalar, reader.values[each]) for each in block.last_op.operands[skip:])


def branch(reader: Reader, region: Region, made: tuple[Register, ...]) -> tuple[Step, ...]:
    if not region.blocks:
        return ()
    steps = reader.steps_of(region.block)
    return (*steps, Move(made, passed(reader, region.block))) if made else tuple(steps)


def if_(reader: Reader, op: scf.IfOp, steps: list[Step]) -> None:
    made = results(reader, op)
    then, otherwise = (branch(reader, each, made) for each in (op.true_region, op.false_region))
    steps.append(If(reader.scalar(op.cond), then, otherwise))


def for_(reader: Reader, op: scf.ForOp, steps: list[Step]) -> None:
    carried = results(reader, op)
    block = op.body.block
    index = reader.register()
    for argument, register in zip(block.args, (index, *carried)):
        reader.values[argument] = register
    if carried:
        steps.append(Move(carried, tuple(reader.scalar(each) for each in op.iter_args)))
    body = reader.steps_of(block)
    if carried:
        body.append(Move(carried, passed(reader, block)))
    low, high, step = (reader.scalar(each) for each in (op.lb, op.ub, op.step))
    steps.append(For(index, low, high, step, tuple(body)))


def while_(reader: Reader, op: scf.WhileOp, steps: list[Step]) -> None:
    """The registers of the results hold what the condition passes on, which the body starts from."""
    made = results(reader, op)
    before, after = op.before_region.block, op.after_region.block
    carried = tuple(reader.register() for _ in before.args)
    for argument, register in zip((*before.args, *after.args), (*carried, *made)):
        reader.values[argument] = register
    if carried:
        steps.append(Move(carried, tuple(reader.scalar(each) for each in op.arguments)))
    ahead = reader.steps_of(before)
    condition = passed(reader, before)[0]
    if made:
        ahead.append(Move(made, passed(reader, before, 1)))
    body = reader.steps_of(after)
    if carried:
        body.append(Move(carried, passed(reader, after)))
    steps.append(While(tuple(ahead), condition, tuple(body)))


ROWS: dict[type[Operation], Row] = {
    arith.ConstantOp: constant,
    func.CallOp: call,
    gpu.LaunchFuncOp: launch,
    memref.AllocOp: allocate,
    memref.AllocaOp: allocate,
    memref.AssumeAlignmentOp: reshaped,
    memref.CastOp: reshaped,
    memref.CollapseShapeOp: reshaped,
    memref.CopyOp: copy,
    memref.DeallocOp: nothing,
    memref.ExpandShapeOp: reshaped,
    memref.GetGlobalOp: get_global,
    memref.LoadOp: load,
    memref.ReinterpretCastOp: reinterpret_cast,
    memref.StoreOp: store,
    memref.SubviewOp: subview,
    memref.ViewOp: bytes_as,
    scf.ForOp: for_,
    scf.IfOp: if_,
    scf.WhileOp: while_,
}
"""What the host can do besides arithmetic on numbers."""
