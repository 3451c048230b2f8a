"""Toy's grammar: a recursive descent from tokens to the syntax tree, which goes on after a mistake.

    module      = { function | struct }
    struct      = "struct" NAME "{" { declaration ";" } "}"
    function    = "def" NAME "(" [ parameter { "," parameter } ] ")" "{" { statement } "}"
    parameter   = [ NAME ] NAME
    statement   = [ "return" [ expression ] | declaration | expression ] ";"
    declaration = "var" NAME [ shape ] [ "=" expression ] | NAME NAME [ "=" expression ]
    expression  = primary { ("+" | "-" | "*" | ".") primary }
    primary     = NAME [ "(" [ expression { "," expression } ] ")" ] | [ "-" ] NUMBER
                | "(" expression ")" | tensor | structure | shape
    tensor      = "[" (number | tensor) { "," (number | tensor) } "]"
    structure   = "{" (number | tensor | structure) { "," … } "}"
    shape       = "<" NUMBER { "," NUMBER } ">"

This is the language of MLIR's tutorial, and beyond it: `shape` as an argument, negative numbers, `-`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
from xmlc.frontend.toy.lexer import Kind, Token, tokens_of
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

PRECEDENCE = {"+": 20, "-": 20, "*": 40, ".": 60}
DEEPEST = 64  # parentheses, brackets and calls inside one another; Python's own stack is the limit

T = TypeVar("T")


def parse(source: str, filename: str) -> Module:
    """The syntax tree of a Toy program.

    Raises CompileError with every mistake of spelling and grammar found: after one, the parser goes on at
    the next statement, or the next function.
    """
    parser = Parser(source, filename)
    records = parser.records()
    if parser.mistakes:
        raise CompileError.of(sorted(parser.mistakes, key=position))
    return Module(records, filename, source)


def position(diagnostic: Diagnostic) -> tuple[int, int]:
    """What diagnostics of one file are sorted by."""
    assert diagnostic.place is not None
    return diagnostic.place.line, diagnostic.place.column


class Unparsable(Exception):
    """Leaves the construct that has a mistake; the mistake is recorded already."""


class Parser:
    """One pass over the tokens; `mistakes` grows as they are found."""

    def __init__(self, source: str, filename: str):
        self.tokens, self.mistakes = tokens_of(source, filename)
        self.misspelt = {word.place.line for word in self.mistakes if word.place is not None}
        self.lines = source.split("\n")
        self.index = 0
        self.depth = 0

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def at(self, *texts: str) -> bool:
        """Whether the token is one of these symbols or keywords."""
        return self.token.kind in (Kind.SYMBOL, Kind.KEYWORD) and self.token.text in texts

    def at_record(self) -> bool:
        return self.at("def", "struct") or self.token.kind is Kind.END

    def take(self) -> Token:
        """The token, and step to the next; the end of the file is never passed."""
        token = self.token
        if token.kind is not Kind.END:
            self.index += 1
        return token

    def accept(self, text: str) -> bool:
        """Steps over this symbol or keyword if it is there."""
        if found := self.at(text):
            self.take()
        return found

    def expect(self, text: str, why: str) -> Token:
        if not self.at(text):
            raise self.wanted(f"'{text}' {why}")
        return self.take()

    def name(self, why: str) -> Token:
        if self.token.kind is not Kind.NAME:
            raise self.wanted(f"a name {why}")
        return self.take()

    # Mistakes

    def wanted(self, what: str) -> Unparsable:
        """Something else stands where `what` must stand.

        Where that something begins a later line, the place is the end of what came before.
        """
        place = self.token.place
        before = self.tokens[self.index - 1] if self.index else None
        if before is not None and before.place.line < place.line:
            place = Place(place.file, before.place.line, before.place.column + len(before.text))
        return self.mistake(f"expected {what}, found {self.token}", place)

    def mistake(self, message: str, place: Place, hint: str | None = None) -> Unparsable:
        # A word that is none was dropped; what follows it on its line may only look wrong for that reason.
        if place.line not in self.misspelt:
            self.mistakes.append(Diagnostic(message, place, hint, self.lines[place.line - 1]))
        return Unparsable()

    def recovering(self, parse: Callable[[], T], skip: Callable[[], None]) -> T | None:
        """What `parse` gives, or None after a mistake, with the tokens skipped that `skip` skips."""
        depth = self.depth
        try:
            return parse()
        except Unparsable:
            self.depth = depth
            skip()
            return None

    def skip_statement(self) -> None:
        """Skips to the next statement of this block, or the block's end."""
        open_braces = 0
        while not self.at_record():
            if not open_braces and self.at("}", "var", "return"):
                return
            open_braces += self.at("{") - self.at("}")
            if self.take().text == ";" and not open_braces:
                return

    def skip_to_body(self) -> None:
        while not self.at("{") and not self.at_record():
            self.take()

    def skip_record(self) -> None:
        while not self.at_record():
            self.take()

    # Records

    def records(self) -> tuple[Function | Struct, ...]:
        records: list[Function | Struct | None] = []
        while self.token.kind is not Kind.END:
            records.append(self.recovering(self.record, self.skip_record))
        return tuple(record for record in records if record is not None)

    def record(self) -> Function | Struct:
        if self.at("def"):
            return self.function()
        if self.at("struct"):
            return self.struct()
        raise self.mistake(f"expected 'def' or 'struct', found {self.token}", self.token.place)

    def function(self) -> Function:
        place = self.take().place
        header = self.recovering(self.header, self.skip_to_body)
        name, parameters = header or ("?", ())
        body = self.block(self.statement, f"the body of '{name}'")
        return Function(name, parameters, body, place)

    def header(self) -> tuple[str, tuple[Declaration, ...]]:
        name = self.name("after 'def'").text
        self.expect("(", f"before the parameters of '{name}'")
        parameters: tuple[Declaration, ...] = ()
        if not self.at(")"):
            parameters = self.separated(self.parameter)
        self.expect(")", f"after the parameters of '{name}'")
        return name, parameters

    def parameter(self) -> Declaration:
        first = self.name("of a parameter")
        if self.token.kind is Kind.NAME:
            return Declaration(self.take().text, first.text, None, None, first.place)
        return Declaration(first.text, None, None, None, first.place)

    def struct(self) -> Struct:
        place = self.take().place
        header = self.recovering(lambda: self.name("after 'struct'").text, self.skip_to_body)
        members = self.block(self.declaration, f"the members of '{header or '?'}'")
        return Struct(header or "?", members, place)

    def block(self, item: Callable[[], T], what: str) -> tuple[T, ...]:
        """`{ item ; item ; … }`: the items that have no mistake."""
        self.expect("{", f"before {what}")
        items: list[T] = []
        while not self.at("}"):
            if self.at_record():
                raise self.wanted(f"'}}' after {what}")
            if self.accept(";"):
                continue
            found = self.recovering(lambda: self.ended(item), self.skip_statement)
            if found is not None:
                items.append(found)
        self.take()
        return tuple(items)

    def ended(self, item: Callable[[], T]) -> T:
        """An item and the semicolon after it."""
        found = item()
        self.expect(";", "after the statement")
        return found

    def separated(self, item: Callable[[], T]) -> tuple[T, ...]:
        """`item , item , …`, one at least."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return tuple(items)

    # Statements

    def statement(self) -> Statement:
        if self.at("return"):
            place = self.take().place
            return Return(None if self.at(";") else self.expression(), place)
        following = self.tokens[min(self.index + 1, len(self.tokens) - 1)]
        if self.at("var") or (self.token.kind is Kind.NAME and following.kind is Kind.NAME):
            return self.declaration()
        return self.expression()

    def declaration(self) -> Declaration:
        """`var name <shape> = value` or `Type name = value`; who calls this says which parts must be there."""
        struct, shape = None, None
        place = self.token.place
        if self.accept("var"):
            name = self.name("after 'var'").text
            shape = self.shape().extents if self.at("<") else None
        else:
            struct = self.name("of a type, or 'var'").text
            name = self.name(f"after the type '{struct}'").text
        initial = self.expression() if self.accept("=") else None
        return Declaration(name, struct, shape, initial, place)

    # Expressions

    def expression(self) -> Expression:
        return self.operations(self.primary(), 0)

    def operations(self, left: Expression, weakest: int) -> Expression:
        """`left` with the operators after it that bind at least as tightly as `weakest`; all go left to right."""
        while self.token.kind is Kind.SYMBOL and PRECEDENCE.get(self.token.text, -1) >= weakest:
            operator = self.take().text
            place = self.token.place
            right = self.member() if operator == "." else self.primary()
            right = self.operations(right, PRECEDENCE[operator] + 1)
            left = Binary(operator, left, right, place)
        return left

    def member(self) -> Variable:
        name = self.name("of a struct's member after '.'")
        return Variable(name.text, name.place)

    def primary(self) -> Expression:
        if self.token.kind is Kind.NAME:
            name = self.take()
            return self.call(name) if self.at("(") else Variable(name.text, name.place)
        if self.token.kind is Kind.NUMBER or self.at("-"):
            return self.number()
        nested = {"(": self.parenthesised, "[": self.tensor, "{": self.structure, "<": self.shape}
        if self.token.kind is Kind.SYMBOL and self.token.text in nested:
            return self.deeper(nested[self.token.text])
        raise self.wanted("an expression")

    def deeper(self, parse: Callable[[], T]) -> T:
        """What `parse` gives, one level further inside."""
        if self.depth == DEEPEST:
            raise self.mistake(f"expression is nested deeper than {DEEPEST} levels", self.token.place)
        self.depth += 1
        found = parse()
        self.depth -= 1
        return found

    def call(self, name: Token) -> Call | Print:
        arguments = self.deeper(lambda: self.arguments(name.text))
        # `print` of no or many values is as much a mistake as any wrong number of arguments: not of grammar.
        if name.text == "print" and len(arguments) == 1:
            return Print(arguments[0], name.place)
        return Call(name.text, arguments, name.place)

    def arguments(self, callee: str) -> tuple[Expression, ...]:
        self.expect("(", f"before the arguments of '{callee}'")
        arguments = () if self.at(")") else self.separated(self.expression)
        if not self.accept(")"):
            raise self.wanted(f"',' or ')' in the arguments of '{callee}'")
        return arguments

    def parenthesised(self) -> Expression:
        self.expect("(", "")
        inner = self.expression()
        self.expect(")", "to close the parenthesis")
        return inner

    def number(self) -> Number:
        place = self.token.place
        sign = -1.0 if self.accept("-") else 1.0
        if self.token.kind is not Kind.NUMBER:
            raise self.wanted("a number")
        return Number(sign * float(self.take().text), place)

    def tensor(self) -> Literal:
        place = self.expect("[", "").place
        values = self.separated(self.tensor_value)
        if not self.accept("]"):
            raise self.wanted("',' or ']' in the tensor")
        shape = shape_of(values[0])
        for value in values[1:]:
            if shape_of(value) != shape:
                message = f"expected {part(shape)} like the first one, found {part(shape_of(value))}"
                raise self.mistake(message, value.place, "the parts of a tensor have one shape")
        return Literal(values, (len(values), *shape), place)

    def tensor_value(self) -> Number | Literal:
        if self.at("["):
            return self.deeper(self.tensor)
        if self.token.kind is Kind.NUMBER or self.at("-"):
            return self.number()
        raise self.wanted("a number or '[' in the tensor")

    def structure(self) -> StructLiteral:
        place = self.expect("{", "").place
        values = self.separated(self.structure_value)
        if not self.accept("}"):
            raise self.wanted("',' or '}' in the struct")
        return StructLiteral(values, place)

    def structure_value(self) -> Number | Literal | StructLiteral:
        if self.at("{"):
            return self.deeper(self.structure)
        if self.at("["):
            return self.deeper(self.tensor)
        if self.token.kind is Kind.NUMBER or self.at("-"):
            return self.number()
        raise self.wanted("a number, '[' or '{' in the struct")

    def shape(self) -> Shape:
        place = self.expect("<", "").place
        extents = () if self.at(">") else self.separated(self.extent)
        if not self.accept(">"):
            raise self.wanted("',' or '>' in the shape")
        return Shape(extents, place)

    def extent(self) -> int:
        token = self.token
        if token.kind is not Kind.NUMBER:
            raise self.wanted("a size in the shape")
        if not token.text.isdigit() or int(token.text) == 0:
            raise self.mistake(f"expected a whole number above 0 in the shape, found {token}", token.place)
        return int(self.take().text)


def shape_of(value: Number | Literal) -> tuple[int, ...]:
    return value.shape if isinstance(value, Literal) else ()


def part(shape: tuple[int, ...]) -> str:
    return f"a tensor <{', '.join(map(str, shape))}>" if shape else "a number"
