"""The dialect of the Toy language: tensors of f64 whose shapes are inferred, structs of them, and printing.

It is the dialect of MLIR's Toy tutorial (chapters 2 to 7) with five more operations: `toy.sub`,
`toy.reduce_sum`, `toy.broadcast`, `toy.concat` and `toy.matmul`. A function is generic: its arguments are
`tensor<*xf64>` and a call of it is specialised by inlining. One method of each op computes the type of its
result (`ShapeInference`); the verifier and the pass `infer-shapes` both ask it, so they agree.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    FlatSymbolRefAttrConstr,
    Float64Type,
    FunctionType,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    TensorType,
    UnrankedTensorType,
    f64,
    i64,
)
from xdsl.dialects.utils import parse_func_op_like, print_func_op_like
from xdsl.ir import (
    Attribute,
    Block,
    Dialect,
    Operation,
    ParametrizedAttribute,
    Region,
    SSAValue,
    TypeAttribute,
)
from xdsl.irdl import (
    AnyOf,
    BaseAttr,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import (
    CallableOpInterface,
    ConstantLike,
    HasParent,
    IsolatedFromAbove,
    IsTerminator,
    Pure,
    ReturnLike,
    SymbolOpInterface,
    SymbolTable,
    SymbolUserOpInterface,
)
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

TensorOfF64: TypeAlias = TensorType[Float64Type]
UNRANKED = UnrankedTensorType(f64)

# From the types of the operands, all ranked, to the shape of the result.
Rule: TypeAlias = Callable[[Attribute, Attribute], tuple[int, ...]]


@irdl_attr_definition
class StructType(ParametrizedAttribute, TypeAttribute):
    """`!toy.struct<tensor<*xf64>, …>`: a struct's members, tensors or structs, by position; one at least."""

    name = "toy.struct"
    members: ArrayAttr[Attribute]

    @classmethod
    def of(cls, members: Sequence[Attribute]) -> StructType:
        return cls(ArrayAttr(members))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        return (ArrayAttr(parser.parse_comma_separated_list(parser.Delimiter.ANGLE, parser.parse_type)),)

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_list(self.members, printer.print_attribute)

    def verify(self) -> None:
        if not self.members.data:
            raise VerifyException("a struct has one member at least")
        for member in self.members:
            if not is_toy_type(member):
                raise VerifyException(f"a struct's members are tensors of f64 or structs, found {member}")


Ranked = TensorType.constr(BaseAttr(Float64Type))
Tensor = AnyOf((Ranked, BaseAttr(UnrankedTensorType)))
Value = AnyOf((Ranked, BaseAttr(UnrankedTensorType), BaseAttr(StructType)))
Numbers: TypeAlias = DenseIntOrFPElementsAttr[Float64Type]


class ShapeError(VerifyException):
    """Shapes that do not fit each other: the message says which, the hint what would fit."""

    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.hint = hint


def is_toy_type(found: Attribute) -> bool:
    """Whether it is `tensor<*xf64>`, a ranked tensor of f64, or a struct."""
    if isinstance(found, TensorType | UnrankedTensorType):
        element = cast(Attribute, found.element_type)  # pyright: ignore[reportUnknownMemberType]
        return element == f64
    return isinstance(found, StructType)


def tensor(shape: Sequence[int]) -> TensorOfF64:
    return TensorType(f64, tuple(shape))


def shape_of(found: Attribute) -> tuple[int, ...] | None:
    """The shape of a tensor type, None where it is not known yet."""
    return found.get_shape() if isinstance(found, TensorType) else None


