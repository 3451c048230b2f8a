"""What is left of the host's functions once loops are kernels: launches in the place of calls, and nothing dead."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, SSAValue

from xmlc.passes.gpu.independence import is_repeatable


def inline_kernel_functions(module: ModuleOp, functions: Sequence[func.FuncOp]) -> None:
    """Put what private functions launch in the place of their calls."""
    private = {
        each.sym_name.data: each
        for each in functions
        if each.sym_visibility is not None and each.sym_visibility.data == "private"
    }

    flat: set[str] = set()

    def flatten(function: func.FuncOp) -> None:
        """Inline all calls in a function, once."""
        if function.sym_name.data not in flat:
            flat.add(function.sym_name.data)
            inline(function.body.block)

    def inline(block: Block) -> None:
        for op in list(block.ops):
            for region in op.regions:
                for inner in region.blocks:
                    inline(inner)
            if not isinstance(op, func.CallOp) or (callee := private.get(op.callee.string_value())) is None:
                continue
            flatten(callee)
            body = callee.body.block
            values: dict[SSAValue, SSAValue] = dict(zip(body.args, op.operands))
            for each in body.ops:
                if isinstance(each, func.ReturnOp):
                    for result, returned in zip(op.results, each.operands):
                        result.replace_all_uses_with(values.get(returned, returned))
                else:
                    block.insert_op_before(each.clone(values), op)
            op.detach()
            op.erase()

    for function in functions:
        flatten(function)
    for function in private.values():
        function.detach()
        function.erase()


def drop_dead(block: Block) -> None:
    """Erase ops that only compute what nobody uses: what kernels repeat, the host need not do."""
    for op in reversed(list(block.ops)):
        for region in op.regions:
            for inner in region.blocks:
                drop_dead(inner)
        unused = bool(op.results) and not any(result.uses for result in op.results)
        if unused and (is_repeatable(op) or isinstance(op, memref.LoadOp | memref.AllocOp)):
            op.detach()
            op.erase()


def drop_unused_globals(module: ModuleOp) -> None:
    """Constants that only kernels read are only in the gpu.module."""
    used = {
        op.name_.string_value()
        for each in module.ops
        if isinstance(each, func.FuncOp)
        for op in each.walk()
        if isinstance(op, memref.GetGlobalOp)
    }
    for op in list(module.ops):
        private = isinstance(op, memref.GlobalOp) and op.sym_visibility == StringAttr("private")
        if isinstance(op, memref.GlobalOp) and private and op.sym_name.data not in used:
            op.detach()
            op.erase()
