"""The inputs of a run: read from the command line and files, drawn at random, checked against what a program takes."""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from xmlc.dialects.diagnostics import CompileError, Diagnostic, Place
from xmlc.files import reason
from xmlc.wording import did_you_mean, known_names

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
"""Inputs by name."""
Sizes: TypeAlias = Mapping[str, "int | tuple[int, ...]"]
"""Sizes of free dimensions by their name, or whole shapes by the name of an input."""


@dataclass(frozen=True)
class Port:
    """What a program takes under a name. A size is a number, the name of a free one, or None for a nameless one.

    `sizes` is None where the program does not say how many dimensions there are.
    """

    name: str
    dtype: np.dtype[Any]
    sizes: tuple[int | str | None, ...] | None
    weight: bool = False
    """Whether it is a weight: a program in MLIR takes them from whoever runs it."""

    def __str__(self) -> str:
        if self.sizes is None:
            return f"{self.name}: {self.dtype} of any shape"
        shape = "x".join("?" if size is None else str(size) for size in self.sizes)
        return f"{self.name}: {self.dtype} {shape or 'scalar'}"


def read_sizes(text: str) -> dict[str, int | tuple[int, ...]]:
    """`B=1,S=16` or `x=1x3x224x224`. Raises ValueError that says what is wrong."""
    found: dict[str, int | tuple[int, ...]] = {}
    for part in filter(None, text.split(",")):
        name, equals, sizes = part.rpartition("=")
        numbers = sizes.strip().split("x")
        if not equals or not name.strip() or not all(number.isdecimal() for number in numbers):
            raise ValueError(f"cannot read '{part}'")
        found[name.strip()] = int(numbers[0]) if len(numbers) == 1 else tuple(map(int, numbers))
    return found


def check_sizes(sizes: Sizes, ports: Sequence[Port], file: str) -> None:
    """Raise CompileError for sizes given to names that the program does not have."""
    free = {size for port in ports for size in port.sizes or () if isinstance(size, str)}
    nameless = [port for port in ports if None in (port.sizes or ())]
    known = free | {port.name for port in ports}
    strange = [name for name in sizes if name not in known]
    if strange:
        raise CompileError.of(
            [
                Diagnostic(
                    f"the program has no size and no input named '{name}'",
                    Place(file),
                    did_you_mean(name, known) or free_sizes_text(free, nameless),
                )
                for name in strange
            ]
        )


def free_sizes_text(free: Collection[str], nameless: Sequence[Port]) -> str:
    """What sizes a program leaves open, by name, or by inputs where they have none."""
    if free:
        return "its free sizes are " + ", ".join(sorted(free))
    if nameless:
        return "its free sizes have no names: give the shapes of " + ", ".join(str(port) for port in nameless)
    return "it has no free sizes"


# --- reading


def read_input(text: str, ports: Iterable[Port]) -> tuple[str, Array]:
    """`NAME=FILE.npy`, or `NAME=VALUE` with a number or a nested list. Raises CompileError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CompileError(f"cannot read the input '{text}'", hint="give NAME=FILE.npy, or NAME=VALUE such as x=[1,2]")
    if value.endswith(".npy"):
        return name, load_array(Path(value))
    try:
        found = np.asarray(ast.literal_eval(value))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        hint = "a value is a number or a list of numbers; a file ends in .npy"
        raise CompileError(f"cannot read the value of the input '{name}': '{value}'", hint=hint) from error
    if found.dtype.kind not in "iufb":
        raise CompileError(f"the value of the input '{name}' is no number: '{value}'")
    return name, as_declared(name, found, ports)


def load_array(path: Path) -> Array:
    """The array of a .npy file. Raises CompileError; nothing in the file is run."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except OSError as error:
        raise CompileError(f"cannot read '{path}': {reason(error)}") from error
    except (ValueError, EOFError) as error:
        raise CompileError(f"'{path}' is not a .npy file, or a damaged one") from error
    if not isinstance(loaded, np.ndarray):
        raise CompileError(f"'{path}' holds several arrays", hint="give it with --inputs")
    return cast(Array, loaded)


