"""The imported block as a program: what nothing uses is dropped, the rest is `@main`."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Region
from xdsl.transforms.dead_code_elimination import is_trivially_dead

from xmlc.frontend.onnx.program import Port, Program
from xmlc.frontend.onnx.tensors import Array


def finish(entry: Block, inputs: tuple[Port, ...], outputs: tuple[Port, ...], weights: Mapping[str, Array]) -> Program:
    """Drop what nothing uses, and wrap the block as `@main`."""
    for op in reversed(list(entry.ops)):
        if is_trivially_dead(op):
            op.detach()
            op.erase()
    used: dict[str, Array] = {}
    for argument, (name, array) in zip(entry.args[len(inputs) :], weights.items(), strict=True):
        if argument.uses:
            used[name] = array
        else:
            entry.erase_arg(argument)
    attributes: list[Mapping[str, Attribute]] = [
        *map(port_attributes, inputs),
        *({"ml.name": StringAttr(name), "ml.weight": UnitAttr()} for name in used),
    ]
    last = entry.last_op
    assert last is not None
    main = FuncOp(
        "main",
        FunctionType.from_lists([arg.type for arg in entry.args], [value.type for value in last.operands]),
        Region(entry),
        visibility="public",
        arg_attrs=ArrayAttr(map(DictionaryAttr, attributes)),
        res_attrs=ArrayAttr(DictionaryAttr(port_attributes(port)) for port in outputs),
    )
    return Program(ModuleOp([main]), inputs, outputs, used)


def port_attributes(port: Port) -> dict[str, Attribute]:
    """What the signature of the compiled program says about an input or output: its name, and its sizes' names."""
    attributes: dict[str, Attribute] = {"ml.name": StringAttr(port.name)}
    if port.declared is not None and any(isinstance(size, str) for size in port.declared):
        names = [StringAttr(size if isinstance(size, str) else "") for size in port.declared]
        attributes["ml.symbols"] = ArrayAttr(names)
    return attributes
