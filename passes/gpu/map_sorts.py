"""Map sorts: `fused.sort` becomes kernels that sort by the digits of keys."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.device_buffers import on_the_heap
from xmlc.passes.gpu.outline import Kernels
from xmlc.passes.gpu.sorts.emit import Sort, emit_sort
from xmlc.passes.gpu.sorts.selection import emit_selection, selects
from xmlc.passes.gpu.sorts.words import Order
from xmlc.passes.views import buffer_type


@dataclass(frozen=True)
class MapSorts(ModulePass):
    """Make kernels of sorts along the last dimension."""

    name = "map-sorts"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = Kernels(op)
        for function in defined_functions(op):
            found = [each for each in function.walk() if isinstance(each, FusedSortOp)]
            if found:
                on_the_heap(function)
            for each in found:
                sort = sort_of(each)
                emit = emit_selection if selects(sort) else emit_sort
                emit(sort, kernels, function.sym_name.data)


def sort_of(op: FusedSortOp) -> Sort:
    kind = buffer_type(op.x)
    *others, columns = kind.get_shape()
    kept = buffer_type(op.values).get_shape()[-1]
    order = Order(kind.element_type, op.unsigned is not None, op.descending is not None)
    return Sort(op, prod(others), columns, kept, order)
