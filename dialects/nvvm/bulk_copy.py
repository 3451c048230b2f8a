"""Copies by the tensor memory engine (TMA): one thread asks for a box of a tensor, or for a run of bytes.

A tensor map, made by the host, tells the engine the tensor's address, sizes, strides and swizzle. What is read counts
its bytes at an mbarrier; what is written is waited for in groups.
Source: PTX ISA, "Data Movement and Conversion Instructions: cp.async.bulk".
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, UnitAttr, i1, i16, i32, i64
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm.attributes import (
    CLUSTER,
    GENERIC,
    GLOBAL,
    SHARED,
    Proxy,
    ProxyAttr,
    SharedSpace,
    SharedSpaceAttr,
)
from xmlc.dialects.nvvm.effects import ORDERED

MOST_DIMENSIONS = 5


def expect_box(coordinates: Sequence[SSAValue]) -> None:
    if not 1 <= len(coordinates) <= MOST_DIMENSIONS:
        raise VerifyException(f"a box of {len(coordinates)} dimensions, expected 1 to {MOST_DIMENSIONS}")


@irdl_op_definition
class LoadBoxOp(IRDLOperation):
    """A box of a tensor into shared memory; its bytes count at `mbar` of each block that gets it.

    `coordinates` are those of the box's first element, the fastest dimension first. With `multicast_mask`, a bit for
    each block of the cluster, all of these get the box at the same place.
    """

    name = "nvvm.cp.async.bulk.tensor.shared.cluster.global"

    dst_mem = operand_def(CLUSTER)
    tma_descriptor = operand_def(GENERIC)
    coordinates = var_operand_def(i32)
    mbar = operand_def(SHARED)
    im2col_offsets = var_operand_def(i16)
    multicast_mask = opt_operand_def(i16)
    l2_cache_hint = opt_operand_def(i64)
    predicate = opt_operand_def(i1)
    irdl_options = (AttrSizedOperandSegments(as_property=True), ParsePropInAttrDict())
    traits = ORDERED
    assembly_format = (
        "$dst_mem `,` $tma_descriptor `,` $mbar `,` `box` `[` $coordinates `]` (`im2col` `[` $im2col_offsets^ `]`)?"
        " (`multicast_mask` `=` $multicast_mask^)? (`l2_cache_hint` `=` $l2_cache_hint^)?"
        " (`predicate` `=` $predicate^)? attr-dict `:` type($dst_mem) `,` type($tma_descriptor)"
    )

    def __init__(
        self,
        target: SSAValue,
        tensor_map: SSAValue,
        coordinates: Sequence[SSAValue],
        barrier: SSAValue,
        multicast_mask: SSAValue | None = None,
        cache_hint: SSAValue | None = None,
    ):
        super().__init__(operands=(target, tensor_map, coordinates, barrier, [], multicast_mask, cache_hint, None))

    def verify_(self) -> None:
        expect_box(self.coordinates)
        if self.im2col_offsets or self.predicate is not None:
            raise VerifyException("boxes of im2col maps and predicates are not supported")


@irdl_op_definition
class StoreBoxOp(IRDLOperation):
    """A box of a tensor from this block's shared memory."""

    name = "nvvm.cp.async.bulk.tensor.global.shared.cta"

    tma_descriptor = operand_def(GENERIC)
    src_mem = operand_def(SHARED)
    coordinates = var_operand_def(i32)
    l2_cache_hint = opt_operand_def(i64)
    irdl_options = (AttrSizedOperandSegments(as_property=True), ParsePropInAttrDict())
    traits = ORDERED
    assembly_format = (
        "$tma_descriptor `,` $src_mem `,` `box` `[` $coordinates `]` (`l2_cache_hint` `=` $l2_cache_hint^)? attr-dict"
        " `:` type($tma_descriptor) `,` type($src_mem)"
    )

    def __init__(self, tensor_map: SSAValue, source: SSAValue, coordinates: Sequence[SSAValue]):
        super().__init__(operands=(tensor_map, source, coordinates, None))

    def verify_(self) -> None:
        expect_box(self.coordinates)


