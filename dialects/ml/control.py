"""Control flow of `ml`: if, while, scan, and the yield that ends their regions.

A region may use values from outside. An op with regions has the effects of what is inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from xdsl.dialects.builtin import UnitAttr, i1
from xdsl.dialects.utils import AbstractYieldOperation
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    lazy_traits_def,
    operand_def,
    opt_prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsTerminator, Pure, RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.ml.attributes import Integer, flag, integer
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    element_of,
    expect_elements,
    expect_rank,
    expect_type,
    merge_sizes,
    rank_of,
    shape_of,
    tensor,
    type_of,
)

T = TypeVar("T")
Pair = tuple[Parser.UnresolvedArgument, UnresolvedOperand]


@irdl_op_definition
class YieldOp(AbstractYieldOperation[Attribute]):
    """Ends a region of `ml` with the values it gives."""

    name = "ml.yield"
    traits = lazy_traits_def(lambda: (IsTerminator(), HasParent(*with_regions()), Pure()))


def with_regions() -> tuple[type[Operation], ...]:
    """The ops whose regions a yield ends."""
    from xmlc.dialects.ml.derivatives import CheckpointOp, CustomGradientOp

    return IfOp, WhileOp, ScanOp, CheckpointOp, CustomGradientOp


# --- checks and syntax that the ops share


def yielded(region: Region, what: str) -> tuple[Attribute, ...]:
    """The types that the region's yield passes on."""
    last = region.block.last_op
    if not isinstance(last, YieldOp):
        raise VerifyException(f"the {what} region must end in ml.yield")
    return last.arguments.types


def argument_types(region: Region) -> list[Attribute]:
    return [argument.type for argument in region.block.args]


def expect_condition(found: Sequence[Attribute], what: str) -> None:
    """Check that the types are one tensor<i1>."""
    if len(found) != 1:
        raise VerifyException(f"{what} must be one tensor<i1>, found {len(found)} values")
    expect_elements((i1,), found[0])
    expect_rank(found[0], 0, what)


def expect_types(found: Sequence[Attribute], wanted: Sequence[Attribute], what: str) -> None:
    """Check types one by one; `?` goes with any size."""
    if len(found) != len(wanted):
        raise VerifyException(f"{what} must be {len(wanted)} values, found {len(found)}")
    for index, (a, b) in enumerate(zip(found, wanted)):
        try:
            expect_type(a, type_of(b))
        except VerifyException:
            raise VerifyException(f"{what}: value {index} must be {b}, found {a}") from None


def print_pairs(printer: Printer, arguments: Sequence[SSAValue], operands: Sequence[SSAValue]) -> None:
    """`(%argument = %operand, …)`"""

    def print_pair(pair: tuple[SSAValue, SSAValue]) -> None:
        printer.print_ssa_value(pair[0])
        printer.print_string(" = ")
        printer.print_operand(pair[1])

    with printer.in_parens():
        printer.print_list(list(zip(arguments, operands, strict=True)), print_pair)


def parse_pairs(parser: Parser) -> list[Pair]:
    def parse_pair() -> Pair:
        argument = parser.parse_argument(expect_type=False)
        parser.parse_punctuation("=")
        return argument, parser.parse_unresolved_operand()

    return parse_list(parser, parse_pair)


def parse_list(parser: Parser, parse: Callable[[], T]) -> list[T]:
    return parser.parse_comma_separated_list(parser.Delimiter.PAREN, parse)


def print_types(printer: Printer, types: Sequence[Attribute]) -> None:
    with printer.in_parens():
        printer.print_list(types, printer.print_attribute)


def check_count(parser: Parser, found: int, wanted: int, what: str) -> None:
    if found != wanted:
        parser.raise_error(f"expected {wanted} {what}, found {found}")


# --- if


def if_types(then: Sequence[Attribute], otherwise: Sequence[Attribute]) -> tuple[TensorLike, ...]:
    """What both branches give: sizes that differ, or are known in one branch only, become `?`."""
    if len(then) != len(otherwise):
        raise VerifyException(f"the branches yield {len(then)} and {len(otherwise)} values, expected as many")
    result: list[TensorLike] = []
    for a, b in zip(then, otherwise):
        if element_of(a) != element_of(b) or rank_of(a) != rank_of(b):
            raise VerifyException(f"the branches yield {a} and {b}, expected equal ranks and element types")
        sizes = [x if x == y else DYNAMIC for x, y in zip(shape_of(a), shape_of(b))]
        result.append(tensor(sizes, element_of(a)))
    return tuple(result)


