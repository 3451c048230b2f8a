"""Toy's syntax tree to the `toy` dialect: names and types are resolved here, shapes later (`infer-shapes`).

Every op has the place of its syntax as location. What cannot be built is reported, all of it at once: a
mistake makes an expression's value None, which what uses it passes on without a message of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, FileLineColLoc, FunctionType, IntAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.dialects import toy
from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
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
    calls_in,
)

ENTRY = "main"


def build(program: Module) -> ModuleOp:
    """The program as `toy.func`s in the order of the text; all but `main` are private.

    Raises CompileError with every mistake in names, types and numbers of arguments, in the order of the text.
    """
    mistakes = Mistakes(program)
    structs = declared_structs(program, mistakes)
    functions = declared_functions(program, mistakes)
    built: dict[str, toy.FuncOp] = {}
    results: dict[str, Result] = {}
    for name in callees_first(functions, mistakes):
        built[name], results[name] = Body(functions, structs, results, mistakes).build(functions[name])
    check_entry(functions, results, mistakes)
    mistakes.raise_if_any()

    module = ModuleOp([built[name] for name in functions])
    module.location = location(Place(program.filename, 1, 1))
    module.verify()
    return module


@dataclass(frozen=True)
class Typed:
    """A value; `struct` names its struct, None says that it is a tensor."""

    value: SSAValue
    struct: str | None = None


@dataclass(frozen=True)
class Result:
    """What a function returns: nothing, a tensor (`struct` None) or a struct; `known` is False after a mistake."""

    type: Attribute | None
    struct: str | None = None
    known: bool = True


@dataclass(frozen=True)
class StructInfo:
    """A struct of the program, its members by name: the name of their struct, None for a tensor."""

    syntax: Struct
    type: toy.StructType
    members: Mapping[str, str | None]


@dataclass
class Mistakes:
    """The diagnostics found so far, each with the line it quotes."""

    program: Module
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def report(self, message: str, place: Place, hint: str | None = None) -> None:
        lines = self.program.source.split("\n")
        self.found.append(Diagnostic(message, place, hint, lines[place.line - 1] if place.line else None))

    def raise_if_any(self) -> None:
        if self.found:
            places = {id(mistake): mistake.place or Place("") for mistake in self.found}
            order = sorted(self.found, key=lambda mistake: (places[id(mistake)].line, places[id(mistake)].column))
            raise CompileError.of(order)


def location(place: Place) -> FileLineColLoc:
    return FileLineColLoc(StringAttr(place.file), IntAttr(place.line), IntAttr(place.column))


def did_you_mean(name: str, names: Sequence[str]) -> str | None:
    close = get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# Declarations of the whole file


def declared_structs(program: Module, mistakes: Mistakes) -> dict[str, StructInfo]:
    """The structs by name; a member's type is a struct that stands before it."""
    structs: dict[str, StructInfo] = {}
    for record in program.records:
        if not isinstance(record, Struct):
            continue
        if record.name in structs:
            first = structs[record.name].syntax.place.line
            mistakes.report(f"struct '{record.name}' is already defined", record.place, f"it is at line {first}")
            continue
        if not record.members:
            mistakes.report(f"struct '{record.name}' has no members", record.place, "write one, such as 'var a;'")
        members: dict[str, str | None] = {}
        types: list[Attribute] = []
        for member in record.members:
            if member.name in members:
                mistakes.report(f"struct '{record.name}' has a member '{member.name}' already", member.place)
                continue
            if member.initial is not None:
                mistakes.report(f"member '{member.name}' cannot have a value", member.place, "a struct is a type")
            if member.shape is not None:
                hint = "the shapes of members are inferred from the values"
                mistakes.report(f"member '{member.name}' cannot have a shape", member.place, hint)
            if member.struct is not None and member.struct not in structs:
                hint = did_you_mean(member.struct, list(structs)) or "a struct is defined before it is a member"
                mistakes.report(f"unknown type '{member.struct}'", member.place, hint)
            known = member.struct if member.struct in structs else None
            members[member.name] = known
            types.append(toy.UNRANKED if known is None else structs[known].type)
        structs[record.name] = StructInfo(record, toy.StructType.of(types or [toy.UNRANKED]), members)
    return structs


