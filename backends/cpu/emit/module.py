"""A whole module: functions, their calling convention, constants; and the table of all rows.

Calling convention: a memref is `ptr noalias`, followed by an i64 for each `?` size, then for each `?` stride;
`index` is i64; i1 is i1 in a register and a byte in memory. A public function NAME is also exported as
`NAME.packed`, which takes one pointer to 8-byte slots: the arguments in order, then one for each result.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.ir import Attribute, Operation

from xmlc.backends.cpu.emit import amx, grouped, parallel
from xmlc.backends.cpu.emit.units import KERNEL, Unit, units_of
from xmlc.backends.cpu.target import Target
from xmlc.backends.llvm_text import affine_index, arithmetic, control, functions, memory, vectors
from xmlc.backends.llvm_text.functions import MAY_ALIAS, argument_attributes, refuse_unknown, returned_kind
from xmlc.backends.llvm_text.helpers import HELPERS, narrow_bf16_by_instruction
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
from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.grouped import DotOp

ALIGN = "llvm.align"  # argument attribute: the alignment that callers promise, in bytes
INLINE = "xmlc.inline"  # function attribute: always inline


def emit_module(module: ModuleOp, target: Target, stage: str = "llvm") -> str:
    """The module as LLVM IR text for `target`.

    CompileError lists every kind of op that has no row, with its place; `stage` is named in the message.
    """
    refuse_unspelled(module, stage)
    return emit_unit(Unit(tuple(module.ops)), target)


def emit_units(module: ModuleOp, target: Target, stage: str = "llvm") -> list[str]:
    """The module as LLVM IR texts whose objects are linked together; raises as `emit_module` does."""
    refuse_unspelled(module, stage)
    units = units_of(module)
    shared = frozenset(kernel.sym_name.data for unit in units for kernel in unit.called)
    return [emit_unit(unit, target, shared) for unit in units]


def refuse_unspelled(module: ModuleOp, stage: str) -> None:
    refuse_unknown((op for op in module.walk() if op is not module), {*ROWS, *TOP}, stage)


def emit_unit(unit: Unit, target: Target, shared: frozenset[str] = frozenset()) -> str:
    """One unit as LLVM IR text; `shared` are the kernels that some unit calls and another defines."""
    rows = {**ROWS, DotOp: grouped.dot_row(target.instructions)}
    texts = HELPERS | {"narrow.bf16": narrow_bf16_by_instruction} if "avx512bf16" in target.instructions else HELPERS
    w = Writer(rows, soft_half=not target.converts_half, helper_texts=texts, shared=shared)
    pieces = [f'target datalayout = "{target.data_layout}"', f'target triple = "{target.triple}"', ""]
    for op in unit.defined:
        w.lines = []
        try:
            TOP[type(op)](w, op)
        except Unprintable as error:
            raise CompileError(f"{op.name}: {error}", place=place_of(op.location)) from error
        pieces.append("\n".join(w.lines))
    pieces += [declaration(w, kernel) for kernel in unit.called]
    pieces += w.helpers.values()
    vectors_ = f'"prefer-vector-width"="{target.vector_bits}"'
    pieces.append(f"attributes #0 = {{ nounwind {vectors_} }}")
    pieces.append(f"attributes #1 = {{ nounwind alwaysinline {vectors_} }}")
    pieces.append(f"attributes #2 = {{ nounwind noinline {vectors_} }}")
    pieces += [f"!{number} = {node}" for number, node in enumerate(w.metadata)]
    return "\n".join(pieces) + "\n"


# Functions


def function(w: Writer, op: func.FuncOp) -> None:
    block = op.body.first_block
    if block is None:
        w.lines.append(declaration(w, op))
        return
    name = w.symbol(op.sym_name.data)
    returned = returned_kind(w, list(op.function_type.outputs))
    if block.next_block is not None:
        raise Unprintable("the function has several blocks, not structured control flow")
    body = w.start_function()  # what binds parameters may compute strides
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
    linkage = "internal " if is_private and op.sym_name.data not in w.shared else ""
    group = "#1" if INLINE in op.attributes else "#2" if KERNEL in op.attributes else "#0"
    w.block(block)
    w.lines = [f"define {linkage}{returned} {name}({', '.join(parameters)}) {group} {{\nentry:", *w.entry, *body, "}"]
    if not is_private:
        packed(w, op)


def declaration(w: Writer, op: func.FuncOp) -> str:
    """A function that is defined elsewhere."""
    kinds = [kind for argument in op.function_type.inputs for kind in w.part_kinds(argument)]
    returned = returned_kind(w, list(op.function_type.outputs))
    return f"declare {returned} {w.symbol(op.sym_name.data)}({', '.join(kinds)}) #0"


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
    **functions.ROWS,
    **parallel.ROWS,
    **memory.ROWS,
    **vectors.ROWS,
    **affine_index.ROWS,
    **amx.ROWS,
    **grouped.ROWS,
}
