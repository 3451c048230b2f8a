"""`nvvm`: what PTX has and `gpu` lacks, one op for each instruction, in upstream's syntax.

`spelling.py` says which LLVM intrinsic or which line of PTX each op is.
Source: https://mlir.llvm.org/docs/Dialects/NVVMDialect/
"""

from __future__ import annotations

from xdsl.ir import Dialect, Operation

from xmlc.dialects.nvvm import attributes
from xmlc.dialects.nvvm.async_copy import ASYNC_COPY
from xmlc.dialects.nvvm.bulk_copy import BULK_COPY
from xmlc.dialects.nvvm.matrix import MATRIX
from xmlc.dialects.nvvm.mbarrier import MBARRIER
from xmlc.dialects.nvvm.special_registers import SPECIAL_REGISTERS
from xmlc.dialects.nvvm.synchronization import SYNCHRONIZATION
from xmlc.dialects.nvvm.warp import WARP
from xmlc.dialects.nvvm.wgmma import WGMMA

OPERATIONS: tuple[type[Operation], ...] = (
    *SPECIAL_REGISTERS,
    *SYNCHRONIZATION,
    *WARP,
    *ASYNC_COPY,
    *MBARRIER,
    *BULK_COPY,
    *MATRIX,
    *WGMMA,
)
NVVM = Dialect("nvvm", [*OPERATIONS], [*attributes.ATTRIBUTES])
