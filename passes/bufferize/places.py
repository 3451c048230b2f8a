"""Where tensors live: buffers, the views of them, the places wished for, and the constants of a module."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, cast

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    TensorType,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.passes.memory import ALIGNMENT


def buffer_type(tensor_type: TensorType[Attribute]) -> MemRefType[Attribute]:
    """The contiguous memref that holds a tensor."""
    return MemRefType(tensor_type.element_type, tensor_type.shape)


def memref_of(value: SSAValue) -> MemRefType[Attribute]:
    return buffer_type(cast(TensorType[Attribute], value.type))


class GlobalConstants:
    """The module's dense constants, each placed once as a private memref.global."""

    def __init__(self, module: ModuleOp):
        self._module = module
        self._names: dict[Attribute, str] = {}
        self._taken = {
            op.sym_name.data for op in module.body.block.ops if isinstance(op, memref.GlobalOp | func.FuncOp)
        }

    def name_of(self, value: DenseIntOrFPElementsAttr) -> str:
        """The symbol of the global that holds `value`; made when first asked for."""
        if (known := self._names.get(value)) is not None:
            return known
        count = len(self._names)
        while (name := f"xmlc.constant_{count}") in self._taken:
            count += 1
        self._names[value] = name
        self._taken.add(name)
        tensor_type = cast(TensorType[Attribute], value.type)
        self._module.body.block.insert_op_before(
            memref.GlobalOp.create(
                properties={
                    "sym_name": StringAttr(name),
                    "sym_visibility": StringAttr("private"),
                    "type": buffer_type(tensor_type),
                    "initial_value": value,
                    "constant": UnitAttr(),
                    "alignment": IntegerAttr(ALIGNMENT, i64),
                }
            ),
            cast(Operation, self._module.body.block.first_op),
        )
        return name


@dataclass(eq=False)
class Buffer:
    """A piece of memory, whether it may be written, and the tensors placed in it that may still be read."""

    memref: SSAValue
    writable: bool = True
    residents: list[SSAValue] = field(default_factory=list[SSAValue])


class Place(NamedTuple):
    """Where a tensor lives: a buffer, and the view of it that has the tensor's shape."""

    buffer: Buffer
    view: SSAValue


class Unshape(NamedTuple):
    """How to see a wished place in an earlier shape: the reshape to apply to it."""

    op: type[memref.CollapseShapeOp] | type[memref.ExpandShapeOp]
    reassociation: Attribute
    shape: TensorType[Attribute]


class Wish(NamedTuple):
    """A place in which a tensor is wanted, and the reshapes that give it the tensor's own shape."""

    place: Place
    unshapes: tuple[Unshape, ...] = ()