@irdl_op_definition
class IfOp(IRDLOperation):
    """What the first region yields where the condition is true, else what the second one does; runs only that one."""

    name = "ml.if"
    condition = operand_def(Tensor)
    out = var_result_def(Tensor)
    then = region_def("single_block")
    otherwise = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(self, condition: SSAValue, then: Region, otherwise: Region):
        types = if_types(yielded(then, "first"), yielded(otherwise, "second"))
        super().__init__(operands=(condition,), result_types=(types,), regions=(then, otherwise))

    def verify_(self) -> None:
        expect_condition((self.condition.type,), "the condition")
        for region, what in ((self.then, "first"), (self.otherwise, "second")):
            expect_types(argument_types(region), (), f"the arguments of the {what} region")
        inferred = if_types(yielded(self.then, "first"), yielded(self.otherwise, "second"))
        expect_types(self.out.types, inferred, "the results")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_operand(self.condition)
        printer.print_string(" -> ")
        print_types(printer, self.out.types)
        printer.print_string(" ")
        printer.print_region(self.then)
        printer.print_string(" else ")
        printer.print_region(self.otherwise)
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> IfOp:
        condition = parser.parse_operand(tensor((), i1))
        parser.parse_punctuation("->")
        types = parse_list(parser, parser.parse_type)
        then = parser.parse_region()
        parser.parse_keyword("else")
        otherwise = parser.parse_region()
        attributes = parser.parse_optional_attr_dict_with_keyword()
        return cls.create(
            operands=(condition,),
            result_types=types,
            regions=(then, otherwise),
            attributes=attributes.data if attributes else {},
        )


# --- while


@irdl_op_definition
class WhileOp(IRDLOperation):
    """Carried values, replaced by what the body makes of them as long as the condition region yields true."""

    name = "ml.while"
    inits = var_operand_def(Tensor)
    out = var_result_def(Tensor)
    condition = region_def("single_block")
    body = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(self, inits: Sequence[SSAValue], condition: Region, body: Region):
        super().__init__(
            operands=(inits,),
            result_types=([value.type for value in inits],),
            regions=(condition, body),
        )

    def verify_(self) -> None:
        carried = self.inits.types
        expect_types(self.out.types, carried, "the results")
        expect_types(argument_types(self.condition), carried, "the arguments of the condition region")
        expect_types(argument_types(self.body), carried, "the arguments of the body")
        expect_condition(yielded(self.condition, "condition"), "what the condition region yields")
        expect_types(yielded(self.body, "body"), carried, "what the body yields")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_pairs(printer, self.condition.block.args, self.inits)
        printer.print_string(" : ")
        print_types(printer, self.inits.types)
        printer.print_string(" ")
        printer.print_region(self.condition, print_entry_block_args=False)
        printer.print_string(" do ")
        with printer.in_parens():
            printer.print_list(self.body.block.args, printer.print_ssa_value)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> WhileOp:
        pairs = parse_pairs(parser)
        parser.parse_punctuation(":")
        types = parse_list(parser, parser.parse_type)
        check_count(parser, len(types), len(pairs), "types")
        condition = parser.parse_region([argument.resolve(type) for (argument, _), type in zip(pairs, types)])
        parser.parse_keyword("do")
        arguments = parse_list(parser, lambda: parser.parse_argument(expect_type=False))
        check_count(parser, len(arguments), len(types), "arguments of the body")
        body = parser.parse_region([argument.resolve(type) for argument, type in zip(arguments, types)])
        attributes = parser.parse_optional_attr_dict_with_keyword()
        inits = [parser.resolve_operand(operand, type) for (_, operand), type in zip(pairs, types)]
        return cls.create(
            operands=inits,
            result_types=types,
            regions=(condition, body),
            attributes=attributes.data if attributes else {},
        )


# --- scan


def scan_length(sequences: Sequence[Attribute], length: int | None) -> int:
    """The number of steps: the size that the sequences share in dimension 0, or `length` without sequences."""
    if (length is None) == (not sequences):
        raise VerifyException("a scan needs sequences or a length, and not both")
    if length is not None:
        if length < 0:
            raise VerifyException(f"the length of a scan must not be negative, found {length}")
        return length
    steps = DYNAMIC
    for each in sequences:
        if rank_of(each) == 0:
            raise VerifyException(f"a scanned sequence must have rank 1 or more, found {each}")
        steps = merge_sizes(steps, shape_of(each)[0], "lengths of scanned sequences")
    return steps


