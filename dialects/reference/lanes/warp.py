"""What the lanes of a warp do together: shuffles, reductions, votes. Every lane that is asked for must be there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.dialects import llvm
from xdsl.ir import Operation

from xmlc.dialects import gpu
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.gpu import WARP
from xmlc.dialects.nvvm.attributes import MatchKind, VoteKind
from xmlc.dialects.nvvm.intrinsics import EXP2, EXP2_TO_ZERO
from xmlc.dialects.nvvm.warp import ElectSyncOp, MatchSyncOp, ReduxSyncOp, ShflSyncOp, VoteSyncOp
from xmlc.dialects.reference.arith import REFERENCE as ARITH
from xmlc.dialects.reference.interpreter import Array, InterpreterError
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame
from xmlc.dialects.reference.math import round_half_away

BITS = 1 << np.arange(WARP, dtype=np.int64)


def warp_starts(frame: ThreadFrame) -> Array:
    """The number in the group of the first thread of each lane's warp."""
    return frame.threads.number - frame.threads.thread % WARP


def warp_size(frame: ThreadFrame) -> Array:
    """How many threads each lane's warp has: the last warp of a block may have fewer than 32."""
    return np.minimum(frame.threads.launch.threads - frame.threads.thread // WARP * WARP, WARP)


def active_mask(frame: ThreadFrame) -> Array:
    """For each lane, a bit for each lane of its warp that is here."""
    starts = warp_starts(frame)
    _, warp = np.unique(starts, return_inverse=True)
    return np.bincount(warp, BITS[frame.threads.thread % WARP]).astype(np.int64)[warp]


def expect_lanes(frame: ThreadFrame, op: Operation, mask: Array) -> None:
    """Raise ThreadError if a lane that a mask names is not here, or one that is here is not named."""
    threads = frame.threads
    wanted = np.asarray(mask).astype(np.int64) & 0xFFFFFFFF
    whole = (np.int64(1) << warp_size(frame)) - 1
    wanted = np.where(wanted == 0xFFFFFFFF, whole, wanted)  # -1 means every thread that the warp has
    here = active_mask(frame)
    wrong = np.flatnonzero((here & wanted != wanted) | (wanted >> (threads.thread % WARP) & 1 == 0))
    if wrong.size:
        lane = int(wrong[0])
        masks = f"the lanes named are {wanted[lane]:#010x}, those that come {here[lane]:#010x}"
        raise ThreadError(op, f"{threads.name(lane)}: not every lane of its warp comes: {masks}")


def from_lane(frame: ThreadFrame, op: Operation, value: Array, source: Array) -> Array:
    """The value of another lane of the warp, for each lane. Raises ThreadError for one that is not here."""
    number = warp_starts(frame) + source
    found = np.searchsorted(frame.threads.number, number)
    found = np.minimum(found, frame.threads.count - 1)
    absent = np.flatnonzero((frame.threads.number[found] != number) | (source >= warp_size(frame)))
    if absent.size:
        lane = int(absent[0])
        message = f"asks for the value of lane {source[lane]} of its warp, which does not come"
        raise ThreadError(op, f"{frame.threads.name(lane)}: {message}")
    return value[found]


def shuffled(
    frame: ThreadFrame, op: Operation, mode: str, value: Array, offset: Array, clamp: Array, parts: Array
) -> Any:
    """(values, whether they come from within the part of the warp), as PTX defines shfl.sync.

    `clamp` bounds the lane, `parts` has the bits of a lane's number that its part has in common.
    """
    lane = frame.threads.thread % WARP
    offset = offset.astype(np.int64) & 31
    last = (lane & parts) | (clamp & ~parts)
    match mode:
        case "up":
            source = lane - offset
            inside = source >= last
        case "down":
            source = lane + offset
            inside = source <= last
        case "bfly" | "xor":
            source = lane ^ offset
            inside = source <= last
        case _:
            source = (lane & parts) | (offset & ~parts)
            inside = source <= last
    return from_lane(frame, op, value, np.where(inside, source, lane)), inside


def shuffle(frame: ThreadFrame, op: gpu.ShuffleOp) -> None:
    expect_lanes(frame, op, np.full(frame.threads.count, -1))
    parts = WARP - frame.spread(op.width).astype(np.int64)
    mode = op.mode.data.value
    clamp = np.full_like(parts, 0 if mode == "up" else WARP - 1)
    frame.set(op, *shuffled(frame, op, mode, frame.spread(op.value), frame.spread(op.offset), clamp, parts))


def shfl_sync(frame: ThreadFrame, op: ShflSyncOp) -> None:
    expect_lanes(frame, op, frame.spread(op.thread_mask))
    control = frame.spread(op.mask_and_clamp).astype(np.int64)
    value, inside = shuffled(
        frame, op, op.kind.data.value, frame.spread(op.val), frame.spread(op.offset), control & 31, control >> 8 & 31
    )
    frame.set(op, value if op.return_value_and_is_valid is None else (value, inside))


def combined(frame: ThreadFrame, op: Operation, combine: str, value: Array, size: int, stride: int) -> Array:
    """All values of each cluster of `size` lanes, `stride` apart, combined pairwise, as a butterfly does."""
    row = next(row for each, row in ARITH.items() if each.name == combine)
    lane = frame.threads.thread % WARP
    distance = 1
    while distance < size:
        source = lane ^ (distance * stride)
        there = source < warp_size(frame)  # lanes that the last warp lacks have nothing to add
        other = from_lane(frame, op, value, np.where(there, source, lane))
        value = np.where(there, row(op, value, other), value)
        distance *= 2
    return value


GPU_COMBINE = {
    "add": ("arith.addi", "arith.addf"),
    "mul": ("arith.muli", "arith.mulf"),
    "minui": ("arith.minui",),
    "minsi": ("arith.minsi",),
    "maxui": ("arith.maxui",),
    "maxsi": ("arith.maxsi",),
    "and": ("arith.andi",),
    "or": ("arith.ori",),
    "xor": ("arith.xori",),
    "minnumf": ("arith.minnumf",),
    "maxnumf": ("arith.maxnumf",),
    "minimumf": ("arith.minimumf",),
    "maximumf": ("arith.maximumf",),
}
"""How `gpu` names a way to combine -> the op of `arith`, or that of integers and that of floats."""
REDUX_COMBINE = {
    "add": "arith.addi",
    "min": "arith.minsi",
    "max": "arith.maxsi",
    "umin": "arith.minui",
    "umax": "arith.maxui",
    "and": "arith.andi",
    "or": "arith.ori",
    "xor": "arith.xori",
}


def subgroup_reduce(frame: ThreadFrame, op: gpu.SubgroupReduceOp) -> None:
    expect_lanes(frame, op, np.full(frame.threads.count, -1))
    value = frame.spread(op.value)
    names = GPU_COMBINE[op.op.data.value]
    name = names[0] if value.dtype.kind in "iub" else names[-1]
    frame.set(op, combined(frame, op, name, value, op.size, op.cluster_stride.value.data))


def redux_sync(frame: ThreadFrame, op: ReduxSyncOp) -> None:
    """Only whole warps: what a part of one combines is left to `match` and shuffles."""
    expect_lanes(frame, op, frame.spread(op.mask))
    mask = frame.spread(op.mask).astype(np.int64) & 0xFFFFFFFF
    row = next(row for each, row in ARITH.items() if each.name == REDUX_COMBINE[op.kind.data.value])
    value, starts = frame.spread(op.val), warp_starts(frame)
    result = value.copy()
    for key in np.unique(np.stack([starts, mask]), axis=1).T:
        lanes = np.flatnonzero((starts == key[0]) & (mask == key[1]))
        total = value[lanes[0]]
        for lane in lanes[1:]:
            total = row(op, total, value[lane])
        result[lanes] = total
    frame.set(op, result)


def vote_sync(frame: ThreadFrame, op: VoteSyncOp) -> None:
    mask = frame.spread(op.mask)
    expect_lanes(frame, op, mask)
    said = ballot(frame, frame.spread(op.pred))
    named = active_mask(frame) & (mask.astype(np.int64) & 0xFFFFFFFF)
    said = said & named
    match op.kind.data:
        case VoteKind.Ballot:
            frame.set(op, said.astype(np.uint32).view(np.int32))
        case VoteKind.Any:
            frame.set(op, said != 0)
        case VoteKind.All:
            frame.set(op, said == named)
        case VoteKind.Uni:
            frame.set(op, (said == 0) | (said == named))


def ballot(frame: ThreadFrame, said: Array) -> Array:
    """For each lane, a bit for each lane of its warp that says yes."""
    _, warp = np.unique(warp_starts(frame), return_inverse=True)
    return np.bincount(warp, BITS[frame.threads.thread % WARP] * said).astype(np.int64)[warp]


def match_sync(frame: ThreadFrame, op: MatchSyncOp) -> None:
    expect_lanes(frame, op, frame.spread(op.thread_mask))
    value, starts = frame.spread(op.val), warp_starts(frame)
    _, same = np.unique(np.stack([starts, value.astype(np.int64)]), axis=1, return_inverse=True)
    same = np.asarray(same).reshape(-1)
    equal = np.bincount(same, BITS[frame.threads.thread % WARP]).astype(np.int64)[same]
    if op.kind.data is MatchKind.Any:
        frame.set(op, equal.astype(np.uint32).view(np.int32))
        return
    all_ = equal == active_mask(frame)
    frame.set(op, (np.where(all_, equal, 0).astype(np.uint32).view(np.int32), all_))


def elect_sync(frame: ThreadFrame, op: ElectSyncOp) -> None:
    """The first lane."""
    mask = np.full(frame.threads.count, -1) if op.mask is None else frame.spread(op.mask)
    expect_lanes(frame, op, mask)
    here = active_mask(frame) & (mask.astype(np.int64) & 0xFFFFFFFF)
    frame.set(op, BITS[frame.threads.thread % WARP] == (here & -here))


def extract_value(frame: ThreadFrame, op: llvm.ExtractValueOp) -> None:
    """An element of the struct that a shuffle or a match gives."""
    found = frame[op.container]
    for index in op.position.get_values():
        found = found[int(index)]
    frame.set(op, found)


def zero(frame: ThreadFrame, op: llvm.ZeroOp) -> None:
    """A struct of zeros."""
    kind = op.res.type
    if not isinstance(kind, llvm.LLVMStructType):
        raise InterpreterError(op, f"it is a {kind}, expected a struct")
    frame.set(op, tuple(np.zeros((), TO_NUMPY[each]) for each in kind.types))


FLOAT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "fabs": np.abs,
    "ceil": np.ceil,
    "copysign": np.copysign,
    "floor": np.floor,
    "roundeven": np.rint,
    "round": round_half_away,
    "sqrt": np.sqrt,
}
INTRINSICS: dict[str, Callable[..., Any]] = {
    EXP2: np.exp2,
    EXP2_TO_ZERO: np.exp2,
    **{f"llvm.{name}.{kind}": function for name, function in FLOAT_FUNCTIONS.items() for kind in ("f32", "f64")},
}
"""Instructions without an op of their own."""


def call_intrinsic(frame: ThreadFrame, op: llvm.CallIntrinsicOp) -> None:
    name = op.intrin.data
    if name not in INTRINSICS:
        raise InterpreterError(op, f"{name} has no meaning here")
    frame.set(op, INTRINSICS[name](*(frame[each] for each in op.args)))


EVALUATE = {
    gpu.ShuffleOp: shuffle,
    gpu.SubgroupReduceOp: subgroup_reduce,
    ShflSyncOp: shfl_sync,
    ReduxSyncOp: redux_sync,
    VoteSyncOp: vote_sync,
    MatchSyncOp: match_sync,
    ElectSyncOp: elect_sync,
    llvm.CallIntrinsicOp: call_intrinsic,
    llvm.ExtractValueOp: extract_value,
    llvm.ZeroOp: zero,
}