def declared_functions(program: Module, mistakes: Mistakes) -> dict[str, Function]:
    functions: dict[str, Function] = {}
    for record in program.records:
        if not isinstance(record, Function):
            continue
        if record.name in BUILT_IN or record.name == "print":
            mistakes.report(f"cannot define '{record.name}': it is built in", record.place)
        elif record.name in functions:
            first = functions[record.name].place.line
            mistakes.report(f"function '{record.name}' is already defined", record.place, f"it is at line {first}")
        else:
            functions[record.name] = record
    return functions


def callees_first(functions: Mapping[str, Function], mistakes: Mistakes) -> list[str]:
    """The functions' names, each after those that it calls. Recursion is a mistake: one for each cycle."""
    callees = {
        name: {call.callee for call in calls_in(function) if call.callee in functions}
        for name, function in functions.items()
    }
    while True:
        try:
            return list(TopologicalSorter(callees).static_order())
        except CycleError as error:
            # The cycle as graphlib lists it: each is called by the next, the first is also the last.
            cycle: list[str] = error.args[1][::-1]
            start = min(range(len(cycle) - 1), key=lambda i: list(functions).index(cycle[i]))
            chain = [*cycle[start:-1], *cycle[:start], cycle[start]]
            caller, callee = chain[0], chain[1]
            call = next(call for call in calls_in(functions[caller]) if call.callee == callee)
            if len(chain) == 2:
                message = f"function '{caller}' calls itself"
            else:
                message = f"function '{caller}' calls " + ", which calls ".join(f"'{name}'" for name in chain[1:])
            hint = "a call is replaced by the function's body: without conditions recursion would never end"
            mistakes.report(message, call.place, hint)
            callees[caller].remove(callee)


def check_entry(functions: Mapping[str, Function], results: Mapping[str, Result], mistakes: Mistakes) -> None:
    entry = functions.get(ENTRY)
    if entry is None:
        hint = did_you_mean(ENTRY, list(functions)) or f"a program starts at 'def {ENTRY}() {{ … }}'"
        mistakes.report(f"there is no function '{ENTRY}'", Place(mistakes.program.filename), hint)
        return
    if entry.parameters:
        mistakes.report(f"'{ENTRY}' cannot have parameters", entry.parameters[0].place, "nothing calls it")
    if results[ENTRY].type is not None:
        place = next(statement.place for statement in entry.body if isinstance(statement, Return))
        mistakes.report(f"'{ENTRY}' cannot return a value", place, "print it instead")


# One function


