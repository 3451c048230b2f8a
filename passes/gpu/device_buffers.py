"""Where buffers of loops lie on a device: its memory, a part for each iteration, or the thread's own stack."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import func, memref, scf
from xdsl.dialects.builtin import MemRefType, StridedLayoutAttr
from xdsl.ir import Attribute, Block

from xmlc.passes.memory import byte_size
from xmlc.passes.parallelize import is_outside

STACK_BYTES = 256
"""A thread's own buffers up to this size are local to it; larger ones are parts of one in global memory."""


def on_the_heap(function: func.FuncOp) -> None:
    """Buffers at the top of a function are of device memory: the stack of the host is no place for them."""
    for alloca in [op for op in function.body.block.ops if isinstance(op, memref.AllocaOp)]:
        alloc = memref.AllocOp.create(
            operands=list(alloca.operands),
            result_types=[alloca.results[0].type],
            properties=dict(alloca.properties),
            location=alloca.location,
        )
        assert alloca.parent is not None
        alloca.parent.insert_op_before(alloc, alloca)
        alloc.results[0].name_hint = alloca.results[0].name_hint
        alloca.results[0].replace_all_uses_with(alloc.results[0])
        alloca.detach()
        alloca.erase()


def private_buffers(nest: scf.ForOp, shared: Sequence[scf.ForOp], counts: Sequence[int]) -> None:
    """A large buffer that iterations make becomes one with a part for each iteration, made before the nest."""
    for alloc in [op for op in nest.walk() if isinstance(op, memref.AllocOp)]:
        kind = alloc.memref.type
        if byte_size(kind) <= STACK_BYTES:
            continue
        around = [(each, size) for each, size in zip(shared, counts) if not is_outside(alloc.memref, each)]
        whole = memref.AllocOp.create(
            result_types=(MemRefType(kind.element_type, (*(size for _, size in around), *kind.get_shape())),),
            properties=dict(alloc.properties),
            location=alloc.location,
        )
        assert nest.parent is not None and alloc.parent is not None
        nest.parent.insert_op_before(whole, nest)
        at = [each.body.block.args[0] for each, _ in around]
        rank = len(kind.get_shape())
        view = memref.SubviewOp.get(
            whole.memref,
            [*at, *[0] * rank],
            [*[1] * len(at), *kind.get_shape()],
            [1] * (len(at) + rank),
            subview_type(whole.memref.type, len(at)),
        )
        alloc.parent.insert_op_before(view, alloc)
        alloc.memref.replace_all_uses_with(view.results[0])
        alloc.detach()
        alloc.erase()


def subview_type(whole: MemRefType[Attribute], dropped: int) -> MemRefType[Attribute]:
    shape, strides = whole.get_shape(), whole.get_strides()
    assert strides is not None
    return MemRefType(whole.element_type, shape[dropped:], StridedLayoutAttr(strides[dropped:], None))


def to_stack(block: Block) -> None:
    """Small buffers that a thread makes are its own."""
    for alloc in [op for each in block.ops for op in each.walk() if isinstance(op, memref.AllocOp)]:
        alloca = memref.AllocaOp.create(
            result_types=[alloc.memref.type], properties=dict(alloc.properties), location=alloc.location
        )
        assert alloc.parent is not None
        alloc.parent.insert_op_before(alloca, alloc)
        alloc.memref.replace_all_uses_with(alloca.results[0])
        alloc.detach()
        alloc.erase()
