"""Python functions of arrays as machine code: `@xmlc.compile` traces and compiles them for their arguments' types.

@xmlc.compile
def predict(parameters, x):
    return nn.softmax(x @ parameters["w"] + parameters["b"])

predict({"w": w, "b": b}, x)                      # arrays of NumPy, or anything that speaks DLPack
print(predict.lower({"w": w, "b": b}, x).emit("linalg"))
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

import numpy as np

from xmlc.backends.cuda.target import CudaTarget
from xmlc.compiled import CompiledModule, as_array
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.dialects.ml.types import shape_text, tensor
from xmlc.driver import Settings, any_target, compile_for_target, emit
from xmlc.frontend.python.array import Array
from xmlc.frontend.python.control import cond, scan, while_loop
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import Spec, Traced, current, trace
from xmlc.frontend.python.tree import Tree, flatten
from xmlc.nan_search import SEARCHING, explain_nan, has_nan, unsearched
from xmlc.options import DEVICE, EXPLAIN

if TYPE_CHECKING:
    from xmlc.compiled_cuda import CudaModule

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["TracedFunction", "compile", "cond", "scan", "while_loop"]

LOG = logging.getLogger("xmlc.tracing")

Leaf = tuple[Any, ...]
"""What tells one leaf of the arguments from another: its shape and dtype, or the type of a Python number."""
Key = tuple[Tree, tuple[Leaf, ...], tuple[Any, ...]]
"""What a function is traced for: the structure of its arguments, their leaves, and the static arguments."""

NUMBERS = (bool, int, float)


@dataclass(frozen=True)
class Entry:
    """The machine code for one key: it takes the leaves of the arguments, and gives those of the result."""

    call: CompiledModule | CudaModule
    results: Tree

    def __call__(self, leaves: Sequence[Any]) -> Any:
        found = self.call(*leaves)
        return found[0] if self.results.kind is None else self.results.build(found)


@dataclass(frozen=True)
class Lowered:
    """A traced function that can be looked at: `emit("linalg")` gives it after any stage, `compile()` machine code."""

    traced: Traced
    settings: Settings

    def emit(self, stage: str = "ml") -> str | bytes:
        """The program after a stage: see `xmlc list stages`. Raises CompileError for an unknown one."""
        return emit(self.traced.module.clone(), stage, self.settings)

    def compile(self) -> Entry:
        made = compile_for_target(self.traced.module.clone(), self.traced.weights, self.settings)
        return Entry(made, self.traced.results)

    def __str__(self) -> str:
        from xmlc.pipeline import printed

        return printed(self.traced.module)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from xmlc.notebook import highlighted

        return highlighted(str(self))


class TracedFunction(Generic[P, R]):
    """A Python function that runs as machine code: traced once for each combination of its arguments' types.

    Called while another function is traced, it becomes part of that one.
    """

    def __init__(self, function: Callable[P, R], static: Sequence[str] = (), settings: Settings | None = None):
        self.function = function
        self.signature = inspect.signature(function)
        self.static = frozenset(static)
        positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        kinds = [each.kind in positional for each in self.signature.parameters.values()]
        self.plain = tuple(self.signature.parameters) if all(kinds) and not static else None
        """The names of the arguments, where as many values in their order are all of them."""
        self.settings = settings or Settings(target=any_target(DEVICE.get()))
        self.as_leaf = as_leaf_of_gpu if isinstance(self.settings.target, CudaTarget) else as_leaf
        self.entries: dict[Key, Entry] = {}
        self.flat: dict[tuple[Any, ...] | None, Entry] = {}
        """The entries of calls whose arguments are NumPy arrays and nothing else: they are found at once."""
        functools.update_wrapper(self, function, updated=())  # not the attributes of one that is traced too
        unknown = [each for each in static if each not in self.signature.parameters]
        if unknown:
            raise CompileError(f"{self.name} has no argument '{unknown[0]}' to be static", place=user_place())

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "the function")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current() is not None:
            return self.function(*args, **kwargs)
        if SEARCHING.get():
            return self.searched(*args, **kwargs)
        flat = None if kwargs else tuple([(x.shape, x.dtype) if type(x) is np.ndarray else None for x in args])
        entry = self.flat.get(flat)
        if entry is not None:
            return entry(args)
        names, trees, static = self.divided(args, kwargs)
        found, structure = flatten(trees)
        leaves = [self.as_leaf(each) for each in found]
        key = structure, tuple(map(leaf_key, leaves)), static
        entry = self.entries.get(key)
        if entry is None:
            self.explain(key, names)
            entry = self.entries[key] = self.traced(names, trees, static).compile()
        if flat is not None and None not in flat and self.plain is not None:
            self.flat[flat] = entry
        return entry([np.asarray(each) if type(each) in NUMBERS else each for each in leaves])

    def searched(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """A call whose result is searched for NaN: see `xmlc.debug_nans`."""
        with unsearched():
            result = self(*args, **kwargs)
        if any(map(has_nan, flatten(result)[0])):
            traced = self.lower(*args, **kwargs).traced
            leaves = flatten(self.divided(args, kwargs)[1])[0]
            explain_nan(traced.module, [*map(self.as_leaf, leaves), *traced.weights.values()])
        return result

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Lowered:
        """The program for these arguments, before it is compiled."""
        return self.traced(*self.divided(args, kwargs))

    def divided(self, args: Any, kwargs: Any) -> tuple[tuple[str, ...], tuple[Any, ...], tuple[Any, ...]]:
        """The names and values of the arguments that are traced, and the static ones as (name, value)."""
        if self.plain is not None and not kwargs and len(args) == len(self.plain):
            return self.plain, args, ()
        given = self.signature.bind(*args, **kwargs)
        given.apply_defaults()
        dynamic = {name: value for name, value in given.arguments.items() if name not in self.static}
        static = tuple((name, given.arguments[name]) for name in sorted(self.static))
        return tuple(dynamic), tuple(dynamic.values()), static

    def traced(self, names: tuple[str, ...], trees: tuple[Any, ...], static: tuple[Any, ...]) -> Lowered:
        leaves, structure = flatten(trees)
        leaves = [self.as_leaf(each) for each in leaves]
        paths = [path for name, child in zip(names, structure.children) for path in child.paths(name)]

        def run(arrays: Sequence[Array]) -> Any:
            built = structure.build(arrays)
            return call(self.function, self.signature, dict(zip(names, built)) | dict(static))

        return Lowered(trace(run, list(map(spec_of, leaves, paths)), paths), self.settings)

    def explain(self, key: Key, names: tuple[str, ...]) -> None:
        """Tell, where XMLC_EXPLAIN asks for it, why a function is traced (again)."""
        if EXPLAIN.get():
            LOG.warning("tracing %s: %s", self.name, self.reason(key, names))

    def reason(self, key: Key, names: tuple[str, ...]) -> str:
        """What is new in a key, in the words of the user's arguments."""
        if not self.entries:
            return "it is called for the first time"
        structure, leaves, static = next(reversed(self.entries))
        if structure != key[0]:
            return "its arguments are arranged in another way"
        if static != key[2]:
            changed = next(new for old, new in zip(static, key[2]) if old != new)
            return f"the static argument '{changed[0]}' is {changed[1]!r}"
        paths = [path for name, child in zip(names, structure.children) for path in child.paths(name)]
        for path, before, now in zip(paths, leaves, key[1]):
            if before != now:
                return f"'{path}' was {leaf_text(before)}, and is {leaf_text(now)}"
        return "the combination of its arguments' types is new"


