"""Bufferize: tensors become buffers, written in place where nothing still needs what they held.

Every tensor lives in a buffer. An op that makes a tensor from an earlier one (a linalg op's init, an insert's
destination, what a loop carries) takes over its buffer if that may be written and no tensor in it is read later;
otherwise it gets a new buffer and a copy. A tensor that must end up in a given place (a function's result, what a
loop or branch yields) carries a wish for that place backwards through the ops it is made of, so that the op which
makes it writes there and no copy remains. `Bufferizer` tells the rules that make this safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from xdsl.context import Context
from xdsl.dialects import arith, func, linalg, memref, scf, tensor
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FunctionType,
    IndexType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StridedLayoutAttr,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    UnregisteredOp,
    i64,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException
from xdsl.utils.hints import isa

from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.sizes import Size, is_symbolic
from xmlc.passes.buffer_liveness import Liveness
from xmlc.passes.memory import ALIGNMENT, STACK_LIMIT, array_type, byte_size
from xmlc.passes.size_values import SizeValues

OUTPUT = "xmlc.output"
KERNEL = "xmlc.kernel"

_INDEX = IndexType()


@dataclass(frozen=True)
class Bufferize(ModulePass):
    """Turn tensors into memrefs; results of functions become trailing out-parameters."""

    name = "bufferize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        constants = GlobalConstants(op)
        for function in list(op.body.block.ops):
            if not isinstance(function, func.FuncOp):
                continue
            if function.is_declaration:
                _convert_signature(function)
            else:
                Bufferizer(function, constants).run()


def buffer_type(tensor_type: TensorType[Attribute]) -> MemRefType[Attribute]:
    """The contiguous memref that holds a tensor."""
    return MemRefType(tensor_type.element_type, tensor_type.shape)


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


class Bufferizer:
    """Rewrites one function in place, one forward walk.

    The old tensor ops stay in their blocks until the end, so that positions and uses keep their meaning. Writing into
    a buffer is allowed at an op only if (1) the buffer is writable: not an argument of the function, not a
    constant; (2) no tensor placed in it may be read after the op (`Liveness`, which knows of loops and branches); (3)
    the op reads it nowhere else, or only at the very element it writes. A tensor.empty has no place: what is made
    from it gets a new buffer without a copy, and reading it reads anything.
    """

    def __init__(self, function: func.FuncOp, constants: GlobalConstants):
        self.function = function
        self.constants = constants
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
        tensors = [arg for arg in entry.args if isinstance(arg.type, TensorType)]
        outputs = self.function.function_type.outputs.data
        results = [cast(TensorType[Attribute], type_) for type_ in outputs if isinstance(type_, TensorType)]
        for arg in tensors:
            new = entry.insert_arg(_memref_of(arg), arg.index)
            new.name_hint = arg.name_hint
            self.settle(arg, Place(Buffer(new, writable=False), new))
            self.dead_args.append(arg)
        for result in results:
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
        _convert_signature(self.function)

    def block(self, block: Block) -> None:
        for op in list(block.ops):
            rule = RULES.get(type(op))
            if rule is not None:
                rule(self, op)
            elif any(isinstance(value.type, TensorType) for value in (*op.operands, *op.results)):
                name = op.op_name.data if isinstance(op, UnregisteredOp) else op.name
                self.unsupported.append(Diagnostic(f"{name} on tensors cannot be bufferized", place_of(op.location)))

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
        type_ = _memref_of(value)
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
        source = next((v for v in (_init_of(value), value) if v is not None and v in self.places), None)
        if source is None and (init := _init_of(value)) is not None:
            return self.dynamic_sizes(init, op)
        if source is None:
            raise PassFailedException(f"cannot size {value.type}, a result of {_owner_name(value)}")
        sizes: list[SSAValue] = []
        for dim, size in enumerate(_memref_of(value).get_shape()):
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
                    source, back = _source_of(value), None
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
        if new is None and not keep and (source := _element_source(result)) is not None:
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
        return any(within(value) and value is not tied for value in op.operands)
    maps = [attribute.data for attribute in op.indexing_maps]
    for value, map_ in zip(op.inputs, maps):
        if within(value) and map_ != element:
            return True
    if any(within(value) and value is not tied for value in op.outputs):
        return True
    body = op.body.block
    return any(within(value) for inner in body.walk() for value in inner.operands)


def _memref_of(value: SSAValue) -> MemRefType[Attribute]:
    return buffer_type(cast(TensorType[Attribute], value.type))


def _owner_name(value: SSAValue) -> str:
    return value.owner.name if isinstance(value.owner, Operation) else "a block"


def _init_of(value: SSAValue) -> SSAValue | None:
    """The tensor that `value` is made from in place: a linalg init, an insert's destination, a loop's start."""
    owner = value.owner
    index = owner.results.index(value) if isinstance(owner, Operation) else 0  # pyright: ignore[reportArgumentType]
    match owner:
        case linalg.ops.GenericOp() | linalg.ops.FillOp():
            return owner.outputs[index]
        case FusedAttentionOp():
            return owner.out
        case tensor.InsertOp() | tensor.InsertSliceOp():
            return owner.dest
        case scf.ForOp():
            return owner.iter_args[index]
        case scf.WhileOp():
            return _forwarded(owner, index)
        case _:
            return None


def _element_source(value: SSAValue) -> SSAValue | None:
    """An input of the type of `value` that a linalg.generic reads element by element as it writes `value`."""
    op = value.owner
    if not isinstance(op, linalg.ops.GenericOp):
        return None
    output = op.indexing_maps.data[len(op.inputs) + op.res.index(value)]
    if not _visits_once(output.data):
        return None
    return next(
        (
            source
            for source, map_ in zip(op.inputs, op.indexing_maps)
            if map_ == output and source.type == value.type and not isinstance(source.owner, tensor.EmptyOp)
        ),
        None,
    )


def _source_of(value: SSAValue) -> SSAValue | None:
    """The tensor whose buffer `value` might take over: its init, or where that holds nothing, an element-wise input."""
    init = _init_of(value)
    if init is not None and isinstance(init.owner, tensor.EmptyOp):
        return _element_source(value)
    return init


def _forwarded(op: scf.WhileOp, index: int) -> SSAValue | None:
    """The start of the carried value that a while loop hands on unchanged as its result number `index`."""
    before = op.before_region.block
    condition = cast(scf.ConditionOp, before.last_op)
    value = condition.args[index]
    if isinstance(value, BlockArgument) and value.owner is before:
        return op.arguments[value.index]
    return None


def _scalar_constant(splat: DenseIntOrFPElementsAttr, op: Operation) -> arith.ConstantOp:
    """The scalar that every element of `splat` holds, as an op not yet placed."""
    element = cast(Attribute, next(iter(splat.iter_attrs())))
    return arith.ConstantOp.create(
        result_types=(splat.get_element_type(),), properties={"value": element}, location=op.location
    )


def _convert_signature(function: func.FuncOp) -> None:
    """Tensors of the signature become memrefs, tensor results trailing parameters that keep their attributes."""
    old = function.function_type
    inputs = [buffer_type(cast(Any, t)) if isinstance(t, TensorType) else t for t in old.inputs]
    outputs = [buffer_type(cast(Any, t)) for t in old.outputs if isinstance(t, TensorType)]
    scalars = [t for t in old.outputs if not isinstance(t, TensorType)]
    empty = DictionaryAttr({})
    arg_attrs = list(function.arg_attrs) if function.arg_attrs else [empty] * len(inputs)
    res_attrs = list(function.res_attrs) if function.res_attrs else [empty] * len(old.outputs)
    kept: list[DictionaryAttr] = []
    for attributes, type_ in zip(res_attrs, old.outputs, strict=True):
        if isinstance(type_, TensorType):
            arg_attrs.append(DictionaryAttr({**attributes.data, OUTPUT: UnitAttr()}))
        else:
            kept.append(attributes)
    function.properties["function_type"] = FunctionType.from_lists([*inputs, *outputs], scalars)
    if any(attributes.data for attributes in arg_attrs):
        function.properties["arg_attrs"] = ArrayAttr(arg_attrs)
    function.properties.pop("res_attrs", None)
    if any(attributes.data for attributes in kept):
        function.properties["res_attrs"] = ArrayAttr(kept)


# One rule for each op. A rule puts the ops that replace it before the old one and leaves that to be erased at the end.


def _constant(b: Bufferizer, op: arith.ConstantOp) -> None:
    value, made = op.value, op.result.type
    if not isa(made, TensorType[Attribute]):
        return
    b.dead.append(op)
    assert isinstance(value, DenseIntOrFPElementsAttr)
    if 0 in made.get_shape():
        b.empty.add(op.result)  # no elements: nothing to store
    elif value.is_splat():
        b.splats[op.result] = value
    else:
        b.settle(op.result, b.constant_place(value, op))


def _empty(b: Bufferizer, op: tensor.EmptyOp) -> None:
    b.empty.add(op.tensor)
    b.dead.append(op)


def _fill(b: Bufferizer, op: linalg.ops.FillOp) -> None:
    if not op.res:
        return
    place = b.place_to_write(op.res[0], op.outputs[0], op, keep=False)
    fill = linalg.ops.FillOp([op.inputs[0]], [place.view], [])
    fill.location = op.location
    fill.attributes = dict(op.attributes)
    b.replace(op, fill)
    b.settle(op.res[0], place)


def _generic(b: Bufferizer, op: linalg.ops.GenericOp) -> None:
    if not op.res:
        return
    maps = [attribute.data for attribute in op.indexing_maps]
    body = op.body.block
    captured = [inner for inner in body.walk() if isinstance(inner, tensor.ExtractOp | tensor.DimOp)]
    for inner in captured:
        b.place_to_read(inner.operands[0], op)
    inputs = [b.place_to_read(value, op).view if isinstance(value.type, TensorType) else value for value in op.inputs]
    places: list[Place] = []
    for number, (result, init) in enumerate(zip(op.res, op.outputs, strict=True)):
        map_ = maps[len(inputs) + number]
        arg = body.args[len(inputs) + number]
        place = b.place_to_write(
            result,
            init,
            op,
            keep=bool(arg.uses) or not _covers(map_, init),
            taken=[place.buffer for place in places],
            element=map_ if _visits_once(map_) else None,
        )
        places.append(place)
    for inner in captured:  # only now: what the body reads decides where its results may go
        RULES[type(inner)](b, inner)
    region = op.body
    op.detach_region(region)
    new = linalg.ops.GenericOp.create(
        operands=(*inputs, *(place.view for place in places)),
        properties={
            **op.properties,
            "operandSegmentSizes": array_type((len(inputs), len(places))),
        },
        attributes=op.attributes,
        regions=(region,),
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(op.res, places):
        b.settle(result, place)


def _attention(b: Bufferizer, op: FusedAttentionOp) -> None:
    if op.result is None:
        return
    operands = (op.query, op.key, op.value, *((op.mask,) if op.mask else ()))
    query, key, value, *mask = [b.place_to_read(each, op).view for each in operands]
    place = b.place_to_write(op.result, op.out, op, keep=False)
    new = FusedAttentionOp.create(
        operands=(query, key, value, place.view, *mask),
        properties=op.properties,
        attributes=op.attributes,
        location=op.location,
    )
    b.replace(op, new)
    b.settle(op.result, place)


def _covers(map_: AffineMap, init: SSAValue) -> bool:
    """Whether a map reaches every element of `init`: each dimension of more than one element has a loop of its own."""
    shape = _memref_of(init).get_shape()
    moving = [expression for expression, extent in zip(map_.results, shape, strict=True) if extent != 1]
    return len(set(moving)) == len(moving) and _all_dims(moving)


def _visits_once(map_: AffineMap) -> bool:
    """Whether a map reaches no element in two iterations."""
    return _all_dims(map_.results) and len(map_.used_dims()) == map_.num_dims


def _all_dims(expressions: Sequence[AffineExpr]) -> bool:
    return all(isinstance(expression, AffineDimExpr) for expression in expressions)


def _extract(b: Bufferizer, op: tensor.ExtractOp) -> None:
    source = b.place_to_read(op.tensor, op)
    load = memref.LoadOp.create(
        operands=(source.view, *op.indices), result_types=(op.result.type,), location=op.location
    )
    b.swap(op, load)


def _dim(b: Bufferizer, op: tensor.DimOp) -> None:
    source = b.place_to_read(op.source, op)
    dim = memref.DimOp.create(operands=(source.view, op.index), result_types=(op.result.type,), location=op.location)
    b.swap(op, dim)


def _insert(b: Bufferizer, op: tensor.InsertOp) -> None:
    place = b.place_to_write(op.result, op.dest, op)
    b.before(
        op,
        memref.StoreOp.create(operands=(op.scalar, place.view, *op.indices), location=op.location),
    )
    b.dead.append(op)
    b.settle(op.result, place)


def _from_elements(b: Bufferizer, op: tensor.FromElementsOp) -> None:
    place = b.granted(op.result, op, (), None) or b.new_place(op.result, op)
    shape = _memref_of(op.result).get_shape()
    constants: dict[int, SSAValue] = {}
    for position, element in enumerate(op.elements):
        indices: list[SSAValue] = []
        for extent in reversed(shape):
            position, index = divmod(position, extent)
            if index not in constants:
                constant = arith.ConstantOp.create(
                    result_types=(_INDEX,), properties={"value": IntegerAttr(index, _INDEX)}, location=op.location
                )
                b.before(op, constant)
                constants[index] = constant.result
            indices.append(constants[index])
        b.before(
            op,
            memref.StoreOp.create(operands=(element, place.view, *reversed(indices)), location=op.location),
        )
    b.dead.append(op)
    b.settle(op.result, place)


def _splat(b: Bufferizer, op: tensor.SplatOp) -> None:
    place = b.granted(op.result, op, (), None) or b.new_place(op.result, op)
    fill = linalg.ops.FillOp([op.input], [place.view], [])
    fill.location = op.location
    b.before(op, fill)
    b.dead.append(op)
    b.settle(op.result, place)


def _reshape(b: Bufferizer, op: tensor.CollapseShapeOp | tensor.ExpandShapeOp) -> None:
    """Another view of the same buffer."""
    b.dead.append(op)
    if op.src in b.empty and op.src not in b.places:
        b.empty.add(op.result)
        return
    source = b.place_to_read(op.src, op)
    kind = memref.CollapseShapeOp if isinstance(op, tensor.CollapseShapeOp) else memref.ExpandShapeOp
    view = b.reshape(kind, source.view, op.reassociation, op.result.type, op)
    b.settle(op.result, Place(source.buffer, view))


def _cast(b: Bufferizer, op: tensor.CastOp) -> None:
    source = b.place_to_read(op.source, op)
    new = memref.CastOp.create(operands=(source.view,), result_types=(_memref_of(op.dest),), location=op.location)
    b.before(op, new)
    b.dead.append(op)
    b.settle(op.dest, Place(source.buffer, new.dest))


def _subview(
    op: tensor.ExtractSliceOp | tensor.InsertSliceOp,
    of: SSAValue,
    first: int,
    shape: TensorType[Attribute],
) -> memref.SubviewOp:
    """The part of `of` that a slice op names, its dynamic offsets, sizes and strides from operand `first` on."""
    return memref.SubviewOp.create(
        operands=(of, *op.operands[first:]),
        result_types=(_subview_type(cast(MemRefType[Attribute], of.type), op, shape),),
        properties={
            "static_offsets": op.static_offsets,
            "static_sizes": op.static_sizes,
            "static_strides": op.static_strides,
            "operandSegmentSizes": array_type((1, len(op.offsets), len(op.sizes), len(op.strides))),
        },
        location=op.location,
    )


def _subview_type(
    source: MemRefType[Attribute], op: tensor.ExtractSliceOp | tensor.InsertSliceOp, shape: TensorType[Attribute]
) -> MemRefType[Attribute]:
    """The strided type of a slice of `source`; a slice of smaller rank leaves out extents of one."""
    strides = source.get_strides()
    assert strides is not None
    sizes, steps = op.static_sizes.get_values(), op.static_strides.get_values()
    offsets = op.static_offsets.get_values()
    offset: int | None = 0
    for at, stride in zip(offsets, strides, strict=True):
        if at != 0:
            offset = None if at == DYNAMIC_INDEX or stride is None or offset is None else offset + at * stride
    wanted = list(shape.get_shape())
    kept: list[int | None] = []
    for dim in range(len(sizes)):
        left_over = len(sizes) - dim
        if (
            sizes[dim] == 1
            and left_over > len(wanted) - len(kept)
            and not (
                len(kept) < len(wanted) and wanted[len(kept)] == 1 and _fits(sizes[dim + 1 :], wanted[len(kept) + 1 :])
            )
        ):
            continue
        stride, step = strides[dim], steps[dim]
        kept.append(None if stride is None or step == DYNAMIC_INDEX else stride * step)
    assert len(kept) == len(wanted), f"{op.name} changes more than extents of one"
    return MemRefType(source.element_type, shape.shape, StridedLayoutAttr(kept, offset))


def _fits(sizes: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether leaving out some extents of one turns `sizes` into `wanted`."""
    if not wanted:
        return all(size == 1 for size in sizes)
    if not sizes:
        return False
    if sizes[0] == wanted[0] and _fits(sizes[1:], wanted[1:]):
        return True
    return sizes[0] == 1 and _fits(sizes[1:], wanted)


