"""mbarriers: 64 bits of shared memory that count threads in, and bytes that the copy engine still has to write.

A phase ends when all the threads that it waits for have arrived and no byte is missing; the next one begins at once.
Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".
"""

from __future__ import annotations

from xdsl.dialects.builtin import i1, i32, i64
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, result_def

from xmlc.dialects.nvvm.attributes import SHARED
from xmlc.dialects.nvvm.effects import ORDERED


@irdl_op_definition
class InitOp(IRDLOperation):
    """Make an mbarrier whose phases wait for `count` arrivals."""

    name = "nvvm.mbarrier.init"

    addr = operand_def(SHARED)
    count = operand_def(i32)
    traits = ORDERED
    assembly_format = "$addr `,` $count attr-dict `:` type($addr) `,` type($count)"

    def __init__(self, barrier: SSAValue, count: SSAValue):
        super().__init__(operands=(barrier, count))


@irdl_op_definition
class InvalidateOp(IRDLOperation):
    """The memory is no mbarrier any more."""

    name = "nvvm.mbarrier.inval"

    addr = operand_def(SHARED)
    traits = ORDERED
    assembly_format = "$addr attr-dict `:` type($addr)"

    def __init__(self, barrier: SSAValue):
        super().__init__(operands=(barrier,))


@irdl_op_definition
class ArriveOp(IRDLOperation):
    """Count this thread in; the result stands for the phase."""

    name = "nvvm.mbarrier.arrive"

    addr = operand_def(SHARED)
    res = result_def(i64)
    traits = ORDERED
    assembly_format = "$addr attr-dict `:` type($addr) `->` type($res)"

    def __init__(self, barrier: SSAValue):
        super().__init__(operands=(barrier,), result_types=(i64,))


@irdl_op_definition
class ArriveManyOp(IRDLOperation):
    """Count `count` arrivals, which must not end the phase."""

    name = "nvvm.mbarrier.arrive.nocomplete"

    addr = operand_def(SHARED)
    count = operand_def(i32)
    res = result_def(i64)
    traits = ORDERED
    assembly_format = "$addr `,` $count attr-dict `:` type($addr) `,` type($count) `->` type($res)"

    def __init__(self, barrier: SSAValue, count: SSAValue):
        super().__init__(operands=(barrier, count), result_types=(i64,))


@irdl_op_definition
class ArriveExpectBytesOp(IRDLOperation):
    """Count this thread in, and let the phase wait for `txcount` more bytes of copies."""

    name = "nvvm.mbarrier.arrive.expect_tx"

    addr = operand_def(SHARED)
    txcount = operand_def(i32)
    traits = ORDERED
    assembly_format = "$addr `,` $txcount attr-dict `:` type($addr) `,` type($txcount)"

    def __init__(self, barrier: SSAValue, bytes: SSAValue):
        super().__init__(operands=(barrier, bytes))


@irdl_op_definition
class TestWaitOp(IRDLOperation):
    """Whether the phase that `state` stands for has ended."""

    name = "nvvm.mbarrier.test.wait"

    addr = operand_def(SHARED)
    state = operand_def(i64)
    res = result_def(i1)
    traits = ORDERED
    assembly_format = "$addr `,` $state attr-dict `:` type($addr) `,` type($state) `->` type($res)"

    def __init__(self, barrier: SSAValue, state: SSAValue):
        super().__init__(operands=(barrier, state), result_types=(i1,))


@irdl_op_definition
class WaitParityOp(IRDLOperation):
    """Wait until the phase of this parity (0 for the first) has ended, sleeping up to `ticks` ns at a time."""

    name = "nvvm.mbarrier.try_wait.parity"

    addr = operand_def(SHARED)
    phase = operand_def(i32)
    ticks = operand_def(i32)
    traits = ORDERED
    assembly_format = "$addr `,` $phase `,` $ticks attr-dict `:` type($addr) `,` type($phase) `,` type($ticks)"

    def __init__(self, barrier: SSAValue, parity: SSAValue, nanoseconds: SSAValue):
        super().__init__(operands=(barrier, parity, nanoseconds))


MBARRIER: tuple[type[Operation], ...] = (
    ArriveExpectBytesOp,
    ArriveManyOp,
    ArriveOp,
    InitOp,
    InvalidateOp,
    TestWaitOp,
    WaitParityOp,
)
