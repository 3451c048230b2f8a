"""Sizes of arguments that are left open: one compilation serves arrays of every such size.

    @xmlc.compile
    def predict(x: xmlc.Array["batch", 784], mask: xmlc.Array["batch"]): ...

    @xmlc.compile(sizes={"x": ("batch", 784), "mask": ("batch",)})       # the same

A name is a size that is open, and equal names are equal sizes; a number is a size that an array must have; None leaves
a size to be what the array has, and the function is traced for each. Arrays in trees are named as messages name them:
`sizes={"parameters['w']": …}`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from xmlc.backends.signature import Signature
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import shape_text
from xmlc.dialects.sizes import Assumptions, symbol
from xmlc.dynamic import Unfit
from xmlc.frontend.python.places import user_place
from xmlc.wording import did_you_mean

Stated: TypeAlias = "tuple[str | int | None, ...]"
"""What is said of a shape: the name of a size that is open, a number, or None for whatever it is."""

KEPT = 8
"""Compilations for all sizes that are kept; each assumes other things of them."""


class Array:
    """An annotation that says the sizes of an argument: `x: xmlc.Array["batch", 784]`."""

    def __init__(self, sizes: Stated):
        self.sizes = sizes

    def __class_getitem__(cls, sizes: str | int | EllipsisType | tuple[Any, ...] | None) -> Array:
        return cls(sizes if isinstance(sizes, tuple) else (sizes,))  # pyright: ignore[reportArgumentType]

    def __repr__(self) -> str:
        return f"xmlc.Array[{', '.join(map(repr, self.sizes))}]"


def stated_sizes(function: Callable[..., Any], sizes: Mapping[str, Sequence[Any]] | None) -> dict[str, Stated]:
    """What the annotations of a function and `sizes` say of its arguments. Raises CompileError for what is no size."""
    annotations: Mapping[str, Any] = getattr(function, "__annotations__", {})
    read = {name: written(each, function) if isinstance(each, str) else each for name, each in annotations.items()}
    found = {name: each.sizes for name, each in read.items() if isinstance(each, Array) and name != "return"}
    found |= {name: tuple(each) for name, each in (sizes or {}).items()}
    for name, each in found.items():
        for size in each:
            is_name = isinstance(size, str) and size.isidentifier()
            is_number = isinstance(size, int) and not isinstance(size, bool) and size >= 0
            if not (is_name or is_number or size is None):
                message = f"{size!r} is no size of the argument '{name}'"
                raise CompileError(message, place=user_place(), hint="a size is a name, a number or None")
    return found


def written(annotation: str, function: Callable[..., Any]) -> Array | None:
    """What an annotation says that is kept as text; None if it is none of ours. Names in it may lack their quotes."""
    match ast.parse(annotation.strip(), mode="eval").body:
        case ast.Subscript(value=ast.Name(id="Array") | ast.Attribute(attr="Array") as named, slice=inside):
            try:
                meant = eval(ast.unparse(named), getattr(function, "__globals__", {}))
            except (NameError, AttributeError):
                return None
            parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            return Array(tuple(map(stated, parts))) if meant is Array else None
        case _:
            return None


def stated(part: ast.expr) -> Any:
    """A size as it is written in an annotation."""
    match part:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return name
        case _:
            return ast.unparse(part)


@dataclass(frozen=True)
class Opened:
    """The shapes of arguments with symbols for the sizes that are open, and what those sizes are in this call."""

    shapes: tuple[tuple[int, ...], ...]
    example: Mapping[str, int]

    def assumptions(self) -> Assumptions:
        """What tracing may assume of the sizes: what holds in this call."""
        return Assumptions((), self.example.__getitem__)


def opened(sizes_of: Mapping[str, Stated], paths: Sequence[str], leaves: Sequence[Any]) -> Opened | None:
    """The shapes of arguments as they are stated; None where an array is empty, which only its own program serves.

    Raises CompileError where an array does not have the sizes that are stated, or equal names are different sizes.
    """
    lost = [path for path in sizes_of if path not in paths]
    if lost:
        hint = did_you_mean(lost[0], paths) or f"the arguments are {', '.join(paths)}"
        message = f"sizes of '{lost[0]}' are stated, which is no array among the arguments"
        raise CompileError(message, place=user_place(), hint=hint)
    known: dict[str, tuple[int, str, int]] = {}
    shapes: list[tuple[int, ...]] = []
    for path, leaf in zip(paths, leaves):
        shape = np.shape(leaf)
        sizes = sizes_of.get(path, shape)
        if len(sizes) != len(shape):
            message = f"'{path}' has {len(shape)} dimensions, and {len(sizes)} sizes are stated of it"
            hint = f"it is {shape_text(shape)}, stated is {text_of(sizes)}"
            raise CompileError(message, place=user_place(), hint=hint)
        made = list(shape)
        for axis, (size, found) in enumerate(zip(sizes, shape)):
            if isinstance(size, str):
                first, other, where = known.setdefault(size, (found, path, axis))
                if first != found:
                    raise CompileError(
                        f"'{size}' is {first} in '{other}' (dimension {where}), "
                        f"and {found} in '{path}' (dimension {axis})",
                        place=user_place(),
                        hint="equal names are equal sizes: give arrays that agree, or another name",
                    )
                made[axis] = symbol(size)
            elif size is not None and size != found:
                message = f"'{path}' has size {found} in dimension {axis}, stated is {size}"
                raise CompileError(message, place=user_place())
        shapes.append(tuple(made))
    if any(size == 0 for size, _, _ in known.values()):
        return None
    return Opened(tuple(shapes), {name: size for name, (size, _, _) in known.items()})


def text_of(sizes: Sequence[Any]) -> str:
    return "x".join("?" if size is None else str(size) for size in sizes) or "scalar"


class ForAllSizes:
    """A program for all sizes, as a function of arrays: compiled again only where it assumes what does not hold."""

    def __init__(self, first: Any, make: Callable[[Sequence[Any]], Any]):
        """`make` compiles a program that serves arrays like those that it is given, where the first does not."""
        self.make = make
        self.made: list[Any] = [first]

    @property
    def signature(self) -> Signature:
        """That of the program that was made last."""
        return self.made[0].signature

    def __call__(self, *inputs: Any) -> Any:
        for each in self.made:
            try:
                return each(*inputs)
            except Unfit:
                continue
        self.made.insert(0, self.make(inputs))
        del self.made[KEPT:]
        return self.made[0](*inputs)
