"""A whole module: functions, their calling convention, constants; and the table of all rows.

Calling convention: a memref is `ptr noalias`, followed by an i64 for each `?` size, then for each `?` stride;
`index` is i64; i1 is i1 in a register and a byte in memory. A public function NAME is also exported as
`NAME.packed`, which takes one pointer to 8-byte slots: the arguments in order, then one for each result.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any, cast

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    UnitAttr,
    UnregisteredOp,
)
from xdsl.ir import Attribute, Operation

from xmlc.backends.cpu.emit import grouped, parallel
from xmlc.backends.cpu.target import Target
from xmlc.backends.llvm_text import affine_index, arithmetic, control, memory, vectors
from xmlc.backends.llvm_text.types import (
    BYTES,
    DYNAMIC,
    Unprintable,
    data_bytes,
    data_literal,
    is_memref,
    stored,
    symbol,
)
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.grouped import DotOp

ALIGN = "llvm.align"  # argument attribute: the alignment that callers promise, in bytes
MAY_ALIAS = "xmlc.may_alias"  # argument attribute: another argument may point into the same memory
INLINE = "xmlc.inline"  # function attribute: always inline


def emit_module(module: ModuleOp, target: Target, stage: str = "llvm") -> str:
    """The module as LLVM IR text for `target`.

    CompileError lists every kind of op that has no row, with its place; `stage` is named in the message.
    """
    refuse_unknown(module, stage)
    rows = {**ROWS, DotOp: grouped.dot_row(target.instructions)}
    w = Writer(rows, soft_half=not target.converts_half)
    pieces = [f'target datalayout = "{target.data_layout}"', f'target triple = "{target.triple}"', ""]
    for op in module.ops:
        w.lines = []
        try:
            TOP[type(op)](w, op)
        except Unprintable as error:
            raise CompileError(f"{op.name}: {error}", place=place_of(op.location)) from error
        pieces.append("\n".join(w.lines))
    pieces += w.helpers.values()
    vectors_ = f'"prefer-vector-width"="{target.vector_bits}"'
    pieces.append(f"attributes #0 = {{ nounwind {vectors_} }}")
    pieces.append(f"attributes #1 = {{ nounwind alwaysinline {vectors_} }}")
    pieces += [f"!{number} = {node}" for number, node in enumerate(w.metadata)]
    return "\n".join(pieces) + "\n"


def refuse_unknown(module: ModuleOp, stage: str) -> None:
    """CompileError naming all the ops that have no row, each kind once with its first place and its count."""
    counts: Counter[str] = Counter()
    first: dict[str, Operation] = {}
    for op in module.walk():
        if type(op) not in ROWS and type(op) not in TOP and op is not module:
            name = op.op_name.data if isinstance(op, UnregisteredOp) else op.name
            counts[name] += 1
            first.setdefault(name, op)
    if counts:
        raise CompileError.of(
            [
                Diagnostic(
                    f"{name} is left over at stage {stage}: it has no LLVM spelling" + many(counts[name]),
                    place_of(op.location),
                    "lower it before this stage, or give it a row in the emitter",
                )
                for name, op in first.items()
            ]
        )


def many(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


# Functions


def function(w: Writer, op: func.FuncOp) -> None:
    name = symbol(op.sym_name.data)
    function_type = cast("FunctionType", op.properties["function_type"])
    returned = returned_kind(w, list(function_type.outputs))
    block = op.body.first_block
    if block is None:
        kinds = [kind for argument in function_type.inputs for kind in w.part_kinds(argument)]
        w.lines.append(f"declare {returned} {name}({', '.join(kinds)}) #0")
        return
    if block.next_block is not None:
        raise Unprintable("the function has several blocks, not structured control flow")
    w.names, w.buffers, w.distinct, w.block_name, w.count = {}, {}, set(), "entry", 0
    w.entry, body = [], []
    w.lines = body  # what binds parameters may compute strides
    parameters: list[str] = []
    for argument, attributes in zip(block.args, argument_attributes(op)):
        kinds = w.part_kinds(argument.type)
        names = [w.new() for _ in kinds]
        argument_type = argument.type
        if is_memref(argument_type):
            kinds[0] = pointer_kind(argument_type, attributes, w)
            if MAY_ALIAS not in attributes:
                w.distinct.add(argument)
        parameters += [f"{kind} {part}" for kind, part in zip(kinds, names)]
        w.bind_parts(argument, names)
    private = cast("StringAttr | None", op.properties.get("sym_visibility"))
    is_private = private is not None and private.data == "private"
    linkage = "internal " if is_private else ""
    group = "#1" if INLINE in op.attributes else "#0"
    w.block(block)
    w.lines = [f"define {linkage}{returned} {name}({', '.join(parameters)}) {group} {{\nentry:", *w.entry, *body, "}"]
    if not is_private:
        packed(w, op)


def argument_attributes(op: func.FuncOp) -> list[dict[str, Attribute]]:
    stated = cast("ArrayAttr[DictionaryAttr] | None", op.properties.get("arg_attrs"))
    if stated is None:
        return [{} for _ in op.function_type.inputs]
    return [dict(attributes.data) for attributes in stated]


def pointer_kind(memref_type: MemRefType[Attribute], attributes: dict[str, Attribute], w: Writer) -> str:
    """A memref parameter with what callers promise: no aliasing, alignment, and that it can be read."""
    element = BYTES[stored(memref_type.element_type, w.soft_half)]
    alignment = cast("IntegerAttr[Any]", attributes[ALIGN]).value.data if ALIGN in attributes else element
    promises = [] if MAY_ALIAS in attributes else ["noalias"]
    promises += ["captures(none)", "noundef", f"align {alignment}"]
    shape = memref_type.get_shape()
    if DYNAMIC not in shape and prod(shape) and memref_type.get_strides() == contiguous(shape):
        promises.append(f"dereferenceable({prod(shape) * element})")
    return "ptr " + " ".join(promises)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[position + 1 :]) for position in range(len(shape)))


def returned_kind(w: Writer, outputs: list[Attribute]) -> str:
    kinds = [kind for output in outputs for kind in w.part_kinds(output)]
    if not kinds:
        return "void"
    return kinds[0] if len(kinds) == 1 else "{ " + ", ".join(kinds) + " }"


def packed(w: Writer, op: func.FuncOp) -> None:
    """`NAME.packed`: load each argument from its 8-byte slot, call NAME, store results to the slots behind."""
    w.count = 0
    inputs, outputs = list(op.function_type.inputs), list(op.function_type.outputs)
    name = op.sym_name.data
    w.lines.append(f"define void {symbol(name + '.packed')}(ptr noundef %slots) #0 {{")
    arguments: list[str] = []
    slot = 0
    for kind in (kind for argument in inputs for kind in w.part_kinds(argument)):
        address = w.step_to("%slots", "i64", slot)
        if kind == "i1":
            byte = w.emit(f"load i8, ptr {address}, align 8")
            arguments.append(f"i1 {w.emit(f'icmp ne i8 {byte}, 0')}")
        else:
            arguments.append(f"{kind} {w.emit(f'load {kind}, ptr {address}, align 8')}")
        slot += 1
    returned = returned_kind(w, outputs)
    call = f"call {returned} {symbol(name)}({', '.join(arguments)})"
    kinds = [kind for output in outputs for kind in w.part_kinds(output)]
    if not kinds:
        w.lines.append("  " + call)
    else:
        result = w.emit(call)
        for position, kind in enumerate(kinds):
            part = result if len(kinds) == 1 else w.emit(f"extractvalue {returned} {result}, {position}")
            address = w.step_to("%slots", "i64", slot)
            if kind == "i1":
                kind, part = "i8", w.emit(f"zext i1 {part} to i8")
            w.lines.append(f"  store {kind} {part}, ptr {address}, align 8")
            slot += 1
    w.lines.append("  ret void\n}")


def call(w: Writer, op: func.CallOp) -> None:
    arguments = [
        f"{kind} {part}"
        for value in op.operands
        for kind, part in zip(w.part_kinds(value.type), w.parts(value), strict=True)
    ]
    returned = returned_kind(w, [result.type for result in op.results])
    callee = cast("SymbolRefAttr", op.properties["callee"]).string_value()
    text = f"call {returned} {symbol(callee)}({', '.join(arguments)})"
    kinds = [kind for result in op.results for kind in w.part_kinds(result.type)]
    if not kinds:
        w.lines.append("  " + text)
        return
    result = w.emit(text)
    if len(kinds) > 1:
        texts = [w.emit(f"extractvalue {returned} {result}, {position}") for position in range(len(kinds))]
    else:
        texts = [result]
    control.bind(w, op.results, texts)


def give_back(w: Writer, op: func.ReturnOp) -> None:
    kinds = [kind for value in op.operands for kind in w.part_kinds(value.type)]
    texts = control.parts(w, op.operands)
    if not kinds:
        w.lines.append("  ret void")
    elif len(kinds) == 1:
        w.lines.append(f"  ret {kinds[0]} {texts[0]}")
    else:
        whole = "{ " + ", ".join(kinds) + " }"
        so_far = "poison"
        for position, (kind, text) in enumerate(zip(kinds, texts)):
            so_far = w.emit(f"insertvalue {whole} {so_far}, {kind} {text}, {position}")
        w.lines.append(f"  ret {whole} {so_far}")


def global_data(w: Writer, op: memref.GlobalOp) -> None:
    name = symbol(op.sym_name.data)
    memref_type = cast("MemRefType[Attribute]", op.properties["type"])
    visibility = cast("StringAttr | None", op.properties.get("sym_visibility"))
    linkage = "internal " if visibility is not None and visibility.data == "private" else ""
    constness = "constant" if "constant" in op.properties else "global"
    value = op.properties["initial_value"]
    if isinstance(value, UnitAttr):  # uninitialised
        size = prod(memref_type.get_shape()) * BYTES[stored(memref_type.element_type, w.soft_half)]
        text = f"[{size} x i8] zeroinitializer"
    else:
        text = data_literal(data_bytes(cast("DenseIntOrFPElementsAttr[Any]", value)))
    w.lines.append(f"{name} = {linkage}{constness} {text}, align {memory.alignment(op, memory.CACHE_LINE)}")


TOP: dict[type[Operation], Row] = {func.FuncOp: function, memref.GlobalOp: global_data}

ROWS: dict[type[Operation], Row] = {
    **arithmetic.ROWS,
    **control.ROWS,
    **parallel.ROWS,
    **memory.ROWS,
    **vectors.ROWS,
    **affine_index.ROWS,
    **grouped.ROWS,
    func.CallOp: call,
    func.ReturnOp: give_back,
}
