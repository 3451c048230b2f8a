"""Products in groups: which contractions can use an instruction that multiplies and sums neighbours (`grouped.dot`).

Steps of the reduction then go in groups of `size`: packed panels hold the elements of a group side by side. The
instruction for 8 bits multiplies an unsigned factor by a signed one. Where both factors are of one kind, the rows are
moved by 128 while they are packed, which flips their highest bit, and sums start from what that adds to them:

    a * b = (a + 128) * b - 128 * b            both signed
    a * b = (a - 128) * b + 128 * b            both unsigned
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import BFloat16Type, Float32Type, IntegerType, bf16, i8, i16, i32
from xdsl.ir import Attribute

from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.machine import Machine


@dataclass(frozen=True)
class Dots:
    """How many steps an instruction takes, of which elements."""

    size: int
    element: Attribute
    flips: bool = False
    """Whether rows are moved by 128, from signed to unsigned numbers or back."""
    unsigned_columns: bool = False
    """Whether the columns are the unsigned factor; else the rows are."""

    @property
    def has_unsigned(self) -> bool:
        return self.element == i8

    @property
    def added(self) -> int:
        """What the move adds to each sum, for each unit of the columns."""
        return 128 if not self.unsigned_columns else -128


def dots_for(found: Contraction, machine: Machine, rows: Operand, columns: Operand) -> Dots | None:
    """The grouped instruction that multiplies the factors of a contraction, if the machine has one."""
    kinds = (rows.element, columns.element)
    if isinstance(found.element, Float32Type):
        both = all(isinstance(kind, BFloat16Type) for kind in kinds)
        return Dots(2, bf16) if both and "bf16" in machine.dots else None
    if found.element != i32 or not all(isinstance(kind, IntegerType) for kind in kinds):
        return None
    if set(kinds) == {i8} and "i8" in machine.dots:
        return Dots(4, i8, rows.unsigned == columns.unsigned, columns.unsigned)
    fits = all(kind == i8 or (kind == i16 and not factor.unsigned) for kind, factor in zip(kinds, (rows, columns)))
    return Dots(2, i16) if fits and "i16" in machine.dots else None
