"""Bufferizing one function: what its rules ask where to read, where to write, and put ops in place with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from xdsl.dialects import arith, func, linalg, memref, tensor
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    SymbolRefAttr,
    TensorType,
    UnregisteredOp,
    i64,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.utils.exceptions import PassFailedException
from xdsl.utils.hints import isa

from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.sizes import Size, is_symbolic
from xmlc.passes.buffer_liveness import Liveness
from xmlc.passes.bufferize.places import Buffer, GlobalConstants, Place, Unshape, Wish, buffer_type, memref_of
from xmlc.passes.bufferize.signature import convert_signature
from xmlc.passes.bufferize.sources import element_source, init_of, source_of
from xmlc.passes.memory import ALIGNMENT, STACK_LIMIT, array_type, byte_size
from xmlc.passes.size_values import SizeValues

KERNEL = "xmlc.kernel"

_INDEX = IndexType()

Rules = Mapping[type[Operation], Callable[["Bufferizer", Any], None]]
"""Op -> its rule, which puts the ops that replace it before the old one and leaves that to be erased at the end."""


class Bufferizer:
    """Rewrites one function in place, one forward walk.

    The old tensor ops stay in their blocks until the end, so that positions and uses keep their meaning. Writing into
    a buffer is allowed at an op only if (1) the buffer is writable: not an argument of the function, unless a result
    takes its place, and not a constant; (2) no tensor placed in it may be read after the op (`Liveness`, which knows
    of loops and branches); (3) the op reads it nowhere else, or only at the very element it writes. A tensor.empty has
    no place: what is made from it gets a new buffer without a copy, and reading it reads anything.
    """

    def __init__(
        self,
        function: func.FuncOp,
        constants: GlobalConstants,
        rules: Rules,
        in_place: Mapping[str, Mapping[int, int]],
    ):
        """`in_place` tells of each function the numbers of results that take the place of arguments, and theirs."""
        self.function = function
        self.in_place = in_place
        self.constants = constants
        self.rules = rules
        self.liveness = Liveness(function)
        self.sizes = SizeValues.of(function)
        self.is_kernel = KERNEL in function.attributes
        self.places: dict[SSAValue, Place] = {}
        self.wishes: dict[SSAValue, Wish] = {}
        self.empty: set[SSAValue] = set()
        self.splats: dict[SSAValue, DenseIntOrFPElementsAttr] = {}
        self.outputs: list[Place] = []
        self.dead: list[Operation] = []
        self.dead_args: list[BlockArgument] = []
        self.views: list[Operation] = []
        self.unsupported: list[Diagnostic] = []

    def run(self) -> None:
        entry = self.function.body.block
        arguments = list(entry.args)
        in_place = {number: arguments[at] for number, at in self.in_place[self.function.sym_name.data].items()}
        for arg in arguments:
            if isinstance(arg.type, TensorType):
                new = entry.insert_arg(memref_of(arg), arg.index)
                new.name_hint = arg.name_hint
                self.settle(arg, Place(Buffer(new, writable=arg in in_place.values()), new))
                self.dead_args.append(arg)
        for number, result in enumerate(self.function.function_type.outputs):
            if number in in_place:
                self.outputs.append(self.places[in_place[number]])
            elif isa(result, TensorType[Attribute]):
                new = entry.insert_arg(buffer_type(result), len(entry.args))
                new.name_hint = "out"
                self.outputs.append(Place(Buffer(new), new))
        if not isinstance(last := entry.last_op, func.ReturnOp):
            raise PassFailedException(f"function @{self.function.sym_name.data} does not end in a return")
        returned = [value for value in last.operands if isinstance(value.type, TensorType)]
        for value, place in zip(returned, self.outputs, strict=True):
            self.wish(value, Wish(place))
        self.block(entry)
        if self.unsupported:
            raise CompileError.of(self.unsupported)
        for op in reversed(self.dead):
            op.detach()
            op.erase()
        for view in reversed(self.views):
            if not view.results[0].uses:
                view.detach()
                view.erase()
        for arg in self.dead_args:
            arg.owner.erase_arg(arg)
        convert_signature(self.function)

    def block(self, block: Block) -> None:
        for op in list(block.ops):
            if type(op) in self.rules:
                self.apply(op)
            elif any(isinstance(value.type, TensorType) for value in (*op.operands, *op.results)):
                name = op.op_name.data if isinstance(op, UnregisteredOp) else op.name
                self.unsupported.append(Diagnostic(f"{name} on tensors cannot be bufferized", place_of(op.location)))

    def apply(self, op: Operation) -> None:
        """Put what an op becomes before it, and leave it to be erased at the end."""
        self.rules[type(op)](self, op)

    # Places

    def settle(self, value: SSAValue, place: Place) -> None:
        """Say that `value` lives at `place`."""
        self.places[value] = place
        place.buffer.residents.append(value)

    def place_to_read(self, value: SSAValue, op: Operation) -> Place:
        """Where `value` is read from by `op`; gives a buffer to what has none yet (an empty or a splat constant)."""
        if (place := self.places.get(value)) is not None:
            return place
        if (splat := self.splats.get(value)) is not None:
            place = self.constant_place(splat, op)
        else:
            assert value in self.empty, f"{value} has no place"
            place = self.new_place(value, op)
        self.settle(value, place)
        return place

    def constant_place(self, value: DenseIntOrFPElementsAttr, op: Operation) -> Place:
        buffer_of = buffer_type(cast(TensorType[Attribute], value.type))
        get = memref.GetGlobalOp.create(
            result_types=(buffer_of,),
            properties={"name": SymbolRefAttr(self.constants.name_of(value))},
            location=op.location,
        )
        self.at_entry(get)
        return Place(Buffer(get.memref, writable=False), get.memref)

    def at_entry(self, op: Operation) -> None:
        """Insert where every op of the function can see it: also keeps stack buffers out of loops."""
        block = self.function.body.block
        block.insert_op_before(op, cast(Operation, block.first_op))

    def new_place(self, value: SSAValue, op: Operation) -> Place:
        """A fresh buffer with the shape of `value`, made before `op`: on a kernel's stack if it is small."""
        type_ = memref_of(value)
        sizes = self.dynamic_sizes(value, op) if DYNAMIC_INDEX in type_.get_shape() else ()
        in_stack = self.is_kernel and not sizes and byte_size(type_) <= STACK_LIMIT
        kind = memref.AllocaOp if in_stack else memref.AllocOp
        alloc = kind.create(
            operands=sizes,
            result_types=(type_,),
            properties={
                "alignment": IntegerAttr(ALIGNMENT, i64),
                "operandSegmentSizes": array_type((len(sizes), 0)),
            },
            location=op.location,
        )
        alloc.results[0].name_hint = value.name_hint
        if self.is_kernel and not sizes:
            self.at_entry(alloc)
        else:
            self.before(op, alloc)
        return Place(Buffer(alloc.results[0]), alloc.results[0])

    def dynamic_sizes(self, value: SSAValue, op: Operation) -> Sequence[SSAValue]:
        """The run-time sizes of a tensor, asked from whatever it is made of."""
        owner = value.owner
        if isinstance(owner, tensor.EmptyOp):
            return tuple(owner.dynamic_sizes)
        if is_symbolic(shape_of(value)):
            return self.free_sizes(value.type)
        source = next((v for v in (init_of(value), value) if v is not None and v in self.places), None)
        if source is None and (init := init_of(value)) is not None:
            return self.dynamic_sizes(init, op)
        if source is None:
            raise PassFailedException(f"cannot size {value.type}, a result of {_owner_name(value)}")
        sizes: list[SSAValue] = []
        for dim, size in enumerate(memref_of(value).get_shape()):
            if size == DYNAMIC_INDEX:
                index = arith.ConstantOp.create(
                    result_types=(_INDEX,), properties={"value": IntegerAttr(dim, _INDEX)}, location=op.location
                )
                extent = memref.DimOp.create(
                    operands=(self.places[source].view, index.result), result_types=(_INDEX,), location=op.location
                )
                self.before(op, index, extent)
                sizes.append(extent.result)
        return sizes

    def free_sizes(self, type_: Attribute) -> Sequence[SSAValue]:
        """The values of the symbolic sizes of a tensor's type."""
        return [self.sizes[size] for size in shape_of(type_) if isinstance(size, Size)]

    # Wishes

    def wish(self, value: SSAValue, wish: Wish) -> None:
        """Ask for `value` to be made at a place, and so backwards for what it is made from in place."""
        while value not in self.places and value not in self.wishes:
            self.wishes[value] = wish
            owner = value.owner
            match owner:
                case tensor.CollapseShapeOp():
                    source, back = owner.src, memref.ExpandShapeOp
                case tensor.ExpandShapeOp():
                    source, back = owner.src, memref.CollapseShapeOp
                case _:
                    source, back = source_of(value), None
            if source is None or isinstance(owner, Block):
                return
            position = self.liveness.start[owner]
            if self.liveness.is_read_after(source, position, self.liveness.scope_of(owner)):
                return
            if back is not None:
                shape = cast(TensorType[Attribute], source.type)
                step = Unshape(back, owner.properties["reassociation"], shape)
                wish = Wish(wish.place, (*wish.unshapes, step))
            value = source

    def granted(
        self, value: SSAValue, op: Operation, taken: Sequence[Buffer], element: AffineMap | None
    ) -> Place | None:
        """The place wished for `value`, if `op` may write it there."""
        wish = self.wishes.get(value)
        if wish is None or wish.place.buffer in taken:
            return None
        if not self.may_overwrite(wish.place.buffer, op, None, element):
            return None
        view = wish.place.view
        for step in wish.unshapes:
            view = self.reshape(step.op, view, step.reassociation, step.shape, op)
        return Place(wish.place.buffer, view)

    def may_overwrite(self, buffer: Buffer, op: Operation, tied: SSAValue | None, element: AffineMap | None) -> bool:
        """Whether `op` may write into `buffer`.

        `tied` is the operand whose content the op continues there; `element` the map by which a linalg op visits what
        it writes, if it visits each element once: what is read by the same map is read before it is overwritten.
        """
        if not buffer.writable:
            return False
        if _reads(op, buffer, tied, element, self.places):
            return False
        position, scope = self.liveness.start[op], self.liveness.scope_of(op)
        return not any(self.liveness.is_read_after(value, position, scope) for value in buffer.residents)

    def place_to_write(
        self,
        result: SSAValue,
        init: SSAValue,
        op: Operation,
        *,
        keep: bool = True,
        taken: Sequence[Buffer] = (),
        element: AffineMap | None = None,
    ) -> Place:
        """Where `op` makes `result` out of `init`; `keep` says that what `init` holds matters."""
        place = self.places.get(init)
        if place is not None and place.buffer not in taken and self.may_overwrite(place.buffer, op, init, element):
            return place
        new = self.granted(result, op, taken, element)
        if new is None and not keep and (source := element_source(result)) is not None:
            place = self.places[source]
            if place.buffer not in taken and self.may_overwrite(place.buffer, op, None, element):
                return place
        new = new or self.new_place(result, op)
        if keep:
            self.copy(init, new, op)
        return new

    def copy(self, value: SSAValue, to: Place, op: Operation) -> None:
        """Put what `value` holds into `to` before `op`; both have the same shape or are views of the same memory."""
        if value in self.empty and value not in self.places:
            return
        if (splat := self.splats.get(value)) is not None and value not in self.places:
            scalar = _scalar_constant(splat, op)
            fill = linalg.ops.FillOp([scalar.result], [to.view], [])
            fill.location = op.location
            self.before(op, scalar, fill)
            return
        source = self.places[value]
        if source.buffer is to.buffer:
            return
        view = to.view
        self.before(op, memref.CopyOp.create(operands=(source.view, view), location=op.location))

    def move_all(self, moves: Sequence[tuple[SSAValue, Place]], op: Operation) -> None:
        """Put every value into its place, all at once: a place read by another move is written after that read."""
        waiting = [
            (value, to) for value, to in moves if (at := self.places.get(value)) is None or at.buffer is not to.buffer
        ]
        sources = {index: self.places.get(value) for index, (value, _) in enumerate(waiting)}
        pending = list(range(len(waiting)))
        while pending:
            ready = next(
                (
                    index
                    for index in pending
                    if not any(
                        other != index and (at := sources[other]) is not None and at.buffer is waiting[index][1].buffer
                        for other in pending
                    )
                ),
                None,
            )
            if ready is None:  # a cycle: set one source aside
                ready = pending[0]
                value = waiting[ready][0]
                target = waiting[ready][1].buffer
                for other in pending:
                    if other != ready and (at := sources[other]) is not None and at.buffer is target:
                        aside = self.new_place(waiting[other][0], op)
                        self.before(op, memref.CopyOp.create(operands=(at.view, aside.view), location=op.location))
                        sources[other] = aside
            value, to = waiting[ready]
            at = sources[ready]
            if at is None:
                self.copy(value, to, op)
            else:
                self.before(op, memref.CopyOp.create(operands=(at.view, to.view), location=op.location))
            pending.remove(ready)

    # Rewriting

    def before(self, op: Operation, *new: Operation) -> None:
        assert op.parent is not None
        op.parent.insert_ops_before(new, op)

    def reshape(
        self,
        kind: type[memref.CollapseShapeOp] | type[memref.ExpandShapeOp],
        view: SSAValue,
        reassociation: Attribute,
        shape: TensorType[Attribute],
        op: Operation,
    ) -> SSAValue:
        """`view` in another shape, before `op`."""
        properties: dict[str, Attribute] = {"reassociation": reassociation}
        if kind is memref.ExpandShapeOp:
            properties["static_output_shape"] = array_type(shape.get_shape(), i64)
        sizes = self.free_sizes(shape) if kind is memref.ExpandShapeOp else ()
        new = kind.create(
            operands=(view, *sizes), result_types=(buffer_type(shape),), properties=properties, location=op.location
        )
        self.before(op, new)
        self.views.append(new)
        return new.results[0]

    def replace(self, op: Operation, new: Operation) -> None:
        """Put `new` before `op`, and give the uses of the non-tensor results of `op` to those of `new`, in order."""
        self.before(op, new)
        scalars = [result for result in op.results if not isinstance(result.type, TensorType)]
        for old, result in zip(scalars, new.results, strict=True):
            result.name_hint = old.name_hint
            old.replace_all_uses_with(result)
        self.dead.append(op)

    def swap(self, op: Operation, new: Operation) -> None:
        """Replace an op that makes no tensor, at once."""
        self.replace(op, new)
        self.dead.pop().detach()
        op.erase()

    def carried(self, init: SSAValue, result: SSAValue, op: Operation, taken: Sequence[Buffer], position: int) -> Place:
        """Where a loop or branch keeps a tensor: in the buffer of `init` if it is not needed after `position`."""
        place = self.places.get(init)
        scope = self.liveness.scope_of(op)
        if place is not None and place.buffer.writable and place.buffer not in taken:
            residents = place.buffer.residents
            if not any(self.liveness.is_read_after(value, position, scope) for value in residents):
                return place
        return self.granted(result, op, taken, None) or self.new_place(result, op)


