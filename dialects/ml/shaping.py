"""Ops of `ml` that make tensors, change their shape, or move their elements; none of them computes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, BytesAttr, DenseIntOrFPElementsAttr, i64
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa
from xdsl.utils.str_enum import StrEnum

from xmlc.dialects.dtypes import ELEMENTS, FROM_NUMPY, INTEGERS, TO_NUMPY, is_bool
from xmlc.dialects.ml.attributes import Integer, Integers, integer, integers
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    broadcast_shapes,
    element_of,
    expect_elements,
    expect_rank,
    expect_type,
    merge_sizes,
    normalize_axes,
    normalize_axis,
    rank_of,
    shape_of,
    shape_text,
    tensor,
)
from xmlc.dialects.sizes import Size, encoding_of, same_size, sizes_of


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A tensor known at compile time. Weights are arguments instead: constants are meant to be small."""

    name = "ml.constant"
    value = prop_def(DenseIntOrFPElementsAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, value: NDArray[np.generic] | DenseIntOrFPElementsAttr):
        attribute = value if isinstance(value, DenseIntOrFPElementsAttr) else dense(value)
        super().__init__(result_types=(attribute.type,), properties={"value": attribute})

    def verify_(self) -> None:
        if self.value.type != self.out.type:
            raise VerifyException(f"result type is {self.out.type}, expected that of the value, {self.value.type}")

    def array(self) -> NDArray[np.generic]:
        """The value as a read-only NumPy array."""
        return array_of(self.value)

    def print(self, printer: Printer) -> None:
        """`ml.constant dense<1> : tensor<2xi64>`: the value says the type."""
        printer.print_op_attributes(self.attributes)
        printer.print_string(" ")
        printer.print_attribute(self.value)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        attributes = parser.parse_optional_attr_dict()
        value = parser.parse_attribute()
        if not isa(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected the value of a tensor, as in dense<1> : tensor<2xi64>")
        made = cls(value)
        made.attributes.update(attributes)
        return made


def dense(array: NDArray[np.generic]) -> DenseIntOrFPElementsAttr:
    """The attribute that holds `array`; bools are stored as xDSL does, one value an element."""
    element = FROM_NUMPY[array.dtype]
    kind = tensor(array.shape, element)
    if is_bool(element):
        return DenseIntOrFPElementsAttr.from_list(kind, [int(x) for x in array.ravel().tolist()])  # pyright: ignore
    return DenseIntOrFPElementsAttr(kind, BytesAttr(np.ascontiguousarray(array).tobytes()))  # pyright: ignore


def array_of(value: DenseIntOrFPElementsAttr) -> NDArray[np.generic]:
    """The NumPy array (read-only) that a dense attribute stands for; splats are expanded."""
    element, shape = value.type.element_type, value.type.get_shape()
    dtype = TO_NUMPY[element]
    if is_bool(element):
        flat = np.array([bool(x) for x in value.get_values()], dtype)
    else:
        flat = np.frombuffer(value.data.data, dtype)
    return np.broadcast_to(flat, (prod(shape),)).reshape(shape) if flat.size == 1 else flat.reshape(shape)


@irdl_op_definition
class SizesOp(IRDLOperation):
    """Sizes of the program as a vector of integers: shape arithmetic that is known only at run time.

    `ml.sizes ["batch", "2*length"]`: numbers and free sizes, as they are written in the types of tensors.
    """

    name = "ml.sizes"
    sizes = prop_def(ArrayAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$sizes attr-dict `->` type($out)"

    def __init__(self, sizes: Sequence[int]):
        super().__init__(result_types=(tensor((len(sizes),), i64),), properties={"sizes": encoding_of(sizes)})

    def values(self) -> tuple[int, ...]:
        """The sizes."""
        values = sizes_of(self.sizes)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        assert values is not None
        return values

    def verify_(self) -> None:
        expect_type(self.out.type, tensor((len(self.values()),), i64))


@irdl_op_definition
class IotaOp(IRDLOperation):
    """out[i] = i[axis], as the result's element type"""

    name = "ml.iota"
    axis = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "`axis` `=` $axis attr-dict `->` type($out)"

    def __init__(self, shape: Sequence[int], axis: int, element: Attribute):
        super().__init__(
            result_types=(tensor(shape, element),),
            properties={"axis": integer(normalize_axis(axis, len(shape)))},
        )

    def verify_(self) -> None:
        normalize_axis(self.axis.value.data, rank_of(self.out))
        if is_bool(element_of(self.out)):
            raise VerifyException("element type i1 is not accepted, expected a number")


def broadcast_type(x: SSAValue | Attribute, shape: Sequence[int]) -> TensorLike:
    """The type of x stretched to a shape."""
    sizes = tuple(shape)
    if DYNAMIC not in sizes and broadcast_shapes(shape_of(x), sizes) != sizes:
        raise VerifyException(f"cannot broadcast {shape_text(shape_of(x))} to {shape_text(sizes)}")
    return tensor(sizes, element_of(x))


@irdl_op_definition
class BroadcastOp(IRDLOperation):
    """x stretched to the result's shape by NumPy's rules: aligned right, size 1 repeats."""

    name = "ml.broadcast"
    x = operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, shape: Sequence[int]):
        super().__init__(operands=(x,), result_types=(broadcast_type(x, shape),))

    def verify_(self) -> None:
        expect_type(self.out.type, broadcast_type(self.x, shape_of(self.out)))


def reshape_type(x: SSAValue | Attribute, shape: Sequence[int]) -> TensorLike:
    """The type of x under another shape."""
    before, after = shape_of(x), tuple(shape)
    if DYNAMIC not in (*before, *after) and not same_size(prod(before), prod(after)):
        raise VerifyException(
            f"cannot reshape {shape_text(before)} to {shape_text(after)}: {prod(before)} elements are not {prod(after)}"
        )
    return tensor(after, element_of(x))


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The same elements in row-major order under another shape."""

    name = "ml.reshape"
    x = operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, shape: Sequence[int]):
        super().__init__(operands=(x,), result_types=(reshape_type(x, shape),))

    def verify_(self) -> None:
        expect_type(self.out.type, reshape_type(self.x, shape_of(self.out)))


def transpose_type(x: Attribute, permutation: Sequence[int]) -> TensorLike:
    """out's dimension i is x's dimension permutation[i]"""
    shape = shape_of(x)
    if sorted(permutation) != list(range(len(shape))):
        raise VerifyException(f"permutation {list(permutation)} is not one of the {len(shape)} dimensions of {x}")
    return tensor([shape[axis] for axis in permutation], element_of(x))


@irdl_op_definition
class TransposeOp(IRDLOperation):
    """out[i[permutation[0]], i[permutation[1]], …] = x[…]: dimension k of out is dimension permutation[k] of x."""

    name = "ml.transpose"
    x = operand_def(Tensor)
    permutation = prop_def(Integers)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x $permutation attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, permutation: Sequence[int] | None = None):
        """Reverses the dimensions when no permutation is given."""
        order = tuple(reversed(range(rank_of(x)))) if permutation is None else tuple(permutation)
        super().__init__(
            operands=(x,),
            result_types=(transpose_type(x.type, order),),
            properties={"permutation": integers(order)},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, transpose_type(self.x.type, self.permutation.get_values()))


def concat_type(inputs: Sequence[Attribute], axis: int) -> TensorLike:
    if not inputs:
        raise VerifyException("concat needs at least one operand")
    element = expect_elements(ELEMENTS, *inputs)
    shape = list(shape_of(inputs[0]))
    axis = normalize_axis(axis, len(shape))
    for each in inputs[1:]:
        expect_rank(each, len(shape), "every operand of a concat")
        for i, size in enumerate(shape_of(each)):
            if i != axis:
                shape[i] = merge_sizes(shape[i], size, f"sizes in dimension {i} of a concat along {axis}")
    sizes = [shape_of(each)[axis] for each in inputs]
    shape[axis] = DYNAMIC if DYNAMIC in sizes else sum(sizes)
    return tensor(shape, element)


@irdl_op_definition
class ConcatOp(IRDLOperation):
    """The inputs laid one after the other along `axis`."""

    name = "ml.concat"
    inputs = var_operand_def(Tensor)
    axis = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$inputs `axis` `=` $axis attr-dict `:` type($inputs) `->` type($out)"

    def __init__(self, inputs: Sequence[SSAValue], axis: int):
        result = concat_type([each.type for each in inputs], axis)
        super().__init__(
            operands=(inputs,),
            result_types=(result,),
            properties={"axis": integer(normalize_axis(axis, len(result.get_shape())))},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, concat_type([each.type for each in self.inputs], self.axis.value.data))


def slice_type(x: Attribute, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> TensorLike:
    shape = shape_of(x)
    if not len(starts) == len(sizes) == len(strides) == len(shape):
        raise VerifyException(f"a slice of {x} needs {len(shape)} starts, sizes and strides")
    for axis, (start, size, stride, extent) in enumerate(zip(starts, sizes, strides, shape)):
        if size == DYNAMIC:
            continue
        if size < 0 or stride == 0:
            raise VerifyException(f"size {size} with stride {stride} in dimension {axis} is not a slice")
        last = start + (size - 1) * stride
        if size != 0 and extent != DYNAMIC and not (0 <= start < extent and 0 <= last < extent):
            raise VerifyException(
                f"slice from {start} to {last} is out of bounds for size {extent} of dimension {axis}"
            )
    return tensor(sizes, element_of(x))


@irdl_op_definition
class SliceOp(IRDLOperation):
    """out[i] = x[starts + i * strides], for i below sizes; strides may be negative."""

    name = "ml.slice"
    x = operand_def(Tensor)
    starts = prop_def(Integers)
    sizes = prop_def(Integers)
    strides = prop_def(Integers)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `starts` `=` $starts `sizes` `=` $sizes `strides` `=` $strides attr-dict `:` type($x) `->` type($out)"
    )

    def __init__(self, x: SSAValue, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None = None):
        strides = (1,) * len(starts) if strides is None else strides
        super().__init__(
            operands=(x,),
            result_types=(slice_type(x.type, starts, sizes, strides),),
            properties={
                "starts": integers(starts),
                "sizes": integers(DYNAMIC if isinstance(size, Size) else size for size in sizes),
                "strides": integers(strides),
            },
        )

    def size_list(self) -> tuple[int, ...]:
        """The sizes; those known only at run time as the result's type says them."""
        stated, found = self.sizes.get_values(), shape_of(self.out)
        return tuple(known if size == DYNAMIC else size for size, known in zip(stated, found, strict=True))

    def verify_(self) -> None:
        expect_type(
            self.out.type,
            slice_type(self.x.type, self.starts.get_values(), self.size_list(), self.strides.get_values()),
        )


class PadMode(StrEnum):
    CONSTANT = "constant"
    EDGE = "edge"
    REFLECT = "reflect"


@irdl_attr_definition
class PadModeAttr(EnumAttribute[PadMode], SpacedOpaqueSyntaxAttribute):
    """What `ml.pad` puts around a tensor: a value, the nearest element, or a mirror image without the edge."""

    name = "ml.pad_mode"


def pad_type(x: Attribute, low: Sequence[int], high: Sequence[int], mode: PadMode) -> TensorLike:
    shape = shape_of(x)
    if not len(low) == len(high) == len(shape):
        raise VerifyException(f"padding of {x} needs {len(shape)} low and high widths")
    result: list[int] = []
    for axis, (before, size, after) in enumerate(zip(low, shape, high)):
        if before < 0 or after < 0:
            raise VerifyException(f"padding must not be negative, found {before} and {after} in dimension {axis}")
        if mode is PadMode.EDGE and size == 0 and before + after:
            raise VerifyException(f"cannot repeat the edge of dimension {axis}, which is empty")
        if mode is PadMode.REFLECT and size != DYNAMIC and max(before, after) > max(size - 1, 0):
            raise VerifyException(
                f"reflect padding of {max(before, after)} in dimension {axis} needs a size above it, found {size}"
            )
        result.append(DYNAMIC if size == DYNAMIC else before + size + after)
    return tensor(result, element_of(x))


@irdl_op_definition
class PadOp(IRDLOperation):
    """x with `low` elements before and `high` after it in each dimension.

    `value` is the scalar of mode constant, and absent in the other modes.
    """

    name = "ml.pad"
    x = operand_def(Tensor)
    value = opt_operand_def(Tensor)
    low = prop_def(Integers)
    high = prop_def(Integers)
    mode = prop_def(PadModeAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x $mode (`value` $value^ `:` type($value))? `low` `=` $low `high` `=` $high "
        "attr-dict `:` type($x) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        low: Sequence[int],
        high: Sequence[int],
        mode: PadMode | str = PadMode.CONSTANT,
        value: SSAValue | None = None,
    ):
        mode = PadMode(mode)
        super().__init__(
            operands=(x, value),
            result_types=(pad_type(x.type, low, high, mode),),
            properties={"low": integers(low), "high": integers(high), "mode": PadModeAttr(mode)},
        )

    def verify_(self) -> None:
        if (self.value is not None) != (self.mode.data is PadMode.CONSTANT):
            found = "one" if self.value is not None else "none"
            raise VerifyException(f"a padding value goes with mode constant, found {found} with {self.mode.data.value}")
        if self.value is not None:
            expect_rank(self.value, 0, "the padding value")
            expect_elements(ELEMENTS, self.x.type, self.value.type)
        expect_type(
            self.out.type,
            pad_type(self.x.type, self.low.get_values(), self.high.get_values(), self.mode.data),
        )


@irdl_op_definition
class ReverseOp(IRDLOperation):
    """x with the order of its elements reversed along `axes`"""

    name = "ml.reverse"
    x = operand_def(Tensor)
    axes = prop_def(Integers)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `axes` `=` $axes attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, axes: Sequence[int]):
        super().__init__(
            operands=(x,),
            result_types=(x.type,),
            properties={"axes": integers(normalize_axes(axes, rank_of(x)))},
        )

    def verify_(self) -> None:
        normalize_axes(self.axes.get_values(), rank_of(self.x))
        expect_type(self.out.type, tensor(shape_of(self.x), element_of(self.x)))


