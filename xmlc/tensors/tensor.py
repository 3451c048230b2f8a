"""`xmlc.Tensor`: an array outside of compiled functions. Operations on it are recorded, and run when a value is needed.

    x = xp.linspace(0, 1, 1000)
    y = xp.sin(x) ** 2 + x          # nothing has been computed
    print(y[:3])                    # now it has: what was recorded has become one program

The functions are those that a traced function may call (`xmlc.frontend.python.functions`): one definition serves both.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, cast
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml.types import shape_text
from xmlc.frontend.python import functions as f
from xmlc.frontend.python.array import element_named
from xmlc.frontend.python.functions import shapes
from xmlc.frontend.python.functions.indexing import Slice
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import current
from xmlc.frontend.python.tree import Tree, flatten
from xmlc.nan_search import SEARCHING, has_nan
from xmlc.tensors.backend import Buffer
from xmlc.tensors.device import CPU, Device, device_named, device_of, expect_here, expect_one
from xmlc.tensors.dispatch import chosen_kernel, register_kernel
from xmlc.tensors.evaluate import evaluate
from xmlc.tensors.graph import LONGEST, Call, Form, Node, Operand, Static, Value, call_of, known

P = ParamSpec("P")
NDArrayAny = NDArray[Any]

ARITHMETIC = (f.add, f.subtract, f.multiply, f.divide, f.less, f.less_equal, f.greater, f.greater_equal)
"""Functions whose operands may be floats of Python: another number there is not another program."""


SHAPES = {f.broadcast_to: 1, f.reshape: 1, f.full: 0, f.zeros: 0, f.ones: 0, f.empty: 0}
"""Functions that take a shape -> the position of that argument; its sizes may be integers of any library."""


class Operation(Generic[P]):
    """A function of arrays: on tensors it is recorded, and in a function that is being traced it is traced.

    A function of one's own says what it means, how it is compiled, and, unless `xmlc.custom_gradient` does, what its
    gradient is. A `reference` in NumPy says what it means independently of that: it computes the operation on the
    device `reference`, and `xmlc.check_operation` holds every device against it.
    """

    def __init__(self, function: Callable[P, Any], *, reference: Callable[..., Any] | None = None):
        self.function = function
        self.reference = reference
        functools.update_wrapper(self, function)
        if reference is not None:
            register_kernel(self, reference, device="reference", name="its reference")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        if current() is not None:
            expect_here(f"the result of {self.function.__name__}", cast("Any", kwargs.get("device")))
            return self.function(*args, **kwargs)
        return record(self.function, args, kwargs)

    def __repr__(self) -> str:
        return f"<operation {self.function.__name__}>"


def record(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The results of a call, as tensors: most have no value yet. Raises CompileError where the operands do not fit."""
    args, kwargs = with_integers(function, args, kwargs)
    arguments = arguments_of(function, args, kwargs)
    compute = chosen_kernel(function, arguments.leaves, arguments.device)
    if compute is None:
        return recorded(function, arguments)
    return compute(args, {name: value for name, value in kwargs.items() if name != "device"}, arguments.device)


def recorded(function: Callable[..., Any], arguments: Arguments) -> Any:
    """The results of a call that is to become part of a program."""
    structure, leaves, operands, device = arguments
    call = call_of(Form(function, structure, tuple(leaves)))
    node = Node(call, operands, device)
    if node.depth > LONGEST:
        for source, _ in operands:
            evaluate(source)
        node = Node(call, operands, device)
    if SEARCHING.get():
        refuse_nan(call, operands, node)
    return call.arranged.build([tensor_of(node, i) for i in range(len(call.types))])


def refuse_nan(call: Call, operands: Sequence[Value], node: Node) -> None:
    """Raise CompileError, at the user's line, for a call that gives a NaN and was given none: see `xmlc.debug_nans`."""
    fetch = node.device.backend.fetch
    given = [fetch(evaluate(source)[index]) for source, index in operands]
    if any(has_nan(fetch(each)) for each in evaluate(node)) and not any(map(has_nan, given)):
        inputs = ", ".join(f"{each.dtype} of shape {shape_text(each.shape)}" for each in given)
        raise CompileError(f"{call.form.function.__name__} of {inputs} gives nan", place=user_place())


