"""Tensor types of `ml`: construction, broadcasting, and the checks that inference functions share.

Sizes are ints. One known only at run time is a `Size` (see `dialects.sizes`), which takes an int's place, or `DYNAMIC`
where nothing is known of it. Every inference function raises `VerifyException` with a message for the user: what was
found, what was wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

from typing_extensions import TypeVar
from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import AttrConstraint, IntConstraint, VerificationContext
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.context_variables import setting
from xmlc.dialects.dtypes import ELEMENTS
from xmlc.dialects.sizes import Size, encoding_of, is_symbolic, same_size, sizes_of

DYNAMIC = DYNAMIC_INDEX
TensorLike: TypeAlias = TensorType[Attribute]


@dataclass(frozen=True)
class ElementConstraint(AttrConstraint):
    """One of the element types of `ml`."""

    def verify(self, attr: Attribute, constraint_context: VerificationContext) -> None:
        if attr not in ELEMENTS:
            raise VerifyException(f"{attr} is not an element type, expected one of {', '.join(map(str, ELEMENTS))}")

    def mapping_type_vars(
        self, type_var_mapping: Mapping[TypeVar, AttrConstraint | IntConstraint]
    ) -> ElementConstraint:
        return self


Tensor = TensorType.constr(ElementConstraint())
"""The constraint of every operand and result: a ranked tensor of one of the element types."""


def tensor(shape: Iterable[int], element: Attribute) -> TensorLike:
    """The type `tensor<shape x element>`."""
    sizes = tuple(shape)
    if not is_symbolic(sizes):
        return TensorType(element, sizes)
    known = [DYNAMIC if isinstance(size, Size) else size for size in sizes]
    return TensorType(element, known, encoding_of(sizes))


def type_of(value: SSAValue | Attribute) -> TensorLike:
    """The tensor type of a value or of a type; raises VerifyException for anything else."""
    found = value.type if isinstance(value, SSAValue) else value
    if not isinstance(found, TensorType):
        raise VerifyException(f"expected a tensor, found {found}")
    return found  # pyright: ignore[reportUnknownVariableType]


def shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    """The sizes of a tensor's dimensions."""
    found = type_of(value)
    sizes = sizes_of(found.encoding)
    return found.get_shape() if sizes is None else sizes


def has_static_shape(value: SSAValue | Attribute) -> bool:
    """Whether every size is known when the program is compiled."""
    return DYNAMIC not in type_of(value).get_shape()


def element_of(value: SSAValue | Attribute) -> Attribute:
    return type_of(value).element_type


def rank_of(value: SSAValue | Attribute) -> int:
    return len(shape_of(value))


def size_text(size: int) -> str:
    return "?" if size == DYNAMIC else str(size)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as users write it: `2x3x?`, `scalar` for rank 0."""
    return "x".join(map(size_text, shape)) or "scalar"


def merge_sizes(a: int, b: int, what: str) -> int:
    """The size two equal dimensions share; a known one wins over `?`."""
    if a == DYNAMIC or b == DYNAMIC:
        return b if a == DYNAMIC else a
    if not same_size(a, b):
        raise VerifyException(f"{what} must be equal, found {a} and {b}")
    return a


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """NumPy's broadcasting: align right, size 1 stretches. `?` against 1 or `?` stays `?`."""
    rank = max(map(len, shapes), default=0)
    result: list[int] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        known = sizes - {DYNAMIC}
        first = min(known, key=lambda size: (isinstance(size, Size), str(size)), default=1)
        if not all(same_size(first, size) for size in known):
            raise VerifyException(
                f"cannot broadcast shapes {' and '.join(map(shape_text, shapes))}: "
                f"sizes {' and '.join(sorted(map(str, known)))} differ in dimension {axis}"
            )
        result.append(first if known else (DYNAMIC if sizes else 1))
    return tuple(result)


def normalize_axis(axis: int, rank: int) -> int:
    """An axis in [0, rank) from one in [-rank, rank)."""
    if not -rank <= axis < rank:
        raise VerifyException(f"axis {axis} is out of range for rank {rank}")
    return axis % rank


def normalize_axes(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Distinct axes in [0, rank), in ascending order."""
    result = sorted(normalize_axis(axis, rank) for axis in axes)
    if len(set(result)) != len(result):
        raise VerifyException(f"axes {list(axes)} name a dimension twice")
    return tuple(result)


def expect_elements(accepted: Sequence[Attribute], *types: Attribute) -> Attribute:
    """The element type all `types` share, which must be one of `accepted`."""
    elements = [element_of(each) for each in types]
    if len(set(elements)) > 1:
        raise VerifyException(f"element types must be equal, found {' and '.join(map(str, elements))}")
    if elements[0] not in accepted:
        raise VerifyException(
            f"element type {elements[0]} is not accepted, expected one of {', '.join(map(str, accepted))}"
        )
    return elements[0]


def expect_rank(value: SSAValue | Attribute, rank: int, what: str) -> None:
    if rank_of(value) != rank:
        raise VerifyException(f"{what} must have rank {rank}, found {type_of(value)}")


def expect_type(found: Attribute, inferred: TensorLike) -> None:
    """Check a declared result type against the inferred one; `?` is compatible with any size."""
    collected = INFERRED.get()
    if collected is not None:
        collected.append(inferred)
    declared = type_of(found)
    sizes, wanted = shape_of(declared), shape_of(inferred)
    same = (
        declared.element_type == inferred.element_type
        and len(sizes) == len(wanted)
        and all(DYNAMIC in (a, b) or same_size(a, b) for a, b in zip(sizes, wanted, strict=True))
    )
    if not same:
        raise VerifyException(f"result type is {declared}, expected {inferred}")


INFERRED: ContextVar[list[TensorLike] | None] = ContextVar("inferred", default=None)
"""Takes the types that results are checked against, while somebody wants to know them."""


def inferred_types(op: Operation) -> list[TensorLike]:
    """What an op's operands say of the types of its results: what its rules check these against.

    An op with regions checks more than its results, so that the list is longer. Raises VerifyException where the op
    does not keep its rules.
    """
    collected: list[TensorLike] = []
    with setting(INFERRED, collected):
        op.verify(verify_nested_ops=False)
    return collected
