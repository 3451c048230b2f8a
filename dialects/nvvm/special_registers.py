"""Special registers: where a thread is in its launch, and on which multiprocessor it runs."""

from __future__ import annotations

from abc import ABC

from xdsl.dialects.builtin import i32, i64
from xdsl.ir import Operation
from xdsl.irdl import IRDLOperation, irdl_op_definition, result_def, traits_def
from xdsl.traits import Pure

from xmlc.dialects.nvvm.effects import ORDERED


class RegisterOp(IRDLOperation, ABC):
    """A number that does not change while the thread runs."""

    result = result_def(i32)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self) -> None:
        super().__init__(result_types=(i32,))


@irdl_op_definition
class ThreadIdXOp(RegisterOp):
    """The thread's position in its block along x."""

    name = "nvvm.read.ptx.sreg.tid.x"


@irdl_op_definition
class ThreadIdYOp(RegisterOp):
    """The thread's position in its block along y."""

    name = "nvvm.read.ptx.sreg.tid.y"


@irdl_op_definition
class ThreadIdZOp(RegisterOp):
    """The thread's position in its block along z."""

    name = "nvvm.read.ptx.sreg.tid.z"


@irdl_op_definition
class BlockDimXOp(RegisterOp):
    """How many threads a block has along x."""

    name = "nvvm.read.ptx.sreg.ntid.x"


@irdl_op_definition
class BlockDimYOp(RegisterOp):
    """How many threads a block has along y."""

    name = "nvvm.read.ptx.sreg.ntid.y"


@irdl_op_definition
class BlockDimZOp(RegisterOp):
    """How many threads a block has along z."""

    name = "nvvm.read.ptx.sreg.ntid.z"


@irdl_op_definition
class BlockIdXOp(RegisterOp):
    """The block's position in the grid along x."""

    name = "nvvm.read.ptx.sreg.ctaid.x"


@irdl_op_definition
class BlockIdYOp(RegisterOp):
    """The block's position in the grid along y."""

    name = "nvvm.read.ptx.sreg.ctaid.y"


@irdl_op_definition
class BlockIdZOp(RegisterOp):
    """The block's position in the grid along z."""

    name = "nvvm.read.ptx.sreg.ctaid.z"


@irdl_op_definition
class GridDimXOp(RegisterOp):
    """How many blocks the grid has along x."""

    name = "nvvm.read.ptx.sreg.nctaid.x"


@irdl_op_definition
class GridDimYOp(RegisterOp):
    """How many blocks the grid has along y."""

    name = "nvvm.read.ptx.sreg.nctaid.y"


@irdl_op_definition
class GridDimZOp(RegisterOp):
    """How many blocks the grid has along z."""

    name = "nvvm.read.ptx.sreg.nctaid.z"


@irdl_op_definition
class BlockInClusterIdXOp(RegisterOp):
    """The block's position in its cluster along x."""

    name = "nvvm.read.ptx.sreg.cluster.ctaid.x"


@irdl_op_definition
class BlockInClusterIdYOp(RegisterOp):
    """The block's position in its cluster along y."""

    name = "nvvm.read.ptx.sreg.cluster.ctaid.y"


@irdl_op_definition
class BlockInClusterIdZOp(RegisterOp):
    """The block's position in its cluster along z."""

    name = "nvvm.read.ptx.sreg.cluster.ctaid.z"


@irdl_op_definition
class ClusterDimXOp(RegisterOp):
    """How many blocks a cluster has along x."""

    name = "nvvm.read.ptx.sreg.cluster.nctaid.x"


@irdl_op_definition
class ClusterDimYOp(RegisterOp):
    """How many blocks a cluster has along y."""

    name = "nvvm.read.ptx.sreg.cluster.nctaid.y"


@irdl_op_definition
class ClusterDimZOp(RegisterOp):
    """How many blocks a cluster has along z."""

    name = "nvvm.read.ptx.sreg.cluster.nctaid.z"


