"""Symbolic sizes: what is known of a dimension whose size is given only when the program runs.

A `Size` is a polynomial over the free sizes of a program, its symbols, and over quotients of such polynomials rounded
down. It goes wherever a size does as an int: arithmetic gives the size of what is made, equal
polynomials are equal sizes, and one that comes out constant is an int again. (The approach of JAX's shape
polymorphism.) Symbols are at least 1. What only their values decide raises `UnknownSize`; or, where a program is being
made, it is assumed, and the assumption becomes part of the program: see `Assumptions`.

In the text of a program they are the encoding of a tensor type: `tensor<?x?x384xf32, ["batch", "2*length", "384"]>`
says what each `?` is.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod
from typing import TypeAlias, cast

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.context_variables import setting


class UnknownSize(Exception):
    """Something is decided by the value of a size that is known only when the program runs."""


@dataclass(frozen=True)
class Symbol:
    """A free size of the program: at least 1."""

    name: str

    @property
    def key(self) -> tuple[int, int, str]:
        return (0, 0, self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Quotient:
    """numerator / divisor, rounded down; the divisor is at least 2."""

    numerator: Size
    divisor: int

    @property
    def key(self) -> tuple[int, int, str]:
        return (1, self.divisor, str(self.numerator))

    def __str__(self) -> str:
        return f"(({self.numerator}) // {self.divisor})"


Atom: TypeAlias = Symbol | Quotient
Monomial: TypeAlias = tuple[Atom, ...]
"""A product of atoms in the order of their keys; () is 1."""


def order(monomial: Monomial) -> tuple[int, list[tuple[int, int, str]]]:
    """Where a monomial stands in a polynomial: by degree, then by its atoms."""
    return (len(monomial), [atom.key for atom in monomial])


class Size:
    """A sum of monomials with integer factors, at least one of which is not constant."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]):
        self.terms = terms
        """Monomials, highest first, with their factors, none of which is 0."""
        self._hash = hash(terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Whether both are the same whatever the symbols are. False does not say that they differ."""
        return isinstance(other, Size) and self.terms == other.terms

    def __add__(self, other: Size | int) -> int:
        found = dict(self.terms)
        for monomial, factor in terms_of(other):
            found[monomial] = found.get(monomial, 0) + factor
        return made(found)

    __radd__ = __add__

    def __neg__(self) -> int:
        return made({monomial: -factor for monomial, factor in self.terms})

    def __sub__(self, other: Size | int) -> int:
        return self + -other

    def __rsub__(self, other: int) -> int:
        return -self + other

    def __mul__(self, other: Size | int) -> int:
        found: dict[Monomial, int] = {}
        for first, factor in self.terms:
            for second, other_factor in terms_of(other):
                product = tuple(sorted(first + second, key=lambda atom: atom.key))
                found[product] = found.get(product, 0) + factor * other_factor
        return made(found)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size | int) -> int:
        return divided(self, other) if isinstance(other, int) else exactly_divided(self, other)

    def __truediv__(self, other: Size | int) -> float:
        """A ratio that is the same whatever the symbols are; UnknownSize for any other."""
        if isinstance(other, Size) and self * other.terms[0][1] == other * self.terms[0][1]:
            return self.terms[0][1] / other.terms[0][1]
        raise UnknownSize(f"({self}) / ({other}) depends on a size known only at run time")

    def __rtruediv__(self, other: float) -> float:
        raise UnknownSize(f"{other} / ({self}) depends on a size known only at run time")

    def __mod__(self, other: Size | int) -> int:
        return self - other * (self // other)

    def __rfloordiv__(self, other: int) -> int:
        if other == 0:
            return 0
        raise UnknownSize(f"{other} // ({self}) depends on a size known only at run time")

    def __rmod__(self, other: int) -> int:
        return other - self * (other // self)

    def __ge__(self, other: Size | int) -> bool:
        return is_not_negative(self - other)

    def __gt__(self, other: Size | int) -> bool:
        return is_not_negative(self - other - 1)

    def __le__(self, other: Size | int) -> bool:
        return is_not_negative(other - self)

    def __lt__(self, other: Size | int) -> bool:
        return is_not_negative(other - self - 1)

    def __bool__(self) -> bool:
        if self > 0:
            return True
        raise UnknownSize(f"whether {self} is 0 depends on a size known only at run time")

    def __index__(self) -> int:
        raise UnknownSize(f"{self} is known only at run time")

    __int__ = __float__ = __trunc__ = __index__

    def __str__(self) -> str:
        return " + ".join(
            "*".join([*([str(factor)] if factor != 1 or not monomial else []), *map(str, monomial)])
            for monomial, factor in self.terms
        )

    __repr__ = __str__


def terms_of(size: Size | int) -> tuple[tuple[Monomial, int], ...]:
    return size.terms if isinstance(size, Size) else (((), int(size)),)


def made(terms: Mapping[Monomial, int]) -> int:
    """The polynomial of these terms; an int where it is constant. Typed as int, since it stands where sizes do."""
    kept = {monomial: factor for monomial, factor in terms.items() if factor}
    if not kept.keys() - {()}:
        return kept.get((), 0)
    return cast(int, Size(tuple(sorted(kept.items(), key=lambda term: order(term[0]), reverse=True))))


def symbol(name: str) -> int:
    """The free size of that name."""
    return made({(Symbol(name),): 1})


def identifier(text: str, taken: set[str]) -> str:
    """A name for a symbol that text calls so, different from those that are taken; it becomes one of them."""
    name = re.sub(r"\W+", "_", text.strip()).strip("_") or "size"
    if name[0].isdigit():
        name = f"size_{name}"
    unique = name
    while unique in taken:
        unique = f"{name}_{len(taken)}"
    taken.add(unique)
    return unique


def divided(size: Size, divisor: int) -> int:
    """size / divisor, rounded down: multiples of the divisor leave the quotient, quotients of quotients become one."""
    if divisor == 0:
        raise ZeroDivisionError("a size is divided by 0")
    if divisor < 0:
        return divided(cast(Size, -size), -divisor)
    whole = made({monomial: factor // divisor for monomial, factor in size.terms if factor % divisor == 0})
    rest = {monomial: factor for monomial, factor in size.terms if factor % divisor}
    shared = gcd(divisor, *(factor for monomial, factor in rest.items() if monomial))
    inner = made({monomial: factor // shared for monomial, factor in rest.items()})
    divisor //= shared
    if not isinstance(inner, Size) or divisor == 1:
        return whole + inner // divisor
    match inner.terms:
        case (((Quotient(numerator=numerator, divisor=first),), 1),):
            return whole + divided(numerator, first * divisor)
        case _:
            return whole + made({(Quotient(inner, divisor),): 1})


def exactly_divided(size: Size, divisor: Size) -> int:
    """size / divisor where nothing remains, by long division. UnknownSize elsewhere."""
    (lead, lead_factor), quotient, rest = divisor.terms[0], 0, cast(int, size)
    while rest != 0:
        monomial, factor = terms_of(rest)[0]
        left = list(monomial)
        for atom in lead:
            if atom not in left:
                raise UnknownSize(f"({size}) // ({divisor}) is not a sum of products of sizes")
            left.remove(atom)
        if factor % lead_factor:
            raise UnknownSize(f"({size}) // ({divisor}) is not a sum of products of sizes")
        part = made({tuple(left): factor // lead_factor})
        quotient = quotient + part
        rest = rest - part * cast(int, divisor)
    return quotient


def lower_bound(size: int) -> int | None:
    """A number that a size is never less than, if one is found."""
    if not isinstance(size, Size):
        return size
    for monomial, factor in size.terms:
        match monomial:
            case (Quotient(numerator=numerator, divisor=divisor) as quotient,) if factor < 0:
                # -n // d is at least -n / d
                without = cast(int, size) - made({(quotient,): factor})
                least = lower_bound(without * divisor + cast(int, numerator) * factor)
                return None if least is None else -(-least // divisor)
            case (_, *_) if factor < 0:
                return None
            case _:
                pass
    total = 0
    for monomial, factor in size.terms:
        bounds = [
            1 if isinstance(atom, Symbol) else (lower_bound(cast(int, atom.numerator)), atom.divisor)
            for atom in monomial
        ]
        product = factor
        for bound in bounds:
            if isinstance(bound, int):
                continue
            least, divisor = bound
            if least is None or least < 0:
                return None
            product *= least // divisor
        total += product
    return total


def is_not_negative(difference: int) -> bool:
    """Whether a size is at least 0, provably or as it is assumed. UnknownSize where neither tells."""
    if is_natural(difference):
        return True
    if is_natural(-difference - 1):
        return False
    assumptions = ASSUMPTIONS.get()
    assumed = None if assumptions is None else assumptions.decide(difference)
    if assumed is None:
        raise UnknownSize(f"whether {difference} is negative depends on a size known only at run time")
    return assumed


def is_natural(size: int) -> bool:
    """Whether a size is provably not negative."""
    least = lower_bound(size)
    return least is not None and least >= 0


class Assumptions:
    """What is assumed of the symbols of a program: each of `natural` is at least 0.

    Whoever calls the program checks it. Where a program is being made, `example` gives values of the symbols to tell
    which of two cases to assume; without it nothing more is assumed.
    """

    def __init__(self, natural: Sequence[int] = (), example: Callable[[str], int] | None = None):
        self.natural = list(natural)
        self.example = example

    def equal(self, first: int, second: int) -> bool:
        """Whether two sizes are the same by what is assumed."""
        difference = first - second
        if not isinstance(difference, Size):
            return difference == 0
        if self.example is not None and evaluated(difference, self.example) != 0:
            return False  # to assume that they differ would be of no use
        return self.decide(difference) is True and self.decide(-difference) is True

    def decide(self, difference: int) -> bool | None:
        """Whether a size is at least 0, by what is assumed; None where that does not tell."""
        for answer, size in ((True, difference), (False, -difference - 1)):
            if any(is_natural(size - each) for each in self.natural):
                return answer
        if self.example is None:
            return None
        answer = evaluated(difference, self.example) >= 0
        self.natural.append(difference if answer else -difference - 1)
        return answer


ASSUMPTIONS: ContextVar[Assumptions | None] = ContextVar("assumptions", default=None)
"""What is assumed of the program at work."""


@contextmanager
def assuming(assumptions: Assumptions) -> Generator[Assumptions]:
    """Within it, comparisons of sizes are decided by these assumptions where they cannot be proved."""
    with setting(ASSUMPTIONS, assumptions):
        yield assumptions


ASSUMED = "ml.assumptions"
"""Attribute of a module: the sizes that are assumed not to be negative."""


def assumptions_of(module: Operation) -> Assumptions:
    """What a module assumes of its free sizes."""
    stated = module.attributes.get(ASSUMED)
    return Assumptions(() if stated is None else sizes_of(stated) or ())


def state(assumptions: Assumptions, module: Operation) -> None:
    """Let a module say what is assumed of its free sizes."""
    if assumptions.natural:
        module.attributes[ASSUMED] = encoding_of(list(dict.fromkeys(assumptions.natural)))


def same_size(first: int, second: int) -> bool:
    """Whether two sizes are the same, provably or as it is assumed."""
    if first == second or not is_symbolic((first, second)):
        return first == second
    assumptions = ASSUMPTIONS.get()
    return assumptions is not None and assumptions.equal(first, second)


def evaluated(size: int, value: Callable[[str], int]) -> int:
    """A size for given values of the symbols, by name."""
    if not isinstance(size, Size):
        return size
    return sum(
        factor
        * prod(
            value(atom.name)
            if isinstance(atom, Symbol)
            else evaluated(cast(int, atom.numerator), value) // atom.divisor
            for atom in monomial
        )
        for monomial, factor in size.terms
    )


TYPICAL = 64
"""What cost models take a free size to be."""


def typical(size: int) -> int:
    """A number for cost models: the size where every free size is `TYPICAL`."""
    return evaluated(size, lambda _: TYPICAL)


def symbols_of(size: int) -> set[str]:
    """The names of the symbols that a size depends on."""
    if not isinstance(size, Size):
        return set()
    found: set[str] = set()
    for monomial, _ in size.terms:
        for atom in monomial:
            found |= {atom.name} if isinstance(atom, Symbol) else symbols_of(cast(int, atom.numerator))
    return found


def is_symbolic(shape: Sequence[int]) -> bool:
    return any(isinstance(size, Size) for size in shape)


# --- as text: the encoding of a tensor type


def encoding_of(shape: Sequence[int]) -> Attribute:
    """What the type of a tensor says of the sizes of its dimensions."""
    return ArrayAttr([StringAttr(str(size)) for size in shape])


@lru_cache(maxsize=4096)
def sizes_of(encoding: Attribute) -> tuple[int, ...] | None:
    """The shape that an encoding made by `encoding_of` says; None for one of another kind."""
    if not isinstance(encoding, ArrayAttr):
        return None
    texts = cast("ArrayAttr[Attribute]", encoding).data
    return tuple(read_size(text.data) if isinstance(text, StringAttr) else refuse(str(text)) for text in texts)


def quotient(x: int, y: int) -> int:
    return x // y


OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: quotient,
    ast.Mod: operator.mod,
}


def read_size(text: str) -> int:
    """`2*batch + (height - 1) // 2`, in Python's syntax. VerifyException for anything else."""

    def read(node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(value)):
                return value
            case ast.Name(id=name):
                return symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -read(operand)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
                return OPERATORS[type(sign)](read(left), read(right))
            case _:
                return refuse(text)

    try:
        return read(ast.parse(text, mode="eval").body)
    except (SyntaxError, ArithmeticError) as error:
        raise VerifyException(f"'{text}' is not a size") from error


def refuse(text: str) -> int:
    raise VerifyException(f"'{text}' is not a size: expected sums, products and quotients of names and numbers")