class Arguments(NamedTuple):
    """The arguments of a call: how they are arranged, what is known of each, the values of the arrays, and where."""

    structure: Tree
    leaves: list[Static | Operand]
    operands: list[Value]
    device: Device


def arguments_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Raises CompileError for tensors of several devices.

    Where the call says `device`, tensors are moved there; arrays of the host go where the tensors are.
    """
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs = {name: value for name, value in kwargs.items() if name != "device"}
    found, structure = flatten((args, kwargs))
    device = device_named(wanted) if wanted is not None else common_device(function.__name__, found)
    leaves: list[Static | Operand] = []
    operands: list[Value] = []
    for leaf in found:
        value = operand_of(leaf, function, device)
        if value is None:
            leaves.append(Static(leaf))
        else:
            operands.append(value)
            leaves.append(described(value))
    return Arguments(structure, leaves, operands, device)


def common_device(what: str, leaves: Sequence[Any]) -> Device:
    """The device of the tensors among the arguments of a call; the default one where there are none."""
    on = [leaf.node.device for leaf in leaves if type(leaf) is Tensor]
    others = [device_of(leaf) for leaf in leaves if hasattr(leaf, "__dlpack__") and not is_of_numpy(leaf)]
    on.extend([each for each in others if each is not None])
    return expect_one(what, on) if on else device_named(None)


def is_of_numpy(leaf: Any) -> bool:
    return isinstance(leaf, Tensor | np.ndarray | np.generic)


def with_integers(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, those that say a shape or axes as integers of Python."""
    place = SHAPES.get(function)
    if place is not None and place < len(args):
        args = (*args[:place], integers(args[place]), *args[place + 1 :])
    named = [name for name in ("shape", "axis", "axes") if name in kwargs]
    return args, kwargs | {name: integers(kwargs[name]) for name in named} if named else kwargs


def integers(value: Any) -> Any:
    """Integers of any library, or nested sequences of them, as Python's."""
    if value is None or isinstance(value, int):
        return value
    return operator.index(value) if not np.ndim(value) else tuple([integers(each) for each in value])


def operand_of(leaf: Any, function: Callable[..., Any], device: Device) -> Value | None:
    """An argument of a call as a value; None where it is no array."""
    if type(leaf) is Tensor:
        placed = leaf if leaf.node.device == device else leaf.to_device(device)
        return placed.node, placed.index
    if type(leaf) is float and function in ARITHMETIC:
        return known(np.asarray(leaf), device, weak=True), 0
    if is_of_numpy(leaf) or hasattr(leaf, "__dlpack__"):
        return known(copied(leaf, device), device), 0
    return None


def copied(value: Any, device: Device) -> Buffer:
    """A copy of an array of any library, in the memory of a device."""
    source = device_of(value)
    if source is None:
        array: NDArrayAny = np.array(value) if is_of_numpy(value) else np.from_dlpack(value).copy()
        return device.backend.put(array)
    if source != device:
        raise CompileError(
            f"device mismatch: an array on {source} is given for {device}",
            place=user_place(),
            hint=f"xmlc.numpy.from_dlpack(x).to('{device}') copies it",
        )
    return device.backend.copied(adopted(value, device))


def adopted(value: Any, device: Device) -> Buffer:
    """An array of another library in the memory of a device, without a copy."""
    found = device.backend.adopt(value)
    if found is None:
        raise CompileError(f"expected an array on {device}, found {type(value).__name__}", place=user_place())
    return found


def buffer_of(leaf: Any, device: Device) -> Buffer:
    """The elements of a tensor, or of an array of any library, in the memory of a device."""
    return evaluate(leaf.node)[leaf.index] if type(leaf) is Tensor else copied(leaf, device)


def described(value: Value) -> Operand:
    node, index = value
    if node.values is not None:
        array = node.values[index]
        return Operand(array.shape, array.dtype, node.weak)
    assert node.call is not None
    return Operand(*node.call.types[index])