def _extract_slice(b: Bufferizer, op: tensor.ExtractSliceOp) -> None:
    source = b.place_to_read(op.source, op)
    place = b.granted(op.result, op, (), None) or b.new_place(op.result, op)
    view = _subview(op, source.view, 1, op.result.type)
    b.before(op, view, memref.CopyOp.create(operands=(view.result, place.view), location=op.location))
    b.dead.append(op)
    b.settle(op.result, place)


def _insert_slice(b: Bufferizer, op: tensor.InsertSliceOp) -> None:
    place = b.place_to_write(op.result, op.dest, op)
    if op.source in b.places or op.source not in b.empty:
        source = b.place_to_read(op.source, op)
        view = _subview(op, place.view, 2, cast(TensorType[Attribute], op.source.type))
        b.before(op, view, memref.CopyOp.create(operands=(source.view, view.result), location=op.location))
    b.dead.append(op)
    b.settle(op.result, place)


def _call(b: Bufferizer, op: func.CallOp) -> None:
    """The callee writes its results into places of the caller, none of which it reads."""
    operands = [
        b.place_to_read(value, op).view if isinstance(value.type, TensorType) else value for value in op.operands
    ]
    results = [result for result in op.results if isinstance(result.type, TensorType)]
    places: list[Place] = []
    for result in results:
        taken = [place.buffer for place in places]
        places.append(b.granted(result, op, taken, None) or b.new_place(result, op))
    new = func.CallOp.create(
        operands=(*operands, *(place.view for place in places)),
        result_types=[result.type for result in op.results if not isinstance(result.type, TensorType)],
        properties=op.properties,
        attributes=op.attributes,
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(results, places):
        b.settle(result, place)


def _return(b: Bufferizer, op: func.ReturnOp) -> None:
    tensors = [value for value in op.operands if isinstance(value.type, TensorType)]
    b.move_all(list(zip(tensors, b.outputs, strict=True)), op)
    op.operands = [value for value in op.operands if not isinstance(value.type, TensorType)]


def _for(b: Bufferizer, op: scf.ForOp) -> None:
    """Each carried tensor has one buffer, which holds it before, during and after the loop."""
    block = op.body.block
    if not any(isinstance(init.type, TensorType) for init in op.iter_args):
        b.block(block)
        return
    places: list[Place | None] = []
    position = b.liveness.start[op]
    for init, result in zip(op.iter_args, op.res, strict=True):
        if not isinstance(init.type, TensorType):
            places.append(None)
            continue
        taken = [place.buffer for place in places if place is not None]
        places.append(b.carried(init, result, op, taken, position))
    pairs = list(zip(op.iter_args, places, strict=True))
    b.move_all([(init, place) for init, place in pairs if place is not None], op)
    for arg, place in zip(block.args[1:], places, strict=True):
        if place is not None:
            b.settle(arg, place)
    _yielding(b, block, places)
    kept = [init for init, place in pairs if place is None]
    region = op.body
    op.detach_region(region)
    new = scf.ForOp.create(
        operands=(op.lb, op.ub, op.step, *kept),
        result_types=[value.type for value in kept],
        attributes=op.attributes,
        regions=(region,),
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(op.res, places, strict=True):
        if place is not None:
            b.settle(result, place)
    _retire_args(b, block)


def _yielding(b: Bufferizer, block: Block, places: Sequence[Place | None]) -> None:
    """Rewrite a block whose terminator hands tensors on, each into its place."""
    last = block.last_op
    assert isinstance(last, scf.YieldOp | scf.ConditionOp)
    handed = list(last.arguments if isinstance(last, scf.YieldOp) else last.args)
    moves = [(value, place) for value, place in zip(handed, places, strict=True) if place is not None]
    for value, place in moves:
        b.wish(value, Wish(place))
    b.block(block)
    b.move_all(moves, last)
    last.operands = [value for value in last.operands if not isinstance(value.type, TensorType)]


def _retire_args(b: Bufferizer, *blocks: Block) -> None:
    """Mark the tensor arguments of blocks to be erased at the end, last first."""
    b.dead_args += [arg for block in blocks for arg in reversed(block.args) if isinstance(arg.type, TensorType)]


def _if(b: Bufferizer, op: scf.IfOp) -> None:
    """Both branches leave each result in the same place: that of a tensor yielded by one, if it is done with."""
    branches = [region.block for region in op.regions if region.blocks]
    if not any(isinstance(result.type, TensorType) for result in op.output):
        for block in branches:
            b.block(block)
        return
    places: list[Place | None] = []
    end = b.liveness.end[op]
    for number, result in enumerate(op.output):
        if not isinstance(result.type, TensorType):
            places.append(None)
            continue
        taken = [place.buffer for place in places if place is not None]
        yielded = [cast(scf.YieldOp, block.last_op).arguments[number] for block in branches]
        outer = next((value for value in yielded if value in b.places), yielded[0])
        places.append(b.carried(outer, result, op, taken, end))
    for block in branches:
        _yielding(b, block, places)
    kept = [result.type for result in op.output if not isinstance(result.type, TensorType)]
    regions = [op.detach_region(region) for region in list(op.regions)]
    new = scf.IfOp.create(
        operands=(op.cond,), result_types=kept, attributes=op.attributes, regions=regions, location=op.location
    )
    b.replace(op, new)
    for result, place in zip(op.output, places, strict=True):
        if place is not None:
            b.settle(result, place)


def _while(b: Bufferizer, op: scf.WhileOp) -> None:
    """One buffer for each carried tensor and one for each tensor handed to the body, the same where nothing changes."""
    before, after = op.before_region.block, op.after_region.block
    position = b.liveness.start[op]
    condition = cast(scf.ConditionOp, before.last_op)
    carried: list[Place | None] = []
    for init, arg in zip(op.arguments, before.args, strict=True):
        if not isinstance(init.type, TensorType):
            carried.append(None)
            continue
        taken = [place.buffer for place in carried if place is not None]
        unchanged = [result for result, value in zip(op.res, condition.args) if value is arg]
        carried.append(b.carried(init, unchanged[0] if unchanged else arg, op, taken, position))
    inits = list(zip(op.arguments, carried, strict=True))
    b.move_all([(init, place) for init, place in inits if place is not None], op)
    for arg, place in zip(before.args, carried, strict=True):
        if place is not None:
            b.settle(arg, place)

    handed: list[Place | None] = []
    taken = [place.buffer for place in carried if place is not None]
    claimed: list[Buffer] = []
    for value, result in zip(condition.args, op.res, strict=True):
        if not isinstance(value.type, TensorType):
            handed.append(None)
            continue
        same = b.places.get(value) if isinstance(value, BlockArgument) and value.owner is before else None
        if same is None or same.buffer in claimed:
            same = b.granted(result, op, [*taken, *claimed], None) or b.new_place(result, op)
        claimed.append(same.buffer)
        handed.append(same)
    _yielding(b, before, handed)
    for arg, place in zip(after.args, handed, strict=True):
        if place is not None:
            b.settle(arg, place)
    _yielding(b, after, carried)
    kept = [init for init, place in inits if place is None]
    regions = [op.detach_region(region) for region in list(op.regions)]
    new = scf.WhileOp.create(
        operands=kept,
        result_types=[result.type for result in op.res if not isinstance(result.type, TensorType)],
        attributes=op.attributes,
        regions=regions,
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(op.res, handed, strict=True):
        if place is not None:
            b.settle(result, place)
    _retire_args(b, before, after)


RULES: dict[type[Operation], Callable[[Bufferizer, Any], None]] = {
    FusedAttentionOp: _attention,
    arith.ConstantOp: _constant,
    func.CallOp: _call,
    func.ReturnOp: _return,
    linalg.ops.FillOp: _fill,
    linalg.ops.GenericOp: _generic,
    scf.ConditionOp: lambda b, op: None,
    scf.ForOp: _for,
    scf.IfOp: _if,
    scf.WhileOp: _while,
    scf.YieldOp: lambda b, op: None,
    tensor.CastOp: _cast,
    tensor.CollapseShapeOp: _reshape,
    tensor.DimOp: _dim,
    tensor.EmptyOp: _empty,
    tensor.ExpandShapeOp: _reshape,
    tensor.ExtractOp: _extract,
    tensor.ExtractSliceOp: _extract_slice,
    tensor.FromElementsOp: _from_elements,
    tensor.InsertOp: _insert,
    tensor.InsertSliceOp: _insert_slice,
    tensor.SplatOp: _splat,
}
