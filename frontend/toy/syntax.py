"""Toy's syntax tree: what the parser builds, `dump` prints and `build` turns into IR.

Places follow MLIR's tutorial: a call is at its callee's name, a binary operation at its right operand,
a declaration at its first word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xmlc.dialects.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Number:
    """A number: `4.5`, of shape ()."""

    value: float
    place: Place


@dataclass(frozen=True, slots=True)
class Literal:
    """A tensor written out: `[[1, 2], [3, 4]]`. `values` are all Numbers or all Literals of one shape."""

    values: tuple[Number | Literal, ...]
    shape: tuple[int, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class StructLiteral:
    """A struct written out: `{[1, 2], 3, {4}}`, members in the order of their declaration."""

    values: tuple[Number | Literal | StructLiteral, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape as an argument: `<2, 3>`."""

    extents: tuple[int, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's name where its value is meant."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; for the operator `.` the right side is a Variable, the member's name."""

    operator: str
    left: Expression
    right: Expression
    place: Place


@dataclass(frozen=True, slots=True)
class Call:
    """`callee(arguments)`, of a function of the program or a built-in one."""

    callee: str
    arguments: tuple[Expression, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Print:
    """`print(argument)`."""

    argument: Expression
    place: Place


@dataclass(frozen=True, slots=True)
class Return:
    """`return;` or `return value;`."""

    value: Expression | None
    place: Place


@dataclass(frozen=True, slots=True)
class Declaration:
    """A variable, parameter or struct member.

    `var a`, `var a<2, 3> = value` (shape), `Pair p = value` (struct), or just `a` as a parameter.
    """

    name: str
    struct: str | None
    shape: tuple[int, ...] | None
    initial: Expression | None
    place: Place


@dataclass(frozen=True, slots=True)
class Function:
    """`def name(parameters) { body }`."""

    name: str
    parameters: tuple[Declaration, ...]
    body: tuple[Statement, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Struct:
    """`struct name { members }`."""

    name: str
    members: tuple[Declaration, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Module:
    """A whole file: its records in order, its name, and its text, which messages quote."""

    records: tuple[Function | Struct, ...]
    filename: str
    source: str


Expression = Number | Literal | StructLiteral | Shape | Variable | Binary | Call | Print
Statement = Expression | Return | Declaration


def calls_in(function: Function) -> Iterator[Call]:
    """Every call in the function's body, in the order of the text."""
    rest: list[Statement] = list(reversed(function.body))
    while rest:
        node = rest.pop()
        if isinstance(node, Call):
            yield node
        rest.extend(reversed(children(node)))


def children(node: Statement) -> tuple[Expression, ...]:
    """The expressions right inside a statement or expression."""
    match node:
        case Declaration(initial=inner) | Return(value=inner):
            return () if inner is None else (inner,)
        case Call(arguments=arguments):
            return arguments
        case Print(argument=argument):
            return (argument,)
        case Binary(left=left, right=right):
            return left, right
        case Number() | Literal() | StructLiteral() | Shape() | Variable():
            return ()