def tensor_of(node: Node, index: int = 0) -> Tensor:
    """A tensor that holds a result of a node."""
    made = Tensor.__new__(Tensor)
    made.hold(node, index)
    return made


class Tensor:
    """An array of numbers or truth values, which are computed when they are needed.

    It has the operators, attributes and methods of the array API standard 2024.12; `x[key] = value` gives the tensor
    new elements, and does not change those that were made of the old ones.
    """

    __slots__ = ("__weakref__", "index", "node")
    __array_ufunc__ = None  # NumPy's operators leave it to this class what to do with an array of both kinds
    __hash__ = None  # pyright: ignore[reportAssignmentType]
    node: Node
    index: int

    def __init__(self, value: Any, dtype: Any = None, device: Device | str | None = None):
        """A tensor of what NumPy makes an array of; its elements are copied. Floats of Python become float32.

        It is on `device`, else where an array in a GPU's memory is, else on the default one.
        """
        source = value.device if isinstance(value, Tensor) else device_of(value)
        here = device_named(device) if device is not None or source is None else source
        if source is None:
            self.hold(known(here.backend.put(concrete(value, dtype)), here), 0)
            return
        there = value if isinstance(value, Tensor) else Tensor.of(copied(value, source), source)
        placed = there.to_device(here)
        converted: Tensor = placed if dtype is None else placed.astype(dtype)
        self.hold(converted.node, converted.index)

    @staticmethod
    def of(array: Buffer, device: Device = CPU) -> Tensor:
        """A tensor of an array, of the host or in the device's memory, that nobody writes to from now on."""
        placed = device.backend.put(cast(NDArrayAny, array)) if isinstance(array, np.ndarray) else array
        return tensor_of(known(placed, device))

    def hold(self, node: Node, index: int) -> None:
        self.node, self.index = node, index
        node.handles.append(ref(self))

    # --- what is known without a value

    @property
    def shape(self) -> tuple[int, ...]:
        return described((self.node, self.index)).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return described((self.node, self.index)).dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def device(self) -> Device:
        return self.node.device

    def to_device(self, device: Device | str, /, *, stream: Any = None) -> Tensor:
        """The tensor on a device: itself where it lives there. Raises CompileError for one that does not exist."""
        if stream is not None:
            raise ValueError(f"the device {self.device} has no streams of its own, found {stream!r}")
        wanted = device_named(device)
        return self if wanted == self.device else Tensor.of(self.numpy(), wanted)

    def to(self, target: Device | str) -> Tensor:
        return self.to_device(target)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        from xmlc import numpy

        if api_version not in (None, *numpy.VERSIONS):
            raise ValueError(f"version {api_version} of the standard is not supported, only {numpy.VERSIONS}")
        return numpy

    # --- what needs a value

    @property
    def buffer(self) -> Buffer:
        """The elements in the device's memory; they are not to be written to."""
        return evaluate(self.node)[self.index]

    def numpy(self) -> NDArrayAny:
        """The elements as a NumPy array that cannot be written to: it shares them if they are in the host's memory."""
        view = self.device.backend.fetch(self.buffer).view()
        view.flags.writeable = False
        return view

    def captured(self) -> NDArrayAny:
        """The elements, to be a constant of the function that is being traced. CompileError if it is for elsewhere."""
        expect_here("a tensor from outside", self.device)
        return self.device.backend.fetch(self.buffer)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArrayAny:
        if copy is False and self.__dlpack_device__() != CPU.backend.dlpack_device:
            raise ValueError(f"the elements are in the memory of {self.device}: NumPy needs a copy of them")
        return np.array(self.numpy(), dtype, copy=copy)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule that shares the elements; whoever takes it is not to write to them.

        It is of the host's memory if `dl_device` says so. BufferError for another device, or a copy that is not to be.
        """
        host = CPU.backend
        wanted = self.__dlpack_device__() if dl_device is None else (int(dl_device[0]), int(dl_device[1]))
        if wanted == self.__dlpack_device__():
            backend = self.device.backend
            return backend.lend(backend.copied(self.buffer) if copy else self.buffer, stream, max_version)
        if wanted != host.dlpack_device or copy is False:
            raise BufferError(f"the elements are in the memory of {self.device}: they cannot be shared elsewhere")
        return host.lend(self.device.backend.fetch(self.buffer), None, max_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device.backend.dlpack_device

    def item(self) -> Any:
        """The one element as a number of Python."""
        if self.size != 1:
            raise CompileError(f"expected one element, found shape {shape_text(self.shape)}", place=user_place())
        return self.numpy().item()

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            raise TypeError(f"an index is one integer, found {self.dtype} of shape {shape_text(self.shape)}")
        return int(self.item())

    def __repr__(self) -> str:
        elements = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", suffix=")")
        where = "" if self.device == CPU else f", device={self.device}"
        return f"Tensor({elements}, dtype={self.dtype}{where})"

    def __str__(self) -> str:
        return str(self.numpy())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # --- operators

    def __neg__(self) -> Tensor:
        return apply(f.negative, self)

    def __pos__(self) -> Tensor:
        return apply(f.positive, self)

    def __abs__(self) -> Tensor:
        return apply(f.abs, self)

    def __invert__(self) -> Tensor:
        return apply(f.bitwise_invert, self)

    def __add__(self, other: Any) -> Tensor:
        return apply(f.add, self, other)

    def __radd__(self, other: Any) -> Tensor:
        return apply(f.add, other, self)

    def __sub__(self, other: Any) -> Tensor:
        return apply(f.subtract, self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return apply(f.subtract, other, self)

    def __mul__(self, other: Any) -> Tensor:
        return apply(f.multiply, self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return apply(f.multiply, other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return apply(f.divide, self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return apply(f.divide, other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return apply(f.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return apply(f.floor_divide, other, self)

    def __mod__(self, other: Any) -> Tensor:
        return apply(f.remainder, self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return apply(f.remainder, other, self)

    def __pow__(self, other: Any) -> Tensor:
        return apply(f.pow, self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return apply(f.pow, other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return apply(f.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return apply(f.matmul, other, self)

    def __and__(self, other: Any) -> Tensor:
        return apply(f.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return apply(f.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return apply(f.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: Any) -> Tensor:
        return apply(f.bitwise_left_shift, self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return apply(f.bitwise_left_shift, other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return apply(f.bitwise_right_shift, self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return apply(f.bitwise_right_shift, other, self)

    def __lt__(self, other: Any) -> Tensor:
        return apply(f.less, self, other)

    def __le__(self, other: Any) -> Tensor:
        return apply(f.less_equal, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return apply(f.greater, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return apply(f.greater_equal, self, other)

    def __eq__(self, other: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return apply(f.equal, self, other)

    def __ne__(self, other: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return apply(f.not_equal, self, other)

    # --- shape and elements

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix. CompileError for another rank, as the standard says."""
        return apply(shapes.transposed, self)

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return apply(f.matrix_transpose, self)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements under another shape; one size may be -1."""
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return apply(f.reshape, self, tuple(cast("Sequence[int]", sizes)))

    def astype(self, dtype: Any) -> Tensor:
        return apply(f.astype, self, dtype)

    def sum(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        return apply(f.sum, self, axis=axis, keepdims=keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        return apply(f.mean, self, axis=axis, keepdims=keepdims)

    def max(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        return apply(f.max, self, axis=axis, keepdims=keepdims)

    def min(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        return apply(f.min, self, axis=axis, keepdims=keepdims)

    def __getitem__(self, key: Any) -> Tensor:
        key = unwrapped(key)
        if self.node.values is not None and current() is None and takes_a_view(key):
            found = self.node.values[self.index]
            if isinstance(found, np.ndarray):
                return tensor_of(known(np.asarray(cast(Any, found[key])), self.device))
        if is_mask(key) and not np.ndim(key):  # takes all or nothing
            places = places_of(np.asarray(key)[None], self.device)
            return apply(f.at, apply(f.expand_dims, self, axis=0), *places)
        return apply(f.at, self, *as_key(key, self.shape, self.device))

    def __setitem__(self, key: Any, value: Any) -> None:
        key = unwrapped(key)
        if is_mask(key) and not np.ndim(key) and not np.size(value):
            return
        if is_mask(key) and not (np.ndim(key) and np.ndim(value)):  # what comes where is known without the mask
            mask = (key if isinstance(key, Tensor) else Tensor(key, None, self.device)).reshape(
                *np.shape(key), *[1] * (self.ndim - np.ndim(key))
            )
            is_tensor = isinstance(value, Tensor)
            given = apply(f.astype, value, self.dtype) if is_tensor else Tensor(value, self.dtype, self.device)
            changed: Tensor = apply(f.where, mask, given, self)
        else:
            changed = apply(f.replaced, self, value, *as_key(key, self.shape, self.device))
        self.hold(changed.node, changed.index)


def apply(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function of arrays called by an operator or a method of a tensor."""
    return function(*args, **kwargs) if current() is not None else record(function, args, kwargs)


