"""Words: the integers that are sorted in the place of elements, ordered like them.

Of 64 bits they hold an element's key above and its place below: no two are equal, so that the sort is stable. Where
nobody asks for places, the key of 32 bits alone is the word, and the element is made of it again: equal elements cannot
be told apart then, but for zeros, of which -0 comes first.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    IntegerType,
    VectorType,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.lanewise import CmpfOp, SelectOp
from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_ml.combine import WRAP
from xmlc.passes.number import FLOAT_PREDICATES, STRICT

PROPERTIES: dict[type[Operation], dict[str, Attribute]] = {
    arith.AddfOp: {"fastmath": STRICT},
    **{kind: {"overflowFlags": WRAP} for kind in (arith.AddiOp, arith.SubiOp, arith.ShLIOp)},
    arith.TruncIOp: {"overflowFlags": WRAP},
}
PLACE = 2**32 - 1
"""The bits of a word that hold a place."""


class Words:
    """Makes vectors of words of vectors of elements, and back."""

    element_type: ClassVar[IntegerType] = i32

    def __init__(self, emitter: Emitter, element: Attribute, lanes: int, *, descending: bool, unsigned: bool):
        self.emitter = emitter
        self.element = element
        self.lanes = lanes
        self.is_descending, self.is_unsigned = descending, unsigned

    @property
    def type(self) -> VectorType[Attribute]:
        return VectorType(self.element_type, (self.lanes,))

    @property
    def last(self) -> SSAValue:
        """What no word comes after."""
        return self.emitter.number(2 ** (self.element_type.bitwidth - 1) - 1, self.type)

    def of(self, elements: SSAValue, index: Index, step: int) -> SSAValue:
        """The words of a vector of elements, whose places are index, index + step, …"""
        return self.key(elements)

    def elements(self, words: SSAValue) -> SSAValue:
        """The elements that words were made of."""
        emitter = self.emitter
        if self.is_descending:
            words = self.made(arith.XOrIOp, words, emitter.number(-1, words.type))
        element = self.element
        if isinstance(element, AnyFloat):
            real = self.cast(arith.BitcastOp, self.flipped(words), f32)
            return real if element == f32 else self.cast(arith.TruncFOp, real, element)
        if element == i32:
            lowest = emitter.number(-(2**31), words.type)
            return self.made(arith.XOrIOp, words, lowest) if self.is_unsigned else words
        return self.cast(arith.TruncIOp, words, element)

    def key(self, x: SSAValue) -> SSAValue:
        """Elements as signed numbers of 32 bits in the same order, NaN last."""
        emitter = self.emitter
        if not isinstance(self.element, AnyFloat):
            key = emitter.widened(x, i32, self.is_unsigned)
            if self.is_unsigned and self.element == i32:
                key = self.made(arith.XOrIOp, key, emitter.number(-(2**31), key.type))
        else:
            real = self.without_signs(emitter.widened(x, f32))
            bits = self.flipped(self.cast(arith.BitcastOp, real, i32))
            properties = {"predicate": IntegerAttr(FLOAT_PREDICATES["uno"], i64), "fastmath": STRICT}
            flags = VectorType(i1, (self.lanes,))
            is_nan = emitter.add(CmpfOp.create(operands=(real, real), result_types=(flags,), properties=properties))
            operands = (is_nan.results[0], emitter.number(2**31 - 1, bits.type), bits)
            key = emitter.add(SelectOp.create(operands=operands, result_types=(bits.type,))).results[0]
        return self.made(arith.XOrIOp, key, emitter.number(-1, key.type)) if self.is_descending else key

    def without_signs(self, real: SSAValue) -> SSAValue:
        """Elements whose zeros are equal where they have to be."""
        return real

    def flipped(self, bits: SSAValue) -> SSAValue:
        """Of a negative float all bits but the sign, others as they are: so floats are ordered like integers."""
        emitter = self.emitter
        sign = self.made(arith.ShRSIOp, bits, emitter.number(31, bits.type))
        return self.made(arith.XOrIOp, bits, self.made(arith.AndIOp, sign, emitter.number(2**31 - 1, bits.type)))

    def compared(self, x: SSAValue, y: SSAValue) -> tuple[SSAValue, SSAValue]:
        """The lesser and the greater words of two vectors."""
        return self.least(x, y), self.made(arith.MaxSIOp, x, y)

    def least(self, x: SSAValue, y: SSAValue) -> SSAValue:
        return self.made(arith.MinSIOp, x, y)

    def made(self, kind: type[Operation], x: SSAValue, y: SSAValue) -> SSAValue:
        properties = PROPERTIES.get(kind, {})
        return self.emitter.add(kind.create(operands=(x, y), result_types=(x.type,), properties=properties)).results[0]

    def cast(self, kind: type[Operation], x: SSAValue, element: Attribute) -> SSAValue:
        type_ = VectorType(element, (self.lanes,))
        made = kind.create(operands=(x,), result_types=(type_,), properties=PROPERTIES.get(kind, {}))
        return self.emitter.add(made).results[0]


class PlacedWords(Words):
    """Words that hold places too."""

    element_type: ClassVar[IntegerType] = i64

    def of(self, elements: SSAValue, index: Index, step: int) -> SSAValue:
        key = self.emitter.widened(self.key(elements), i64)
        shifted = self.made(arith.ShLIOp, key, self.emitter.number(32, key.type))
        return self.made(arith.OrIOp, shifted, self.numbered(index, step))

    def numbered(self, index: Index, step: int) -> SSAValue:
        """index, index + step, … one in each lane"""
        emitter = self.emitter
        start = arith.IndexCastOp.create(operands=(emitter.index(index),), result_types=(i64,))
        everywhere = emitter.splat(emitter.add(start).results[0], self.lanes)
        if step == 0:
            return everywhere
        type_ = VectorType(i64, (self.lanes,))
        numbers = DenseIntOrFPElementsAttr.from_list(type_, [step * lane for lane in range(self.lanes)])
        steps = arith.ConstantOp.create(result_types=(type_,), properties={"value": numbers})
        return self.made(arith.AddiOp, everywhere, emitter.add(steps).results[0])

    def places(self, words: SSAValue) -> SSAValue:
        """The places that words hold."""
        return self.made(arith.AndIOp, words, self.emitter.number(PLACE, words.type))

    def without_signs(self, real: SSAValue) -> SSAValue:
        return self.made(arith.AddfOp, real, self.emitter.number(0.0, real.type))
