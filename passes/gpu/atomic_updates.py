"""Atomic updates: a loop that adds to elements which data chooses need not run in order.

A scatter, or a histogram, reads an element at a place that it has loaded, combines it with an update and writes it
back. Two iterations may mean the same element, so the loop is no parallel one. Where the hardware combines by itself
(`memref.atomic_rmw`) the order of the updates does not matter, but to sums of floats: they are rounded in the order in
which threads come, which differs from run to run. Without `floats` those stay in order. Numbers below the least normal
one count as zero in such sums of f32 (PTX ISA, "atom").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import FixedBitwidthType, IntegerAttr, ModuleOp, UnitAttr, i64
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects.reference.memref import ATOMIC
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.independence import chain, is_repeatable
from xmlc.passes.schedule import PARALLEL
from xmlc.passes.views import root

KINDS = {name: number for number, name in ATOMIC.items() if name not in ("arith.mulf", "arith.muli")}
"""An op that combines two scalars -> the kind of memref.atomic_rmw that does; products have no instruction."""
WIDTHS = (32, 64)
"""Bits of an element that every GPU updates atomically."""


@dataclass(frozen=True)
class AtomicUpdates(ModulePass):
    """Combine with what is there atomically, where data chooses the place: then all iterations are independent."""

    name = "atomic-updates"
    floats: bool = True
    """Whether sums of floats may be rounded in an order that is not the same in every run."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in defined_functions(op):
            for loop in [each for each in function.walk() if isinstance(each, scf.ForOp)]:
                update = update_of(loop)
                if update is not None and (self.floats or not update.depends_on_order):
                    update.make_atomic()
                    for each in chain(loop):
                        each.attributes[PARALLEL] = UnitAttr()


@dataclass(frozen=True)
class Update:
    """buffer[at] = combine(buffer[at], value): the only access of a nest to the buffer, and its only write."""

    load: memref.LoadOp
    combine: Operation
    value: SSAValue
    store: memref.StoreOp

    @property
    def depends_on_order(self) -> bool:
        return isinstance(self.combine, arith.AddfOp)

    def make_atomic(self) -> None:
        """One op in the place of the three."""
        made = memref.AtomicRMWOp.create(
            operands=(self.value, self.store.memref, *self.store.indices),
            result_types=(self.value.type,),
            properties={"kind": IntegerAttr(KINDS[self.combine.name], i64)},
            location=self.combine.location,
        )
        block = self.store.parent
        assert block is not None
        block.insert_op_before(made, self.store)
        for each in (self.store, self.combine, self.load):
            each.detach()
            each.erase()


def update_of(nest: scf.ForOp) -> Update | None:
    """The update that is all that a perfect nest does, if data chooses where."""
    writes = [op for op in nest.walk() if not is_harmless(op)]
    if len(writes) != 1 or not isinstance(store := writes[0], memref.StoreOp):
        return None
    loops, combine = list(chain(nest)), store.value.owner
    if not loops or store.parent is not loops[-1].body.block or not isinstance(combine, Operation):
        return None
    if combine.name not in KINDS or not store.value.has_one_use() or not fits(store) or not is_chosen_by_data(store):
        return None
    for before, value in (tuple(combine.operands), tuple(reversed(combine.operands))):
        load = before.owner
        if isinstance(load, memref.LoadOp) and is_there(load, store) and is_only_access(nest, load, store):
            return Update(load, combine, value, store)
    return None


def is_harmless(op: Operation) -> bool:
    """Whether an op may be done at any time, beside other iterations."""
    return isinstance(op, (scf.ForOp, memref.LoadOp)) or is_repeatable(op)


def is_there(load: memref.LoadOp, store: memref.StoreOp) -> bool:
    """Whether a load reads the element that is stored, for nothing else."""
    same = load.memref is store.memref and tuple(load.indices) == tuple(store.indices)
    return same and load.res.has_one_use() and load.parent is store.parent


def is_only_access(nest: scf.ForOp, load: memref.LoadOp, store: memref.StoreOp) -> bool:
    """Whether nothing else of the nest touches the buffer."""
    others = [op for op in nest.walk() if isinstance(op, memref.LoadOp) and op is not load]
    return not any(root(op.memref) is root(store.memref) for op in others)


def is_chosen_by_data(store: memref.StoreOp) -> bool:
    """Whether a place depends on what was loaded: a sum over a loop is better made in a register."""
    return any(isinstance(op, memref.LoadOp) for index in store.indices for op in made_of(index))


def made_of(value: SSAValue) -> Iterator[Operation]:
    """The ops of the same function that a value is computed by."""
    if isinstance(value.owner, Operation):
        yield value.owner
        for operand in value.owner.operands:
            yield from made_of(operand)


def fits(store: memref.StoreOp) -> bool:
    """Whether elements are of a type that is updated atomically."""
    element = store.value.type
    return isinstance(element, FixedBitwidthType) and element.bitwidth in WIDTHS
