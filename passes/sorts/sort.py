"""A sort: the buffers of a `fused.sort`, what is asked for of them, and the words that are sorted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from xdsl.dialects import arith, memref
from xdsl.ir import SSAValue

from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.passes.contractions.emitter import INDEX, Emitter, whole_view
from xmlc.passes.index_arithmetic import Index, IndexConstants
from xmlc.passes.lower_transposes import shuffled
from xmlc.passes.machine import Machine
from xmlc.passes.sorts.words import PlacedWords, Words
from xmlc.passes.views import shape_of

At = Mapping[int, Index]
"""Where in a buffer: an index for each of its dimensions."""


class Sort(ABC):
    """What is known of one sort, and what builds its operations."""

    def __init__(self, op: FusedSortOp, machine: Machine, constants: IndexConstants):
        self.op = op
        self.emitter = Emitter(op, constants)
        self.machine = machine
        self.x, self.values, self.indices = map(whole_view, (op.x, op.values, op.indices))
        self.shape = shape_of(op.x)
        self.size = self.shape[-1]
        self.first = shape_of(op.values)[-1]
        """How many of each row's elements are asked for."""
        self.wants_values = is_read(op.values, op)
        self.wants_places = is_read(op.indices, op)
        self.lanes = max(2, machine.lanes(64 if self.wants_places else 32))
        kind = PlacedWords if self.wants_places else Words
        self.words = kind(
            self.emitter,
            self.x.element,
            self.lanes,
            descending=op.descending is not None,
            unsigned=op.unsigned is not None,
        )

    def fits(self) -> bool:
        """Whether the schedule can do this one."""
        return True

    @abstractmethod
    def emit(self) -> None:
        """Add the loops before the op."""

    @abstractmethod
    def remark(self) -> str:
        """What is done, in a sentence."""

    @property
    def padded(self) -> int:
        """Places of a row's network: a power of two."""
        return 1 << (self.size - 1).bit_length()

    def mirrored(self, value: SSAValue) -> SSAValue:
        return shuffled(self.emitter, value, value, list(reversed(range(self.lanes))))

    def give_values(self, at: At, last: int) -> None:
        """values[j] = x[indices[j]], along the dimension `last`"""
        emitter = self.emitter
        with emitter.loop(self.first) as j:
            place = emitter.load(self.indices, {**at, last: j})
            made = arith.IndexCastOp.create(operands=(place,), result_types=(INDEX,))
            value = emitter.load(self.x, {**at, last: emitter.add(made).results[0]})
            emitter.store(value, self.values, {**at, last: j})


def is_read(buffer: SSAValue, sort: FusedSortOp) -> bool:
    """Whether what a sort writes is of use to anybody: not where it goes to a buffer that nothing else knows."""
    return not isinstance(buffer.owner, memref.AllocOp) or any(use.operation is not sort for use in buffer.uses)
