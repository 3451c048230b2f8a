"""Numbers that blocks hand on to others while both run: 32 bits each, beside a tag that says that they are there.

A word of 64 bits is written and read whole, so whoever sees the tag sees the number: no fence is needed, which would
wait for all that the block has stored before. Memory, global or shared, must hold no tag that is waited for when the
kernel starts: zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, linalg, llvm, memref, scf
from xdsl.dialects.builtin import FixedBitwidthType, IntegerAttr, IntegerType, MemRefType, i32, i64
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.utils.hints import isa

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.attributes import GLOBAL, SHARED
from xmlc.passes.gpu.code import Code, Index
from xmlc.passes.gpu.outline import Outline
from xmlc.passes.memory import ALIGNMENT, array_type

ASSIGN = 3
"""A kind of memref.atomic_rmw."""
MONOTONIC = 2
"""An ordering of llvm.load: whole, and not from a cache of this multiprocessor's own."""
WORD_BYTES = 8
TAG_BITS = 32
"""Where the tag of a word begins."""


def words_of(kind: Attribute) -> int:
    """How many words hold a number of a type."""
    assert isinstance(kind, FixedBitwidthType)
    return max(1, kind.bitwidth // 32)


def handoff_memory(outline: Outline, words: int) -> SSAValue:
    """Memory of the host's for so many words, which it fills with zeros."""
    alloc = memref.AllocOp.create(
        result_types=(MemRefType(i64, (words,)),),
        properties={"alignment": IntegerAttr(ALIGNMENT, i64), "operandSegmentSizes": array_type((0, 0))},
    )
    outline.host_op(alloc)
    zero = outline.host(arith.ConstantOp.from_int_and_width(0, i64))
    outline.host_op(linalg.ops.FillOp((zero,), (alloc.memref,), ()))
    return alloc.memref


class Handoff:
    """Places for numbers of a type in memory from a word on. A tag is an i64 whose low half is zero."""

    def __init__(self, code: Code, memory: SSAValue, kind: Attribute, start: Index = 0):
        self.code, self.memory, self.kind, self.start = code, memory, kind, start
        self.words = words_of(kind)

    def place_of(self, place: Index, word: int) -> Index:
        return self.code.plus(self.start, self.code.plus(self.code.times(place, self.words), word))

    def publish(self, place: Index, value: SSAValue, tag: SSAValue, block: SSAValue | None = None) -> None:
        """Leave a number at a place, of another block's shared memory where one of the cluster is given."""
        code = self.code
        memory = self.memory if block is None else code.value(gpu.PeerMemoryOp(self.memory, block))
        for word, bits in enumerate(as_words(code, value)):
            whole = code.value(arith.OrIOp(code.value(arith.ExtUIOp(bits, i64)), tag))
            at = code.as_value(self.place_of(place, word))
            code.add(
                memref.AtomicRMWOp.create(
                    operands=(whole, memory, at),
                    result_types=(i64,),
                    properties={"kind": IntegerAttr(ASSIGN, i64)},
                )
            )

    def seen(self, place: Index) -> list[SSAValue]:
        """The words at a place as they are now."""
        return [self.word_at(self.place_of(place, word)) for word in range(self.words)]

    def awaited(self, place: Index, tag: SSAValue, seen: Sequence[SSAValue] | None = None) -> SSAValue:
        """The number at a place once it is there with its tag; what has been seen there is not read again."""
        seen = self.seen(place) if seen is None else seen
        words = [self.tagged(self.place_of(place, word), tag, now) for word, now in enumerate(seen)]
        return from_words(self.code, words, self.kind)

    def waited_for(self, wanted: SSAValue, place: Index, tag: SSAValue, otherwise: SSAValue) -> SSAValue:
        """The number at a place once it is there with its tag, if it is wanted; else another."""
        code = self.code
        outer, code.block = code.block, Block()
        code.add(scf.YieldOp(self.awaited(place, tag)))
        then, code.block = code.block, Block()
        code.add(scf.YieldOp(otherwise))
        instead, code.block = code.block, outer
        return code.value(scf.IfOp(wanted, [self.kind], [then], [instead]))

    def word_at(self, place: Index) -> SSAValue:
        """The word that is there now."""
        code = self.code
        kind = self.memory.type
        assert isa(kind, MemRefType[Attribute])
        space = SHARED if kind.memory_space == gpu.WORKGROUP else GLOBAL
        pointer = code.pointer(self.memory, code.times(place, WORD_BYTES), space)
        return code.value(llvm.LoadOp(pointer, i64, alignment=WORD_BYTES, ordering=MONOTONIC))

    def tagged(self, place: Index, tag: SSAValue, seen: SSAValue) -> SSAValue:
        """The 32 bits of a word, which is read again until it has the tag."""
        code = self.code
        shift = code.value(arith.ConstantOp.from_int_and_width(TAG_BITS, i64))
        wanted = code.value(arith.ShRUIOp(tag, shift))
        outer, code.block = code.block, Block(arg_types=[i64])
        (found,) = code.block.args
        there = code.value(arith.ShRUIOp(found, shift))
        code.add(scf.ConditionOp(code.value(arith.CmpiOp(there, wanted, "ne")), found))
        before, code.block = code.block, Block(arg_types=[i64])
        code.add(scf.YieldOp(self.word_at(place)))
        after, code.block = code.block, outer
        return code.value(arith.TruncIOp(code.value(scf.WhileOp((seen,), (i64,), [before], [after])), i32))


def as_words(code: Code, value: SSAValue) -> list[SSAValue]:
    """The bits of a number in words of 32, the low ones first."""
    kind = value.type
    assert isinstance(kind, FixedBitwidthType)
    bits = IntegerType(kind.bitwidth)
    number = value if kind == bits else code.value(arith.BitcastOp(value, bits))
    if kind.bitwidth == 32:
        return [number]
    if kind.bitwidth < 32:
        return [code.value(arith.ExtUIOp(number, i32))]
    high = code.value(arith.ShRUIOp(number, code.value(arith.ConstantOp.from_int_and_width(32, i64))))
    return [code.value(arith.TruncIOp(each, i32)) for each in (number, high)]


def from_words(code: Code, words: Sequence[SSAValue], kind: Attribute) -> SSAValue:
    """The number of a type that has these bits."""
    assert isinstance(kind, FixedBitwidthType)
    bits = IntegerType(kind.bitwidth)
    number = words[0]
    if kind.bitwidth < 32:
        number = code.value(arith.TruncIOp(number, bits))
    elif len(words) == 2:
        shift = code.value(arith.ConstantOp.from_int_and_width(32, i64))
        low, high = (code.value(arith.ExtUIOp(each, i64)) for each in words)
        number = code.value(arith.OrIOp(code.value(arith.ShLIOp(high, shift)), low))
    return number if kind == bits else code.value(arith.BitcastOp(number, kind))
