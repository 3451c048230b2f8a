"""Toy's syntax tree as text, laid out as the tutorial's compiler prints it with `-emit=ast`."""

from __future__ import annotations

from collections.abc import Sequence

from xmlc.frontend.toy.syntax import (
    Binary,
    Call,
    Declaration,
    Expression,
    Function,
    Literal,
    Module,
    Number,
    Print,
    Return,
    Shape,
    Statement,
    Struct,
    StructLiteral,
    Variable,
)

INDENT = "  "

Node = Expression | Statement | Function | Struct | Module

# What is still to be written, in order: finished text, or a node and the depth it stands at.
Part = str | tuple[Node, int]


def dump(node: Node) -> str:
    """The tree under `node`, two spaces a level, every node with its place."""
    text: list[str] = []
    # A stack of our own, so that a sum of ten thousand terms needs no ten thousand Python frames.
    rest: list[Part] = [(node, 1)]
    while rest:
        part = rest.pop()
        if isinstance(part, str):
            text.append(part)
        else:
            rest.extend(reversed(parts(*part)))
    return "".join(text)


def parts(node: Node, depth: int) -> Sequence[Part]:
    """What `node` writes: its own lines, and its children where they stand between them."""
    indent, inner = INDENT * depth, depth + 1
    match node:
        case Module():
            return [f"{indent}Module:\n", *((record, inner) for record in node.records)]
        case Struct():
            below = INDENT * inner
            head = f"{indent}Struct: {node.name} @{node.place}\n{below}Variables: [\n"
            return [head, *((member, inner + 1) for member in node.members), f"{below}]\n"]
        case Function():
            below = INDENT * inner
            names = ", ".join(parameter.name for parameter in node.parameters)
            head = f"{indent}Function \n{below}Proto '{node.name}' @{node.place}\n{below}Params: [{names}]\n"
            body = [(statement, inner + 1) for statement in node.body]
            return [head, f"{below}Block {{\n", *body, f"{below}}} // Block\n"]
        case Declaration():
            kind = node.struct or ", ".join(map(str, node.shape or ()))
            head = f"{indent}VarDecl {node.name}<{kind}> @{node.place}\n"
            return [head] if node.initial is None else [head, (node.initial, inner)]
        case Return():
            value = f"{INDENT * inner}(void)\n" if node.value is None else (node.value, inner)
            return [f"{indent}Return\n", value]
        case Print():
            return [f"{indent}Print [ @{node.place}\n", (node.argument, inner), f"{indent}]\n"]
        case Call():
            arguments = [(argument, inner) for argument in node.arguments]
            return [f"{indent}Call '{node.callee}' [ @{node.place}\n", *arguments, f"{indent}]\n"]
        case Binary():
            return [
                f"{indent}BinOp: {node.operator} @{node.place}\n",
                (node.left, inner),
                (node.right, inner),
            ]
        case Variable():
            return [f"{indent}var: {node.name} @{node.place}\n"]
        case Shape():
            return [f"{indent}Shape: {angles(node.extents)} @{node.place}\n"]
        case Number():
            return [f"{indent}{number(node)} @{node.place}\n"]
        case Literal():
            return [f"{indent}Literal: {literal(node)} @{node.place}\n"]
        case StructLiteral():
            # The first value follows on the same line: so does the tutorial's.
            values = [(value, inner) for value in node.values]
            return [f"{indent}Struct Literal: ", *values, f"{indent} @{node.place}\n"]


def literal(value: Number | Literal) -> str:
    if isinstance(value, Number):
        return number(value)
    return f"{angles(value.shape)}[ {', '.join(map(literal, value.values))}]"


def angles(extents: Sequence[int]) -> str:
    return f"<{', '.join(map(str, extents))}>"


def number(node: Number) -> str:
    return f"{node.value:e}"