def is_mask(key: Any) -> bool:
    return isinstance(key, bool) or getattr(key, "dtype", None) == np.bool_


def concrete(x: Any, dtype: Any = None) -> NDArrayAny:
    """A new NumPy array of x, which may be nested sequences of numbers; those are of the default types."""
    is_array = hasattr(x, "__dlpack__") or isinstance(x, np.generic)
    if not isinstance(x, np.ndarray) and is_array and not isinstance(x, np.generic) and not hasattr(x, "__array__"):
        x = np.from_dlpack(x)
    try:
        array: NDArrayAny = np.array(cast(Any, x))
    except ValueError as error:  # sequences of several lengths
        raise CompileError("expected numbers in nested sequences of equal lengths", place=user_place()) from error
    if dtype is not None:
        return array.astype(np.dtype(dtype) if np.dtype(dtype).kind == "c" else TO_NUMPY[element_named(dtype)])
    if is_array:
        return array
    if array.dtype.kind not in "biufc":
        found = "" if array.dtype == object else f", found {type(cast(Any, x)).__name__}"
        raise CompileError(f"expected numbers in nested sequences of equal lengths{found}", place=user_place())
    return array.astype({"f": np.float32, "c": np.complex64}.get(array.dtype.kind, array.dtype))


def unwrapped(key: Any) -> Any:
    """An index that is a tuple of one part as that part."""
    parts: tuple[Any, ...] = cast(Any, key) if isinstance(key, tuple) else (key,)
    return parts[0] if len(parts) == 1 else parts


