"""Fuse linalg ops: what makes a tensor moves into the body of what reads it, and the tensor is never stored.

A producer is a linalg.generic with only parallel loops, one result, a permuted output map, and a body that does not
read its init; or a fill or splat constant. Its input maps are composed with the map by which the consumer reads
the tensor, and its body is put before the consumer's. Laws: exact (each element is computed by the same operations).

The cost model decides by the whole of a producer's reads. With `reads` the number of times consumers read an element of
it (consumers' iterations over its elements), fusing into all of them does `work` again for each read but the first and
saves storing the tensor and loading it: fuse if

    work * (reads - 1) <= SAVED

where `work` sums `WORK` over the body plus an access for each input after the first. Bodies that only move data have
no work: they are fused wherever they are read, even if they are also read by an op they cannot be fused into. What has
work is not fused into an op that only transposes: to compute along one tensor's memory and store along another's costs
more than a copy in tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, cast

from xdsl.context import Context
from xdsl.dialects import arith, func, linalg, math, scf
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    ModuleOp,
    TensorType,
)
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.sizes import same_size, typical
from xmlc.passes import remarks
from xmlc.passes.index_arithmetic import IndexConstants, evaluate
from xmlc.passes.lower_ml.winograd import is_winograd
from xmlc.passes.memory import array_type

SAVED = 4.0
"""What storing an element and loading it again costs, in simple arithmetic operations."""

WORK: dict[type[Operation], float] = {
    arith.ConstantOp: 0,
    arith.ExtFOp: 0,
    arith.TruncFOp: 0,
    arith.ExtSIOp: 0,
    arith.ExtUIOp: 0,
    arith.TruncIOp: 0,
    arith.SIToFPOp: 0,
    arith.UIToFPOp: 0,
    arith.FPToSIOp: 0,
    arith.FPToUIOp: 0,
    arith.BitcastOp: 0,
    arith.IndexCastOp: 0,
    linalg.ops.IndexOp: 0,
    linalg.ops.YieldOp: 0,
    scf.YieldOp: 0,
    arith.DivfOp: 5,
    arith.DivSIOp: 10,
    arith.DivUIOp: 10,
    arith.RemSIOp: 10,
    arith.RemUIOp: 10,
    math.SqrtOp: 5,
    math.AbsFOp: 1,
    math.FmaOp: 1,
    math.FloorOp: 1,
    math.CeilOp: 1,
}
"""Cost of an op of a body in simple operations. Other ops of `math` cost 20, everything else 1."""

_EXPENSIVE = 20.0

TILE = 16
"""Transposed dimensions shorter than this are not worth a copy of their own."""
FEW_CHANNELS = 4
"""Fewer channels, as of a colour image, may as well be read where they are."""


@dataclass(frozen=True)
class FuseLinalg(ModulePass):
    """Fuse producers into the linalg ops that read them, where that costs less than storing what they make."""

    name = "fuse-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.body.block.ops:
            if isinstance(function, func.FuncOp):
                for block in list(function.walk_blocks()):
                    if not isinstance(block.parent_op(), linalg.ops.GenericOp):
                        fuse_block(block)
                for block in function.body.blocks:
                    erase_dead(block)


def fuse_block(block: Block) -> None:
    """Fuse the linalg ops of one block, first to last, so that a producer has already taken in its own producers."""
    chosen: set[Operation] = set()
    for op in list(block.ops):
        if not isinstance(op, linalg.ops.GenericOp):
            continue
        op = fuse_into(op, chosen)
        reason = why_no_producer(op) or why_stored(op)
        if reason is None:
            chosen.add(op)
        elif any(isinstance(use.operation, linalg.ops.GenericOp) for result in op.res for use in result.uses):
            remark_stored(op, reason)


def remark_stored(op: linalg.ops.GenericOp, reason: str) -> None:
    remarks.missed(op, lambda: f"stored, not fused into what reads it: {reason}")


def why_no_producer(op: linalg.ops.GenericOp) -> str | None:
    """None if every element of the one result can be computed anywhere else, by itself; else why not."""
    if len(op.res) != 1:
        return "it has several results"
    if any(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types):
        return "it reduces"
    output = op.indexing_maps.data[-1].data
    if any(not isinstance(expression, AffineDimExpr) for expression in output.results):
        return "it writes only some elements"
    if len(output.used_dims()) != output.num_dims or len(output.results) != output.num_dims:
        return "it writes an element more than once"
    body = op.body.block
    if body.args[-1].uses:
        return "it goes on from what its result held before"
    return None if all(_is_pure(inner) for inner in body.ops) else "it has effects"


def _is_pure(op: Operation) -> bool:
    # xDSL does not say of arith.extsi that it has no effects
    return isinstance(op, linalg.ops.YieldOp | linalg.ops.IndexOp | scf.IfOp | arith.ExtSIOp) or is_side_effect_free(op)


def work_of(op: linalg.ops.GenericOp) -> float:
    """What computing one element costs in simple operations."""
    work = 0.0
    for inner in op.body.block.walk():
        default = _EXPENSIVE if inner.name.startswith("math.") else 1.0
        work += WORK.get(type(inner), default)
    return work and work + max(0, len(op.inputs) - 1)


def why_stored(op: linalg.ops.GenericOp) -> str | None:
    """None if it pays to fuse `op` into everything that reads it, by the cost model of this file; else why not."""
    if transposes(op, FEW_CHANNELS) and any(reads_windows(use.operation, use.index) for use in op.res[0].uses):
        return "windows read it, quicker where their channels lie as they are read"
    work = work_of(op)
    if work == 0:
        return None
    elements = max(1, typical(prod(shape_of(op.res[0]))))
    reads = 0.0
    for use in op.res[0].uses:
        consumer = use.operation
        if not isinstance(consumer, linalg.ops.GenericOp) or use.index >= len(consumer.inputs):
            return f"{consumer.name} needs it in memory"
        if consumer.parent is not op.parent:
            return "it is read in an inner block"
        if is_winograd(consumer):
            return "a convolution of tiles needs it in memory"
        if transposes(consumer):
            return "what reads it transposes, which is quick in tiles that are copied and nothing else"
        reads += typical(prod(extents_of(consumer).values())) / elements
    if work * (reads - 1) <= SAVED:
        return None
    return (
        f"each element is read {reads:.3g} times, and to compute it again takes {work:g} operations, "
        f"where storing and loading it takes {SAVED:g}"
    )


def transposes(op: linalg.ops.GenericOp, least: int = TILE) -> bool:
    """Whether an op copies a tensor so that its memory runs along another loop, neither shorter than `least`: see
    `lower-transposes`."""
    body = op.body.block
    if len(op.inputs) != 1 or body.first_op is not body.last_op or body.last_op is None:
        return False
    if body.last_op.operands[0] is not body.args[0]:
        return False
    extents = extents_of(op)
    read, written = (
        [each for each in attribute.data.results if extents.get(each) != 1][-1:] for attribute in op.indexing_maps
    )
    if not read or not written or read == written:
        return False
    return min(typical(extents.get(each, 0)) for each in (*read, *written)) >= least


def reads_windows(op: Operation, number: int) -> bool:
    """Whether a convolution reads an operand by windows, or with strides."""
    if not isinstance(op, linalg.ops.GenericOp) or number >= len(op.inputs) or len(op.inputs) != 2:
        return False
    reduces = any(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types)
    indices = op.indexing_maps.data[number].data.results
    return reduces and any(not isinstance(index, AffineDimExpr | AffineConstantExpr) for index in indices)


def extents_of(op: linalg.ops.GenericOp) -> dict[AffineExpr, int]:
    """The extent of each loop, told by an operand whose index it is."""
    extents: dict[AffineExpr, int] = {}
    for value, attribute in zip(op.operands, op.indexing_maps):
        if isinstance(value.type, TensorType):
            for expression, extent in zip(attribute.data.results, shape_of(value)):
                if isinstance(expression, AffineDimExpr):
                    extents[expression] = extent
    return extents


class Operand(NamedTuple):
    """An input of the op being built: the tensor or scalar, and the map it is read by."""

    value: SSAValue
    map: AffineMap


def fuse_into(op: linalg.ops.GenericOp, chosen: set[Operation]) -> linalg.ops.GenericOp:
    """Take the chosen producers of `op` into it, and scalars for the fills and splats it reads; the op that results."""
    if is_winograd(op):  # its schedule reads whole buffers
        return op
    maps = [attribute.data for attribute in op.indexing_maps]
    takes: dict[int, linalg.ops.GenericOp] = {}
    scalars: dict[int, SSAValue] = {}
    for number, value in enumerate(op.inputs):
        owner = value.owner
        if isinstance(owner, linalg.ops.GenericOp) and owner in chosen and owner.parent is op.parent:
            takes[number] = owner
        elif isinstance(value.type, TensorType) and (scalar := _scalar_of(value, op)) is not None:
            scalars[number] = scalar
    duplicates = len({(value, map_) for value, map_ in zip(op.inputs, maps)}) < len(op.inputs)
    if not takes and not scalars and not duplicates:
        return op
    while not _sized(op, maps, takes, scalars):
        # a loop whose extent only this operand tells: leave that operand, later ones first
        if scalars:
            scalars.popitem()
        elif takes:
            takes.popitem()
        else:
            break
    return _rebuild(op, maps, takes, scalars)


def _scalar_of(value: SSAValue, op: Operation) -> SSAValue | None:
    """The scalar that every element of `value` is, if it is filled or a splat."""
    match value.owner:
        case linalg.ops.FillOp() as fill:
            return fill.inputs[0]
        case arith.ConstantOp(value=DenseIntOrFPElementsAttr() as dense) if len(dense) and dense.is_splat():
            scalar = arith.ConstantOp.create(
                result_types=(dense.get_element_type(),),
                properties={"value": cast(Attribute, next(iter(dense.iter_attrs())))},
                location=value.owner.location,
            )
            assert op.parent is not None
            op.parent.insert_op_before(scalar, op)
            return scalar.result
        case _:
            return None


def _inputs_of(producer: linalg.ops.GenericOp, read_by: AffineMap) -> list[Operand]:
    """The producer's inputs as read from the consumer's loops."""
    loops = _loops_of(producer, read_by)
    return [
        Operand(value, _composed(attribute.data, loops, read_by.num_dims))
        for value, attribute in zip(producer.inputs, producer.indexing_maps)
    ]


def _loops_of(producer: linalg.ops.GenericOp, read_by: AffineMap) -> list[AffineExpr]:
    """Where each loop of the producer stands when the consumer reads by `read_by`."""
    output = producer.indexing_maps.data[-1].data
    loops: list[AffineExpr] = [AffineExpr.constant(0)] * output.num_dims
    for expression, position in zip(output.results, read_by.results, strict=True):
        loops[cast(AffineDimExpr, expression).position] = position
    return loops


def _composed(map_: AffineMap, loops: Sequence[AffineExpr], dims: int) -> AffineMap:
    results = [expression.replace_dims_and_symbols(loops, ()) for expression in map_.results]
    return AffineMap(dims, 0, tuple(e if isinstance(e, AffineDimExpr) else e.simplify(dims, 0) for e in results))


def _sized(
    op: linalg.ops.GenericOp,
    maps: Sequence[AffineMap],
    takes: dict[int, linalg.ops.GenericOp],
    scalars: dict[int, SSAValue],
) -> bool:
    """Whether the indices of the fused op still tell the extent of every loop, and none tells another one."""
    extents = extents_of(op)
    operands = [Operand(value, map_) for value, map_ in zip(op.operands, maps)]
    found: set[AffineExpr] = set()
    for number, operand in enumerate(operands):
        if number in scalars:
            continue
        for value, map_ in _inputs_of(takes[number], operand.map) if number in takes else [operand]:
            shape = shape_of(value) if map_.results else ()
            for expression, extent in zip(map_.results, shape, strict=True):
                if not same_size(extents.get(expression, extent), extent):
                    return False
                found.add(expression)
    return found >= extents.keys()


class _Arguments:
    """The block arguments of a body that is built: one for all that read the same."""

    def __init__(self, body: Block):
        self.body = body
        self.numbers: dict[Operand, SSAValue] = {}

    def of(self, operand: Operand) -> SSAValue:
        if operand not in self.numbers:
            kind = operand.value.type
            if isinstance(kind, TensorType):
                kind = cast(TensorType[Attribute], kind).element_type
            self.numbers[operand] = self.body.insert_arg(kind, len(self.body.args))
        return self.numbers[operand]


def _rebuild(
    op: linalg.ops.GenericOp,
    maps: Sequence[AffineMap],
    takes: dict[int, linalg.ops.GenericOp],
    scalars: dict[int, SSAValue],
) -> linalg.ops.GenericOp:
    """The op with the bodies of the producers that it takes, and with the scalars for inputs that are none."""
    old, body = op.body.block, Block()
    inputs = _fused_inputs(op, maps, takes, scalars, body)
    for number in range(len(op.inputs), len(maps)):
        output = old.args[number]
        output.replace_all_uses_with(body.insert_arg(output.type, len(body.args)))
    for inner in list(old.ops):
        inner.detach()
        body.add_op(inner)
    all_maps = (*(operand.map for operand in inputs), *maps[len(op.inputs) :])
    fused = linalg.ops.GenericOp.create(
        operands=(*(operand.value for operand in inputs), *op.outputs),
        result_types=[result.type for result in op.res],
        properties={
            **op.properties,
            "indexing_maps": ArrayAttr([AffineMapAttr(each) for each in all_maps]),
            "operandSegmentSizes": array_type((len(inputs), len(op.outputs))),
        },
        attributes=op.attributes,
        regions=(Region(body),),
        location=op.location,
    )
    assert op.parent is not None
    op.parent.insert_op_before(fused, op)
    for result, new in zip(op.res, fused.res, strict=True):
        new.name_hint = result.name_hint
        result.replace_all_uses_with(new)
    op.detach()
    op.erase()
    return fused


def _fused_inputs(
    op: linalg.ops.GenericOp,
    maps: Sequence[AffineMap],
    takes: dict[int, linalg.ops.GenericOp],
    scalars: dict[int, SSAValue],
    body: Block,
) -> list[Operand]:
    """What the fused op reads: `body` computes the op's inputs from it, which the op's own body uses from now on."""
    arguments = _Arguments(body)
    copies: dict[tuple[Operation, AffineMap], SSAValue] = {}
    for number, value in enumerate(op.inputs):
        if number in scalars:
            new = scalars[number]
        elif (producer := takes.get(number)) is not None:
            key = (producer, maps[number])
            if key not in copies:
                read = [arguments.of(operand) for operand in _inputs_of(producer, maps[number])]
                copies[key] = _copy_body(producer, read, _loops_of(producer, maps[number]), body)
            new = copies[key]
        else:
            new = arguments.of(Operand(value, maps[number]))
        op.body.block.args[number].replace_all_uses_with(new)
    return list(arguments.numbers)


def _copy_body(
    producer: linalg.ops.GenericOp, arguments: Sequence[SSAValue], loops: Sequence[AffineExpr], into: Block
) -> SSAValue:
    """Append the producer's body to `into`, its loops at `loops`; the scalar it yields."""
    source = producer.body.block
    values: dict[SSAValue, SSAValue] = dict(zip(source.args, arguments))
    constants = IndexConstants(into)
    indices: dict[int, SSAValue] = {}

    def index(dim: int) -> SSAValue:
        if dim not in indices:
            op = linalg.ops.IndexOp(dim)
            into.add_op(op)
            indices[dim] = op.result
        return indices[dim]

    for inner in source.ops:
        if isinstance(inner, linalg.ops.IndexOp):
            expression = loops[inner.dim.value.data]
            used = expression.used_dims()
            dims = [index(dim) if dim in used else 0 for dim in range(max(used, default=-1) + 1)]
            values[inner.result] = constants.as_value(evaluate(expression, dims, constants, into.add_op))
    for inner in source.ops:
        if isinstance(inner, linalg.ops.YieldOp):
            return values.get(inner.operands[0], inner.operands[0])
        if not isinstance(inner, linalg.ops.IndexOp):
            into.add_op(inner.clone(values))
    raise AssertionError("a body without a yield")


def erase_dead(block: Block) -> None:
    """Erase the ops of a block whose results nothing uses and that do nothing else, and so inside them.

    xDSL gives linalg ops no effect traits, so that its own pass keeps them.
    """
    for op in reversed(list(block.ops)):
        if op.results and not any(result.uses for result in op.results):
            is_linalg = isinstance(op, linalg.ops.GenericOp | linalg.ops.FillOp)
            if is_linalg or (not op.regions and is_side_effect_free(op)):
                op.detach()
                op.erase()
                continue
        for region in op.regions:
            for inner in region.blocks:
                erase_dead(inner)