def elements(shape: Sequence[int]) -> int:
    """How many elements a tensor of this shape has."""
    return math.prod(shape)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as Toy writes it: `<2, 3>`."""
    return f"<{', '.join(map(str, shape))}>"


def fits(found: Attribute, wanted: Attribute) -> bool:
    """Whether a value of type `found` may stand where `wanted` is declared: equal, or less is known of one."""
    if isinstance(found, StructType) and isinstance(wanted, StructType):
        pairs = zip(found.members, wanted.members)
        return len(found.members) == len(wanted.members) and all(fits(a, b) for a, b in pairs)
    if isinstance(found, StructType) or isinstance(wanted, StructType):
        return False
    return found == wanted or UNRANKED in (found, wanted)


# What the types of results follow from. Each takes the operands' shapes, all known, and gives the result's.


def equal_shapes(verb: str, joint: str) -> Rule:
    """The rule of element-by-element operations, with the words of its message."""

    def rule(lhs: Attribute, rhs: Attribute) -> tuple[int, ...]:
        a, b = known(lhs), known(rhs)
        if a == b:
            return a
        wanted = next((wide for narrow, wide in ((b, a), (a, b)) if broadcasts(narrow, wide)), None)
        if wanted is not None:
            narrow = "the first" if wanted == b else "the second"
            hint = f"nothing is broadcast unasked: write broadcast(…, {shape_text(wanted)}) around {narrow} operand"
        else:
            hint = f"the shapes, {shape_text(a)} and {shape_text(b)}, must be equal"
            if verb == "multiply" and len(a) == len(b) == 2 and a[1] == b[0]:
                hint += "; the matrix product is matmul(…, …)"
        raise ShapeError(f"cannot {verb} {lhs} {joint} {rhs}", hint)

    return rule


def known(found: Attribute) -> tuple[int, ...]:
    shape = shape_of(found)
    assert shape is not None, f"{found} has no shape"
    return shape


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether NumPy would broadcast: sizes, aligned at the last axis, are equal or 1."""
    aligned = to[len(to) - len(shape) :]
    return len(shape) <= len(to) and all(size in (1, wide) for size, wide in zip(shape, aligned))


def product_shape(lhs: Attribute, rhs: Attribute) -> tuple[int, ...]:
    """(m, k) and (k, n) -> (m, n)"""
    a, b = known(lhs), known(rhs)
    if len(a) != 2 or len(b) != 2:
        raise ShapeError(f"cannot multiply {lhs} by {rhs}", "matmul takes matrices, tensors of rank 2")
    if a[1] != b[0]:
        hint = f"the inner sizes, {a[1]} and {b[0]}, must be equal"
        raise ShapeError(f"cannot multiply {lhs} by {rhs}", hint)
    return a[0], b[1]


def axis_of(message: str, shape: tuple[int, ...], axis: int) -> int:
    """`axis` counted from the front; -1 is the last one."""
    if not -len(shape) <= axis < len(shape):
        axes = f"its axes are 0 to {len(shape) - 1}, or -{len(shape)} to -1 from the back"
        raise ShapeError(message, axes if shape else "it is a number and has no axes")
    return axis % len(shape)


def reversed_shape(arg: Attribute) -> tuple[int, ...]:
    return known(arg)[::-1]


def sum_shape(arg: Attribute, axis: int) -> tuple[int, ...]:
    """The shape without the axis."""
    shape = known(arg)
    axis = axis_of(f"cannot sum {arg} along axis {axis}", shape, axis)
    return shape[:axis] + shape[axis + 1 :]


def concat_shape(lhs: Attribute, rhs: Attribute, axis: int) -> tuple[int, ...]:
    """Sizes along `axis` add up, the others are equal."""
    a, b = known(lhs), known(rhs)
    message = f"cannot concatenate {lhs} and {rhs} along axis {axis}"
    if len(a) != len(b):
        raise ShapeError(message, f"the ranks, {len(a)} and {len(b)}, must be equal")
    axis = axis_of(message, a, axis)
    for other, (m, n) in enumerate(zip(a, b)):
        if other != axis and m != n:
            raise ShapeError(message, f"the sizes of axis {other}, {m} and {n}, must be equal")
    return (*a[:axis], a[axis] + b[axis], *a[axis + 1 :])


