"""Kernels made of ops of the host: what they need comes in as arguments, or is computed anew inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count

from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import (
    IntegerAttr,
    IntegerType,
    MemRefType,
    ModuleOp,
    NoneAttr,
    StringAttr,
    SymbolRefAttr,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.utils.hints import isa

from xmlc.dialects import gpu
from xmlc.passes.index_arithmetic import index_constant
from xmlc.passes.views import VIEWS

KERNELS = "kernels"
"""The name of the gpu.module."""
BLOCKS_AT_ONCE = "nvvm.minctasm"
"""Attribute of a kernel: how many blocks are to fit on a multiprocessor at once, whatever that costs in registers."""


class Kernels:
    """The gpu.module of a program, and the names in it."""

    def __init__(self, module: ModuleOp):
        self.module = module
        found = next((op for op in module.ops if isinstance(op, gpu.ModuleOp)), None)
        if found is None:
            found = gpu.ModuleOp(KERNELS)
            module.body.block.add_op(found)
            module.attributes["gpu.container_module"] = UnitAttr()
        self.device = found
        self.taken = {op.attributes.get("sym_name") or op.properties.get("sym_name") for op in found.body.block.ops}

    def unused_name(self, wish: str) -> str:
        """A name for a kernel: the one wished for, with a number behind it where that is taken."""
        names = (wish if number == 0 else f"{wish}_{number}" for number in count())
        name = next(name for name in names if StringAttr(name) not in self.taken)
        self.taken.add(StringAttr(name))
        return name

    def shared_memory(self, element: Attribute, size: int) -> memref.GetGlobalOp:
        """Memory of each block of the kernel that the op is put into."""
        kind = MemRefType(element, (size,), memory_space=gpu.WORKGROUP)
        name = self.unused_name("shared")
        self.device.body.block.add_op(
            memref.GlobalOp.create(
                properties={
                    "sym_name": StringAttr(name),
                    "sym_visibility": StringAttr("private"),
                    "type": kind,
                    "initial_value": UnitAttr(),
                }
            )
        )
        return memref.GetGlobalOp(name, kind)

    def global_inside(self, name: str) -> None:
        """Give the device a copy of one of the host's constants."""
        if StringAttr(name) in self.taken:
            return
        self.taken.add(StringAttr(name))
        for op in self.module.ops:
            if isinstance(op, memref.GlobalOp) and op.sym_name.data == name:
                first = self.device.body.block.first_op
                copy = op.clone()
                if first is None:
                    self.device.body.block.add_op(copy)
                else:
                    self.device.body.block.insert_op_before(copy, first)


class Outline:
    """One kernel in the making: what it captures of the host, and its body."""

    def __init__(self, kernels: Kernels, before: Operation):
        self.kernels = kernels
        self.before = before
        self.captured: dict[SSAValue, SSAValue] = {}
        """Value of the host -> the argument that it is in the kernel."""
        self.inside: dict[SSAValue, SSAValue] = {}
        """Value of the host -> what it is in the kernel."""
        self.body = Block()
        self.prologue: Operation | None = None

    def add(self, op: Operation) -> Operation:
        """Append to the body."""
        op.location = self.before.location
        self.body.add_op(op)
        return op

    def bring(self, value: SSAValue, readable: Callable[[memref.LoadOp], bool] = lambda _: False) -> SSAValue:
        """The value inside the kernel: constants, views and loads that are `readable` there are repeated,
        everything else is an argument."""
        known = self.inside.get(value)
        if known is not None:
            return known
        owner = value.owner
        repeats = isinstance(owner, (arith.ConstantOp, memref.GetGlobalOp, *VIEWS)) or (
            isinstance(owner, memref.LoadOp) and readable(owner)
        )
        if repeats:
            assert isinstance(owner, Operation)
            for operand in owner.operands:
                self.bring(operand, readable)
            if isinstance(owner, memref.GetGlobalOp):
                self.kernels.global_inside(owner.name_.string_value())
            copy = owner.clone(dict(self.inside))
            self.body.add_op(copy)
            made: SSAValue = copy.results[0]
        else:
            kind: Attribute = value.type
            if isa(kind, MemRefType[Attribute]):
                assert isinstance(kind.layout, NoneAttr), f"a kernel takes contiguous memory, found {kind}"
            made = self.captured[value] = self.body.insert_arg(kind, len(self.body.args))
            made.name_hint = value.name_hint
        self.inside[value] = made
        return made

    def launch(
        self,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        dynamic: int | None = None,
        cluster: Sequence[int] | None = None,
        together: int | None = None,
    ) -> gpu.FuncOp:
        """Finish the kernel and launch it before the op that it was begun for.

        If every `together` blocks wait for each other, the kernel may be run on a grid of fewer, of so many at least.
        """
        self.add(gpu.ReturnOp())
        name = self.kernels.unused_name(name)
        function = gpu.FuncOp(
            name,
            [argument.type for argument in self.body.args],
            known_block_size=block,
            known_grid_size=grid if together is None else None,
            known_cluster_size=cluster,
        )
        if together is not None:
            function.attributes[gpu.TOGETHER] = IntegerAttr(together, i64)
        region = function.body
        region.detach_block(0)
        region.add_block(self.body)
        function.location = self.before.location
        self.kernels.device.body.block.add_op(function)
        sizes = [self.host(index_constant(size)) for size in (*grid, *block)]
        shared = None
        if dynamic is not None:
            shared = self.host(arith.ConstantOp.from_int_and_width(dynamic, IntegerType(32)))
        launch = gpu.LaunchFuncOp(
            SymbolRefAttr(self.kernels.device.sym_name.data, [name]),
            sizes[:3],
            sizes[3:],
            list(self.captured),
            dynamic=shared,
        )
        launch.location = self.before.location
        self.host_op(launch)
        return function

    def host(self, op: Operation) -> SSAValue:
        self.host_op(op)
        return op.results[0]

    def host_op(self, op: Operation) -> None:
        op.location = self.before.location
        assert self.before.parent is not None
        self.before.parent.insert_op_before(op, self.before)


def captures(ops: Iterable[Operation]) -> list[SSAValue]:
    """The values that ops, with all inside them, use but do not make."""
    inner: set[SSAValue] = set()
    used: dict[SSAValue, None] = {}
    for op in ops:
        for each in op.walk():
            inner.update(each.results)
            for region in each.regions:
                for block in region.blocks:
                    inner.update(block.args)
            for operand in each.operands:
                used[operand] = None
    return [value for value in used if value not in inner]
