"""Threads that wait for each other, and the order in which others see what they wrote."""

from __future__ import annotations

from abc import ABC

from xdsl.dialects.builtin import IntegerAttr, UnitAttr, i32
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
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm.attributes import (
    CLUSTER,
    SHARED,
    Dependency,
    DependencyAttr,
    MemoryScope,
    MemoryScopeAttr,
    RegisterChange,
    RegisterChangeAttr,
)
from xmlc.dialects.nvvm.effects import ORDERED


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """All threads of the block, or `number_of_threads` of them in whole warps, wait for each other.

    `id` is one of the block's 16 barriers, 0 if not given.
    """

    name = "nvvm.barrier"

    barrier_id = opt_operand_def(i32)
    number_of_threads = opt_operand_def(i32)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = ORDERED
    assembly_format = "(`id` `=` $barrier_id^)? (`number_of_threads` `=` $number_of_threads^)? attr-dict"

    def __init__(self, barrier_id: SSAValue | None = None, number_of_threads: SSAValue | None = None):
        super().__init__(operands=(barrier_id, number_of_threads))

    def verify_(self) -> None:
        if self.number_of_threads is not None and self.barrier_id is None:
            raise VerifyException("a barrier of some threads needs an id")


@irdl_op_definition
class Barrier0Op(IRDLOperation):
    """All threads of the block wait for each other, and see what the others wrote before it."""

    name = "nvvm.barrier0"
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class BarrierArriveOp(IRDLOperation):
    """Count this warp in at a barrier without waiting for the others."""

    name = "nvvm.barrier.arrive"

    barrier_id = opt_operand_def(i32)
    number_of_threads = operand_def(i32)
    traits = ORDERED
    assembly_format = "(`id` `=` $barrier_id^)? `number_of_threads` `=` $number_of_threads attr-dict"

    def __init__(self, barrier_id: SSAValue | None, number_of_threads: SSAValue):
        super().__init__(operands=(barrier_id, number_of_threads))


@irdl_op_definition
class WarpBarrierOp(IRDLOperation):
    """The lanes of the mask wait for each other, and see what the others wrote before it."""

    name = "nvvm.bar.warp.sync"

    mask = operand_def(i32)
    traits = ORDERED
    assembly_format = "$mask attr-dict `:` type($mask)"

    def __init__(self, mask: SSAValue):
        super().__init__(operands=(mask,))


@irdl_op_definition
class MemoryBarrierOp(IRDLOperation):
    """What this thread wrote before it is seen, by all in `scope`, before what it writes after it."""

    name = "nvvm.memory.barrier"

    scope = prop_def(MemoryScopeAttr)
    traits = ORDERED
    assembly_format = "$scope attr-dict"

    def __init__(self, scope: str):
        super().__init__(properties={"scope": MemoryScopeAttr(MemoryScope(scope))})


class FenceOp(IRDLOperation, ABC):
    """An order of memory accesses that has no choices."""

    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class FenceClusterOp(FenceOp):
    """One order of all accesses that every thread of the cluster agrees on."""

    name = "nvvm.fence.sc.cluster"


@irdl_op_definition
class FenceBarrierInitOp(FenceOp):
    """The cluster sees mbarriers that this thread has made."""

    name = "nvvm.fence.mbarrier.init"


class ClusterBarrierOp(IRDLOperation, ABC):
    """Half of a barrier of all threads of a cluster; `aligned` if every thread of the warp comes to it together."""

    aligned = opt_prop_def(UnitAttr)
    irdl_options = (ParsePropInAttrDict(),)
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self, *, aligned: bool = True):
        super().__init__(properties={"aligned": UnitAttr() if aligned else None})


@irdl_op_definition
class ClusterArriveOp(ClusterBarrierOp):
    """Count this thread in; what it wrote before is seen by those that wait."""

    name = "nvvm.cluster.arrive"


@irdl_op_definition
class ClusterArriveRelaxedOp(ClusterBarrierOp):
    """Count this thread in, without any order of memory."""

    name = "nvvm.cluster.arrive.relaxed"


@irdl_op_definition
class ClusterWaitOp(ClusterBarrierOp):
    """Wait until all threads of the cluster have been counted in."""

    name = "nvvm.cluster.wait"


@irdl_op_definition
class MapaOp(IRDLOperation):
    """Where a place of this block's shared memory is in that of another block of the cluster."""

    name = "nvvm.mapa"

    a = operand_def(SHARED)
    b = operand_def(i32)
    res = result_def(CLUSTER)
    traits = traits_def(Pure())
    assembly_format = "$a `,` $b attr-dict `:` type($a) `->` type($res)"

    def __init__(self, pointer: SSAValue, block: SSAValue):
        super().__init__(operands=(pointer, block), result_types=(CLUSTER,))


@irdl_op_definition
class GridDependencyOp(IRDLOperation):
    """`wait`: until the launches before have ended. `launch_dependents`: the next launch may begin."""

    name = "nvvm.griddepcontrol"

    kind = prop_def(DependencyAttr)
    traits = ORDERED
    assembly_format = "$kind attr-dict"

    def __init__(self, kind: str):
        super().__init__(properties={"kind": DependencyAttr(Dependency(kind))})


@irdl_op_definition
class SetMaxRegisterOp(IRDLOperation):
    """Change how many registers each thread of this warp group has: a multiple of 8 from 24 to 256."""

    name = "nvvm.setmaxregister"

    count = prop_def(IntegerAttr.constr(i32), prop_name="regCount")
    action = prop_def(RegisterChangeAttr)
    traits = ORDERED
    assembly_format = "$action $regCount attr-dict"

    def __init__(self, action: str, count: int):
        super().__init__(
            properties={
                "action": RegisterChangeAttr(RegisterChange(action)),
                "regCount": IntegerAttr(count, i32),
            }
        )

    def verify_(self) -> None:
        count = self.count.value.data
        if count % 8 or not 24 <= count <= 256:
            raise VerifyException(f"the number of registers is {count}, expected a multiple of 8 from 24 to 256")


SYNCHRONIZATION: tuple[type[Operation], ...] = (
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
