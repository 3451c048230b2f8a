"""How each op of `nvvm` is written in LLVM IR: as a call of an intrinsic, or as a line of PTX.

A row gives the intrinsic's name and its arguments; braces in a name are filled with words of the op.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.nvvm import bulk_copy, matrix, mbarrier, wgmma
from xmlc.dialects.nvvm.async_copy import CpAsyncArriveOp, CpAsyncCommitGroupOp, CpAsyncOp, CpAsyncWaitGroupOp
from xmlc.dialects.nvvm.attributes import MatchKind, MatrixLayout, MemoryScope, Overflow, ScaleIn, ScaleOut
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
    """A call: the intrinsic's name, its arguments, and how its result is taken.

    An argument is a value, an i32 constant, or a constant as LLVM IR has it with its type, `i16 0`.
    `returns` is the type in LLVM IR of what it returns, if that is not the op's result; `element` the position of the
    op's result in it.
    """

    name: str
    arguments: tuple[SSAValue | int | str, ...] = ()
    element: int | None = None
    returns: str | None = None


@dataclass(frozen=True)
class Assembly:
    """Lines of PTX, for what has no intrinsic: `$0`, `$1`… are the members of `tied`, then the arguments.

    The members of the struct `tied` are read and written; the result is a struct of what they are then.
    """

    text: str
    constraints: str
    """LLVM's letters for the arguments: `r` is a register of 32 bits, `l` of 64, `f` a float, `n` a constant."""
    arguments: tuple[SSAValue | int, ...] = ()
    tied: SSAValue | None = None


Spelling = Callable[[Any], Intrinsic | Assembly]


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


WAIT_PARITY = """{
.reg .pred ended;
again:
mbarrier.try_wait.parity.shared.b64 ended, [$0], $1, $2;
@ended bra.uni done;
bra.uni again;
done:
}"""


def wait_parity(op: mbarrier.WaitParityOp) -> Assembly:
    return Assembly(WAIT_PARITY, "l,r,r", (op.addr, op.phase, op.ticks))


def load_box(op: bulk_copy.LoadBoxOp) -> Intrinsic:
    mask = "i16 0" if op.multicast_mask is None else op.multicast_mask
    hint = "i64 0" if op.l2_cache_hint is None else op.l2_cache_hint
    given = (f"i1 {str(each is not None).lower()}" for each in (op.multicast_mask, op.l2_cache_hint))
    arguments = (op.dst_mem, op.mbar, op.tma_descriptor, *op.coordinates, mask, hint, *given, 0)
    return Intrinsic(f"llvm.nvvm.cp.async.bulk.tensor.g2s.tile.{len(op.coordinates)}d", arguments)


def store_box(op: bulk_copy.StoreBoxOp) -> Intrinsic:
    hint = "i64 0" if op.l2_cache_hint is None else op.l2_cache_hint
    given = f"i1 {str(op.l2_cache_hint is not None).lower()}"
    arguments = (op.src_mem, op.tma_descriptor, *op.coordinates, hint, given)
    return Intrinsic(f"llvm.nvvm.cp.async.bulk.tensor.s2g.tile.{len(op.coordinates)}d", arguments)


NO_HINTS = ("i64 0", "i1 false")


def load_bytes(op: bulk_copy.LoadBytesOp) -> Intrinsic:
    arguments = (op.dst_mem, op.mbar, op.src_mem, op.size, "i16 0", "i64 0", "i1 false", "i1 false")
    return Intrinsic("llvm.nvvm.cp.async.bulk.global.to.shared.cluster", arguments)


def store_bytes(op: bulk_copy.StoreBytesOp) -> Intrinsic:
    return Intrinsic("llvm.nvvm.cp.async.bulk.shared.cta.to.global", (op.dst_mem, op.src_mem, op.size, *NO_HINTS))


def wait_stores(op: bulk_copy.WaitStoresOp) -> Intrinsic:
    read = ".read" if op.read is not None else ""
    return Intrinsic(f"llvm.nvvm.cp.async.bulk.wait.group{read}", (op.group.value.data,))


def fence_proxy(op: bulk_copy.FenceProxyOp) -> Intrinsic:
    space = "" if op.space is None else f"_{op.space.data.value}"
    return Intrinsic(f"llvm.nvvm.fence.proxy.{op.kind.data.value}{space}")


def transposed(op: matrix.LoadMatrixOp | matrix.StoreMatrixOp) -> str:
    return ".trans" if op.layout.data is MatrixLayout.Column else ""