@irdl_op_definition
class TileOp(IRDLOperation):
    """x laid side by side repeats[k] times along each dimension k"""

    name = "ml.tile"
    x = operand_def(Tensor)
    repeats = prop_def(Integers)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `repeats` `=` $repeats attr-dict `:` type($x) `->` type($out)"

    def __init__(self, x: SSAValue, repeats: Sequence[int]):
        super().__init__(
            operands=(x,),
            result_types=(tile_type(x.type, repeats),),
            properties={"repeats": integers(repeats)},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, tile_type(self.x.type, self.repeats.get_values()))


def tile_type(x: Attribute, repeats: Sequence[int]) -> TensorLike:
    shape = shape_of(x)
    if len(repeats) != len(shape) or any(count < 0 for count in repeats):
        raise VerifyException(f"tiling {x} needs {len(shape)} counts of at least 0, found {list(repeats)}")
    return tensor([DYNAMIC if s == DYNAMIC else s * n for s, n in zip(shape, repeats)], element_of(x))


# --- by index: an index out of range is clamped to the nearest valid one; negative ones do not count from the end


def gather_type(x: Attribute, indices: Attribute, axis: int) -> TensorLike:
    expect_elements(INTEGERS, indices)
    shape = shape_of(x)
    axis = normalize_axis(axis, len(shape))
    return tensor((*shape[:axis], *shape_of(indices), *shape[axis + 1 :]), element_of(x))


