"""`xmlc.expr`: a formula as a function of arrays that is one loop of machine code.

    wave = xmlc.expr("a * x**2 + sin(y)")
    wave(2.0, x, y)             # the arguments are the names, as they come first in the formula
    wave(x=x, y=y, a=2.0)

Python's arithmetic, comparisons, `&`, `|`, `^`, `~`, and functions of single elements by their names in the array API
standard; arrays broadcast. It is compiled for the shapes and types of its arguments, when these are met first.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.frontend.python import functions as f
from xmlc.tracing import TracedFunction
from xmlc.wording import did_you_mean

FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        f.abs, f.acos, f.acosh, f.asin, f.asinh, f.atan, f.atan2, f.atanh, f.ceil, f.clip, f.copysign, f.cos, f.cosh,
        f.erf, f.exp, f.expm1, f.floor, f.hypot, f.isfinite, f.isinf, f.isnan, f.log, f.log10, f.log1p, f.log2,
        f.logaddexp, f.maximum, f.minimum, f.reciprocal, f.round, f.rsqrt, f.sign, f.sin, f.sinh, f.sqrt, f.square,
        f.tan, f.tanh, f.trunc, f.where,
    )
}  # fmt: skip
CONSTANTS = {"e": f.e, "inf": f.inf, "nan": f.nan, "pi": f.pi}

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: f.add, ast.Sub: f.subtract, ast.Mult: f.multiply, ast.Div: f.divide, ast.FloorDiv: f.floor_divide,
    ast.Mod: f.remainder, ast.Pow: f.pow, ast.BitAnd: f.bitwise_and, ast.BitOr: f.bitwise_or,
    ast.BitXor: f.bitwise_xor, ast.LShift: f.bitwise_left_shift, ast.RShift: f.bitwise_right_shift,
}  # fmt: skip
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: f.negative, ast.UAdd: f.positive, ast.Invert: f.bitwise_invert,
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: f.less, ast.LtE: f.less_equal, ast.Gt: f.greater, ast.GtE: f.greater_equal, ast.Eq: f.equal,
    ast.NotEq: f.not_equal,
}  # fmt: skip


class Expression:
    """A formula as a function of the arrays that it names."""

    def __init__(self, text: str):
        """Raises CompileError, at the column, for what is no formula."""
        self.text = text
        try:
            self.formula = ast.parse(text.strip(), "<formula>", "eval").body
        except SyntaxError as error:
            place = Place("<formula>", error.lineno or 1, error.offset or 1)
            raise CompileError(f"this is no formula: {error.msg}", place=place, source_line=text) from None
        called = {id(node.func) for node in ast.walk(self.formula) if isinstance(node, ast.Call)}
        found = [node for node in ast.walk(self.formula) if isinstance(node, ast.Name) and id(node) not in called]
        found.sort(key=lambda node: (node.lineno, node.col_offset))
        self.names = tuple(dict.fromkeys(node.id for node in found if node.id not in CONSTANTS))
        """The names of its arguments, in their order."""
        self.check(self.formula)
        self.compiled: TracedFunction[..., Any] = TracedFunction(self.as_function())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Its value for arrays and numbers, by position or by name. TypeError where some are missing, or unknown."""
        if len(args) == len(self.names) and not kwargs:
            return self.compiled(*args)
        given = dict(zip(self.names, args)) | kwargs
        if len(args) + len(kwargs) != len(self.names) or set(given) != set(self.names):
            raise TypeError(f"expected the arguments {', '.join(self.names)}, found {', '.join(given) or 'none'}")
        return self.compiled(*[given[name] for name in self.names])

    def __repr__(self) -> str:
        return f"xmlc.expr({self.text!r})"

    def as_function(self) -> Callable[..., Any]:
        """The formula as a function to be traced, with arguments of its names."""

        def formula(*arguments: Any) -> Any:
            return value_of(self.formula, dict(zip(self.names, arguments)) | CONSTANTS)

        kind = Parameter.POSITIONAL_OR_KEYWORD
        formula.__signature__ = Signature([Parameter(name, kind) for name in self.names])  # pyright: ignore
        return formula

    def check(self, node: ast.AST) -> None:
        """Raise CompileError for the first part, from the outside in, that a formula may not have."""
        match node:
            case ast.Name() | ast.Constant(value=bool() | int() | float()):
                return
            case ast.BinOp(op=op) if type(op) in BINARY:
                parts = [node.left, node.right]
            case ast.UnaryOp(op=op) if type(op) in UNARY:
                parts = [node.operand]
            case ast.Compare(ops=ops) if all(type(op) in COMPARE for op in ops):
                parts = [node.left, *node.comparators]
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                parts = node.args
            case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
                raise self.mistake(node, f"there is no function '{name}'", did_you_mean(name, [*FUNCTIONS]))
            case ast.BoolOp():
                raise self.mistake(node, "'and' and 'or' are of single values", "write & and |, with parentheses")
            case _:
                raise self.mistake(node, "this is no part of a formula", "use names, numbers, operators and functions")
        for part in parts:
            self.check(part)

    def mistake(self, node: ast.AST, message: str, hint: str | None) -> CompileError:
        place = Place("<formula>", getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)
        return CompileError(message, place=place, hint=hint, source_line=self.text.strip())


def value_of(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """The value of a part of a checked formula, for values of its names."""
    match node:
        case ast.Name(id=name):
            return names[name]
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            return BINARY[type(op)](value_of(left, names), value_of(right, names))
        case ast.UnaryOp(op=op, operand=operand):
            return UNARY[type(op)](value_of(operand, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*[value_of(each, names) for each in args])
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [value_of(each, names) for each in (left, *others)]
            tests = [COMPARE[type(op)](a, b) for op, a, b in zip(ops, values, values[1:])]
            result = tests[0]
            for test in tests[1:]:
                result = f.bitwise_and(result, test)
            return result
        case _:
            raise AssertionError(f"{ast.dump(node)} was not checked")


def expr(text: str) -> Expression:
    """A formula such as "a * x**2 + sin(y)" as a function of its names. Raises CompileError for what is none."""
    return Expression(text)
