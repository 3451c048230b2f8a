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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

import numpy as np

from xmlc.arguments import as_array
from xmlc.backends.cuda.target import CudaTarget
from xmlc.backends.signature import Signature
from xmlc.callers import RETURNS, callers_kind
from xmlc.compiled import CompiledModule
from xmlc.dialects.context_variables import setting
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.dialects.ml.types import shape_text, tensor
from xmlc.dialects.sizes import Assumptions
from xmlc.driver import Settings, any_target, emit
from xmlc.frontend.python.array import Array
from xmlc.frontend.python.control import cond, scan, while_loop
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import Spec, Traced, current, trace
from xmlc.frontend.python.tree import Tree, flatten, map_leaves
from xmlc.nan_search import SEARCHING, explain_nan, has_nan, unsearched
from xmlc.open_sizes import ForAllSizes, Opened, opened, stated_sizes
from xmlc.options import DEVICE, EXPLAIN
from xmlc.tensors.backend import Runner
from xmlc.tensors.device import KINDS, TRACED_FOR, Device, device_of, expect_one
from xmlc.tensors.tensor import Tensor

if TYPE_CHECKING:
    from xmlc.picture import Picture
    from xmlc.report import Report

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["TracedFunction", "compile", "cond", "scan", "while_loop"]

LOG = logging.getLogger("xmlc.tracing")

Leaf = tuple[Any, ...]
"""What tells one leaf of the arguments from another: its shape and dtype, or the type of a Python number."""
Key = tuple[Tree, tuple[Leaf, ...], tuple[Any, ...], Device]
"""What a function is traced for: the structure of its arguments, their leaves, the static arguments, and a device."""

NUMBERS = (bool, int, float)

override = DEVICE.override.get
searching = SEARCHING.get
"""Asked for in every call."""


@dataclass(frozen=True)
class Entry:
    """The machine code for one key: it takes the leaves of the arguments, and gives those of the result."""

    call: Runner
    results: Tree
    device: Device

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """The result, its arrays where those of the arguments are."""
        return self.built(self.call(*leaves))

    def as_tensors(self, leaves: Sequence[Any]) -> Any:
        """The result, its arrays tensors on the device."""
        found = self.device.backend.run(self.call, leaves)
        return self.built([Tensor.of(each, self.device) for each in found])

    def built(self, found: Sequence[Any]) -> Any:
        return found[0] if self.results.kind is None else self.results.build(found)


@dataclass(frozen=True, slots=True)
class LastCall:
    """What is likely to be called again: an entry that the launcher calls, if it takes arrays as they are."""

    entry: Entry
    launched: Callable[[tuple[Any, ...]], tuple[Any, ...] | None]
    is_single: bool
    """Whether the result is one array, and no tree."""
    within: str | None
    """What a `with` set XMLC_DEVICE to."""

    @classmethod
    def of(cls, entry: Entry, within: str | None) -> LastCall | None:
        """None where the launcher does not call such an entry."""
        if not isinstance(entry.call, CompiledModule):
            return None
        return cls(entry, entry.call.launched, entry.results.kind is None, within)


@dataclass(frozen=True)
class PlainCall:
    """A call that has been made before, of arguments that are arrays: what becomes of each is known."""

    entry: Entry
    kinds: tuple[int, ...]
    """Of each argument, HELD, SHARED or OF_HOST."""
    is_numpy: bool
    """Whether all are NumPy's, and taken as they are."""
    last: LastCall | None
    """How the launcher makes the same call, if it can."""

    @classmethod
    def of(cls, entry: Entry, arguments: Sequence[Any], within: str | None) -> PlainCall:
        kinds = [HELD if type(each) is Tensor else OF_HOST if device_of(each) is None else SHARED for each in arguments]
        is_numpy = all(type(each) is np.ndarray for each in arguments)
        return cls(entry, tuple(kinds), is_numpy, LastCall.of(entry, within) if is_numpy else None)

    def __call__(self, arguments: Sequence[Any]) -> Any:
        if self.is_numpy:
            return self.entry(arguments)
        device = self.entry.device
        leaves = [
            each if kind is SHARED else each.buffer if kind is HELD else as_leaf(each, device)
            for kind, each in zip(self.kinds, arguments)
        ]
        return self.entry.as_tensors(leaves) if HELD in self.kinds else self.entry(leaves)