@irdl_op_definition
class GatherOp(IRDLOperation):
    """out[a, i, b] = x[a, indices[i], b]: whole slices of x along `axis` (ONNX Gather, NumPy take)"""

    name = "ml.gather"
    x = operand_def(Tensor)
    indices = operand_def(Tensor)
    axis = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `,` $indices `axis` `=` $axis attr-dict `:` type($x) `,` type($indices) `->` type($out)"

    def __init__(self, x: SSAValue, indices: SSAValue, axis: int):
        super().__init__(
            operands=(x, indices),
            result_types=(gather_type(x.type, indices.type, axis),),
            properties={"axis": integer(normalize_axis(axis, rank_of(x)))},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, gather_type(self.x.type, self.indices.type, self.axis.value.data))


def gather_elements_type(x: Attribute, indices: Attribute, axis: int) -> TensorLike:
    expect_elements(INTEGERS, indices)
    expect_rank(indices, rank_of(x), "the indices of gather_elements")
    axis = normalize_axis(axis, rank_of(x))
    for i, (count, size) in enumerate(zip(shape_of(indices), shape_of(x))):
        if i != axis and DYNAMIC not in (count, size) and count > size:
            raise VerifyException(f"indices have size {count} in dimension {i}, expected at most {size}")
    return tensor(shape_of(indices), element_of(x))