def reshape_shape(arg: Attribute, to: tuple[int, ...]) -> tuple[int, ...]:
    found, wanted = elements(known(arg)), elements(to)
    if found != wanted:
        hint = f"{arg} has {found} elements, {shape_text(to)} has {wanted}"
        raise ShapeError(f"cannot reshape {arg} to {tensor(to)}", hint)
    return to


def broadcast_shape(arg: Attribute, to: tuple[int, ...]) -> tuple[int, ...]:
    if not broadcasts(known(arg), to):
        hint = "sizes, aligned at the last axis, must be equal or 1"
        raise ShapeError(f"cannot broadcast {arg} to {tensor(to)}", hint)
    return to


class ShapeInference(Operation, abc.ABC):
    """Interface of an op with one result whose type follows from its operands' types."""

    @abc.abstractmethod
    def inferred_type(self) -> Attribute:
        """The result's type as far as the operands' types tell; raises ShapeError where they do not fit."""

    def verify_(self) -> None:
        if self.results[0].type == UNRANKED:
            return  # nothing is claimed yet: whether the shapes fit is for `infer-shapes` to say, to the user
        inferred = self.inferred_type()
        if not fits(self.results[0].type, inferred):
            raise VerifyException(f"expected the result type {inferred}, found {self.results[0].type}")

    def from_operands(self, rule: Callable[..., Sequence[int]], *parameters: Any) -> Attribute:
        """What `rule` says of the operands' types, or unranked while the shape of one is unknown."""
        types = [operand.type for operand in self.operands]
        if any(shape_of(found) is None for found in types):
            return UNRANKED
        return tensor(rule(*types, *parameters))


def constant_of(value: SSAValue) -> Numbers | ArrayAttr[Attribute] | None:
    """The numbers or the struct of numbers that a value always is, None where that depends on more."""
    match value.owner:
        case ConstantOp(value=numbers) | StructConstantOp(value=numbers):
            return numbers
        case StructAccessOp() as access:
            return access.constant()
        case _:
            return None


@irdl_op_definition
class ConstantOp(ShapeInference, IRDLOperation):
    """A tensor written in the program: `toy.constant dense<[1.0, 2.0]> : tensor<2xf64>`."""

    name = "toy.constant"
    value = prop_def(DenseIntOrFPElementsAttr[Float64Type])
    out = result_def(Ranked)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, value: Numbers):
        super().__init__(result_types=(value.type,), properties={"value": value})

    @classmethod
    def of(cls, numbers: npt.ArrayLike) -> ConstantOp:
        """The constant that holds a NumPy array's numbers in its shape."""
        return cls(numbers_attribute(np.asarray(numbers, np.float64)))

    def inferred_type(self) -> Attribute:
        return self.value.type

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        place = parser.pos
        value = parser.parse_attribute()
        if not isa(value, Numbers):
            parser.raise_error("expected dense<…> : tensor<…xf64>", place)
        op = cls(value)
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_attribute(self.value)
        printer.print_op_attributes(self.attributes)


def numbers_attribute(numbers: npt.NDArray[np.float64]) -> Numbers:
    return DenseIntOrFPElementsAttr.from_list(tensor(numbers.shape), [float(x) for x in numbers.flat])


def numbers_of(value: Numbers) -> npt.NDArray[np.float64]:
    """The array an attribute holds."""
    return np.array(value.get_values(), np.float64).reshape(value.get_shape())


