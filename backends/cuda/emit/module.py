"""A gpu.module as LLVM IR: kernels, the functions they call, constants and shared memory; and the table of all rows.

Calling convention: a memref, contiguous and of static shape, is a pointer to global memory aligned to 16 bytes; `index`
is i64. Kernels promise how many threads a block has, so that ptxas can share out registers.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    ModuleOp,
    NoneAttr,
    UnitAttr,
)
from xdsl.ir import Attribute, Operation

from xmlc.backends.cuda.emit import intrinsics, positions
from xmlc.backends.cuda.target import TRIPLE, CudaTarget
from xmlc.backends.llvm_text import affine_index, arithmetic, control, functions, memory, vectors
from xmlc.backends.llvm_text.functions import MAY_ALIAS, argument_attributes, refuse_unknown, returned_kind
from xmlc.backends.llvm_text.types import BYTES, Unprintable, data_bytes, data_literal, is_memref, stored, symbol
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects import gpu
from xmlc.dialects.diagnostics import CompileError, place_of

ALIGNMENT = 16
"""What every buffer that a kernel is given is aligned to, in bytes."""
GLOBAL, SHARED = "ptr addrspace(1)", "ptr addrspace(3)"
POINTERS: dict[Attribute, str] = {NoneAttr(): GLOBAL, gpu.WORKGROUP: SHARED}


def emit_kernels(module: ModuleOp, target: CudaTarget, stage: str = "llvm") -> str:
    """The kernels of a module as LLVM IR text. CompileError lists every kind of op that has no row, with its place."""
    modules = [op for op in module.ops if isinstance(op, gpu.ModuleOp)]
    inside = (op for each in modules for op in each.walk() if op is not each)
    refuse_unknown(inside, {*ROWS, *TOP}, stage)
    w = Writer(ROWS, pointer_kinds=POINTERS)
    pieces = [f'target datalayout = "{data_layout()}"', f'target triple = "{TRIPLE}"', ""]
    for op in (op for each in modules for op in each.body.block.ops):
        w.lines = []
        try:
            TOP[type(op)](w, op)
        except Unprintable as error:
            raise CompileError(f"{op.name}: {error}", place=place_of(op.location)) from error
        pieces.append("\n".join(w.lines))
    pieces += w.helpers.values()
    pieces.append("attributes #0 = { nounwind }")
    pieces.append("attributes #1 = { nounwind alwaysinline }")
    pieces += [f"!{number} = {node}" for number, node in enumerate(w.metadata)]
    return "\n".join(pieces) + "\n"


def data_layout() -> str:
    from xmlc.backends.cpu.target import layout_of

    return layout_of(TRIPLE)


def kernel(w: Writer, op: gpu.FuncOp) -> None:
    body = w.start_function()
    parameters: list[str] = []
    for argument, stated in zip(op.body.block.args, argument_attributes(op)):
        name = w.new()
        kind = argument.type
        spelled = w.kind(kind)
        if is_memref(kind):
            promises = f"{'' if MAY_ALIAS in stated else 'noalias '}captures(none) noundef align {ALIGNMENT}"
            spelled = f"{w.pointer_kind(kind)} {promises}"
        parameters.append(f"{spelled} {name}")
        w.bind_parts(argument, [name])
    w.block(op.body.block)
    block = op.known_block_size
    attributes = ""
    if block is not None:
        attributes = f' "nvvm.reqntid"="{",".join(str(size) for size in block.get_values())}"'
    if (cluster := op.known_cluster_size) is not None:
        attributes += f' "nvvm.cluster_dim"="{",".join(str(size) for size in cluster.get_values())}"'
    if (blocks := op.attributes.get("nvvm.minctasm")) is not None:
        attributes += f' "nvvm.minctasm"="{cast("IntegerAttr[Any]", blocks).value.data}"'
    head = f"define ptx_kernel void {symbol(op.sym_name.data)}({', '.join(parameters)}) #0{attributes} {{\nentry:"
    w.lines = [head, *w.entry, *body, "}"]


def function(w: Writer, op: func.FuncOp) -> None:
    """A function that kernels call: always inlined."""
    body = w.start_function()
    block = op.body.block
    parameters: list[str] = []
    for argument in block.args:
        name = w.new()
        parameters.append(f"{w.kind(argument.type)} {name}")
        w.bind_parts(argument, [name])
    w.block(block)
    returned = returned_kind(w, list(op.function_type.outputs))
    head = f"define internal {returned} {symbol(op.sym_name.data)}({', '.join(parameters)}) #1 {{\nentry:"
    w.lines = [head, *w.entry, *body, "}"]


def finish(w: Writer, op: gpu.ReturnOp) -> None:
    w.lines.append("  ret void")


def global_data(w: Writer, op: memref.GlobalOp) -> None:
    """Constants in global memory; shared memory without a value."""
    memref_type: Any = op.properties["type"]
    space = w.pointer_kind(memref_type)[len("ptr ") :]
    value = op.properties["initial_value"]
    if isinstance(value, UnitAttr):  # uninitialised
        size = prod(memref_type.get_shape()) * BYTES[stored(memref_type.element_type, w.soft_half)]
        text = f"global [{size} x i8] undef"
    else:
        text = f"constant {data_literal(data_bytes(cast('DenseIntOrFPElementsAttr[Any]', value)))}"
    w.lines.append(f"{symbol(op.sym_name.data)} = internal {space} {text}, align 128")


TOP: dict[type[Operation], Row] = {gpu.FuncOp: kernel, func.FuncOp: function, memref.GlobalOp: global_data}

ROWS: dict[type[Operation], Row] = {
    **arithmetic.ROWS,
    **control.ROWS,
    **functions.ROWS,
    **memory.ROWS,
    **vectors.ROWS,
    **affine_index.ROWS,
    **positions.ROWS,
    **intrinsics.ROWS,
    gpu.ReturnOp: finish,
}
for _host_only in (memref.AllocOp, memref.DeallocOp):
    del ROWS[_host_only]