@dataclass
class Body:
    """Builds one function; `variables` maps the names in scope to values, None after a mistake."""

    functions: Mapping[str, Function]
    structs: Mapping[str, StructInfo]
    results: Mapping[str, Result]
    mistakes: Mistakes
    block: Block = field(default_factory=Block)
    variables: dict[str, Typed | None] = field(default_factory=dict[str, Typed | None])
    places: dict[str, Place] = field(default_factory=dict[str, Place])

    def build(self, function: Function) -> tuple[toy.FuncOp, Result]:
        types = [self.declared_type(parameter) for parameter in function.parameters]
        region_type = FunctionType.from_lists(types, [])
        op = toy.FuncOp(function.name, region_type, private=function.name != ENTRY)
        op.location = location(function.place)
        self.block = op.body.block
        for parameter, argument in zip(function.parameters, self.block.args):
            argument.name_hint = parameter.name
            argument.location = location(parameter.place)
            known = parameter.struct is None or parameter.struct in self.structs
            self.declare(parameter, Typed(argument, parameter.struct) if known else None)

        result = Result(None)
        for index, statement in enumerate(function.body):
            if isinstance(statement, Return):
                result = self.return_(statement)
                for after in function.body[index + 1 : index + 2]:
                    hint = "a function ends at its first 'return'"
                    self.mistakes.report("statement after 'return' never runs", place_of(after), hint)
                break
            self.statement(statement)
        else:
            self.add(toy.ReturnOp(), function.place)
        outputs = [] if result.type is None else [result.type]
        op.properties["function_type"] = FunctionType.from_lists(types, outputs)
        return op, result

    def add(self, op: Operation, place: Place) -> SSAValue | None:
        """Puts the op at the end; gives its result if it has one, None where shapes do not fit."""
        op.location = location(place)
        self.block.add_op(op)
        if isinstance(op, toy.ShapeInference):
            try:
                op.inferred_type()
            except toy.ShapeError as error:
                self.mistakes.report(str(error), place, error.hint)
                return None
        return op.results[0] if op.results else None

    def tensor(self, op: Operation, place: Place) -> Typed | None:
        value = self.add(op, place)
        return None if value is None else Typed(value)

    def declared_type(self, declaration: Declaration) -> Attribute:
        """The type of a variable or parameter, as far as its declaration tells."""
        if declaration.struct is None:
            return toy.UNRANKED
        if declaration.struct in self.structs:
            return self.structs[declaration.struct].type
        hint = did_you_mean(declaration.struct, [*self.structs, "var"])
        self.mistakes.report(f"unknown type '{declaration.struct}'", declaration.place, hint)
        return toy.UNRANKED

    def declare(self, declaration: Declaration, value: Typed | None) -> None:
        name = declaration.name
        if name in self.variables:
            hint = f"it is at line {self.places[name].line}; variables never change, choose another name"
            self.mistakes.report(f"variable '{name}' is already defined", declaration.place, hint)
            return
        self.variables[name] = value
        if value is not None and value.value.name_hint is None:
            value.value.name_hint = name
        self.places[name] = declaration.place

    # Statements

    def statement(self, statement: Declaration | Expression) -> None:
        match statement:
            case Declaration():
                self.declaration(statement)
            case Print():
                self.print_(statement)
            case Call() if statement.callee not in BUILT_IN:
                self.call(statement)
            case _:
                self.expression(statement)

    def declaration(self, declaration: Declaration) -> None:
        struct = declaration.struct
        if struct is not None:
            self.declared_type(declaration)
        if declaration.initial is None:
            kind = struct or "var"
            hint = f"write '{kind} {declaration.name} = …;'"
            self.mistakes.report(f"variable '{declaration.name}' has no value", declaration.place, hint)
            self.declare(declaration, None)
            return
        known = struct if struct in self.structs else None
        if struct is not None and known is None and isinstance(declaration.initial, StructLiteral):
            self.declare(declaration, None)
            return
        value = self.expression(declaration.initial, known)
        if value is not None and struct is not None:
            value = self.converted(value, known, declaration.initial) if known is not None else None
        if value is not None and declaration.shape is not None:
            if value.struct is not None:
                hint = f"write '{value.struct} {declaration.name} = …;'"
                self.mistakes.report("a struct cannot be given a shape", declaration.place, hint)
                value = None
            else:
                value = self.tensor(toy.ReshapeOp(value.value, toy.tensor(declaration.shape)), declaration.place)
        self.declare(declaration, value)

    def return_(self, statement: Return) -> Result:
        if statement.value is None:
            self.add(toy.ReturnOp(), statement.place)
            return Result(None)
        value = self.expression(statement.value)
        if value is None:
            return Result(None, known=False)
        self.add(toy.ReturnOp(value.value), statement.place)
        # The shape of a result may differ from call to call: only that it is a tensor is part of the type.
        return Result(toy.UNRANKED if value.struct is None else value.value.type, value.struct)

    def print_(self, statement: Print) -> None:
        value = self.tensor_argument(statement.argument, "print")
        if value is not None:
            self.add(toy.PrintOp(value), statement.place)

    # Expressions

    def expression(self, node: Expression, expected: str | None = None) -> Typed | None:
        """The value of an expression; `expected` names the struct that a struct literal stands for."""
        match node:
            case Number() | Literal():
                return self.tensor(toy.ConstantOp.of(numbers(node)), node.place)
            case StructLiteral():
                return self.struct_literal(node, expected)
            case Variable():
                return self.variable(node)
            case Binary():
                return self.binary(node)
            case Call():
                return self.value_of_call(node)
            case Print():
                self.mistakes.report("'print' returns no value", node.place)
                return None
            case Shape():
                hint = "a shape is an argument of reshape(x, <2, 3>) and broadcast(x, <2, 3>)"
                self.mistakes.report("a shape is not a value", node.place, hint)
                return None

    def variable(self, node: Variable) -> Typed | None:
        if node.name not in self.variables:
            hint = did_you_mean(node.name, list(self.variables))
            self.mistakes.report(f"unknown variable '{node.name}'", node.place, hint)
        return self.variables.get(node.name)

    def binary(self, node: Binary) -> Typed | None:
        # The left sides of a long sum are walked, not recursed into.
        spine = [node]
        while isinstance(spine[-1].left, Binary):
            spine.append(spine[-1].left)
        value = self.expression(spine[-1].left)
        for step in reversed(spine):
            value = self.member(step, value) if step.operator == "." else self.arithmetic(step, value)
        return value

    def arithmetic(self, node: Binary, left: Typed | None) -> Typed | None:
        right = self.expression(node.right)
        sides = [
            self.expect_tensor(side, place, f"'{node.operator}'")
            for side, place in ((left, place_of(node.left)), (right, node.place))
        ]
        if sides[0] is None or sides[1] is None:
            return None
        return self.tensor(OPERATORS[node.operator](sides[0], sides[1]), node.place)

    def member(self, node: Binary, value: Typed | None) -> Typed | None:
        assert isinstance(node.right, Variable)
        name = node.right.name
        if value is None:
            return None
        if value.struct is None:
            self.mistakes.report(f"a tensor has no member '{name}'", node.place, "only structs have members")
            return None
        members = self.structs[value.struct].members
        if name not in members:
            hint = f"its members are {', '.join(members)}"
            self.mistakes.report(f"struct '{value.struct}' has no member '{name}'", node.place, hint)
            return None
        access = self.add(toy.StructAccessOp(value.value, list(members).index(name)), node.place)
        return None if access is None else Typed(access, members[name])

    def struct_literal(self, node: StructLiteral, expected: str | None) -> Typed | None:
        if expected is None:
            hint = "declare a variable of its type: 'Pair p = {…};'"
            self.mistakes.report("cannot tell which struct this is", node.place, hint)
            return None
        value = self.struct_value(node, expected)
        if value is None:
            return None
        made = self.add(toy.StructConstantOp(value, self.structs[expected].type), node.place)
        return None if made is None else Typed(made, expected)

    def struct_value(self, node: StructLiteral, struct: str) -> ArrayAttr[Attribute] | None:
        """The values of a literal of this struct, None where their number or kinds differ."""
        members = self.structs[struct].members
        if len(members) != len(node.values):
            hint = f"its members are {', '.join(members)}"
            wanted = count(len(members), "member")
            self.mistakes.report(f"struct '{struct}' has {wanted}, {len(node.values)} given", node.place, hint)
            return None
        values: list[Attribute | None] = []
        for value, (name, kind) in zip(node.values, members.items()):
            if isinstance(value, StructLiteral) != (kind is not None):
                wanted = "a tensor" if kind is None else f"a struct '{kind}'"
                self.mistakes.report(f"member '{name}' of struct '{struct}' is {wanted}", value.place)
                values.append(None)
            elif isinstance(value, StructLiteral):
                assert kind is not None
                values.append(self.struct_value(value, kind))
            else:
                values.append(toy.numbers_attribute(numbers(value)))
        known = [value for value in values if value is not None]
        return ArrayAttr(known) if len(known) == len(values) else None

    def value_of_call(self, node: Call) -> Typed | None:
        if node.callee in BUILT_IN:
            kinds = BUILT_IN[node.callee].arguments
            if self.check_count(node, len(kinds), ", ".join(kind.example for kind in kinds)):
                return BUILT_IN[node.callee].build(self, node)
            return None
        value = self.call(node)
        if value is None and node.callee in self.results:
            result = self.results[node.callee]
            if result.known and result.type is None:
                hint = f"'{node.callee}' has no 'return' with a value"
                self.mistakes.report(f"'{node.callee}' returns no value", node.place, hint)
        return value

    def check_count(self, node: Call, wanted: int, names: str) -> bool:
        if len(node.arguments) == wanted:
            return True
        message = f"'{node.callee}' takes {count(wanted, 'argument')}, {len(node.arguments)} given"
        self.mistakes.report(message, node.place, f"it is {node.callee}({names})")
        return False

    def call(self, node: Call) -> Typed | None:
        """A call of a function of the program; None also where it returns nothing."""
        function = self.functions.get(node.callee)
        if node.callee == "print":
            self.check_count(node, 1, "x")
        elif function is None:
            hint = did_you_mean(node.callee, [*self.functions, *BUILT_IN, "print"])
            self.mistakes.report(f"unknown function '{node.callee}'", node.place, hint)
        parameters = () if function is None else function.parameters
        structs = [parameter.struct for parameter in parameters]
        structs += [None] * (len(node.arguments) - len(structs))
        values = [
            self.expression(argument, struct if struct in self.structs else None)
            for argument, struct in zip(node.arguments, structs)
        ]
        if function is None:
            return None
        names = ", ".join(f"{p.struct} {p.name}" if p.struct else p.name for p in parameters)
        if not self.check_count(node, len(parameters), names):
            return None
        given = [
            None if value is None else self.converted(value, struct, argument)
            for value, struct, argument in zip(values, structs, node.arguments)
        ]
        arguments = [value.value for value in given if value is not None]
        # A function in a cycle, or one whose result had a mistake, has no type to go on with.
        result = self.results.get(node.callee)
        if len(arguments) != len(given) or result is None or not result.known:
            return None
        results = [] if result.type is None else [result.type]
        made = self.add(toy.GenericCallOp(node.callee, arguments, results), node.place)
        return None if made is None else Typed(made, result.struct)

    def converted(self, value: Typed, struct: str | None, node: Expression) -> Typed | None:
        """The value if it is of that struct, or a tensor for None."""
        if value.struct == struct:
            return value
        wanted, found = (("a tensor" if kind is None else f"a struct '{kind}'") for kind in (struct, value.struct))
        self.mistakes.report(f"expected {wanted}, found {found}", place_of(node))
        return None

    def expect_tensor(self, value: Typed | None, place: Place, user: str) -> SSAValue | None:
        if value is None or value.struct is None:
            return None if value is None else value.value
        members = ", ".join(f".{name}" for name in self.structs[value.struct].members)
        hint = f"take a member of it: {members}"
        self.mistakes.report(f"{user} takes tensors, found a struct '{value.struct}'", place, hint)
        return None

    # Arguments of built-in functions

    def tensor_argument(self, node: Expression, callee: str) -> SSAValue | None:
        return self.expect_tensor(self.expression(node), place_of(node), f"'{callee}'")

    def shape_argument(self, node: Expression, callee: str) -> tuple[int, ...] | None:
        if isinstance(node, Shape):
            return node.extents
        self.mistakes.report(f"expected a shape for '{callee}'", place_of(node), "a shape is written <2, 3>")
        return None

    def axis_argument(self, node: Expression, callee: str) -> int | None:
        if isinstance(node, Number) and node.value == int(node.value):
            return int(node.value)
        hint = "an axis is a whole number: 0 is the first, -1 the last"
        self.mistakes.report(f"expected an axis for '{callee}'", place_of(node), hint)
        return None


