"""Matrix products of a warp group (four warps), whose factors the tensor cores read from shared memory by themselves.

Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr, f32, i32, i64
from xdsl.dialects.llvm import LLVMStructType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm.attributes import (
    GroupType,
    GroupTypeAttr,
    MatrixLayout,
    MatrixLayoutAttr,
    OverflowAttr,
    ScaleIn,
    ScaleInAttr,
    ScaleOut,
    ScaleOutAttr,
    ShapeAttr,
)
from xmlc.dialects.nvvm.effects import ORDERED

ROWS = 64
"""Rows of D."""
THREADS = 128
"""Threads of a warp group."""
DEPTHS = {
    GroupType.F16: 16,
    GroupType.BF16: 16,
    GroupType.TF32: 8,
    GroupType.S8: 32,
    GroupType.U8: 32,
    GroupType.E4M3: 32,
    GroupType.E5M2: 32,
}
"""Elements of A -> k: 32 bytes of each row of A."""
SUMS: dict[GroupType, Attribute] = {GroupType.F32: f32, GroupType.S32: i32}
"""Elements of D -> the type of the registers that hold them."""
INTEGERS = frozenset({GroupType.S8, GroupType.U8})
"""Elements of factors that cannot be negated."""
BY_ROWS_ONLY = INTEGERS | {GroupType.TF32, GroupType.E4M3, GroupType.E5M2}
"""Elements of factors that must lie along k: only those of 16 bits can be transposed."""


@irdl_op_definition
class FenceOp(IRDLOperation):
    """Registers and shared memory that were written before are seen by the products after it."""

    name = "nvvm.wgmma.fence.aligned"
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class CommitOp(IRDLOperation):
    """The products since the last op of this kind are one group."""

    name = "nvvm.wgmma.commit.group.sync.aligned"
    traits = ORDERED
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class WaitOp(IRDLOperation):
    """Wait until at most `group` groups of products have not ended."""

    name = "nvvm.wgmma.wait.group.sync.aligned"

    group = prop_def(IntegerAttr.constr(i64))
    traits = ORDERED
    assembly_format = "$group attr-dict"

    def __init__(self, groups: int):
        super().__init__(properties={"group": IntegerAttr(groups, i64)})


@irdl_op_definition
class MultiplyOp(IRDLOperation):
    """D = A B + D, or A B where `scaleD` is zero; it goes on while the threads do other work.

    `descriptor_a` and `descriptor_b` say where the factors are in shared memory, and in which swizzle. Each thread
    holds n / 2 elements of D: those of its row that PTX names.
    """

    name = "nvvm.wgmma.mma_async"

    descriptor_a = operand_def(i64)
    descriptor_b = operand_def(i64)
    inouts = operand_def(LLVMStructType)
    shape = prop_def(ShapeAttr)
    type_d = prop_def(GroupTypeAttr, prop_name="typeD")
    scale_d = prop_def(ScaleOutAttr, prop_name="scaleD")
    saturated = opt_prop_def(OverflowAttr, prop_name="satfinite")
    type_a = prop_def(GroupTypeAttr, prop_name="typeA")
    scale_a = prop_def(ScaleInAttr, prop_name="scaleA")
    layout_a = prop_def(MatrixLayoutAttr, prop_name="layoutA")
    type_b = prop_def(GroupTypeAttr, prop_name="typeB")
    scale_b = prop_def(ScaleInAttr, prop_name="scaleB")
    layout_b = prop_def(MatrixLayoutAttr, prop_name="layoutB")
    results_ = result_def(LLVMStructType)
    traits = ORDERED
    assembly_format = (
        "$descriptor_a `,` $descriptor_b `,` $inouts `,` $shape `,`"
        " `D` `[` $typeD `,` $scaleD (`,` $satfinite^)? `]` `,`"
        " `A` `[` $typeA `,` $scaleA `,` $layoutA `]` `,`"
        " `B` `[` $typeB `,` $scaleB `,` $layoutB `]` attr-dict `:` type($inouts) `->` type($results_)"
    )

    def __init__(
        self,
        descriptor_a: SSAValue,
        descriptor_b: SSAValue,
        inouts: SSAValue,
        columns: int,
        element: str,
        *,
        accumulate: bool = True,
        transposed: tuple[bool, bool] = (False, False),
    ):
        """`transposed` says of A and of B that its elements lie along m or n, not along k."""
        kind = GroupType(element)
        by_rows, by_columns = MatrixLayout.Row, MatrixLayout.Column
        layout_a, layout_b = (by_columns if transposed[0] else by_rows, by_rows if transposed[1] else by_columns)
        super().__init__(
            operands=(descriptor_a, descriptor_b, inouts),
            result_types=(inouts.type,),
            properties={
                "shape": ShapeAttr.of(ROWS, columns, DEPTHS[kind]),
                "typeD": GroupTypeAttr(GroupType.S32 if kind in INTEGERS else GroupType.F32),
                "scaleD": ScaleOutAttr(ScaleOut.One if accumulate else ScaleOut.Zero),
                **{f"type{name}": GroupTypeAttr(kind) for name in "AB"},
                **{f"scale{name}": ScaleInAttr(ScaleIn.One) for name in "AB"},
                "layoutA": MatrixLayoutAttr(layout_a),
                "layoutB": MatrixLayoutAttr(layout_b),
            },
        )

    def verify_(self) -> None:
        m, n, k = self.shape.sizes
        kind = self.type_a.data
        if kind not in DEPTHS or self.type_b.data not in DEPTHS or DEPTHS[self.type_b.data] != DEPTHS[kind]:
            raise VerifyException(f"there is no product of {kind.value} and {self.type_b.data.value}")
        if m != ROWS or k != DEPTHS[kind] or n % 8 or not 8 <= n <= 256:
            raise VerifyException(
                f"the shape is {m, n, k}, expected ({ROWS}, n, {DEPTHS[kind]}) with n a multiple of 8 up to 256"
            )
        if kind in BY_ROWS_ONLY and (self.layout_a.data, self.layout_b.data) != (MatrixLayout.Row, MatrixLayout.Column):
            raise VerifyException(f"factors of {kind.value} lie along k: A by rows, B by columns")
        if self.type_d.data not in SUMS:
            raise VerifyException(f"sums of {self.type_d.data.value} are not supported")
        wanted = LLVMStructType.from_type_list([SUMS[self.type_d.data]] * (ROWS * n // THREADS))
        for found in (self.inouts.type, self.results_.type):
            if found != wanted:
                raise VerifyException(f"D is {found}, expected {wanted}")


WGMMA: tuple[type[Operation], ...] = (CommitOp, FenceOp, MultiplyOp, WaitOp)