class BinaryOp(ShapeInference, IRDLOperation, abc.ABC):
    """An operation on two tensors: `toy.add %a, %b : tensor<*xf64>`; types that differ are all written."""

    lhs = operand_def(Tensor)
    rhs = operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())

    RULE: ClassVar[Rule]

    def __init__(self, lhs: SSAValue, rhs: SSAValue, result_type: Attribute = UNRANKED):
        super().__init__(operands=(lhs, rhs), result_types=(result_type,))

    def inferred_type(self) -> Attribute:
        return self.from_operands(type(self).RULE)

    @classmethod
    def parse(cls, parser: Parser) -> BinaryOp:
        place = parser.pos
        names = [parser.parse_unresolved_operand()]
        parser.parse_punctuation(",")
        names.append(parser.parse_unresolved_operand())
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        found = parser.parse_type()
        types, result = [found, found], found
        if isinstance(found, FunctionType):
            if len(found.outputs) != 1:
                parser.raise_error("expected one result type")
            types, result = list(found.inputs), found.outputs.data[0]
        lhs, rhs = parser.resolve_operands(names, types, place)
        op = cls(lhs, rhs, result)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        types = [operand.type for operand in self.operands]
        if {*types} == {self.out.type}:
            printer.print_attribute(self.out.type)
        else:
            printer.print_attribute(FunctionType.from_lists(types, (self.out.type,)))


@irdl_op_definition
class AddOp(BinaryOp):
    """out[i] = lhs[i] + rhs[i]; the shapes are equal."""

    name = "toy.add"
    RULE: ClassVar[Rule] = equal_shapes("add", "and")


@irdl_op_definition
class SubOp(BinaryOp):
    """out[i] = lhs[i] - rhs[i]; the shapes are equal. (The tutorial's language parses `-` and stops there.)"""

    name = "toy.sub"
    RULE: ClassVar[Rule] = equal_shapes("subtract", "and")


@irdl_op_definition
class MulOp(BinaryOp):
    """out[i] = lhs[i] * rhs[i]; the shapes are equal."""

    name = "toy.mul"
    RULE: ClassVar[Rule] = equal_shapes("multiply", "by")


@irdl_op_definition
class MatmulOp(BinaryOp):
    """Matrix product: (m, k) @ (k, n) -> (m, n)."""

    name = "toy.matmul"
    RULE: ClassVar[Rule] = product_shape


@irdl_op_definition
class TransposeOp(ShapeInference, IRDLOperation):
    """The axes in reverse order: `toy.transpose(%a : tensor<2x3xf64>) to tensor<3x2xf64>`."""

    name = "toy.transpose"
    arg = operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "`(` $arg `:` type($arg) `)` attr-dict `to` type($out)"

    def __init__(self, arg: SSAValue, result_type: Attribute = UNRANKED):
        super().__init__(operands=(arg,), result_types=(result_type,))

    def inferred_type(self) -> Attribute:
        return self.from_operands(reversed_shape)


@irdl_op_definition
class ReshapeOp(ShapeInference, IRDLOperation):
    """The same elements in another shape: `toy.reshape(%a : tensor<6xf64>) to tensor<2x3xf64>`."""

    name = "toy.reshape"
    arg = operand_def(Tensor)
    out = result_def(Ranked)
    traits = traits_def(Pure())
    assembly_format = "`(` $arg `:` type($arg) `)` attr-dict `to` type($out)"

    def __init__(self, arg: SSAValue, result_type: Attribute):
        super().__init__(operands=(arg,), result_types=(result_type,))

    def inferred_type(self) -> Attribute:
        return self.from_operands(reshape_shape, known(self.out.type))


@irdl_op_definition
class BroadcastOp(ShapeInference, IRDLOperation):
    """The elements repeated as NumPy does: `toy.broadcast(%a : tensor<3xf64>) to tensor<2x3xf64>`."""

    name = "toy.broadcast"
    arg = operand_def(Tensor)
    out = result_def(Ranked)
    traits = traits_def(Pure())
    assembly_format = "`(` $arg `:` type($arg) `)` attr-dict `to` type($out)"

    def __init__(self, arg: SSAValue, result_type: Attribute):
        super().__init__(operands=(arg,), result_types=(result_type,))

    def inferred_type(self) -> Attribute:
        return self.from_operands(broadcast_shape, known(self.out.type))