def _reads(
    op: Operation,
    buffer: Buffer,
    tied: SSAValue | None,
    element: AffineMap | None,
    places: dict[SSAValue, Place],
) -> bool:
    """Whether `op` reads `buffer` other than through `tied` or, by the map `element`, at the element it writes."""

    def within(value: SSAValue) -> bool:
        place = places.get(value)
        return place is not None and place.buffer is buffer

    if not isinstance(op, linalg.ops.GenericOp):
        return sum(map(within, op.operands)) > (tied is not None and within(tied))
    maps = [attribute.data for attribute in op.indexing_maps]
    for value, map_ in zip(op.inputs, maps):
        if within(value) and map_ != element:
            return True
    if any(within(value) and value is not tied for value in op.outputs):
        return True
    body = op.body.block
    return any(within(value) for inner in body.walk() for value in inner.operands)


def _owner_name(value: SSAValue) -> str:
    return value.owner.name if isinstance(value.owner, Operation) else "a block"


def _scalar_constant(splat: DenseIntOrFPElementsAttr, op: Operation) -> arith.ConstantOp:
    """The scalar that every element of `splat` holds, as an op not yet placed."""
    element = cast(Attribute, next(iter(splat.iter_attrs())))
    return arith.ConstantOp.create(
        result_types=(splat.get_element_type(),), properties={"value": element}, location=op.location
    )