def slice_types(sequences: Sequence[Attribute]) -> tuple[TensorLike, ...]:
    """What one step sees of each sequence: it without dimension 0."""
    return tuple(tensor(shape_of(each)[1:], element_of(each)) for each in sequences)


def scan_types(inits: Sequence[Attribute], given: Sequence[Attribute], length: int) -> tuple[Attribute, ...]:
    """The carried types, then each output of a step stacked `length` times along a new dimension 0."""
    stacked = [tensor((length, *shape_of(each)), element_of(each)) for each in given[len(inits) :]]
    return (*inits, *stacked)


@irdl_op_definition
class ScanOp(IRDLOperation):
    """A loop that carries values and goes through sequences along their dimension 0, last slice first if `reverse`.

    The body takes the carried values, then one slice of each sequence; it yields the carried values of the next
    step, then outputs, which are stacked along a new dimension 0: output k of the step that saw slice i is at i.
    Results are the last carried values, then the stacked outputs. `length` counts the steps without sequences.
    """

    name = "ml.scan"
    inits = var_operand_def(Tensor)
    sequences = var_operand_def(Tensor)
    length = opt_prop_def(Integer)
    reverse = opt_prop_def(UnitAttr)
    out = var_result_def(Tensor)
    body = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        inits: Sequence[SSAValue],
        sequences: Sequence[SSAValue],
        body: Region,
        *,
        length: int | None = None,
        reverse: bool = False,
    ):
        steps = scan_length([each.type for each in sequences], length)
        types = scan_types([each.type for each in inits], yielded(body, "body"), steps)
        super().__init__(
            operands=(inits, sequences),
            result_types=(types,),
            properties={"length": None if length is None else integer(length), "reverse": flag(reverse)},
            regions=(body,),
        )

    def verify_(self) -> None:
        inits, sequences = self.inits.types, self.sequences.types
        steps = self.steps()
        expect_types(argument_types(self.body), (*inits, *slice_types(sequences)), "the arguments of the body")
        given = yielded(self.body, "body")
        expect_types(given[: len(inits)], inits, "what the body yields to the next step")
        expect_types(self.out.types, scan_types(inits, given, steps), "the results")

    def steps(self) -> int:
        """The number of steps, `DYNAMIC` if known only at run time."""
        return scan_length(self.sequences.types, None if self.length is None else self.length.value.data)

    def print(self, printer: Printer) -> None:
        arguments = self.body.block.args
        printer.print_string(" ")
        print_pairs(printer, arguments[: len(self.inits)], self.inits)
        if self.sequences:
            printer.print_string(" over ")
            print_pairs(printer, arguments[len(self.inits) :], self.sequences)
        if self.length is not None:
            printer.print_string(f" length = {self.length.value.data}")
        if self.reverse is not None:
            printer.print_string(" reverse")
        printer.print_string(" : ")
        printer.print_operation_type(self)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> ScanOp:
        carried = parse_pairs(parser)
        scanned = parse_pairs(parser) if parser.parse_optional_keyword("over") else []
        length: int | None = None
        if parser.parse_optional_keyword("length"):
            parser.parse_punctuation("=")
            length = parser.parse_integer(allow_boolean=False)
        reverse = parser.parse_optional_keyword("reverse") is not None
        parser.parse_punctuation(":")
        function = parser.parse_function_type()
        types = function.inputs.data
        check_count(parser, len(types), len(carried) + len(scanned), "operand types")
        operands = [parser.resolve_operand(operand, type) for (_, operand), type in zip(carried + scanned, types)]
        seen = (*types[: len(carried)], *slice_types(types[len(carried) :]))
        body = parser.parse_region([argument.resolve(type) for (argument, _), type in zip(carried + scanned, seen)])
        attributes = parser.parse_optional_attr_dict_with_keyword()
        return cls.build(
            operands=(operands[: len(carried)], operands[len(carried) :]),
            result_types=(function.outputs.data,),
            properties={"length": None if length is None else integer(length), "reverse": flag(reverse)},
            regions=(body,),
            attributes=attributes.data if attributes else {},
        )


CONTROL = (YieldOp, IfOp, WhileOp, ScanOp)
