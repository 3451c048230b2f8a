"""Map scans: running sums, products and extremes of rows become kernels that read and write each element once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from xdsl.context import Context
from xdsl.dialects import scf
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.dialects.diagnostics import CompileError
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.device_buffers import on_the_heap
from xmlc.passes.gpu.outline import Kernels
from xmlc.passes.gpu.scans.emit import TileScan
from xmlc.passes.gpu.scans.ladder import HillisSteele, WorkEfficient
from xmlc.passes.gpu.scans.schedule import candidates, choose
from xmlc.passes.gpu.stated import Schedules
from xmlc.passes.scans import scan_of

LADDER = {"hillis-steele": HillisSteele, "work-efficient": WorkEfficient}
LOOK_BACK = "look-back"


@dataclass(frozen=True)
class MapScans(ModulePass):
    """Make kernels of loops that store what they have folded so far."""

    name = "map-scans"
    schedule: str | None = None
    """hillis-steele, work-efficient or look-back, which is what is taken if none is stated."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.schedule not in (None, LOOK_BACK, *LADDER):
            known = ", ".join((*LADDER, LOOK_BACK))
            raise CompileError(f"unknown schedule '{self.schedule}' of map-scans", hint=f"there are {known}")
        kernels = Kernels(op)
        for function in defined_functions(op):
            on_the_heap(function)
            schedules = Schedules(function, "scans")
            for nest in [each for each in function.body.block.ops if isinstance(each, scf.ForOp)]:
                scan = scan_of(nest)
                if scan is None:
                    continue
                if self.schedule in LADDER:
                    LADDER[self.schedule](scan, kernels).emit(function.sym_name.data)
                else:
                    schedule = schedules.next(choose(scan), partial(candidates, scan))
                    TileScan(scan, schedule, kernels).emit(function.sym_name.data)