def load_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a .npz file by name. Raises CompileError; nothing in the file is run."""
    try:
        with np.load(path, allow_pickle=False) as loaded:
            if isinstance(loaded, np.ndarray):
                raise CompileError(f"'{path}' holds one array without a name", hint="give it with --input NAME=FILE")
            return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise CompileError(f"cannot read '{path}': {reason(error)}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise CompileError(f"'{path}' is not a .npz file, or a damaged one") from error


def as_declared(name: str, value: Array, ports: Iterable[Port]) -> Array:
    """A value of the command line, which has no type there, in the type that the program wants. Raises CompileError."""
    wanted = {port.name: port.dtype for port in ports}.get(name, value.dtype)
    with np.errstate(all="ignore"):
        made = value.astype(wanted)
        if wanted.kind in "iub" and not np.array_equal(made, value):
            raise CompileError(f"the value of the input '{name}' does not fit its element type, {wanted}")
    return made


# --- writing


def npy(array: Array) -> bytes:
    """The bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(arrays: Arrays) -> bytes:
    """The bytes of a .npz file; names may be anything, also `file`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array))
    return stream.getvalue()


# --- drawing

INTEGERS_BELOW = 2
"""Random integers are 0 or 1: valid as tokens, masks and indices wherever these may be."""


def random_arrays(ports: Sequence[Port], given: Arrays, sizes: Sizes, seed: int) -> dict[str, Array]:
    """A random array for each input that is not given: floats normally distributed, integers 0 or 1.

    An array depends on the seed, its position and its shape alone. Raises CompileError where a size is free.
    """
    from xmlc.meaning import draw

    known = known_sizes(ports, given, sizes)
    made: dict[str, Array] = {}
    for position, port in enumerate(ports):
        if port.name in given:
            continue
        whole = sizes.get(port.name)
        shape = (whole,) if isinstance(whole, int) else whole
        if shape is None:
            shape = bound(port, known)
        generator = np.random.default_rng((seed, position))
        made[port.name] = np.asarray(draw(port.dtype, shape, generator, INTEGERS_BELOW), port.dtype)
    return made


def known_sizes(ports: Sequence[Port], given: Arrays, sizes: Sizes) -> dict[str, int]:
    """The free sizes that are given by name, and those that the given arrays tell."""
    known: dict[str, int] = {name: size for name, size in sizes.items() if isinstance(size, int)}
    for port in ports:
        if port.name in given and port.sizes is not None:
            for size, found in zip(port.sizes, given[port.name].shape):
                if isinstance(size, str):
                    known.setdefault(size, found)
    return known


def bound(port: Port, known: Mapping[str, int]) -> tuple[int, ...]:
    """The sizes of an input, all of which must be known by now."""
    if port.sizes is None:
        hint = f"give its shape, such as --bind {port.name}=1x16, or the input itself"
        raise CompileError(f"input '{port.name}' has no shape", hint=hint)
    free = [size for size in port.sizes if not isinstance(size, int) and size not in known]
    if free:
        names = list(dict.fromkeys(size for size in free if size is not None))
        shape = f"{port.name}=" + "x".join("1" if not isinstance(size, int) else str(size) for size in port.sizes)
        example = shape if None in free else ",".join(f"{name}=1" for name in names)
        hint = f"give them, such as --bind {example}, or the input itself"
        raise CompileError(f"input '{port.name}' has free sizes: {port}", hint=hint)
    return tuple(size if isinstance(size, int) else known[size] for size in port.sizes if size is not None)


# --- checking


def check_inputs(arrays: Arrays, ports: Sequence[Port], file: str) -> None:
    """Raise CompileError with everything that is wrong: unknown and missing names, element types, shapes."""
    found: list[Diagnostic] = []
    names = [port.name for port in ports]
    for name in arrays:
        if name not in names:
            hint = known_names(name, names) if names else "it takes no inputs"
            found.append(Diagnostic(f"the program has no input '{name}'", Place(file), hint))
    sizes: dict[str, tuple[int, str]] = {}
    for port in ports:
        if port.name not in arrays:
            found.append(missing(port, file))
            continue
        found += wrong(arrays[port.name], port, file, sizes)
    if found:
        raise CompileError.of(found)


def missing(port: Port, file: str) -> Diagnostic:
    if port.weight:
        hint = "`xmlc compile --save-weights FILE.npz` wrote it with the program: give it with --inputs FILE.npz"
        return Diagnostic(f"no value for the weight {port}", Place(file), hint)
    hint = f"--input {port.name}=FILE.npy gives it, --random SEED draws it"
    return Diagnostic(f"no value for the input {port}", Place(file), hint)


def wrong(array: Array, port: Port, file: str, sizes: dict[str, tuple[int, str]]) -> Iterable[Diagnostic]:
    """What is wrong with one input. `sizes` remembers the free sizes met: name -> size, and the input that has it."""
    place = Place(file)
    if array.dtype != port.dtype:
        hint = f"convert it: array.astype('{port.dtype}')"
        yield Diagnostic(f"input '{port.name}' has element type {array.dtype}, expected {port.dtype}", place, hint)
    if port.sizes is None:
        return
    shape = "x".join(map(str, array.shape)) or "scalar"
    want = "x".join("?" if size is None else str(size) for size in port.sizes) or "scalar"
    fits = len(array.shape) == len(port.sizes)
    if not fits or any(isinstance(size, int) and size != is_ for size, is_ in zip(port.sizes, array.shape)):
        yield Diagnostic(f"input '{port.name}' has shape {shape}, expected {want}", place)
        return
    for size, is_ in zip(port.sizes, array.shape):
        if isinstance(size, str):
            before, whose = sizes.setdefault(size, (is_, port.name))
            if before != is_:
                message = f"input '{port.name}' has shape {shape}, expected {want} with {size} = {before}"
                yield Diagnostic(message, place, f"the input '{whose}' has {size} = {before}")