def call(function: Callable[..., Any], signature: inspect.Signature, arguments: dict[str, Any]) -> Any:
    """Call a function with arguments by name, which its signature puts in their places."""
    bound = inspect.BoundArguments(signature, arguments)  # pyright: ignore[reportArgumentType]
    return function(*bound.args, **bound.kwargs)


def as_leaf(value: Any) -> Any:
    """A leaf of the arguments as a NumPy array that shares its memory; Python's numbers stay what they are."""
    kind = cast("type[Any]", type(value))
    if kind is np.ndarray or kind in NUMBERS:
        return value
    if hasattr(value, "__dlpack__") or isinstance(value, np.generic):
        return as_array(value)
    raise CompileError(
        f"expected arrays and numbers as arguments, found {kind.__name__}",
        place=user_place(),
        hint="name an argument that is neither in static=(…)",
    )


def as_leaf_of_gpu(value: Any) -> Any:
    """The same for a program of a GPU: an array in its memory stays there."""
    from xmlc.driver_cuda import on_device

    kind = cast("type[Any]", type(value))
    found = None if kind is np.ndarray or kind in NUMBERS else on_device(value)
    return as_leaf(value) if found is None else found


def leaf_key(leaf: Any) -> Leaf:
    kind = cast("type[Any]", type(leaf))
    return (kind,) if kind in NUMBERS else (leaf.shape, leaf.dtype)


def leaf_text(leaf: Leaf) -> str:
    return leaf[0].__name__ if len(leaf) == 1 else f"{shape_text(leaf[0])} of {leaf[1]}"


def spec_of(leaf: Any, path: str) -> Spec:
    if type(leaf) in NUMBERS:
        return Spec(tensor((), FROM_NUMPY[np.asarray(leaf).dtype]), weak=True)
    if leaf.dtype not in FROM_NUMPY:
        raise CompileError(f"the argument '{path}' has element type {leaf.dtype}", place=user_place())
    return Spec(tensor(leaf.shape, FROM_NUMPY[leaf.dtype]))


@overload
def compile(function: Callable[P, R], /) -> TracedFunction[P, R]: ...
@overload
def compile(
    *, static: Sequence[str] = (), settings: Settings | None = None, device: str | None = None
) -> Callable[[Callable[P, R]], TracedFunction[P, R]]: ...
def compile(
    function: Callable[P, R] | None = None,
    /,
    *,
    static: Sequence[str] = (),
    settings: Settings | None = None,
    device: str | None = None,
) -> TracedFunction[P, R] | Callable[[Callable[P, R]], TracedFunction[P, R]]:
    """Make a Python function of arrays run as machine code, compiled when it is first called with such arguments.

    Arguments are trees of arrays and numbers: tuples, lists, dicts, dataclasses. `static` names those that are none:
    they are hashed, and the function is traced for each of their values. Arrays that it uses from outside are part
    of the program as they are when it is traced. `device` says where it runs, `"cpu"` or `"cuda"`, if `settings` do
    not; else XMLC_DEVICE does. On a GPU, results are in its memory if an argument is.
    Raises CompileError at the user's line.
    """
    if device is not None:
        settings = replace(settings or Settings(), target=any_target(device))
    if function is not None:
        return TracedFunction(function, static, settings)
    return lambda function: TracedFunction(function, static, settings)