@irdl_op_definition
class LoadBytesOp(IRDLOperation):
    """`size` bytes, a multiple of 16, into shared memory; they count at `mbar`."""

    name = "nvvm.cp.async.bulk.shared.cluster.global"

    dst_mem = operand_def(CLUSTER)
    src_mem = operand_def(GLOBAL)
    mbar = operand_def(SHARED)
    size = operand_def(i32)
    traits = ORDERED
    assembly_format = "$dst_mem `,` $src_mem `,` $mbar `,` $size attr-dict `:` type($dst_mem) `,` type($src_mem)"

    def __init__(self, target: SSAValue, source: SSAValue, barrier: SSAValue, size: SSAValue):
        super().__init__(operands=(target, source, barrier, size))


@irdl_op_definition
class StoreBytesOp(IRDLOperation):
    """`size` bytes, a multiple of 16, from this block's shared memory."""

    name = "nvvm.cp.async.bulk.global.shared.cta"

    dst_mem = operand_def(GLOBAL)
    src_mem = operand_def(SHARED)
    size = operand_def(i32)
    traits = ORDERED
    assembly_format = "$dst_mem `,` $src_mem `,` $size attr-dict `:` type($dst_mem) `,` type($src_mem)"

    def __init__(self, target: SSAValue, source: SSAValue, size: SSAValue):
        super().__init__(operands=(target, source, size))


@irdl_op_definition
class CommitStoresOp(IRDLOperation):
    """The thread's stores since the last op of this kind are one group."""

    name = "nvvm.cp.async.bulk.commit.group"
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class WaitStoresOp(IRDLOperation):
    """Wait until at most `group` of the thread's groups of stores have not ended; with `read`, have not been read."""

    name = "nvvm.cp.async.bulk.wait_group"

    group = prop_def(IntegerAttr.constr(i32))
    read = opt_prop_def(UnitAttr)
    irdl_options = (ParsePropInAttrDict(),)
    traits = ORDERED
    assembly_format = "$group attr-dict"

    def __init__(self, groups: int, *, read: bool = False):
        super().__init__(
            properties={"group": IntegerAttr(groups, i32), "read": UnitAttr() if read else None},
        )


@irdl_op_definition
class PrefetchMapOp(IRDLOperation):
    """Let the engine fetch a tensor map before it is used."""

    name = "nvvm.prefetch"

    addr = operand_def(GENERIC)
    traits = ORDERED
    assembly_format = "`tensormap` `,` $addr attr-dict `:` type($addr)"

    def __init__(self, tensor_map: SSAValue):
        super().__init__(operands=(tensor_map,))


@irdl_op_definition
class FenceProxyOp(IRDLOperation):
    """What this thread wrote before it is seen by the copy engine (and by wgmma) after it."""

    name = "nvvm.fence.proxy"

    kind = prop_def(ProxyAttr)
    space = opt_prop_def(SharedSpaceAttr)
    irdl_options = (ParsePropInAttrDict(),)
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self, kind: str = "async.shared", space: str | None = "cta"):
        super().__init__(
            properties={
                "kind": ProxyAttr(Proxy(kind)),
                "space": None if space is None else SharedSpaceAttr(SharedSpace(space)),
            }
        )

    def verify_(self) -> None:
        if (self.kind.data is Proxy.AsyncShared) != (self.space is not None):
            raise VerifyException("a fence of async.shared, and no other, names a space")


BULK_COPY: tuple[type[Operation], ...] = (
    CommitStoresOp,
    FenceProxyOp,
    LoadBoxOp,
    LoadBytesOp,
    PrefetchMapOp,
    StoreBoxOp,
    StoreBytesOp,
    WaitStoresOp,
)
