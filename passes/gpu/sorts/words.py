"""Elements as words of 64 bits that sort as unsigned numbers, and back.

    bits 32 …   the key: the element's bits, changed so that they are in order
    bit 31      whether the element is -0.0, which is in the place of 0.0
    bits 0 …    where the element comes from

Keys of floats: negative ones have all bits inverted, others their sign; NaN, whatever its bits, is the largest.

A key of 64 bits is sorted by one half after the other: the word has a half of it, and no bit for -0.0, since the
element is fetched from where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import FixedBitwidthType, IntegerType, f32, i32, i64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.dtypes import is_float
from xmlc.passes.gpu.code import Code

KEY = 32
"""The first bit of the key."""
NEGATIVE_ZERO = 31
WORD_BITS = 32
"""The most bits of a key that a word has."""


@dataclass(frozen=True)
class Order:
    """How elements of a type are ordered."""

    element: Attribute
    unsigned: bool
    descending: bool

    @property
    def bits(self) -> int:
        assert isinstance(self.element, FixedBitwidthType)
        return self.element.bitwidth

    @property
    def is_wide(self) -> bool:
        """Whether a key takes two words, one for each half of it."""
        return self.bits > WORD_BITS

    @property
    def is_float(self) -> bool:
        return is_float(self.element)

    @property
    def sign(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def all_ones(self) -> int:
        return (1 << self.bits) - 1


class Words:
    """Writes what makes words of elements and elements of words."""

    def __init__(self, code: Code, order: Order):
        self.code, self.order = code, order

    def wide(self, value: int) -> SSAValue:
        return self.code.value(arith.ConstantOp.from_int_and_width(value, i64))

    @property
    def kind(self) -> IntegerType:
        """The type that keys are made in."""
        return i64 if self.order.is_wide else i32

    def number(self, value: int) -> SSAValue:
        """A number of the type of keys that has these bits."""
        bits = self.kind.bitwidth
        signed = value - (1 << bits) if value >> bits - 1 else value
        return self.code.value(arith.ConstantOp.from_int_and_width(signed, self.kind))

    def word(self, element: SSAValue, place: SSAValue, half: int = 0) -> SSAValue:
        """The word of an element that comes from a place, an i64; of a wide key that of one half, the low one first."""
        code = self.code
        key, flag = self.key(element)
        if self.order.is_wide:
            shifted = code.value(arith.ShRUIOp(key, self.wide(half * WORD_BITS)))
            key, flag = code.value(arith.TruncIOp(shifted, i32)), None
        high = code.value(arith.ShLIOp(code.value(arith.ExtUIOp(key, i64)), self.wide(KEY)))
        word = code.value(arith.OrIOp(high, place))
        if flag is None:
            return word
        marked = code.value(arith.OrIOp(word, self.wide(1 << NEGATIVE_ZERO)))
        return code.value(arith.SelectOp(flag, marked, word))

    def key(self, element: SSAValue) -> tuple[SSAValue, SSAValue | None]:
        """The key, and whether the element is -0.0, where it can be."""
        code, order = self.code, self.order
        bits = element
        if order.is_float:
            bits = code.value(arith.BitcastOp(element, IntegerType(order.bits)))
        if order.bits < WORD_BITS:
            bits = code.value(arith.ExtUIOp(bits, i32))
        flag: SSAValue | None = None
        if order.is_float:
            number = element if order.bits >= WORD_BITS else code.value(arith.ExtFOp(element, f32))
            flag = self.same(bits, order.sign)
            negative = self.has_sign(bits)
            changed = code.value(
                arith.SelectOp(negative, self.inverted(bits), code.value(arith.OrIOp(bits, self.number(order.sign))))
            )
            changed = code.value(arith.SelectOp(flag, self.number(order.sign), changed))
            is_nan = code.value(arith.CmpfOp(number, number, "uno"))
            bits = code.value(arith.SelectOp(is_nan, self.number(order.all_ones), changed))
        elif not order.unsigned:
            bits = code.value(arith.XOrIOp(bits, self.number(order.sign)))
        return (self.inverted(bits) if order.descending else bits), flag

    def element(self, word: SSAValue) -> SSAValue:
        """The element of a word that has all of its key."""
        code, order = self.code, self.order
        bits = code.value(arith.TruncIOp(code.value(arith.ShRUIOp(word, self.wide(KEY))), i32))
        if order.descending:
            bits = self.inverted(bits)
        if order.is_float:
            positive = self.has_sign(bits)
            without = code.value(arith.XOrIOp(bits, self.number(order.sign)))
            bits = code.value(arith.SelectOp(positive, without, self.inverted(bits)))
            mark = code.value(arith.AndIOp(word, self.wide(1 << NEGATIVE_ZERO)))
            is_marked = code.value(arith.CmpiOp(mark, self.wide(0), "ne"))
            bits = code.value(arith.SelectOp(is_marked, self.number(order.sign), bits))
        elif not order.unsigned:
            bits = code.value(arith.XOrIOp(bits, self.number(order.sign)))
        if order.bits < 32:
            bits = code.value(arith.TruncIOp(bits, IntegerType(order.bits)))
        return code.value(arith.BitcastOp(bits, order.element)) if order.is_float else bits

    def key_of(self, word: SSAValue) -> SSAValue:
        """The key of a word as an i32, also of a word of no element."""
        bits = self.code.value(arith.TruncIOp(self.code.value(arith.ShRUIOp(word, self.wide(KEY))), i32))
        if self.order.bits == 32:
            return bits
        return self.code.value(arith.AndIOp(bits, self.number(self.order.all_ones)))

    def place(self, word: SSAValue) -> SSAValue:
        return self.code.value(arith.AndIOp(word, self.wide((1 << NEGATIVE_ZERO) - 1)))

    def inverted(self, bits: SSAValue) -> SSAValue:
        return self.code.value(arith.XOrIOp(bits, self.number(self.order.all_ones)))

    def has_sign(self, bits: SSAValue) -> SSAValue:
        mask = self.code.value(arith.AndIOp(bits, self.number(self.order.sign)))
        return self.code.value(arith.CmpiOp(mask, self.number(0), "ne"))

    def same(self, bits: SSAValue, value: int) -> SSAValue:
        return self.code.value(arith.CmpiOp(bits, self.number(value), "eq"))
