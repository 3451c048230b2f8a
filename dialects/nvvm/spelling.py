"""How each op of `nvvm` is written in LLVM IR: as a call of an intrinsic, or as a line of PTX.

A row gives the intrinsic's name and its arguments; braces in a name are filled with words of the op.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.nvvm.async_copy import CpAsyncArriveOp, CpAsyncCommitGroupOp, CpAsyncOp, CpAsyncWaitGroupOp
from xmlc.dialects.nvvm.attributes import MatchKind, MemoryScope
from xmlc.dialects.nvvm.special_registers import SPECIAL_REGISTERS
from xmlc.dialects.nvvm.synchronization import (
    Barrier0Op,
    BarrierArriveOp,
    BarrierOp,
    ClusterArriveOp,
    ClusterArriveRelaxedOp,
    ClusterWaitOp,
    FenceBarrierInitOp,
    FenceClusterOp,
    GridDependencyOp,
    MapaOp,
    MemoryBarrierOp,
    SetMaxRegisterOp,
    WarpBarrierOp,
)
from xmlc.dialects.nvvm.warp import ALL_LANES, ElectSyncOp, MatchSyncOp, ReduxSyncOp, ShflSyncOp, VoteSyncOp


@dataclass(frozen=True)
class Intrinsic:
    """A call: the intrinsic's name; its arguments, each a value or an i32 constant; and how its result is taken.

    `element` is the position in the struct that it returns which is the op's result, `returns` that struct's type
    in LLVM IR; None where the result is the op's result as it is.
    """

    name: str
    arguments: tuple[SSAValue | int, ...] = ()
    element: int | None = None
    returns: str | None = None


Spelling = Callable[[Any], Intrinsic]


def plain(name: str) -> Spelling:
    """The intrinsic `llvm.nvvm.NAME` of the op's operands, in order."""
    return lambda op: Intrinsic(f"llvm.nvvm.{name}", tuple(op.operands))


def register(op: Operation) -> Intrinsic:
    return Intrinsic(f"llvm.{op.name}")


def shuffle(op: ShflSyncOp) -> Intrinsic:
    element = "f32" if op.val.type == f32 else "i32"
    both = "p" if op.return_value_and_is_valid is not None else ""
    return Intrinsic(f"llvm.nvvm.shfl.sync.{op.kind.data.value}.{element}{both}", tuple(op.operands))


def redux(op: ReduxSyncOp) -> Intrinsic:
    return Intrinsic(f"llvm.nvvm.redux.sync.{op.kind.data.value}", (op.val, op.mask))


def vote(op: VoteSyncOp) -> Intrinsic:
    return Intrinsic(f"llvm.nvvm.vote.{op.kind.data.value}.sync", (op.mask, op.pred))


def match(op: MatchSyncOp) -> Intrinsic:
    both = "p" if op.kind.data is MatchKind.All else ""
    return Intrinsic(f"llvm.nvvm.match.{op.kind.data.value}.sync.i32{both}", (op.thread_mask, op.val))


def elect(op: ElectSyncOp) -> Intrinsic:
    mask = ALL_LANES if op.mask is None else op.mask
    return Intrinsic("llvm.nvvm.elect.sync", (mask,), 1, "{ i32, i1 }")


def barrier(op: BarrierOp) -> Intrinsic:
    number = 0 if op.barrier_id is None else op.barrier_id
    if op.number_of_threads is None:
        return Intrinsic("llvm.nvvm.barrier.cta.sync.aligned.all", (number,))
    return Intrinsic("llvm.nvvm.barrier.cta.sync.aligned.count", (number, op.number_of_threads))


def barrier0(op: Barrier0Op) -> Intrinsic:
    return Intrinsic("llvm.nvvm.barrier.cta.sync.aligned.all", (0,))


def barrier_arrive(op: BarrierArriveOp) -> Intrinsic:
    number = 0 if op.barrier_id is None else op.barrier_id
    return Intrinsic("llvm.nvvm.barrier.cta.arrive.aligned.count", (number, op.number_of_threads))


SCOPES = {MemoryScope.CTA: "membar.cta", MemoryScope.GPU: "membar.gl", MemoryScope.System: "membar.sys"}


def memory_barrier(op: MemoryBarrierOp) -> Intrinsic:
    # PTX has no membar of a cluster: the fence that all its threads agree on is the one that is not weaker
    return Intrinsic(f"llvm.nvvm.{SCOPES.get(op.scope.data, 'fence.sc.cluster')}")


def cluster(name: str) -> Spelling:
    return lambda op: Intrinsic(f"llvm.nvvm.barrier.cluster.{name}" + (".aligned" if op.aligned is not None else ""))


def dependency(op: GridDependencyOp) -> Intrinsic:
    return Intrinsic(f"llvm.nvvm.griddepcontrol.{op.kind.data.value.replace('_', '.')}")


def registers(op: SetMaxRegisterOp) -> Intrinsic:
    word = op.action.data.value[:3]
    return Intrinsic(f"llvm.nvvm.setmaxnreg.{word}.sync.aligned.u32", (op.count.value.data,))


def copy(op: CpAsyncOp) -> Intrinsic:
    part = () if op.cp_size is None else (op.cp_size,)
    name = f"llvm.nvvm.cp.async.{op.modifier.data.value}.shared.global.{op.size.value.data}{'.s' if part else ''}"
    return Intrinsic(name, (op.dst, op.src, *part))


def wait_group(op: CpAsyncWaitGroupOp) -> Intrinsic:
    return Intrinsic("llvm.nvvm.cp.async.wait.group", (op.n.value.data,))


def copies_arrive(op: CpAsyncArriveOp) -> Intrinsic:
    noinc = ".noinc" if op.noinc is not None and op.noinc.value.data else ""
    return Intrinsic(f"llvm.nvvm.cp.async.mbarrier.arrive{noinc}.shared", (op.addr,))


SPELLING: dict[type[Operation], Spelling] = {
    **dict.fromkeys(SPECIAL_REGISTERS, register),
    ShflSyncOp: shuffle,
    ReduxSyncOp: redux,
    VoteSyncOp: vote,
    MatchSyncOp: match,
    ElectSyncOp: elect,
    BarrierOp: barrier,
    Barrier0Op: barrier0,
    BarrierArriveOp: barrier_arrive,
    WarpBarrierOp: plain("bar.warp.sync"),
    MemoryBarrierOp: memory_barrier,
    FenceClusterOp: plain("fence.sc.cluster"),
    FenceBarrierInitOp: plain("fence.mbarrier_init.release.cluster"),
    ClusterArriveOp: cluster("arrive"),
    ClusterArriveRelaxedOp: cluster("arrive.relaxed"),
    ClusterWaitOp: cluster("wait"),
    MapaOp: plain("mapa.shared.cluster"),
    GridDependencyOp: dependency,
    SetMaxRegisterOp: registers,
    CpAsyncOp: copy,
    CpAsyncCommitGroupOp: plain("cp.async.commit.group"),
    CpAsyncWaitGroupOp: wait_group,
    CpAsyncArriveOp: copies_arrive,
}
"""Op -> how it is written."""
