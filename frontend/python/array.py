"""Arrays of a function that is being traced: they behave like NumPy's, and every operation makes an op of `ml`.

Element types combine by the rules of the Python array API standard; a Python number takes the type of the array it
meets. Where the standard leaves the result open, integers meet floats as the floats' type, and what needs floats and is
given integers computes in float32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce as reduce_pairs
from math import prod
from types import EllipsisType
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import bf16, f16, f32, f64, i1, i64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY, is_float, is_unsigned, u64
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import broadcast_shapes, element_of, rank_of, shape_of, shape_text
from xmlc.dialects.sizes import Size, same_size
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import Trace, active

Scalar: TypeAlias = "bool | int | float"
ArrayLike: TypeAlias = "Array | Scalar | np.ndarray[Any, Any] | np.generic[Any] | SupportsDlpack"
Key: TypeAlias = "int | slice | EllipsisType | Array | np.ndarray[Any, Any] | None"


class SupportsDlpack(Protocol):
    """An array of any library."""

    def __dlpack__(self) -> Any: ...


DEFAULT_FLOAT, DEFAULT_INTEGER = f32, i64
"""The types of what is created without naming one, and of floats that are made of integers."""


class Array:
    """A value of the program that is being traced, with the operators and methods of an array."""

    __slots__ = ("trace", "value", "weak")

    def __init__(self, value: SSAValue, trace: Trace, weak: bool = False):
        self.value = value
        self.trace = trace
        self.weak = weak
        """Whether it is made of Python numbers alone, whose type gives way to an array's."""

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.value)

    @property
    def dtype(self) -> np.dtype[Any]:
        return TO_NUMPY[element_of(self.value)]

    @property
    def ndim(self) -> int:
        return rank_of(self.value)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __repr__(self) -> str:
        return f"<traced {self.value.type}>"

    # --- what a traced array cannot do

    def __bool__(self) -> bool:
        raise not_yet_known("the truth of an array", "branch with xmlc.cond, loop with xmlc.while_loop or xmlc.scan")

    def __int__(self) -> int:
        raise not_yet_known("the number in an array", "make the argument static, or stay with arrays")

    __index__ = __int__

    def __float__(self) -> float:
        raise not_yet_known("the number in an array", "make the argument static, or stay with arrays")

    def item(self, *_: Any) -> Any:
        raise not_yet_known("the number in an array", "stay with arrays, or return it from the function")

    def tolist(self) -> Any:
        raise not_yet_known("what an array holds", "stay with arrays, or return it from the function")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise CompileError(
            "an array of a function that is traced does not change: no element can be assigned to",
            place=user_place(),
            hint="make another array: xmlc.numpy.where chooses by element, xmlc.numpy.concat joins parts",
        )

    def __getattr__(self, name: str) -> Any:
        """AttributeError that says whether there is a function of this name, as NumPy's arrays have more methods."""
        from xmlc.frontend.python import functions, nn

        homes = [home for home, module in (("numpy", functions), ("nn", nn)) if callable(getattr(module, name, None))]
        hint = f": call xmlc.{homes[0]}.{name}" if homes and not name.startswith("_") else ""
        raise AttributeError(f"an array of a function that is traced has no attribute '{name}'{hint}")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise not_yet_known("what an array holds", "use the functions of xmlc.numpy in place of NumPy's")

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Array:
        """What NumPy's operators do where an array of its own stands on the left; its functions are refused."""
        if function in OPERATORS and method == "__call__" and not options:
            left, right = inputs
            return getattr(as_array(left), OPERATORS[function])(right)
        raise not_yet_known("what an array holds", "use the functions of xmlc.numpy in place of NumPy's")

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    # --- operators

    def __neg__(self) -> Array:
        return unary(F.neg, self)

    def __pos__(self) -> Array:
        return self

    def __abs__(self) -> Array:
        return unary(F.abs_, self)

    def __invert__(self) -> Array:
        return unary(F.not_, self)

    def __add__(self, other: ArrayLike) -> Array:
        return binary(F.add, self, other)

    def __radd__(self, other: ArrayLike) -> Array:
        return binary(F.add, other, self)

    def __sub__(self, other: ArrayLike) -> Array:
        return binary(F.sub, self, other)

    def __rsub__(self, other: ArrayLike) -> Array:
        return binary(F.sub, other, self)

    def __mul__(self, other: ArrayLike) -> Array:
        return binary(F.mul, self, other)

    def __rmul__(self, other: ArrayLike) -> Array:
        return binary(F.mul, other, self)

    def __truediv__(self, other: ArrayLike) -> Array:
        return divide(self, other)

    def __rtruediv__(self, other: ArrayLike) -> Array:
        return divide(other, self)

    def __floordiv__(self, other: ArrayLike) -> Array:
        return binary(F.floor_div, self, other)

    def __rfloordiv__(self, other: ArrayLike) -> Array:
        return binary(F.floor_div, other, self)

    def __mod__(self, other: ArrayLike) -> Array:
        return binary(modulo, self, other)

    def __rmod__(self, other: ArrayLike) -> Array:
        return binary(modulo, other, self)

    def __pow__(self, other: ArrayLike) -> Array:
        return binary(F.pow_, self, other)

    def __rpow__(self, other: ArrayLike) -> Array:
        return binary(F.pow_, other, self)

    def __matmul__(self, other: ArrayLike) -> Array:
        return matmul(self, other)

    def __rmatmul__(self, other: ArrayLike) -> Array:
        return matmul(other, self)

    def __and__(self, other: ArrayLike) -> Array:
        return binary(F.and_, self, other)

    def __or__(self, other: ArrayLike) -> Array:
        return binary(F.or_, self, other)

    def __xor__(self, other: ArrayLike) -> Array:
        return binary(F.xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: ArrayLike) -> Array:
        return binary(F.shift_left, self, other)

    def __rshift__(self, other: ArrayLike) -> Array:
        return binary(F.shift_right, self, other)

    def __lt__(self, other: ArrayLike) -> Array:
        return compare("lt", self, other)

    def __le__(self, other: ArrayLike) -> Array:
        return compare("le", self, other)

    def __gt__(self, other: ArrayLike) -> Array:
        return compare("gt", self, other)

    def __ge__(self, other: ArrayLike) -> Array:
        return compare("ge", self, other)

    def __eq__(self, other: ArrayLike) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return compare("eq", self, other)

    def __ne__(self, other: ArrayLike) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return compare("ne", self, other)

    # --- shape and elements

    @property
    def T(self) -> Array:
        """The transpose of a matrix. CompileError for another rank, as the standard says."""
        if self.ndim != 2:
            raise CompileError(
                f"only a matrix has .T, found shape {shape_text(self.shape)}",
                place=user_place(),
                hint="use xmlc.numpy.permute_dims, or .mT for a batch of matrices",
            )
        return self.mT

    @property
    def mT(self) -> Array:
        """The last two dimensions exchanged."""
        order = (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2)
        return Array(F.transpose(self.value, order), self.trace, self.weak)

    def reshape(self, *shape: int | Sequence[int]) -> Array:
        """The same elements under another shape; one size may be -1."""
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return reshape(self, sizes)  # pyright: ignore[reportArgumentType]

    def astype(self, dtype: Any) -> Array:
        return Array(F.cast(self.value, element_named(dtype)), self.trace)

    def sum(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Array:
        return reduce(F.reduce_sum, self, axis, keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Array:
        return reduce(F.reduce_mean, as_float(self), axis, keepdims)

    def max(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Array:
        return reduce(F.reduce_max, self, axis, keepdims)

    def min(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Array:
        return reduce(F.reduce_min, self, axis, keepdims)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Key | tuple[Key, ...]) -> Array:
        return index(self, key if isinstance(key, tuple) else (key,))


OPERATORS: dict[np.ufunc, str] = {
    np.add: "__add__", np.subtract: "__sub__", np.multiply: "__mul__", np.divide: "__truediv__",
    np.floor_divide: "__floordiv__", np.remainder: "__mod__", np.power: "__pow__", np.matmul: "__matmul__",
    np.bitwise_and: "__and__", np.bitwise_or: "__or__", np.bitwise_xor: "__xor__", np.less: "__lt__",
    np.less_equal: "__le__", np.greater: "__gt__", np.greater_equal: "__ge__", np.equal: "__eq__",
    np.not_equal: "__ne__",
}  # fmt: skip


def not_yet_known(what: str, hint: str) -> CompileError:
    message = f"{what} is not known while a function is traced: it stands for whatever the function is called with"
    return CompileError(message, place=user_place(), hint=hint)


# --- values


def element_named(dtype: Any) -> Attribute:
    """The element type that a dtype, its name, or Python's bool, int or float means."""
    python = {bool: i1, int: DEFAULT_INTEGER, float: DEFAULT_FLOAT}
    if dtype in python:
        return python[dtype]
    try:
        return FROM_NUMPY[np.dtype(dtype)]
    except (TypeError, KeyError):
        raise CompileError(f"there is no element type {dtype}", place=user_place()) from None


def as_array(x: ArrayLike) -> Array:
    """x as an array of the current trace: a Python number as a weak one, an array from outside as a captured one."""
    trace = active()
    if isinstance(x, Array):
        if x.trace is not trace or not trace.has(x.value):
            raise CompileError(
                "an array of a function that was traced before, or around this one, is used here",
                place=user_place(),
                hint="return it from its function, or pass it as an argument",
            )
        return x
    if isinstance(x, bool | int | float):
        element = i1 if isinstance(x, bool) else integer_of(x) if isinstance(x, int) else f64
        return Array(F.constant(x, element), trace, weak=True)
    if isinstance(x, Size):  # a size that is open: a number that is known when the program runs
        return Array(F.reshape(F.sizes_of([cast(int, x)]), ()), trace, weak=True)
    if isinstance(x, np.generic):
        return Array(trace.capture(np.array(x)), trace)
    if hasattr(x, "captured"):  # a tensor: its device may be another than this program's, which it knows
        return Array(trace.capture(x.captured()), trace)  # pyright: ignore
    if hasattr(x, "__dlpack__"):  # NumPy's arrays among them, which this does not copy either
        return Array(trace.capture(x if isinstance(x, np.ndarray) else np.from_dlpack(x)), trace)  # pyright: ignore
    raise CompileError(f"expected an array or a number, found {type(x).__name__}", place=user_place())


def size_of(x: Any) -> int:
    """A size as it is written: a number, or one that is open. TypeError for anything else."""
    return cast(int, x) if isinstance(x, Size) else operator.index(x)


def integer_of(x: int) -> Attribute:
    """The integer type that holds a number of Python."""
    return i64 if x < 2**63 else u64


def value_of(x: ArrayLike) -> SSAValue:
    return as_array(x).value


def kind(element: Attribute) -> int:
    """0 for truth values, 1 for integers, 2 for floats."""
    return 0 if element == i1 else 2 if is_float(element) else 1


def promoted(a: Array, b: Array) -> Attribute:
    """The element type in which two arrays meet."""
    one, other = element_of(a.value), element_of(b.value)
    if a.weak != b.weak:
        return beside_number(other, one) if a.weak else beside_number(one, other)
    return meeting(one, other)


def beside_number(element: Attribute, number: Attribute) -> Attribute:
    """The element type in which an array meets a number of Python: its own, unless it cannot hold such numbers."""
    return element if kind(number) <= kind(element) else DEFAULT_FLOAT if kind(number) == 2 else number


def meeting(one: Attribute, other: Attribute) -> Attribute:
    """The element type in which two others meet. CompileError where no integer type holds both."""
    if kind(one) != kind(other):
        return max((one, other), key=kind)
    if {one, other} == {f16, bf16}:
        return f32
    a, b = TO_NUMPY[one], TO_NUMPY[other]
    if kind(one) == 1 and is_unsigned(one) != is_unsigned(other) and 8 in (a.itemsize, b.itemsize):
        signed = one if is_unsigned(other) else other
        if TO_NUMPY[signed].itemsize != 8 or a.itemsize == b.itemsize:
            hint = f"convert one of them: x.astype('{a}')"
            raise CompileError(f"no integer type holds both {a} and {b}", place=user_place(), hint=hint)
    return FROM_NUMPY[np.promote_types(a, b)]


def meeting_type(elements: Sequence[Attribute], numbers: Sequence[Scalar]) -> Attribute:
    """The element type in which element types and numbers of Python meet. ValueError where there are none."""
    weak = [i1 if isinstance(each, bool) else integer_of(each) if isinstance(each, int) else f64 for each in numbers]
    if not elements:
        return (i1, DEFAULT_INTEGER, DEFAULT_FLOAT)[max(map(kind, weak))]
    return reduce_pairs(beside_number, [reduce_pairs(meeting, elements), *weak])


def together(a: ArrayLike, b: ArrayLike) -> tuple[SSAValue, SSAValue, bool]:
    """Two operands in the type in which they meet, and whether that is weak."""
    x, y = as_array(a), as_array(b)
    element = promoted(x, y)
    return F.cast(x.value, element), F.cast(y.value, element), x.weak and y.weak


def unary(build: Callable[[SSAValue], SSAValue], x: ArrayLike) -> Array:
    array = as_array(x)
    return Array(build(array.value), array.trace, array.weak)


def binary(build: Callable[[SSAValue, SSAValue], SSAValue], a: ArrayLike, b: ArrayLike) -> Array:
    x, y, weak = together(a, b)
    return Array(build(x, y), active(), weak)


def compare(predicate: str, a: ArrayLike, b: ArrayLike) -> Array:
    x, y, _ = together(a, b)
    return Array(F.compare(x, y, predicate), active())


def as_float(x: ArrayLike) -> Array:
    """x where it holds floats, else x as float32; a number of Python keeps its digits until it meets an array."""
    array = as_array(x)
    if is_float(element_of(array.value)):
        return array
    return Array(F.cast(array.value, f64 if array.weak else DEFAULT_FLOAT), array.trace, array.weak)


def divide(a: ArrayLike, b: ArrayLike) -> Array:
    x, y, weak = together(a, b)
    if not is_float(element_of(x)):
        element = f64 if weak else DEFAULT_FLOAT
        x, y = F.cast(x, element), F.cast(y, element)
    return Array(F.div(x, y), active(), weak)


def modulo(x: SSAValue, y: SSAValue) -> SSAValue:
    """The remainder with the sign of y, as Python has it; so has a remainder of zero."""
    rest, zero = F.rem(x, y), F.scalar(x, 0)
    if is_float(element_of(x)):
        signed = F.select(F.compare(y, zero, "lt"), F.neg(zero), zero)
        rest = F.select(F.compare(rest, zero, "eq"), signed, rest)
    opposite = F.xor(F.compare(rest, zero, "lt"), F.compare(y, zero, "lt"))
    return F.select(F.and_(F.compare(rest, zero, "ne"), opposite), F.add(rest, y), rest)


def matmul(a: ArrayLike, b: ArrayLike) -> Array:
    """The product of matrices, of batches of them, and of vectors, by NumPy's rules."""
    x, y, weak = together(a, b)
    row, column = rank_of(x) == 1, rank_of(y) == 1
    if not rank_of(x) or not rank_of(y):
        raise CompileError("a product of matrices takes arrays of one dimension or more", place=user_place())
    x = F.reshape(x, (1, *shape_of(x))) if row else x
    y = F.reshape(y, (*shape_of(y), 1)) if column else y
    made = F.matmul(x, y)
    shape = list(shape_of(made))
    if column:
        del shape[-1]
    if row:
        del shape[-1 if column else -2]
    return Array(F.reshape(made, shape), active(), weak)


def axes_of(axis: int | Sequence[int] | None) -> Sequence[int] | None:
    """The dimensions that an argument names. CompileError for what is no integer."""
    if axis is None:
        return None
    named = axis if isinstance(axis, tuple | list) else (axis,)
    try:
        return list(map(operator.index, named))  # pyright: ignore[reportArgumentType]
    except TypeError:
        message = f"a dimension is named by an integer, or by several in a tuple, found {axis!r}"
        raise CompileError(message, place=user_place()) from None


def reduce(build: Callable[..., SSAValue], x: ArrayLike, axis: int | Sequence[int] | None, keepdims: bool) -> Array:
    array = as_array(x)
    return Array(build(array.value, axes_of(axis), keep_dims=keepdims), array.trace, array.weak)


def reshape(x: ArrayLike, /, shape: Sequence[int], *, copy: bool | None = None) -> Array:
    """x under another shape; one size may be -1, which is then what is left."""
    array = as_array(x)
    sizes = list(map(size_of, shape))
    if -1 in sizes:
        known = prod(size for size in sizes if size != -1)
        if sizes.count(-1) > 1 or not known or not same_size(array.size // known * known, array.size):
            raise CompileError(
                f"cannot reshape {shape_text(array.shape)} to {tuple(shape)}",
                place=user_place(),
                hint="one size may be -1, and the others must divide the number of elements",
            )
        sizes[sizes.index(-1)] = array.size // known
    return Array(F.reshape(array.value, sizes), array.trace, array.weak)


# --- indexing


def index(x: Array, key: tuple[Key, ...]) -> Array:
    """x[key] for integers, slices, None, an ellipsis, and arrays of integers, by NumPy's rules."""
    if any(isinstance(each, Array | np.ndarray) for each in key):  # then an integer is an array like the others
        key = tuple([as_array(each) if type(each) is int else each for each in key])
    taken = Taken([], [], [], [], [])
    for each in one_for_each_dimension(x, key):
        if each is None:
            taken.shape.append(1)
        else:
            taken.add(x.shape[len(taken.starts)], each)
    value = x.value
    if tuple(taken.sizes) != x.shape or any(stride != 1 for stride in taken.strides):
        value = F.slice_(value, taken.starts, taken.sizes, taken.strides)
    return Array(gathered(F.reshape(value, taken.shape), taken.gathered), x.trace, x.weak)


def gathered(x: SSAValue, arrays: Sequence[tuple[int, Array]]) -> SSAValue:
    """What arrays of integers, which broadcast, take of the dimensions beside which they stand.

    Their shape stands in the place of these dimensions if they are neighbours, else it comes first.
    """
    if not arrays:
        return x
    shape = shape_of(x)
    axes = [axis for axis, _ in arrays]
    places = [from_the_end(each.value, shape[axis]) for axis, each in arrays]
    if len(arrays) == 1:
        return F.gather(x, places[0], axes[0])
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    together = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if together else 0
    wanted = broadcast_shapes(*map(shape_of, places))
    stacked = [F.reshape(F.broadcast(F.cast(each, i64), wanted), (*wanted, 1)) for each in places]
    found = F.gather_nd(F.transpose(x, (*axes, *rest)), F.concat(stacked, len(wanted)))
    count = len(wanted)
    order = [count + i for i in range(first)] + list(range(count)) + [count + i for i in range(first, len(rest))]
    return F.transpose(found, order)


def one_for_each_dimension(x: Array, key: tuple[Key, ...]) -> tuple[Key, ...]:
    """The key with its ellipsis, or what is missing at its end, spelled out as slices."""
    places = [i for i, each in enumerate(key) if each is Ellipsis]
    used = sum(each is not None and each is not Ellipsis for each in key)
    if used > x.ndim or len(places) > 1:
        raise CompileError(
            f"an array of shape {shape_text(x.shape)} has {x.ndim} dimensions, found {used} indices", place=user_place()
        )
    place = places[0] if places else len(key)
    return (*key[:place], *[slice(None)] * (x.ndim - used), *key[place + 1 :])


@dataclass
class Taken:
    """What a key takes of an array: a slice of every dimension, then the shape without those of integers."""

    starts: list[int]
    sizes: list[int]
    strides: list[int]
    shape: list[int]
    gathered: list[tuple[int, Array]]
    """Dimensions of `shape` that an array of integers takes elements of, and that array."""

    def add(self, size: int, key: Key) -> None:
        """The next dimension of the array, which has `size` elements."""
        if isinstance(key, slice):
            start, count, step = taken_by(key, size)
            self.append(start if count else 0, count, step)
            self.shape.append(count)
        elif isinstance(key, Array | np.ndarray):
            if not np.issubdtype(key.dtype, np.integer):
                raise unsupported_index(key)
            self.gathered.append((len(self.shape), as_array(key)))
            self.append(0, size, 1)
            self.shape.append(size)
        else:
            position = integer_index(key)
            if not -size <= position < size:
                dimension = len(self.starts)
                raise CompileError(
                    f"index {position} is out of range for dimension {dimension} of size {size}", place=user_place()
                )
            if position < 0 and isinstance(size, Size):  # where that is, is known when the program runs
                self.gathered.append((len(self.shape), as_array(position + size)))
                self.append(0, size, 1)
                self.shape.append(size)
                return
            self.append(position + size if position < 0 else position, 1, 1)

    def append(self, start: int, size: int, stride: int) -> None:
        self.starts.append(start)
        self.sizes.append(size)
        self.strides.append(stride)


def taken_by(key: slice, size: int) -> tuple[int, int, int]:
    """Where a slice of a dimension starts, how many elements it takes, and its step; the size may be open."""
    if not isinstance(size, Size):
        start, stop, step = key.indices(size)
        return start, len(range(start, stop, step)), step
    step = 1 if key.step is None else operator.index(key.step)
    first, last = (0, size) if step > 0 else (size - 1, -1)  # where it starts and ends if nothing is said

    def bounded(place: Any, otherwise: int) -> int:
        if place is None:
            return otherwise
        place = size_of(place)
        place = place + size if place < 0 else place
        low, high = (0, size) if step > 0 else (-1, size - 1)
        return low if place < low else high if place > high else place

    start, stop = bounded(key.start, first), bounded(key.stop, last)
    distance = stop - start if step > 0 else start - stop
    return start, (distance + abs(step) - 1) // abs(step) if distance > 0 else 0, step


def from_the_end(indices: SSAValue, size: int) -> SSAValue:
    """Indices with `size` added to negative ones."""
    if is_unsigned(element_of(indices)):
        return indices
    negative = F.compare(indices, F.scalar(indices, 0), "lt")
    wide = F.cast(indices, i64)
    length = as_array(size).value if isinstance(size, Size) else F.scalar(wide, size)
    return F.select(negative, F.add(wide, length), wide)


def integer_index(key: Any) -> int:
    """A part of an index that is one number. CompileError for what is none."""
    try:
        return operator.index(key)
    except TypeError:
        raise CompileError(
            f"an index is of integers, slices, None, ... and arrays of integers, found {type(key).__name__}",
            place=user_place(),
        ) from None


def unsupported_index(key: Any) -> CompileError:
    if key.dtype == np.bool_:
        return CompileError(
            "a mask selects as many elements as its values say: the shape is not known while a function is traced",
            place=user_place(),
            hint="use xmlc.numpy.where, which keeps the shape",
        )
    return CompileError(f"an index is of integers, found {key.dtype}", place=user_place())
