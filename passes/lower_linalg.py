"""Lower linalg on memrefs to loops: scf.for nests with loads, the op's body and stores.

Loops that run through memory one inside the other in every operand become one loop (LLVM then vectorises it
whatever the extents are), loops of extent one vanish, and `loop_order` puts the rest in order. Where the innermost
loops reduce, what they accumulate is carried by the loop in a scalar and stored once; elsewhere it goes through memory.
Copies between strided memrefs become loops too; those of contiguous memory stay memref.copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects import arith, func, linalg, memref, scf
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyFloat,
    ArrayAttr,
    BoolAttr,
    DenseArrayBase,
    IndexType,
    IntegerAttr,
    LocationAttr,
    MemRefType,
    ModuleOp,
    UnitAttr,
    i64,
)
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr
from xdsl.passes import ModulePass

from xmlc.passes import remarks
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import Index, IndexConstants, evaluate
from xmlc.passes.schedule import (
    PARALLEL,
    Access,
    Nest,
    collapsed,
    collapsed_type,
    described,
    is_contiguous,
    is_parallel,
    loop_order,
    merged_loops,
)

LOOP_ORDER = "xmlc.loop_order"

_INDEX = IndexType()
_NOT_NONTEMPORAL = {"nontemporal": BoolAttr.from_bool(False)}


@dataclass(frozen=True)
class LowerLinalg(ModulePass):
    """Turn linalg.generic, linalg.fill and strided memref.copy into scf.for loops."""

    name = "lower-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in defined_functions(op):
            _lower_function(function)


def _lower_function(function: func.FuncOp) -> None:
    constants = IndexConstants(function.body.block)
    work = [
        op
        for op in function.walk()
        if isinstance(op, linalg.ops.GenericOp | linalg.ops.FillOp)
        or (isinstance(op, memref.CopyOp) and not _stays(op))
    ]
    # fills last: a reduction takes the fill of what it accumulates into itself
    for op in work:
        if isinstance(op, linalg.ops.GenericOp):
            _lower_generic(op, constants)
    for op in work:
        if isinstance(op, linalg.ops.FillOp) and op.parent is not None:
            output = op.outputs[0]
            rank = len(cast(MemRefType[Attribute], output.type).get_shape())
            _lower_elementwise(op, op.inputs[0], output, rank, constants)
        elif isinstance(op, memref.CopyOp):
            rank = len(cast(MemRefType[Attribute], op.source.type).get_shape())
            _lower_elementwise(op, op.source, op.destination, rank, constants)


def _stays(op: memref.CopyOp) -> bool:
    return is_contiguous(cast(Any, op.source.type)) and is_contiguous(cast(Any, op.destination.type))


def _lower_elementwise(op: Operation, source: SSAValue, output: SSAValue, rank: int, constants: IndexConstants) -> None:
    """output[i] = source[i], or = source where that is a scalar."""
    identity: list[AffineExpr] = [AffineExpr.dimension(dim) for dim in range(rank)]
    is_buffer = isinstance(source.type, MemRefType)
    accesses = [
        Access(source, list(identity) if is_buffer else [], is_output=False, is_read=True),
        Access(output, list(identity), is_output=True, is_read=False),
    ]
    nest = Nest(list(cast(MemRefType[Attribute], output.type).get_shape()), [False] * rank, accesses)
    Lowering(op, nest, constants).emit(None, set(), lambda values, _dims, _emit: values[:1])
    op.detach()
    op.erase()


def _lower_generic(op: linalg.ops.GenericOp, constants: IndexConstants) -> None:
    body = op.body.block
    count = len(op.inputs)
    accesses = [
        Access(value, list(attribute.data.results), is_output=number >= count, is_read=bool(body.args[number].uses))
        for number, (value, attribute) in enumerate(zip(op.operands, op.indexing_maps))
    ]
    yielded = cast(Operation, body.last_op)
    reduces = [iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types]
    nest = Nest(_extents(accesses, len(reduces)), reduces, accesses, exact=any(map(_is_exact, yielded.operands)))
    indexed = {inner.dim.value.data for inner in body.walk() if isinstance(inner, linalg.ops.IndexOp)}
    order = op.attributes.get(LOOP_ORDER)
    wanted = None
    if order is not None:
        assert isinstance(order, DenseArrayBase)
        wanted = [int(loop) for loop in order.get_values()]

    def inline(
        values: Sequence[SSAValue], dims: Sequence[Index], emit: Callable[[Operation], object]
    ) -> Sequence[SSAValue]:
        for arg, value in zip(body.args, values):
            if arg.uses:
                arg.replace_all_uses_with(value)
        for inner in list(body.walk()):
            if isinstance(inner, linalg.ops.IndexOp):
                inner.result.replace_all_uses_with(constants.as_value(dims[inner.dim.value.data]))
                inner.detach()
                inner.erase()
        for inner in list(body.ops):
            if inner is not yielded:
                inner.detach()
                emit(inner)
        return tuple(yielded.operands)

    Lowering(op, nest, constants).emit(wanted, indexed, inline)
    op.detach()
    op.erase()


def _is_exact(value: SSAValue) -> bool:
    """Whether a reduction that yields `value` may not be reordered: floats without `reassoc`."""
    owner = value.owner
    if not isinstance(value.type, AnyFloat) or not isinstance(owner, arith.AddfOp | arith.MulfOp):
        return False
    return FastMathFlag.REASSOC not in owner.fastmath.data


def _extents(accesses: Sequence[Access], loops: int) -> list[int]:
    """Each loop runs over the dimension that some access indexes by that loop alone."""
    extents: list[int | None] = [None] * loops
    for access in accesses:
        if access.is_buffer:
            for expression, extent in zip(access.indices, access.type.get_shape(), strict=True):
                if isinstance(expression, AffineDimExpr) and extents[expression.position] in (None, DYNAMIC_INDEX):
                    extents[expression.position] = extent
    assert None not in extents, "a loop that no operand sizes"
    return cast(list[int], extents)


class Lowering:
    """Emits one nest before the op it comes from."""

    def __init__(self, op: Operation, nest: Nest, constants: IndexConstants):
        self.op = op
        self.nest = nest
        self.constants = constants
        self.location: LocationAttr = op.location
        self.block: Block | None = None
        """Where ops go now: None for before the op."""

    def add(self, op: Operation) -> None:
        if self.block is None:
            assert self.op.parent is not None
            self.op.parent.insert_op_before(op, self.op)
        else:
            self.block.add_op(op)

    def emit(
        self,
        wanted: Sequence[int] | None,
        indexed: set[int],
        body: Callable[[Sequence[SSAValue], Sequence[Index], Callable[[Operation], object]], Sequence[SSAValue]],
    ) -> None:
        """Emit the loops, in the `wanted` order or the one found; `body` makes the ops of one iteration.

        `body` gets the scalar of each access and the index of each loop, and returns the scalars to store.
        """
        if 0 in self.nest.extents:
            return
        uppers: list[Index] = [self.upper_bound(loop) for loop in range(len(self.nest.extents))]
        self.drop_unit_loops()
        fills = {n: fill for n, each in enumerate(self.nest.accesses) if _covers(each) and (fill := self.fill_of(n))}
        nest, groups, order = self.arranged(wanted, indexed)
        outputs = [number for number, access in enumerate(nest.accesses) if access.is_output]
        count = self.accumulating_loops(nest, order)
        outer, inner = order[: len(order) - count], order[len(order) - count :]
        remarks.analysis(self.op, lambda: described(nest, order, bool(inner)))

        def upper(place: int) -> SSAValue:
            group = groups[place]
            return self.constants.as_value(uppers[group[0]] if len(group) == 1 else nest.extents[place])

        variables: list[Index] = [0] * len(nest.extents)
        opened: list[Block | None] = []
        for place in outer:
            opened.append(self.block)
            variables[place] = self.open(upper(place), ())[0]
            if is_parallel(nest, place):
                cast(Operation, cast(Block, self.block).parent_op()).attributes[PARALLEL] = UnitAttr()

        at = {number: self.indices(nest.accesses[number], variables) for number in outputs}
        # a reduction that is begun anew in an outer loop goes on from what is in memory
        begun = any(nest.reduces[place] for place in outer)
        carried: Sequence[SSAValue] = self.starts(at, {} if begun else fills) if inner else ()
        for place in inner:
            opened.append(self.block)
            variables[place], *carried = self.open(upper(place), carried)

        dims: list[Index] = [0] * len(uppers)
        for place, group in enumerate(groups):
            if len(group) == 1:
                dims[group[0]] = variables[place]
        results = body(self.scalars(nest, variables, dict(zip(outputs, carried)), at), dims, self.add)
        for _ in inner:
            results = self.close(opened, results)
        for number, value in zip(outputs, results, strict=True):
            self.store(value, nest.accesses[number].value, at[number])
        for _ in outer:
            self.close(opened, ())

    def arranged(self, wanted: Sequence[int] | None, indexed: set[int]) -> tuple[Nest, list[list[int]], list[int]]:
        """The nest with loops merged where none is wanted in a place; which each is made of; their order."""
        nest = self.nest
        if wanted is not None:
            groups = [[loop] for loop in range(len(nest.extents))]
            return nest, groups, [loop for loop in wanted if nest.extents[loop] != 1]
        groups = merged_loops(nest, indexed | {loop for loop, extent in enumerate(nest.extents) if extent == 1})
        nest = self.merge(groups)
        return nest, groups, [place for place in loop_order(nest) if nest.extents[place] != 1]

    def starts(self, at: Mapping[int, Sequence[SSAValue]], fills: Mapping[int, linalg.ops.FillOp]) -> list[SSAValue]:
        """What the loops that accumulate begin with: the number of a fill, which goes, or what is in memory."""
        found: list[SSAValue] = []
        for number, indices in at.items():
            if (fill := fills.get(number)) is None:
                found.append(self.load(number, indices))
            else:
                found.append(fill.inputs[0])
                fill.detach()
                fill.erase()
        return found

    def close(self, opened: list[Block | None], results: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """End the innermost loop with what an iteration gives; what the loop gives."""
        block = self.block
        assert block is not None
        block.add_op(scf.YieldOp.create(operands=results, location=self.location))
        self.block = opened.pop()
        return cast(scf.ForOp, block.parent_op()).results

    def store(self, value: SSAValue, buffer: SSAValue, indices: Sequence[SSAValue]) -> None:
        self.add(
            memref.StoreOp.create(
                operands=(value, buffer, *indices), properties=_NOT_NONTEMPORAL, location=self.location
            )
        )

    def fill_of(self, number: int) -> linalg.ops.FillOp | None:
        """The fill of an output that stands directly before the op, if the op does not read that buffer otherwise."""
        output = self.op.operands[number]
        if sum(operand is output for operand in self.op.operands) != 1:
            return None
        if any(output in inner.operands for inner in self.op.walk() if inner is not self.op):
            return None
        found = self.op.prev_op
        while isinstance(found, _NO_ACCESS):
            if isinstance(found, linalg.ops.FillOp) and found.outputs[0] is output:
                return found
            found = found.prev_op
        return None

    def drop_unit_loops(self) -> None:
        """Loops of extent one are at zero, and so is every index into a dimension of extent one."""
        nest = self.nest
        zero = AffineExpr.constant(0)
        dims = [zero if extent == 1 else AffineExpr.dimension(loop) for loop, extent in enumerate(nest.extents)]
        for access in nest.accesses:
            if access.is_buffer:
                shape = access.type.get_shape()
                access.indices = [
                    zero if extent == 1 else _simple(expression.replace_dims_and_symbols(dims, ()), len(dims))
                    for expression, extent in zip(access.indices, shape, strict=True)
                ]

    def upper_bound(self, loop: int) -> Index:
        extent = self.nest.extents[loop]
        if extent != DYNAMIC_INDEX:
            return extent
        for access in self.nest.accesses:
            if access.is_buffer and (expression := AffineDimExpr(loop)) in access.indices:
                position = self.constants[access.indices.index(expression)]
                dim = memref.DimOp.create(
                    operands=(access.value, position), result_types=(_INDEX,), location=self.location
                )
                self.add(dim)
                return dim.result
        raise AssertionError("a loop that no operand sizes")

    def merge(self, groups: list[list[int]]) -> Nest:
        """The nest with each group of loops as one loop, buffers collapsed to match."""
        nest = self.nest
        if len(groups) == len(nest.extents):
            return nest
        seen: dict[tuple[SSAValue, str], SSAValue] = {}
        for access in nest.accesses:
            if not access.is_buffer:
                continue
            found = collapsed(access, groups)
            if found is None:
                continue
            parts, indices = found
            key = (access.value, str(parts))
            if key not in seen:
                reassociation = ArrayAttr(
                    [ArrayAttr([IntegerAttr(position, i64) for position in part]) for part in parts]
                )
                collapse = memref.CollapseShapeOp.create(
                    operands=(access.value,),
                    result_types=(collapsed_type(access.type, parts),),
                    properties={"reassociation": reassociation},
                    location=self.location,
                )
                self.add(collapse)
                seen[key] = collapse.result
            access.value, access.indices = seen[key], indices
        extents = [1] * len(groups)
        for place, group in enumerate(groups):
            for loop in group:
                extents[place] *= nest.extents[loop]
            if DYNAMIC_INDEX in (nest.extents[loop] for loop in group):
                extents[place] = DYNAMIC_INDEX
        return Nest(extents, [nest.reduces[group[0]] for group in groups], nest.accesses, nest.exact)

    def accumulating_loops(self, nest: Nest, order: Sequence[int]) -> int:
        """How many of the innermost loops move no output: they accumulate into scalars."""
        count = 0
        for place in reversed(order):
            moves = any(
                place in expression.used_dims()
                for access in nest.accesses
                if access.is_output
                for expression in access.indices
            )
            if not nest.reduces[place] or moves:
                break
            count += 1
        return count

    def open(self, upper: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Open a loop from 0 to `upper`; ops go into it from now on. Returns its index and what it carries."""
        types = [value.type for value in carried]
        block = Block(arg_types=(_INDEX, *types))
        loop = scf.ForOp.create(
            operands=(self.constants[0], upper, self.constants[1], *carried),
            result_types=types,
            regions=(Region(block),),
            location=self.location,
        )
        self.add(loop)
        self.block = block
        return block.args

    def indices(self, access: Access, variables: Sequence[Index]) -> tuple[SSAValue, ...]:
        def emit(op: Operation) -> None:
            op.location = self.location
            self.add(op)

        return tuple(
            self.constants.as_value(evaluate(expression, variables, self.constants, emit))
            for expression in access.indices
        )

    def load(self, number: int, indices: Sequence[SSAValue]) -> SSAValue:
        access = self.nest.accesses[number]
        load = memref.LoadOp.create(
            operands=(access.value, *indices),
            result_types=(access.type.element_type,),
            properties=_NOT_NONTEMPORAL,
            location=self.location,
        )
        self.add(load)
        return load.res

    def scalars(
        self,
        nest: Nest,
        variables: Sequence[Index],
        carried: dict[int, SSAValue],
        at: Mapping[int, tuple[SSAValue, ...]],
    ) -> list[SSAValue]:
        """The scalar of each access in this iteration. What is not read is not loaded, what is the same loaded once."""
        values: list[SSAValue] = []
        known: dict[AffineExpr, SSAValue] = {}
        loaded: dict[tuple[SSAValue, ...], SSAValue] = {}

        def emit(op: Operation) -> None:
            op.location = self.location
            self.add(op)

        for number, access in enumerate(nest.accesses):
            if number in carried:
                values.append(carried[number])
                continue
            if not access.is_buffer or not access.is_read:
                values.append(access.value)
                continue
            indices = at.get(number)
            if indices is None:
                for expression in access.indices:
                    if expression not in known:
                        value = evaluate(expression, variables, self.constants, emit)
                        known[expression] = self.constants.as_value(value)
                indices = tuple(known[expression] for expression in access.indices)
            key = (access.value, *indices)
            if key not in loaded:
                loaded[key] = self.load(number, indices)
            values.append(loaded[key])
        return values


def _simple(expression: AffineExpr, dims: int) -> AffineExpr:
    """The expression as a sum of products; one that divides by what is not a constant stays as it is."""
    return expression if isinstance(expression, AffineDimExpr) else expression.simplify(dims, 0)


def _covers(access: Access) -> bool:
    """Whether an output's every element is visited: each dimension of more than one element has a loop of its own."""
    if not access.is_output:
        return False
    moving = [index for index, extent in zip(access.indices, access.type.get_shape()) if extent != 1]
    return len(set(moving)) == len(moving) and all(isinstance(index, AffineDimExpr) for index in moving)


_NO_ACCESS = (
    arith.ConstantOp,
    linalg.ops.FillOp,
    memref.AllocOp,
    memref.AllocaOp,
    memref.CollapseShapeOp,
    memref.ExpandShapeOp,
    memref.GetGlobalOp,
)