@irdl_op_definition
class GatherElementsOp(IRDLOperation):
    """out[a, i, b] = x[a, indices[a, i, b], b]: single elements along `axis` (ONNX GatherElements)"""

    name = "ml.gather_elements"
    x = operand_def(Tensor)
    indices = operand_def(Tensor)
    axis = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `,` $indices `axis` `=` $axis attr-dict `:` type($x) `,` type($indices) `->` type($out)"

    def __init__(self, x: SSAValue, indices: SSAValue, axis: int):
        super().__init__(
            operands=(x, indices),
            result_types=(gather_elements_type(x.type, indices.type, axis),),
            properties={"axis": integer(normalize_axis(axis, rank_of(x)))},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, gather_elements_type(self.x.type, self.indices.type, self.axis.value.data))


def gather_nd_type(x: Attribute, indices: Attribute, batch: int) -> TensorLike:
    expect_elements(INTEGERS, indices)
    shape, index_shape = shape_of(x), shape_of(indices)
    if not index_shape:
        raise VerifyException("the indices of gather_nd must have rank 1 or more")
    depth = index_shape[-1]
    if depth == DYNAMIC or not 0 <= batch <= min(len(shape), len(index_shape) - 1) or batch + depth > len(shape):
        raise VerifyException(
            f"indices {shape_text(index_shape)} with {batch} batch dimensions do not fit {shape_text(shape)}"
        )
    for i in range(batch):
        merge_sizes(shape[i], index_shape[i], f"sizes of batch dimension {i}")
    return tensor((*index_shape[:-1], *shape[batch + depth :]), element_of(x))