HELD, SHARED, OF_HOST = range(3)
"""An argument that is a tensor, an array of another library on the device, an array of the host."""


@dataclass(frozen=True)
class Lowered:
    """A traced function that can be looked at: `emit("linalg")` gives it after any stage, `compile()` machine code."""

    traced: Traced
    settings: Settings
    device: Device

    def emit(self, stage: str = "ml") -> str | bytes:
        """The program after a stage: see `xmlc list stages`. Raises CompileError for an unknown one."""
        return emit(self.traced.module.clone(), stage, self.settings)

    def graph(self, stage: str = "kernels") -> Picture:
        """The program after a stage as a picture: the kernels, or with "ml" each op, and what flows between them.

        Raises CompileError for a stage after "linalg", whose ops pass values through memory.
        """
        from xmlc.picture import drawn

        module = self.traced.module.clone()
        emit(module, stage, self.settings)
        return drawn(module, stage)

    def report(self) -> Report:
        """What each kernel takes, does and could reach, on random inputs for a second; `.render()` is the table.

        Raises CompileError for another device than the processor.
        """
        from xmlc.driver import compile_for_target
        from xmlc.inputs import Port, random_arrays
        from xmlc.report import Profile
        from xmlc.running import reported

        if self.device.kind != "cpu":
            raise CompileError(f"kernels are timed on 'cpu', not on '{self.device}'", place=user_place())
        settings = replace(self.settings, profile=Profile())
        made = compile_for_target(self.traced.module.clone(), self.traced.weights, settings)
        assert isinstance(made, CompiledModule)
        ports = [Port(each.name, each.dtype, each.shape) for each in made.signature.inputs]
        inputs = random_arrays(ports, {}, {}, seed=0)
        return reported(made, [inputs[port.name] for port in ports], settings)

    def save(self, path: str | Path) -> None:
        """Write the program as MLIR, and arrays that it uses from outside, if any, beside it as .npz.

        xmlc.load("step.mlir", weights=dict(numpy.load("step.npz"))) gives it back.
        """
        from xmlc.files import write_whole
        from xmlc.inputs import npz

        write_whole(Path(path), str(self))
        if self.traced.weights:
            write_whole(Path(path).with_suffix(".npz"), npz(self.traced.weights))

    def compile(self) -> Entry:
        made = self.device.backend.compile(self.traced.module.clone(), self.traced.weights, self.settings)
        return Entry(made, self.traced.results, self.device)

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

    def __init__(
        self,
        function: Callable[P, R],
        static: str | Sequence[str] = (),
        settings: Settings | None = None,
        device: Device | None = None,
        donate: str | Sequence[str] = (),
        returns: str = "arrays",
        sizes: Mapping[str, Sequence[Any]] | None = None,
    ):
        """`device` is where it runs, or that which the settings compile for; else each call where its tensors are."""
        if returns not in RETURNS:
            message = f"a compiled function returns {' or '.join(map(repr, RETURNS))}, not {returns!r}"
            raise CompileError(message, place=user_place())
        static, donate = named(static), named(donate)
        self.function = function
        self.gives_callers_kind = returns == "caller"
        self.signature = inspect.signature(function)
        self.static = frozenset(static)
        self.donate = frozenset(donate)
        self.sizes = stated_sizes(function, sizes)
        positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        kinds = [each.kind in positional for each in self.signature.parameters.values()]
        self.plain = tuple(self.signature.parameters) if all(kinds) and not static else None
        """The names of the arguments, where as many values in their order are all of them."""
        self.settings = settings
        self.device = device or (device_for(settings) if settings else None)
        self.entries: dict[Key, Entry] = {}
        self.last: LastCall | None = None
        """The last call of arrays one by one. It is tried first: the launcher tells arrays apart in the least time."""
        self.latest: dict[tuple[Tree, str | None], LastCall] = {}
        """The last calls of trees of arrays, by how these were arranged and what a `with` set XMLC_DEVICE to."""
        self.plain_calls: dict[tuple[tuple[Any, ...] | None, str | None], PlainCall] = {}
        """Calls of arrays one by one, of any libraries, by what those say of them and what XMLC_DEVICE was set to."""
        functools.update_wrapper(self, function, updated=())  # not the attributes of one that is traced too
        for names, what in ((static, "static"), (donate, "donated")):
            unknown = [each for each in names if each not in self.signature.parameters]
            if unknown:
                raise CompileError(f"{self.name} has no argument '{unknown[0]}' to be {what}", place=user_place())
        if both := sorted(self.static & self.donate):
            raise CompileError(f"the argument '{both[0]}' is static: it has no memory to donate", place=user_place())

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "the function")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # What most calls are, arrays like those of the last call, comes first: all else may take longer.
        last = self.last
        if last is not None and not kwargs and last.within == override(None) and current() is None and not searching():
            found = last.launched(args)
            if found is not None:
                return found[0] if last.is_single else last.entry.built(found)
        if current() is not None:
            return self.function(*args, **kwargs)
        try:
            if self.gives_callers_kind:
                made = callers_kind(flatten((args, kwargs))[0])
                return cast(R, map_leaves(made, self.run(*args, **kwargs)))
            return self.run(*args, **kwargs)
        except CompileError as error:  # what compiles and runs programs knows nothing of Python
            error.place_at(user_place())
            raise

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        """The function as a method of what has it, as Python's functions are."""
        return self if instance is None else MethodType(self, instance)

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The results of machine code, as we make them."""
        if SEARCHING.get():
            return self.searched(*args, **kwargs)
        within = override(None)
        plain = plain_key(args) if not kwargs and self.plain is not None and len(args) == len(self.plain) else None
        try:
            made_before = self.plain_calls.get((plain, within))
        except TypeError:  # a library's devices are no keys
            made_before = plain = None
        if made_before is not None:
            self.last = made_before.last or self.last
            return made_before(args)
        names, trees, static = self.divided(args, kwargs)
        found, structure = flatten(trees)
        last = None if static else self.latest.get((structure, within))
        if last is not None and (done := last.launched(tuple(found))) is not None:
            return last.entry.built(done)
        device = self.placed(names, found, structure)
        leaves = [as_leaf(each, device) for each in found]
        if self.donate:
            leaves = self.of_their_own(names, structure, found, leaves, device)
        open = self.opened(names, structure, leaves)
        key = structure, tuple(map(leaf_key, leaves, open.shapes if open else map(np.shape, leaves))), static, device
        entry = self.entries.get(key)
        if entry is None:
            self.explain(key, names)
            lowered = self.traced(names, trees, static)
            entry = lowered.compile()
            if open:
                entry = self.for_all_sizes(entry, names, leaves, structure, static)
            self.entries[key] = entry
            self.explain_donated(lowered.traced.donated, entry)
        if not static and (last := LastCall.of(entry, within)) is not None:
            self.latest[structure, within] = last
        if plain is not None and all(child.kind is None for child in structure.children):
            made = PlainCall.of(entry, found, within)
            if made.is_numpy or not self.donate:
                self.plain_calls[plain, within] = made
                self.last = made.last or self.last
        given = [np.asarray(each) if type(each) in NUMBERS else each for each in leaves]
        return entry.as_tensors(given) if any(type(each) is Tensor for each in found) else entry(given)

    def of_their_own(
        self, names: Sequence[str], structure: Tree, found: Sequence[Any], leaves: Sequence[Any], device: Device
    ) -> list[Any]:
        """The leaves, donated tensors as copies: others may share a tensor's memory, which nobody sees."""
        owners = [name for name, child in zip(names, structure.children) for _ in range(child.leaves)]
        return [
            device.backend.copied(leaf) if type(each) is Tensor and owner in self.donate else leaf
            for owner, each, leaf in zip(owners, found, leaves)
        ]

    def opened(self, names: Sequence[str], structure: Tree, leaves: Sequence[Any]) -> Opened | None:
        """The shapes of arguments with the sizes that are open as symbols; None where all are as they are."""
        if not self.sizes:
            return None
        if self.device is not None and self.device.kind != "cpu":
            message = f"{self.name} has open sizes, which programs for {self.device} cannot have"
            raise CompileError(message, place=user_place(), hint="state numbers, or None")
        return opened(self.sizes, paths_of(names, structure), leaves)

    def for_all_sizes(
        self, first: Entry, names: tuple[str, ...], leaves: Sequence[Any], structure: Tree, static: tuple[Any, ...]
    ) -> Entry:
        """A program with open sizes, compiled again for arrays that are not as it assumes."""
        are_numbers = [type(each) in NUMBERS for each in leaves]

        def again(inputs: Sequence[Any]) -> Runner:
            if EXPLAIN.get():
                LOG.warning("tracing %s: its sizes are not as an earlier program assumes", self.name)
            given = [each.item() if is_number else each for each, is_number in zip(inputs, are_numbers)]
            return self.traced(names, structure.build(given), static).compile().call

        return replace(first, call=ForAllSizes(first.call, again))

    def placed(self, names: Sequence[str], found: Sequence[Any], structure: Tree) -> Device:
        """The device that a call runs on. Raises CompileError where an argument is on another."""
        devices = [device_of(each) for each in found]
        on = [each for each in devices if each is not None]
        if self.device is None:
            return expect_one(self.name, on) if on else default_place()[0]
        if any(each != self.device for each in on):
            paths = [path for name, child in zip(names, structure.children) for path in child.paths(name)]
            path, other = next((p, each) for p, each in zip(paths, devices) if each not in (None, self.device))
            message = f"{self.name} is compiled for {self.device}, its argument '{path}' is on {other}"
            hint = f"move it: {path}.to('{self.device}')"
            raise CompileError(f"device mismatch: {message}", place=user_place(), hint=hint)
        return self.device

    def searched(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """A call whose result is searched for NaN: see `xmlc.debug_nans`."""
        with unsearched():
            result = self.run(*args, **kwargs)
        if any(map(has_nan, flatten(result)[0])):
            traced = self.lower(*args, **kwargs).traced
            leaves = flatten(self.divided(args, kwargs)[1])[0]
            explain_nan(traced.module, [*leaves, *traced.weights.values()])
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
        for name, value in static:
            if not is_hashable(value):
                message = f"the static argument '{name}' is a {type(value).__name__}, which has no hash to find it by"
                hint = "give a tuple, a string or a number, or let an array be traced"
                raise CompileError(message, place=user_place(), hint=hint)
        return tuple(dynamic), tuple(dynamic.values()), static

    def traced(self, names: tuple[str, ...], trees: tuple[Any, ...], static: tuple[Any, ...]) -> Lowered:
        leaves, structure = flatten(trees)
        device = self.placed(names, leaves, structure)
        leaves = [as_leaf(each, device) for each in leaves]
        paths = paths_of(names, structure)
        owners = [name for name, child in zip(names, structure.children) for _ in range(child.leaves)]
        open = self.opened(names, structure, leaves)
        shapes = open.shapes if open else map(np.shape, leaves)
        specs = [
            spec_of(leaf, path, shape, donated=owner in self.donate)
            for leaf, path, shape, owner in zip(leaves, paths, shapes, owners)
        ]

        def run(arrays: Sequence[Array]) -> Any:
            built = structure.build(arrays)
            return call(self.function, self.signature, dict(zip(names, built)) | dict(static))

        with setting(TRACED_FOR, device):
            made = trace(run, specs, paths, open.assumptions() if open else Assumptions())
        return Lowered(made, self.settings or default_settings(device), device)

    def explain(self, key: Key, names: tuple[str, ...]) -> None:
        """Tell, where XMLC_EXPLAIN asks for it, why a function is traced (again)."""
        if EXPLAIN.get():
            LOG.warning("tracing %s: %s", self.name, self.reason(key, names))

    def explain_donated(self, donated: Sequence[str], entry: Entry) -> None:
        """Tell, where XMLC_EXPLAIN asks for it, which donated arguments no result is written to."""
        signature: Signature | None = getattr(entry.call, "signature", None)  # an interpreted program has none
        used = {signature.inputs[number].name for number, _ in signature.in_place} if signature else set[str]()
        unused = [name for name in donated if name not in used]
        if unused and EXPLAIN.get():
            what = "none of their types is made of them element by element, or they are needed later"
            LOG.warning("%s: no results are written to the donated %s: %s", self.name, ", ".join(unused), what)

    def reason(self, key: Key, names: tuple[str, ...]) -> str:
        """What is new in a key, in the words of the user's arguments."""
        if not self.entries:
            return "it is called for the first time"
        structure, leaves, static, device = next(reversed(self.entries))
        if device != key[3]:
            return f"it ran on {device}, and is to run on {key[3]}"
        if structure != key[0]:
            return "its arguments are arranged in another way"
        if static != key[2]:
            changed = next(new for old, new in zip(static, key[2]) if old != new)
            return f"the static argument '{changed[0]}' is {changed[1]!r}"
        for path, before, now in zip(paths_of(names, structure), leaves, key[1]):
            if before != now:
                return f"'{path}' was {leaf_text(before)}, and is {leaf_text(now)}"
        return "the combination of its arguments' types is new"


def call(function: Callable[..., Any], signature: inspect.Signature, arguments: dict[str, Any]) -> Any:
    """Call a function with arguments by name, which its signature puts in their places."""
    bound = inspect.BoundArguments(signature, arguments)  # pyright: ignore[reportArgumentType]
    return function(*bound.args, **bound.kwargs)


def is_hashable(value: Any) -> bool:
    """Whether a value, with all that it holds, can be told from others by its hash."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def named(arguments: str | Sequence[str]) -> tuple[str, ...]:
    """Names of arguments, of which one may stand alone."""
    return (arguments,) if isinstance(arguments, str) else tuple(arguments)


def as_leaf(value: Any, device: Device) -> Any:
    """A leaf of the arguments as a program of a device takes it: a number, or an array that shares its memory."""
    kind = cast("type[Any]", type(value))
    if kind is np.ndarray or kind in NUMBERS:
        return value
    if kind is Tensor:
        return value.buffer
    if device_of(value) is not None:
        return device.backend.view(value)
    if hasattr(value, "__dlpack__") or isinstance(value, np.generic):
        return as_array(value)
    raise CompileError(
        f"expected arrays and numbers as arguments, found {kind.__name__}",
        place=user_place(),
        hint="name an argument that is neither in static=(…)",
    )


def device_for(settings: Settings) -> Device:
    """The device that runs what is compiled with these settings."""
    return Device("cuda" if isinstance(settings.target, CudaTarget) else "cpu")


def default_place() -> tuple[Device, Settings | None]:
    """What XMLC_DEVICE names."""
    return place_named(DEVICE.get())


def default_settings(device: Device) -> Settings:
    """Those of a device, unless XMLC_DEVICE names a target for it."""
    named, settings = default_place()
    return settings if settings and named == device else Settings(target=any_target(KINDS[device.kind].target))


def place_named(name: str) -> tuple[Device, Settings | None]:
    """The device `cpu`, `cuda:1`, or that which runs programs for a target such as `cuda:sm_90a`, with settings for it.

    Raises CompileError for a name of neither.
    """
    kind, _, rest = name.partition(":")
    if kind in KINDS and (not rest or rest.isdecimal()):
        return Device(name), None
    try:
        settings = Settings(target=any_target(name))
    except CompileError as error:  # the command line has no lines of Python
        error.place_at(user_place())
        raise
    return device_for(settings), settings


def plain_key(arguments: Sequence[Any]) -> tuple[Any, ...] | None:
    """What tells calls of arrays from one another, without a look at the arrays; None if an argument is no array."""
    try:
        return tuple([(cast("type[Any]", type(each)), each.shape, each.dtype, each.device) for each in arguments])
    except AttributeError:
        return None


def leaf_key(leaf: Any, shape: tuple[int, ...]) -> Leaf:
    kind = cast("type[Any]", type(leaf))
    return (kind,) if kind in NUMBERS else (shape, leaf.dtype)


def leaf_text(leaf: Leaf) -> str:
    return leaf[0].__name__ if len(leaf) == 1 else f"{shape_text(leaf[0])} of {leaf[1]}"


def paths_of(names: Sequence[str], structure: Tree) -> list[str]:
    """What the user would call each leaf of arguments with these names."""
    return [path for name, child in zip(names, structure.children) for path in child.paths(name)]


def spec_of(leaf: Any, path: str, shape: tuple[int, ...], *, donated: bool = False) -> Spec:
    if type(leaf) in NUMBERS:
        return Spec(tensor((), FROM_NUMPY[np.asarray(leaf).dtype]), weak=True)
    if leaf.dtype not in FROM_NUMPY:
        kinds = ", ".join(map(str, FROM_NUMPY))
        message = f"the argument '{path}' has element type {leaf.dtype}, which no program computes with"
        raise CompileError(message, place=user_place(), hint=f"convert it to one of {kinds}")
    return Spec(tensor(shape, FROM_NUMPY[leaf.dtype]), donated=donated)


@overload
def compile(function: Callable[P, R], /) -> TracedFunction[P, R]: ...
@overload
def compile(
    *,
    static: str | Sequence[str] = (),
    donate: str | Sequence[str] = (),
    sizes: Mapping[str, Sequence[Any]] | None = None,
    settings: Settings | None = None,
    device: Device | str | None = None,
    tune: float | None = None,
    returns: str = "arrays",
) -> Callable[[Callable[P, R]], TracedFunction[P, R]]: ...
def compile(
    function: Callable[P, R] | None = None,
    /,
    *,
    static: str | Sequence[str] = (),
    donate: str | Sequence[str] = (),
    sizes: Mapping[str, Sequence[Any]] | None = None,
    settings: Settings | None = None,
    device: Device | str | None = None,
    tune: float | None = None,
    returns: str = "arrays",
) -> TracedFunction[P, R] | Callable[[Callable[P, R]], TracedFunction[P, R]]:
    """Make a Python function of arrays run as machine code, compiled when it is first called with such arguments.

    Arguments are trees of arrays and numbers: tuples, lists, dicts, dataclasses. `static` names those that are none:
    they are hashed, and the function is traced for each of their values. Arrays that it uses from outside are part
    of the program as they are when it is traced. `donate` names arguments whose memory a call may write results to:
    what they hold afterwards is undefined (docs/python.md). `sizes` names sizes of arguments that are left open, as
    annotations `xmlc.Array["batch", 784]` do: one compilation serves them all. `device` says where it runs, a device
    or a target such as `"cuda:sm_90a"`, if `settings` do not; else it runs where tensors and arrays of a GPU that it is
    given are, and on the device of XMLC_DEVICE where there are none. Given tensors it gives tensors, given arrays in a
    GPU's memory such arrays, else NumPy's; with `returns="caller"`, arrays of the library of its first argument that is
    an array.
    `tune` is how many seconds each compilation for a GPU may spend on timing schedules of
    its kernels there.
    Raises CompileError at the user's line.
    """
    where: Device | None = None
    if device is not None:
        where, found = place_named(device) if isinstance(device, str) else (device, None)
        target = found.target if found else any_target(KINDS[where.kind].target)
        settings = replace(settings or Settings(), target=target)
    if tune is not None:
        if settings is None or not isinstance(settings.target, CudaTarget):
            raise CompileError("tune= times kernels of a GPU", place=user_place(), hint='give device="cuda"')
        settings = replace(settings, tune=tune)
    if function is not None:
        return TracedFunction(function, static, settings, where, donate, returns, sizes)
    return lambda function: TracedFunction(function, static, settings, where, donate, returns, sizes)
