"""Find scans: loops that fold the elements of a row one after the other and store each result so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, memref, scf
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.passes.combiners import COMBINERS
from xmlc.passes.memory import element_size
from xmlc.passes.parallelize import known, trips
from xmlc.passes.views import buffer_type, contiguous_root, root


@dataclass(frozen=True)
class Scan:
    """y[r, i] = f(the fold of g(x[r, 0]) … g(x[r, i])), or without the last: `exclusive`; from the end: `reverse`.

    Rows are contiguous, unless that was not asked for. The fold is associative: `ml` does not fix the order of sums.
    """

    nest: scf.ForOp
    """The outermost loop, which the kernel takes the place of."""
    rows: int
    columns: int
    load: memref.LoadOp
    combine: Operation
    start: SSAValue
    """What the fold begins with: a constant that changes nothing."""
    store: memref.StoreOp
    reverse: bool
    exclusive: bool
    axis: int
    """The dimension that is folded along."""

    @property
    def source(self) -> SSAValue:
        return root(self.load.memref)

    @property
    def target(self) -> SSAValue:
        return root(self.store.memref)

    @property
    def folded_type(self) -> Attribute:
        return self.start.type

    @property
    def carried(self) -> SSAValue:
        return self.inner.args[1]

    @property
    def inner(self) -> Block:
        block = self.load.parent
        assert block is not None
        return block

    @property
    def element(self) -> SSAValue:
        """What an element adds to the fold: the operand of `combine` that is not the fold so far."""
        return next(each for each in self.combine.operands if each is not self.carried)

    @property
    def element_bytes(self) -> int:
        return element_size(buffer_type(self.load.memref).element_type)


def scan_of(nest: scf.ForOp, any_axis: bool = False) -> Scan | None:
    """The scan that a loop nest is; None where it is something else, or not along memory unless along `any_axis`."""
    loops = loops_of(nest)
    if loops is None:
        return None
    *others, last = loops
    block = last.body.block
    match list(last.iter_args):
        case [start] if isinstance(start.owner, arith.ConstantOp):
            pass
        case _:
            return None
    loads = [op for op in block.ops if isinstance(op, memref.LoadOp)]
    stores = [op for op in block.ops if isinstance(op, memref.StoreOp)]
    if len(loads) != 1 or len(stores) != 1 or any(op.regions for op in block.ops):
        return None
    (load,), (store,) = loads, stores
    combine = block.last_op.operands[0].owner if block.last_op is not None else None
    carried, index = block.args[1], block.args[0]
    if (
        not isinstance(combine, Operation)
        or type(combine) not in COMBINERS
        or carried not in combine.operands
        or combine.operands[0] is combine.operands[1]
    ):
        return None
    reverse = reverses(load.indices, index)
    shape = buffer_type(load.memref).get_shape()
    if reverse is None or not same_place(load, store) or buffer_type(store.memref).get_shape() != shape:
        return None
    axis = scanned_axis(load.indices, [*others, last], shape)
    if axis is None or 0 in shape or not all(map(contiguous_root, (load.memref, store.memref))):
        return None
    if prod(shape[axis + 1 :]) != 1 and not any_axis:
        return None
    if root(load.memref) is root(store.memref):
        return None
    uses = [use.operation for use in carried.uses if use.operation is not combine]
    exclusive = depends(store.value, carried, combine)
    if uses and not exclusive:
        return None
    columns = trips(last)
    return Scan(nest, prod(shape) // columns, columns, load, combine, start, store, reverse, exclusive, axis)


def loops_of(nest: scf.ForOp) -> list[scf.ForOp] | None:
    """The loops of a perfect nest, outermost first, of which only the innermost carries a value."""
    found = [nest]
    while not found[-1].iter_args:
        inner = [op for op in found[-1].body.block.ops if isinstance(op, scf.ForOp)]
        others = [
            op for op in found[-1].body.block.ops if not isinstance(op, scf.ForOp | arith.ConstantOp | scf.YieldOp)
        ]
        if len(inner) != 1 or others:
            return None
        found.append(inner[0])
    return found


def reverses(indices: Sequence[SSAValue], index: SSAValue) -> bool | None:
    """Whether the last moving index counts down: size - 1 - i; None where it is neither that nor i."""
    if index in indices:
        return False
    for each in indices:
        if isinstance(each.owner, arith.SubiOp) and each.owner.rhs is index:
            return True
    return None


def same_place(load: memref.LoadOp, store: memref.StoreOp) -> bool:
    return list(load.indices) == list(store.indices)


def scanned_axis(indices: Sequence[SSAValue], loops: Sequence[scf.ForOp], shape: Sequence[int]) -> int | None:
    """The dimension that the last loop goes through, if all of them go once through all of a buffer; else None."""
    sizes: dict[SSAValue, int | None] = {}
    for loop in loops:
        lower, upper, step = (known(bound) for bound in loop.operands[:3])
        sizes[loop.body.block.args[0]] = upper if lower == 0 and step == 1 else None
    index = loops[-1].body.block.args[0]
    moving = next((i for i, at in enumerate(indices) if at is index or mirrored(at, index, shape[i])), None)
    if moving is None or sizes[index] != shape[moving]:
        return None
    rest = [(at, size) for i, (at, size) in enumerate(zip(indices, shape)) if i != moving]
    if [at for at, _ in rest if at in sizes] != [loop.body.block.args[0] for loop in loops[:-1]]:
        return None
    return moving if all(sizes[at] == size if at in sizes else size == 1 for at, size in rest) else None


def mirrored(at: SSAValue, index: SSAValue, size: int) -> bool:
    return isinstance(at.owner, arith.SubiOp) and at.owner.rhs is index and known(at.owner.lhs) == size - 1


def depends(value: SSAValue, on: SSAValue, but_through: Operation) -> bool:
    """Whether a value is computed from another on a way that does not lead through an op."""
    if value is on:
        return True
    owner = value.owner
    if not isinstance(owner, Operation) or owner is but_through:
        return False
    return any(depends(each, on, but_through) for each in owner.operands)