@irdl_op_definition
class ClusterIdXOp(RegisterOp):
    """The cluster's position in the grid along x."""

    name = "nvvm.read.ptx.sreg.clusterid.x"


@irdl_op_definition
class ClusterIdYOp(RegisterOp):
    """The cluster's position in the grid along y."""

    name = "nvvm.read.ptx.sreg.clusterid.y"


@irdl_op_definition
class ClusterIdZOp(RegisterOp):
    """The cluster's position in the grid along z."""

    name = "nvvm.read.ptx.sreg.clusterid.z"


@irdl_op_definition
class LaneIdOp(RegisterOp):
    """The thread's position in its warp."""

    name = "nvvm.read.ptx.sreg.laneid"


@irdl_op_definition
class WarpIdOp(RegisterOp):
    """The warp's position in its block, as the hardware numbers it: it may change while a kernel runs."""

    name = "nvvm.read.ptx.sreg.warpid"


@irdl_op_definition
class WarpSizeOp(RegisterOp):
    """How many threads a warp has: 32."""

    name = "nvvm.read.ptx.sreg.warpsize"


@irdl_op_definition
class LaneMaskEqOp(RegisterOp):
    """A bit for this lane."""

    name = "nvvm.read.ptx.sreg.lanemask.eq"


@irdl_op_definition
class LaneMaskLtOp(RegisterOp):
    """A bit for every lane below this one."""

    name = "nvvm.read.ptx.sreg.lanemask.lt"


@irdl_op_definition
class LaneMaskLeOp(RegisterOp):
    """A bit for every lane up to this one."""

    name = "nvvm.read.ptx.sreg.lanemask.le"


@irdl_op_definition
class LaneMaskGtOp(RegisterOp):
    """A bit for every lane above this one."""

    name = "nvvm.read.ptx.sreg.lanemask.gt"


@irdl_op_definition
class LaneMaskGeOp(RegisterOp):
    """A bit for every lane from this one on."""

    name = "nvvm.read.ptx.sreg.lanemask.ge"


@irdl_op_definition
class ClusterRankOp(RegisterOp):
    """The block's number in its cluster."""

    name = "nvvm.read.ptx.sreg.cluster.ctarank"


@irdl_op_definition
class ProcessorIdOp(RegisterOp):
    """The multiprocessor that the thread runs on."""

    name = "nvvm.read.ptx.sreg.smid"


class CounterOp(IRDLOperation, ABC):
    """A number that changes while the thread runs."""

    result = result_def(i64)
    traits = ORDERED
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self) -> None:
        super().__init__(result_types=(i64,))


@irdl_op_definition
class ClockOp(CounterOp):
    """Cycles of this multiprocessor."""

    name = "nvvm.read.ptx.sreg.clock64"


@irdl_op_definition
class GlobalTimerOp(CounterOp):
    """Nanoseconds, the same for all multiprocessors; it ticks coarsely."""

    name = "nvvm.read.ptx.sreg.globaltimer"


SPECIAL_REGISTERS: tuple[type[Operation], ...] = (
    ThreadIdXOp,
    ThreadIdYOp,
    ThreadIdZOp,
    BlockDimXOp,
    BlockDimYOp,
    BlockDimZOp,
    BlockIdXOp,
    BlockIdYOp,
    BlockIdZOp,
    GridDimXOp,
    GridDimYOp,
    GridDimZOp,
    BlockInClusterIdXOp,
    BlockInClusterIdYOp,
    BlockInClusterIdZOp,
    ClusterDimXOp,
    ClusterDimYOp,
    ClusterDimZOp,
    ClusterIdXOp,
    ClusterIdYOp,
    ClusterIdZOp,
    LaneIdOp,
    WarpIdOp,
    WarpSizeOp,
    LaneMaskEqOp,
    LaneMaskLtOp,
    LaneMaskLeOp,
    LaneMaskGtOp,
    LaneMaskGeOp,
    ClusterRankOp,
    ProcessorIdOp,
    ClockOp,
    GlobalTimerOp,
)
