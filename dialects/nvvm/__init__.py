"""`nvvm`: what PTX has and `gpu` lacks, one op for each instruction, in upstream's syntax.

`spelling.py` says which LLVM intrinsic or which line of PTX each op is.
Source: https://mlir.llvm.org/docs/Dialects/NVVMDialect/
"""

from __future__ import annotations

from xdsl.ir import Dialect, Operation

from xmlc.dialects.nvvm import attributes
from xmlc.dialects.nvvm.async_copy import ASYNC_COPY
from xmlc.dialects.nvvm.special_registers import SPECIAL_REGISTERS
from xmlc.dialects.nvvm.synchronization import SYNCHRONIZATION
from xmlc.dialects.nvvm.warp import WARP

OPERATIONS: tuple[type[Operation], ...] = (*SPECIAL_REGISTERS, *SYNCHRONIZATION, *WARP, *ASYNC_COPY)
NVVM = Dialect("nvvm", [*OPERATIONS], [*attributes.ATTRIBUTES])