@irdl_op_definition
class ReduceSumOp(ShapeInference, IRDLOperation):
    """The sum along an axis, which goes: `toy.reduce_sum(%a : tensor<2x3xf64>) along 0 to tensor<3xf64>`."""

    name = "toy.reduce_sum"
    arg = operand_def(Tensor)
    axis = prop_def(IntegerAttr.constr(i64))
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "`(` $arg `:` type($arg) `)` `along` $axis attr-dict `to` type($out)"

    def __init__(self, arg: SSAValue, axis: int, result_type: Attribute = UNRANKED):
        properties = {"axis": IntegerAttr(axis, i64)}
        super().__init__(operands=(arg,), result_types=(result_type,), properties=properties)

    def inferred_type(self) -> Attribute:
        return self.from_operands(sum_shape, self.axis.value.data)


@irdl_op_definition
class ConcatOp(ShapeInference, IRDLOperation):
    """One tensor after another: `toy.concat(%a, %b : tensor<2xf64>, tensor<3xf64>) along 0 to tensor<5xf64>`."""

    name = "toy.concat"
    lhs = operand_def(Tensor)
    rhs = operand_def(Tensor)
    axis = prop_def(IntegerAttr.constr(i64))
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "`(` $lhs `,` $rhs `:` type($lhs) `,` type($rhs) `)` `along` $axis attr-dict `to` type($out)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, axis: int, result_type: Attribute = UNRANKED):
        properties = {"axis": IntegerAttr(axis, i64)}
        super().__init__(operands=(lhs, rhs), result_types=(result_type,), properties=properties)

    def inferred_type(self) -> Attribute:
        return self.from_operands(concat_shape, self.axis.value.data)


@irdl_op_definition
class CastOp(ShapeInference, IRDLOperation):
    """The same tensor with more or less known of its shape: `toy.cast %a : tensor<2xf64> to tensor<*xf64>`.

    Inlining writes it where a call's argument has a shape and the parameter has none.
    """

    name = "toy.cast"
    arg = operand_def(Value)
    out = result_def(Value)
    traits = traits_def(Pure())
    assembly_format = "$arg attr-dict `:` type($arg) `to` type($out)"

    def __init__(self, arg: SSAValue, result_type: Attribute):
        super().__init__(operands=(arg,), result_types=(result_type,))

    def inferred_type(self) -> Attribute:
        return self.out.type if shape_of(self.arg.type) is None else self.arg.type

    def verify_(self) -> None:
        if not fits(self.arg.type, self.out.type):
            raise VerifyException(f"cannot cast {self.arg.type} to {self.out.type}")


@irdl_op_definition
class StructConstantOp(IRDLOperation):
    """A struct written in the program, its members in order:
    `toy.struct_constant [dense<4.0> : tensor<f64>, dense<[1.0, 2.0]> : tensor<2xf64>] : !toy.struct<…>`.
    """

    name = "toy.struct_constant"
    value = prop_def(ArrayAttr[Attribute])
    out = result_def(StructType)
    traits = traits_def(Pure(), ConstantLike())
    assembly_format = "$value attr-dict `:` type($out)"

    def __init__(self, value: ArrayAttr[Attribute], result_type: StructType):
        super().__init__(result_types=(result_type,), properties={"value": value})

    def verify_(self) -> None:
        found = constant_type(self.value)
        if not fits(found, self.out.type):
            raise VerifyException(f"a constant of type {found} is no {self.out.type}")


def constant_type(value: Attribute) -> Attribute:
    """The type of a constant: a tensor's own, or the struct of its members' types."""
    match value:
        case DenseIntOrFPElementsAttr():
            return value.type  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        case ArrayAttr():
            members: tuple[Attribute, ...] = value.data  # pyright: ignore[reportUnknownMemberType]
            return StructType.of([constant_type(member) for member in members])
        case _:
            raise VerifyException(f"expected a tensor of numbers or an array of such, found {value}")