@irdl_op_definition
class GatherNdOp(IRDLOperation):
    """out[b, i, s] = x[b, indices[b, i, :], s] with `batch` leading dimensions b (ONNX GatherND)"""

    name = "ml.gather_nd"
    x = operand_def(Tensor)
    indices = operand_def(Tensor)
    batch = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = "$x `,` $indices `batch` `=` $batch attr-dict `:` type($x) `,` type($indices) `->` type($out)"

    def __init__(self, x: SSAValue, indices: SSAValue, batch: int = 0):
        super().__init__(
            operands=(x, indices),
            result_types=(gather_nd_type(x.type, indices.type, batch),),
            properties={"batch": integer(batch)},
        )

    def verify_(self) -> None:
        expect_type(self.out.type, gather_nd_type(self.x.type, self.indices.type, self.batch.value.data))


class Combine(StrEnum):
    SET = "set"
    ADD = "add"
    MUL = "mul"
    MAX = "max"
    MIN = "min"


@irdl_attr_definition
class CombineAttr(EnumAttribute[Combine], SpacedOpaqueSyntaxAttribute):
    """What a scatter does with the element that is there and the update; with `set` the last update stays."""

    name = "ml.combine"


def expect_updates(x: Attribute, updates: Attribute, shape: Sequence[int], combine: Combine) -> TensorLike:
    """Check that `updates` has `shape` and x's element type; the result has x's type."""
    element = expect_elements(ELEMENTS, x, updates)
    if combine is not Combine.SET and is_bool(element):
        raise VerifyException(f"element type i1 is not accepted by a scatter that combines with {combine.value}")
    expect_rank(updates, len(shape), "the updates")
    for i, (found, wanted) in enumerate(zip(shape_of(updates), shape)):
        merge_sizes(found, wanted, f"sizes in dimension {i} of the updates and of what they replace")
    return tensor(shape_of(x), element)


