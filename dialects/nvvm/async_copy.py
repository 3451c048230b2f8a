"""Copies from global to shared memory that go on while the thread does other work (`cp.async`)."""

from __future__ import annotations

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, i32
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
)
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm.attributes import GLOBAL, SHARED, LoadCache, LoadCacheAttr
from xmlc.dialects.nvvm.effects import ORDERED


@irdl_op_definition
class CpAsyncOp(IRDLOperation):
    """Copy 4, 8 or 16 bytes; of them `cp_size` are read, where it is given, and the others are zero."""

    name = "nvvm.cp.async.shared.global"

    dst = operand_def(SHARED)
    src = operand_def(GLOBAL)
    cp_size = opt_operand_def(i32)
    size = prop_def(IntegerAttr.constr(i32))
    modifier = prop_def(LoadCacheAttr)
    traits = ORDERED
    assembly_format = (
        "$dst `,` $src `,` $size `,` `cache` `=` $modifier (`,` $cp_size^)? attr-dict"
        " `:` type($dst) `,` type($src) (`,` type($cp_size)^)?"
    )

    def __init__(self, dst: SSAValue, src: SSAValue, size: int, cache: str = "cg", cp_size: SSAValue | None = None):
        super().__init__(
            operands=(dst, src, cp_size),
            properties={"size": IntegerAttr(size, i32), "modifier": LoadCacheAttr(LoadCache(cache))},
        )

    def verify_(self) -> None:
        size = self.size.value.data
        allowed = (16,) if self.modifier.data is LoadCache.CG else (4, 8, 16)
        if size not in allowed:
            raise VerifyException(f"the copy is of {size} bytes, expected {' or '.join(map(str, allowed))}")


@irdl_op_definition
class CpAsyncCommitGroupOp(IRDLOperation):
    """The thread's copies since the last op of this kind are one group."""

    name = "nvvm.cp.async.commit.group"
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class CpAsyncWaitGroupOp(IRDLOperation):
    """Wait until at most `n` of the thread's groups of copies have not ended."""

    name = "nvvm.cp.async.wait.group"

    n = prop_def(IntegerAttr.constr(i32))
    traits = ORDERED
    assembly_format = "$n attr-dict"

    def __init__(self, n: int):
        super().__init__(properties={"n": IntegerAttr(n, i32)})


@irdl_op_definition
class CpAsyncArriveOp(IRDLOperation):
    """Count this thread in at an mbarrier when its copies so far have ended."""

    name = "nvvm.cp.async.mbarrier.arrive"

    addr = operand_def(SHARED)
    noinc = opt_prop_def(BoolAttr)
    irdl_options = (ParsePropInAttrDict(),)
    traits = ORDERED
    assembly_format = "$addr attr-dict `:` type($addr)"

    def __init__(self, barrier: SSAValue):
        super().__init__(operands=(barrier,))


ASYNC_COPY: tuple[type[Operation], ...] = (CpAsyncArriveOp, CpAsyncCommitGroupOp, CpAsyncOp, CpAsyncWaitGroupOp)