@irdl_op_definition
class StructAccessOp(ShapeInference, IRDLOperation):
    """A member of a struct: `toy.struct_access %s[0] : !toy.struct<tensor<*xf64>> -> tensor<*xf64>`."""

    name = "toy.struct_access"
    arg = operand_def(StructType)
    index = prop_def(IntegerAttr.constr(i64))
    out = result_def(Value)
    traits = traits_def(Pure())
    assembly_format = "$arg `[` $index `]` attr-dict `:` type($arg) `->` type($out)"

    def __init__(self, arg: SSAValue, index: int, result_type: Attribute | None = None):
        if result_type is None:
            assert isinstance(arg.type, StructType)
            result_type = arg.type.members.data[index]
        properties = {"index": IntegerAttr(index, i64)}
        super().__init__(operands=(arg,), result_types=(result_type,), properties=properties)

    def constant(self) -> Numbers | ArrayAttr[Attribute] | None:
        """The member's value where the struct is a constant."""
        members = constant_of(self.arg)
        if not isinstance(members, ArrayAttr):
            return None
        member = members.data[self.index.value.data]
        assert isinstance(member, DenseIntOrFPElementsAttr | ArrayAttr)
        return member  # pyright: ignore[reportUnknownVariableType]

    def inferred_type(self) -> Attribute:
        assert isinstance(self.arg.type, StructType)
        members, index = self.arg.type.members.data, self.index.value.data
        constant = self.constant()
        # Structs keep the type they were declared with: only the shapes of tensors are inferred.
        if isinstance(constant, DenseIntOrFPElementsAttr):
            return constant.type
        return members[index]

    def verify_(self) -> None:
        assert isinstance(self.arg.type, StructType)
        if not 0 <= self.index.value.data < len(self.arg.type.members):
            raise VerifyException(f"{self.arg.type} has no member {self.index.value.data}")
        super().verify_()


@irdl_op_definition
class PrintOp(IRDLOperation):
    """Writes a tensor to the standard output, each element as C's `%f` and a space.

    A line ends after each innermost row, and after each higher axis but the first: a number or a vector
    ends no line. That is what the tutorial's compiler prints. The op outlives its dialect: it takes the
    tensors of `ml` and `linalg` as well, until `lower-print` writes it as loops.
    """

    name = "toy.print"
    arg = operand_def(Tensor)
    assembly_format = "$arg attr-dict `:` type($arg)"

    def __init__(self, arg: SSAValue):
        super().__init__(operands=(arg,))