def place_of(node: Statement) -> Place:
    """Where an expression starts: for an operation, where its left side does."""
    while isinstance(node, Binary):
        node = node.left
    return node.place


def numbers(node: Number | Literal) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The array a literal writes."""
    return np.array(nested(node), np.float64)


def nested(node: Number | Literal) -> object:
    return node.value if isinstance(node, Number) else [nested(value) for value in node.values]


# Built-in functions


@dataclass(frozen=True)
class Argument:
    """A kind of argument: how it looks in a hint, and what reads it."""

    example: str
    read: Callable[[Body, Expression, str], object | None]


@dataclass(frozen=True)
class BuiltIn:
    """A function of the language: its arguments, and the op for what they hold."""

    arguments: tuple[Argument, ...]
    make: Callable[..., Operation]

    def build(self, body: Body, node: Call) -> Typed | None:
        """Reads all the arguments, so that each mistake in them is reported, then adds the op."""
        pairs = zip(self.arguments, node.arguments)
        values = [argument.read(body, given, node.callee) for argument, given in pairs]
        if any(value is None for value in values):
            return None
        return body.tensor(self.make(*values), node.place)


TENSOR = Argument("x", Body.tensor_argument)
SHAPE = Argument("<2, 3>", Body.shape_argument)
AXIS = Argument("axis", Body.axis_argument)


def reshape(x: SSAValue, shape: tuple[int, ...]) -> Operation:
    return toy.ReshapeOp(x, toy.tensor(shape))


def broadcast(x: SSAValue, shape: tuple[int, ...]) -> Operation:
    return toy.BroadcastOp(x, toy.tensor(shape))


OPERATORS: dict[str, Callable[[SSAValue, SSAValue], Operation]] = {
    "+": toy.AddOp,
    "-": toy.SubOp,
    "*": toy.MulOp,
}

BUILT_IN = {
    "transpose": BuiltIn((TENSOR,), toy.TransposeOp),
    "reshape": BuiltIn((TENSOR, SHAPE), reshape),
    "broadcast": BuiltIn((TENSOR, SHAPE), broadcast),
    "reduce_sum": BuiltIn((TENSOR, AXIS), toy.ReduceSumOp),
    "concat": BuiltIn((TENSOR, TENSOR, AXIS), toy.ConcatOp),
    "matmul": BuiltIn((TENSOR, TENSOR), toy.MatmulOp),
}