def takes_a_view(key: Any) -> bool:
    """Whether NumPy takes what the index says without computing anything."""
    parts: tuple[Any, ...] = cast(Any, key) if isinstance(key, tuple) else (key,)
    return all(type(part) in (int, slice, type(None), type(Ellipsis)) for part in parts)


def as_key(key: Any, shape: tuple[int, ...], device: Device) -> list[Any]:
    """An index of a tensor, part by part, so that it can be part of a call: masks as the places where they are true.

    Raises IndexError where a mask, the only part, has another shape than the first dimensions.
    """
    parts: list[Any] = []
    given: tuple[Any, ...] = cast(Any, key) if isinstance(key, tuple) else (key,)
    for part in given:
        if is_mask(part):
            mask = np.asarray(part)
            fits = mask.ndim <= len(shape) and all(size in (0, of) for size, of in zip(mask.shape, shape))
            if len(given) == 1 and not fits:
                raise shapes.AxisError(
                    f"a mask of shape {shape_text(mask.shape)} does not go with {shape_text(shape)}", place=user_place()
                )
            parts.extend(places_of(mask, device))
        elif isinstance(part, list):
            parts.append(Tensor(cast(Any, part), None, device))
        elif isinstance(part, slice):
            parts.append(as_slice(part))
        else:
            parts.append(part)
    return parts


def as_slice(part: Any) -> Slice:
    return Slice(*[None if each is None else operator.index(each) for each in (part.start, part.stop, part.step)])


def places_of(mask: NDArrayAny, device: Device) -> list[Any]:
    """The indices that take what a mask does: how many there are depends on its values, which are needed now."""
    return [Tensor.of(each, device) for each in np.nonzero(mask)]