@irdl_op_definition
class ScatterElementsOp(IRDLOperation):
    """x with out[a, indices[a, i, b], b] combined with updates[a, i, b], in row-major order of the updates.

    Indices out of range are clamped (ONNX ScatterElements).
    """

    name = "ml.scatter_elements"
    x = operand_def(Tensor)
    indices = operand_def(Tensor)
    updates = operand_def(Tensor)
    axis = prop_def(Integer)
    combine = prop_def(CombineAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$combine $x `,` $indices `,` $updates `axis` `=` $axis attr-dict `:` "
        "type($x) `,` type($indices) `,` type($updates) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        indices: SSAValue,
        updates: SSAValue,
        axis: int,
        combine: Combine | str = Combine.SET,
    ):
        super().__init__(
            operands=(x, indices, updates),
            result_types=(x.type,),
            properties={
                "axis": integer(normalize_axis(axis, rank_of(x))),
                "combine": CombineAttr(Combine(combine)),
            },
        )

    def verify_(self) -> None:
        gather_elements_type(self.x.type, self.indices.type, self.axis.value.data)
        expect_type(
            self.out.type,
            expect_updates(self.x.type, self.updates.type, shape_of(self.indices), self.combine.data),
        )


@irdl_op_definition
class ScatterNdOp(IRDLOperation):
    """x with out[indices[i, :], s] combined with updates[i, s], in row-major order of the updates.

    Indices out of range are clamped (ONNX ScatterND).
    """

    name = "ml.scatter_nd"
    x = operand_def(Tensor)
    indices = operand_def(Tensor)
    updates = operand_def(Tensor)
    combine = prop_def(CombineAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$combine $x `,` $indices `,` $updates attr-dict `:` "
        "type($x) `,` type($indices) `,` type($updates) `->` type($out)"
    )

    def __init__(self, x: SSAValue, indices: SSAValue, updates: SSAValue, combine: Combine | str = Combine.SET):
        super().__init__(
            operands=(x, indices, updates),
            result_types=(x.type,),
            properties={"combine": CombineAttr(Combine(combine))},
        )

    def verify_(self) -> None:
        taken = shape_of(gather_nd_type(self.x.type, self.indices.type, 0))
        expect_type(self.out.type, expect_updates(self.x.type, self.updates.type, taken, self.combine.data))


def one_hot_type(indices: Attribute, off: Attribute, on: Attribute, depth: int, axis: int) -> TensorLike:
    expect_elements(INTEGERS, indices)
    expect_rank(off, 0, "the value of a one_hot")
    expect_rank(on, 0, "the value of a one_hot")
    if depth < 0:
        raise VerifyException(f"depth must not be negative, found {depth}")
    shape = list(shape_of(indices))
    shape.insert(normalize_axis(axis, len(shape) + 1), depth)
    return tensor(shape, expect_elements(ELEMENTS, off, on))


@irdl_op_definition
class OneHotOp(IRDLOperation):
    """out[a, k, b] = on where indices[a, b] == k, off elsewhere; the new dimension `axis` has size depth."""

    name = "ml.one_hot"
    indices = operand_def(Tensor)
    off = operand_def(Tensor)
    on = operand_def(Tensor)
    depth = prop_def(Integer)
    axis = prop_def(Integer)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$indices `,` $off `,` $on `depth` `=` $depth `axis` `=` $axis attr-dict `:` "
        "type($indices) `,` type($off) `,` type($on) `->` type($out)"
    )

    def __init__(self, indices: SSAValue, off: SSAValue, on: SSAValue, depth: int, axis: int = -1):
        super().__init__(
            operands=(indices, off, on),
            result_types=(one_hot_type(indices.type, off.type, on.type, depth, axis),),
            properties={
                "depth": integer(depth),
                "axis": integer(normalize_axis(axis, rank_of(indices) + 1)),
            },
        )

    def verify_(self) -> None:
        expect_type(
            self.out.type,
            one_hot_type(self.indices.type, self.off.type, self.on.type, self.depth.value.data, self.axis.value.data),
        )


SHAPING = (
    ConstantOp, SizesOp, IotaOp, BroadcastOp, ReshapeOp, TransposeOp, ConcatOp, SliceOp, PadOp, ReverseOp, TileOp,
    GatherOp, GatherElementsOp, GatherNdOp, ScatterElementsOp, ScatterNdOp, OneHotOp,
)  # fmt: skip
