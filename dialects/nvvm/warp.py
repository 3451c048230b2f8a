"""What the lanes of a warp do together: shuffle values, combine them, vote, find those that are equal, elect one.

Each op names the lanes that take part in it by a mask with a bit for each; every one of them must come to the op.
"""

from __future__ import annotations

from xdsl.dialects.builtin import UnitAttr, f32, i1, i32
from xdsl.dialects.llvm import LLVMStructType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AnyOf,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm.attributes import (
    MatchKind,
    MatchKindAttr,
    ReduxKind,
    ReduxKindAttr,
    ShuffleKind,
    ShuffleKindAttr,
    VoteKind,
    VoteKindAttr,
)
from xmlc.dialects.nvvm.effects import ORDERED

ALL_LANES = -1
"""The mask of a whole warp, as an i32."""


def pair(first: Attribute) -> LLVMStructType:
    """A struct of a value and a bit."""
    return LLVMStructType.from_type_list((first, i1))


def expect_result(found: Attribute, wanted: Attribute) -> None:
    if found != wanted:
        raise VerifyException(f"the result is {found}, expected {wanted}")


@irdl_op_definition
class ShflSyncOp(IRDLOperation):
    """The value of another lane, or with it whether that lane is inside this lane's part of the warp.

    `mask_and_clamp` is PTX's `c`: bits 8-12 part the warp (0x1f00 & ~(width - 1) << 8), bits 0-4 bound the lane.
    """

    name = "nvvm.shfl.sync"

    thread_mask = operand_def(i32)
    val = operand_def(AnyOf.get(i32, f32))
    offset = operand_def(i32)
    mask_and_clamp = operand_def(i32)
    kind = prop_def(ShuffleKindAttr)
    return_value_and_is_valid = opt_prop_def(UnitAttr)
    res = result_def()
    irdl_options = (ParsePropInAttrDict(),)
    traits = ORDERED
    assembly_format = (
        "$kind $thread_mask `,` $val `,` $offset `,` $mask_and_clamp attr-dict `:` type($val) `->` type($res)"
    )

    def __init__(
        self,
        mask: SSAValue,
        value: SSAValue,
        offset: SSAValue,
        mask_and_clamp: SSAValue,
        kind: str,
        *,
        with_validity: bool = False,
    ):
        super().__init__(
            operands=(mask, value, offset, mask_and_clamp),
            result_types=(pair(value.type) if with_validity else value.type,),
            properties={
                "kind": ShuffleKindAttr(ShuffleKind(kind)),
                "return_value_and_is_valid": UnitAttr() if with_validity else None,
            },
        )

    def verify_(self) -> None:
        both = self.return_value_and_is_valid is not None
        expect_result(self.res.type, pair(self.val.type) if both else self.val.type)


@irdl_op_definition
class ReduxSyncOp(IRDLOperation):
    """The values of all lanes of the mask combined; every one of them gets the result."""

    name = "nvvm.redux.sync"

    val = operand_def(i32)
    mask = operand_def(i32)
    kind = prop_def(ReduxKindAttr)
    res = result_def(i32)
    traits = ORDERED
    assembly_format = "$kind $val `,` $mask attr-dict `:` type($val) `->` type($res)"

    def __init__(self, value: SSAValue, mask: SSAValue, kind: str):
        super().__init__(
            operands=(value, mask), result_types=(i32,), properties={"kind": ReduxKindAttr(ReduxKind(kind))}
        )


@irdl_op_definition
class VoteSyncOp(IRDLOperation):
    """What the lanes of the mask say of a condition: an i1, or for `ballot` a bit for each lane."""

    name = "nvvm.vote.sync"

    mask = operand_def(i32)
    pred = operand_def(i1)
    kind = prop_def(VoteKindAttr)
    res = result_def(AnyOf.get(i1, i32))
    traits = ORDERED
    assembly_format = "$kind $mask `,` $pred attr-dict `->` type($res)"

    def __init__(self, mask: SSAValue, condition: SSAValue, kind: str):
        ballot = kind == VoteKind.Ballot
        super().__init__(
            operands=(mask, condition),
            result_types=(i32 if ballot else i1,),
            properties={"kind": VoteKindAttr(VoteKind(kind))},
        )

    def verify_(self) -> None:
        expect_result(self.res.type, i32 if self.kind.data is VoteKind.Ballot else i1)


@irdl_op_definition
class MatchSyncOp(IRDLOperation):
    """`any`: a bit for each lane with this lane's value. `all`: (the mask, true) if all have it, else (0, false)."""

    name = "nvvm.match.sync"

    thread_mask = operand_def(i32)
    val = operand_def(i32)
    kind = prop_def(MatchKindAttr)
    res = result_def()
    traits = ORDERED
    assembly_format = "$kind $thread_mask `,` $val attr-dict `:` type($val) `->` type($res)"

    def __init__(self, mask: SSAValue, value: SSAValue, kind: str):
        super().__init__(
            operands=(mask, value),
            result_types=(pair(i32) if kind == MatchKind.All else i32,),
            properties={"kind": MatchKindAttr(MatchKind(kind))},
        )

    def verify_(self) -> None:
        expect_result(self.res.type, pair(i32) if self.kind.data is MatchKind.All else i32)


@irdl_op_definition
class ElectSyncOp(IRDLOperation):
    """True for one lane of the mask, of the whole warp if none is given."""

    name = "nvvm.elect.sync"

    mask = opt_operand_def(i32)
    pred = result_def(i1)
    traits = ORDERED
    assembly_format = "($mask^)? attr-dict `->` type($pred)"

    def __init__(self, mask: SSAValue | None = None):
        super().__init__(operands=(mask,), result_types=(i1,))


WARP: tuple[type[Operation], ...] = (ElectSyncOp, MatchSyncOp, ReduxSyncOp, ShflSyncOp, VoteSyncOp)
