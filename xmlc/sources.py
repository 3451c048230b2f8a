"""A program in a file, whatever its language: Toy, ONNX, or MLIR of any level."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp

from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.dialects.sizes import TYPICAL, Assumptions, assuming, state
from xmlc.files import Content, content, decode_text, mapped, unchanged_since_now
from xmlc.inputs import Array, Arrays, Port, Sizes, bound, check_sizes, known_sizes

if TYPE_CHECKING:
    from xmlc.backends.signature import Tensor
    from xmlc.frontend.onnx.mapped import Mapped

STANDARD_INPUT = "<stdin>"
LANGUAGES: dict[str, str] = {".toy": "toy", ".onnx": "onnx", ".mlir": "mlir"}
"""Suffix -> language."""


@dataclass(frozen=True)
class Program:
    """A module ready to compile, and the arrays of the weights that its entry function takes after its inputs."""

    module: ModuleOp
    weights: Arrays = field(default_factory=dict[str, Array])


@dataclass(frozen=True)
class Source:
    """A program that was read: what its entry takes, and how to make its module for given sizes and inputs.

    `make(sizes, arrays)` gives a new module each time. Sizes are those of free dimensions by name, or a whole shape by
    the name of an input; arrays are inputs by name: their shapes are used where they are given, their
    values only where shapes depend on them. It raises CompileError for what is wrong in the program.
    """

    name: str
    language: str
    inputs: tuple[Port, ...]
    make: Callable[[Sizes, Arrays], Program]
    syntax_tree: Callable[[], str] | None = None
    text: str | None = None
    """The program as text, where it is text: for messages that show the line they speak of."""
    make_free: Callable[[Sizes, Arrays], Program] | None = None
    """As `make`, with the sizes that are not given left free: arrays are an example of what it will be called with."""


def open_source(file: str, language: str | None = None) -> Source:
    """Read a program from a file, or from standard input for `-`.

    The language is that given, else the one of the file's suffix, else the one that the content looks like. Raises
    CompileError for a file that cannot be read or is not of its language.
    """
    return open_program(*read_program(file), language)


def read_program(file: str) -> tuple[str, Content]:
    """The name of a program for messages, and its content. Raises CompileError."""
    return (STANDARD_INPUT, sys.stdin.buffer.read()) if file == "-" else (file, content(Path(file)))


def open_program(name: str, data: Content, language: str | None = None) -> Source:
    """A program that was read. Raises CompileError."""
    return OPEN[language or LANGUAGES.get(Path(name).suffix) or language_of(data)](name, data)


def language_of(data: Content) -> str:
    """What a program without a telling name is: ONNX starts with a field of protobuf, Toy defines functions."""
    if data[:1] == b"\x08" or b"\0" in data[:1024]:
        return "onnx"
    return "toy" if re.search(rb"^\s*def\s+\w+\s*\(", data, re.MULTILINE) else "mlir"


def open_toy(name: str, data: Content) -> Source:
    from xmlc.frontend.toy import build, dump, parse

    text = decode_text(bytes(data), name)
    tree = parse(text, name)

    def make(sizes: Sizes, arrays: Arrays) -> Program:
        check_sizes(sizes, (), name)
        return Program(build(tree))

    return Source(name, "toy", (), make, lambda: dump(tree), text)


def open_mlir(name: str, data: Content) -> Source:
    from xmlc.dialects import context
    from xmlc.parse import parse_module
    from xmlc.verify import verify

    text = decode_text(bytes(data), name)

    def parsed() -> ModuleOp:
        return parse_module(text, name, context())

    module = parsed()
    verify(module)
    inputs, weights = ((), ()) if any(op.name == "toy.func" for op in module.ops) else parameters(module)
    ports = tuple(Port(each.name, each.dtype, each.sizes, each in weights) for each in (*inputs, *weights))
    free = any(not isinstance(size, int) for port in ports for size in port.sizes or ())
    unused = [module]  # parsing is slow: the first caller gets what was parsed to look at the signature

    def make(sizes: Sizes, arrays: Arrays) -> Program:
        check_sizes(sizes, ports, name)
        made = unused.pop() if unused else parsed()
        if free:
            from xmlc.mlir_sizes import for_sizes

            for_sizes(made, ports, sizes, arrays, name)
        return Program(made, {each.name: arrays[each.name] for each in weights if each.name in arrays})

    def make_free(sizes: Sizes, arrays: Arrays) -> Program:
        from xmlc.mlir_sizes import for_all_sizes

        check_sizes(sizes, ports, name)
        made = unused.pop() if unused else parsed()
        for_all_sizes(made, ports, sizes, arrays, name)
        return Program(made, {each.name: arrays[each.name] for each in weights if each.name in arrays})

    return Source(name, "mlir", ports, make, None, text, make_free if free else None)


def parameters(module: ModuleOp) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """The inputs of a module, and the weights: those of @prepare too, but not what it makes of them."""
    from xmlc.backends.signature import signature_of
    from xmlc.driver import entry_of, prepare_of

    main, prepare = signature_of(entry_of(module)), prepare_of(module)
    if prepare is None:
        return main.inputs, main.weights
    before = signature_of(prepare)
    made = {each.name for each in before.outputs}
    weights = {each.name: each for each in (*main.weights, *before.weights) if each.name not in made}
    return main.inputs, list(weights.values())


def open_onnx(name: str, data: Content) -> Source:
    from xmlc.frontend.onnx.importer import import_model
    from xmlc.frontend.onnx.program import Port as InputPort
    from xmlc.frontend.onnx.signature import declared_sizes, input_infos, name_free_sizes, nameless
    from xmlc.frontend.onnx.tensors import dtype_of
    from xmlc.frontend.onnx.unsupported import NeedsValue

    loaded = read_onnx(name, data)
    model, stored = loaded.model, loaded.arrays
    refuse_changes = unchanged_since_now(loaded.files)
    infos = [info for info in input_infos(model) if info.type.HasField("tensor_type")]
    ports = tuple(Port(info.name, dtype_of(info.type.tensor_type.elem_type), declared_sizes(info)) for info in infos)

    def make(sizes: Sizes, arrays: Arrays) -> Program:
        refuse_changes()
        check_sizes(sizes, ports, name)
        names = {port.name for port in ports}
        symbols = {key: size for key, size in sizes.items() if isinstance(size, int) and key not in names}
        shapes = {key: (size,) if isinstance(size, int) else size for key, size in sizes.items() if key in names}
        shapes |= {key: array.shape for key, array in arrays.items() if key in names}
        known = known_sizes(ports, arrays, sizes)
        for port in ports:
            if port.name not in shapes:
                shapes[port.name] = bound(port, known)
        fixed: dict[str, None] = {}
        while True:
            values = {key: arrays[key] for key in fixed}
            try:
                made = import_model(model, shapes=shapes, symbols=symbols, values=values, file=name, stored=stored)
            except NeedsValue as needs:
                if any(key not in arrays or key in fixed for key in needs.inputs):
                    raise needs.as_error() from needs
                fixed |= dict.fromkeys(needs.inputs)
                continue
            return Program(made.module, made.weights)

    def make_free(sizes: Sizes, arrays: Arrays) -> Program:
        refuse_changes()
        check_sizes(sizes, ports, name)
        names = {port.name for port in ports}
        symbols = {key: size for key, size in sizes.items() if isinstance(size, int) and key not in names}
        shapes = {key: (size,) if isinstance(size, int) else size for key, size in sizes.items() if key in names}
        free = [InputPort(port.name, port.dtype, (), port.sizes) for port in ports if port.name not in shapes]
        name_free_sizes(free, symbols)
        example = {
            str(symbols[nameless(port.name, axis) if size is None else size]): arrays[port.name].shape[axis]
            for port in free
            if port.name in arrays
            for axis, size in enumerate(port.declared or ())
            if not isinstance(size, int)
        }
        with assuming(Assumptions(example=lambda symbol: example.get(symbol, TYPICAL))) as assumptions:
            try:
                made = import_model(model, shapes=shapes, symbols=symbols, file=name, dynamic=True, stored=stored)
            except NeedsValue as needs:
                raise needs.as_error() from needs
        state(assumptions, made.module)
        return Program(made.module, made.weights)

    return Source(name, "onnx", ports, make, make_free=make_free)


def read_onnx(name: str, data: Content) -> Mapped:
    """The model; its large tensors stay in its files, which lie beside it where they are not in its own."""
    from xmlc.frontend.onnx.load import load
    from xmlc.frontend.onnx.mapped import Mapped, load_mapped

    if name != STANDARD_INPUT:
        return load_mapped(data, Path(name), mapped)
    try:
        return Mapped(load(bytes(data), None), {}, ())
    except CompileError as error:
        raise CompileError(error.diagnostics[0].message, place=Place(name), hint=error.diagnostics[0].hint) from error


OPEN: dict[str, Callable[[str, Content], Source]] = {"toy": open_toy, "onnx": open_onnx, "mlir": open_mlir}
"""Language -> how its programs are opened."""