def load_matrix(op: matrix.LoadMatrixOp) -> Intrinsic:
    count = op.num.value.data
    return Intrinsic(f"llvm.nvvm.ldmatrix.sync.aligned.m8n8.x{count}{transposed(op)}.b16.p3", (op.ptr,))


def store_matrix(op: matrix.StoreMatrixOp) -> Intrinsic:
    count = len(op.sources)
    name = f"llvm.nvvm.stmatrix.sync.aligned.m8n8.x{count}{transposed(op)}.b16.p3"
    return Intrinsic(name, (op.ptr, *op.sources))


def multiply(op: matrix.MultiplyOp) -> Intrinsic:
    m, n, k = op.shape.sizes
    a, b = op.elements
    if a == "f16":
        sums = "f16" if op.operand_c[0].type == matrix.PAIR else "f32"
        types = f"{sums}.{sums}"
    else:
        types = a if a == b else f"{a}.{b}"
    overflow = ".satfinite" if op.overflow is not None and op.overflow.data is Overflow.Saturated else ""
    name = f"llvm.nvvm.mma.m{m}n{n}k{k}.row.col{overflow}.{types}"
    return Intrinsic(name, (*op.operand_a, *op.operand_b, *op.operand_c))


def multiply_group(op: wgmma.MultiplyOp) -> Assembly:
    m, n, k = op.shape.sizes
    types = ".".join(each.data.value for each in (op.type_d, op.type_a, op.type_b))
    saturated = ".satfinite" if op.saturated is not None and op.saturated.data is Overflow.Saturated else ""
    count = m * n // wgmma.THREADS
    members = ", ".join(f"${i}" for i in range(count))
    # Behind the members come their old values, which are tied to them
    descriptor_a, descriptor_b, accumulate, *rest = (f"${2 * count + i}" for i in range(7))
    constants: list[int] = [op.scale_d.data is ScaleOut.One]
    if op.type_a.data not in wgmma.INTEGERS:
        constants += [-1 if scale.data is ScaleIn.Negated else 1 for scale in (op.scale_a, op.scale_b)]
    if op.type_a.data not in wgmma.BY_ROWS_ONLY:
        constants += [op.layout_a.data is MatrixLayout.Column, op.layout_b.data is MatrixLayout.Row]
    factors = ", ".join([descriptor_a, descriptor_b, "accumulate", *rest[: len(constants) - 1]])
    instruction = f"wgmma.mma_async.sync.aligned.m{m}n{n}k{k}.{types}{saturated} {{{members}}}, {factors};"
    text = f"{{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, {accumulate}, 0;\n{instruction}\n}}"
    arguments = (op.descriptor_a, op.descriptor_b, *map(int, constants))
    return Assembly(text, ",".join(["l", "l", *["n"] * len(constants)]), arguments, op.inouts)


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
    mbarrier.InitOp: plain("mbarrier.init.shared"),
    mbarrier.InvalidateOp: plain("mbarrier.inval.shared"),
    mbarrier.ArriveOp: plain("mbarrier.arrive.shared"),
    mbarrier.ArriveManyOp: plain("mbarrier.arrive.noComplete.shared"),
    mbarrier.ArriveExpectBytesOp: lambda op: Intrinsic(
        "llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta", (op.addr, op.txcount), returns="i64"
    ),
    mbarrier.TestWaitOp: plain("mbarrier.test.wait.scope.cta.space.cta"),
    mbarrier.WaitParityOp: wait_parity,
    bulk_copy.LoadBoxOp: load_box,
    bulk_copy.StoreBoxOp: store_box,
    bulk_copy.LoadBytesOp: load_bytes,
    bulk_copy.StoreBytesOp: store_bytes,
    bulk_copy.CommitStoresOp: plain("cp.async.bulk.commit.group"),
    bulk_copy.WaitStoresOp: wait_stores,
    bulk_copy.PrefetchMapOp: plain("prefetch.tensormap.p0"),
    bulk_copy.FenceProxyOp: fence_proxy,
    matrix.LoadMatrixOp: load_matrix,
    matrix.StoreMatrixOp: store_matrix,
    matrix.MultiplyOp: multiply,
    wgmma.FenceOp: plain("wgmma.fence.sync.aligned"),
    wgmma.CommitOp: plain("wgmma.commit_group.sync.aligned"),
    wgmma.WaitOp: lambda op: Intrinsic("llvm.nvvm.wgmma.wait_group.sync.aligned", (f"i64 {op.group.value.data}",)),
    wgmma.MultiplyOp: multiply_group,
}
"""Op -> how it is written."""