class FuncOpCallable(CallableOpInterface):
    """Says that a `toy.func` can be called."""

    @classmethod
    def get_callable_region(cls, op: Operation) -> Region:
        assert isinstance(op, FuncOp)
        return op.body

    @classmethod
    def get_argument_types(cls, op: Operation) -> tuple[Attribute, ...]:
        assert isinstance(op, FuncOp)
        return op.function_type.inputs.data

    @classmethod
    def get_result_types(cls, op: Operation) -> tuple[Attribute, ...]:
        assert isinstance(op, FuncOp)
        return op.function_type.outputs.data


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A function: arguments of any shape, one block, one result at most."""

    name = "toy.func"
    body = region_def("single_block")
    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    sym_visibility = opt_prop_def(StringAttr)
    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), FuncOpCallable())

    def __init__(self, name: str, function_type: FunctionType, region: Region | None = None, private: bool = False):
        properties: dict[str, Attribute | None] = {
            "sym_name": StringAttr(name),
            "function_type": function_type,
            "sym_visibility": StringAttr("private") if private else None,
        }
        body = Region(Block(arg_types=function_type.inputs)) if region is None else region
        super().__init__(properties=properties, regions=[body])

    def verify_(self) -> None:
        if self.function_type.inputs.data != tuple(self.body.block.arg_types):
            raise VerifyException("the types of the block's arguments are not those of the function's inputs")
        if len(self.function_type.outputs) > 1:
            raise VerifyException(f"a function has one result at most, found {len(self.function_type.outputs)}")
        if not isinstance(self.body.block.last_op, ReturnOp):
            raise VerifyException("expected toy.return at the end of the function")

    @classmethod
    def parse(cls, parser: Parser) -> FuncOp:
        visibility = parser.parse_optional_visibility_keyword()
        reserved = ("sym_name", "function_type", "sym_visibility")
        name, inputs, outputs, region, attributes, _, _ = parse_func_op_like(parser, reserved_attr_names=reserved)
        if not region.blocks:
            parser.raise_error("expected a function body")
        op = cls(name, FunctionType.from_lists(inputs, outputs), region)
        if visibility is not None:
            op.properties["sym_visibility"] = visibility
        if attributes is not None:
            op.attributes |= attributes.data
        return op

    def print(self, printer: Printer) -> None:
        if self.sym_visibility is not None:
            printer.print_string(f" {self.sym_visibility.data}")
        print_func_op_like(
            printer,
            self.sym_name,
            self.function_type,
            self.body,
            self.attributes,
            reserved_attr_names=("sym_name", "function_type", "sym_visibility"),
        )


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Ends a function, with its value if it has one."""

    name = "toy.return"
    arg = opt_operand_def(Value)
    traits = traits_def(HasParent(FuncOp), IsTerminator(), ReturnLike())
    assembly_format = "($arg^ `:` type($arg))? attr-dict"

    def __init__(self, arg: SSAValue | None = None):
        super().__init__(operands=(arg,))

    def verify_(self) -> None:
        function = self.parent_op()
        assert isinstance(function, FuncOp)
        wanted = function.function_type.outputs.data
        found = tuple(operand.type for operand in self.operands)
        if len(found) != len(wanted) or not all(fits(a, b) for a, b in zip(found, wanted)):
            texts = [", ".join(map(str, types)) or "nothing" for types in (wanted, found)]
            raise VerifyException(f"the function returns {texts[0]}, found {texts[1]}")


class CalleeExists(SymbolUserOpInterface):
    """The callee is a `toy.func` of this module whose parameters take the arguments."""

    def verify(self, op: Operation) -> None:
        assert isinstance(op, GenericCallOp)
        callee = SymbolTable.lookup_symbol(op, op.callee)
        if not isinstance(callee, FuncOp):
            raise VerifyException(f"'{op.callee}' is no function of this module")
        declared = callee.function_type
        pairs = [(op.arguments, declared.inputs.data), (op.out, declared.outputs.data)]
        for values, wanted in pairs:
            types = [value.type for value in values]
            if len(types) != len(wanted) or not all(fits(a, b) for a, b in zip(types, wanted)):
                raise VerifyException(f"'{op.callee}' has the type {declared}")


@irdl_op_definition
class GenericCallOp(IRDLOperation):
    """A call of a function for arguments of any shape:
    `toy.generic_call @f(%a) : (tensor<2x3xf64>) -> tensor<*xf64>`.
    """

    name = "toy.generic_call"
    callee = prop_def(FlatSymbolRefAttrConstr)
    arguments = var_operand_def(Value)
    out = var_result_def(Value)
    traits = traits_def(CalleeExists())
    assembly_format = "$callee `(` $arguments `)` attr-dict `:` functional-type($arguments, $out)"

    def __init__(self, callee: str, arguments: Sequence[SSAValue], result_types: Sequence[Attribute]):
        properties = {"callee": SymbolRefAttr(callee)}
        super().__init__(operands=(arguments,), result_types=(result_types,), properties=properties)


Toy = Dialect(
    "toy",
    [
        ConstantOp,
        AddOp,
        SubOp,
        MulOp,
        MatmulOp,
        TransposeOp,
        ReshapeOp,
        BroadcastOp,
        ReduceSumOp,
        ConcatOp,
        CastOp,
        StructConstantOp,
        StructAccessOp,
        PrintOp,
        FuncOp,
        ReturnOp,
        GenericCallOp,
    ],
    [StructType],
)
