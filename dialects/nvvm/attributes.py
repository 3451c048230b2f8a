"""The words that ops of `nvvm` choose from, and the pointers that they take."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar, cast

from xdsl.dialects.builtin import IntAttr
from xdsl.dialects.llvm import LLVMPointerType
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, ParametrizedAttribute, SpacedOpaqueSyntaxAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.str_enum import StrEnum

GENERIC = LLVMPointerType()
"""A pointer into any memory."""
GLOBAL = LLVMPointerType(IntAttr(1))
SHARED = LLVMPointerType(IntAttr(3))
"""A pointer into the block's own shared memory."""
CLUSTER = LLVMPointerType(IntAttr(7))
"""A pointer into the shared memory of any block of the cluster."""


class ShuffleKind(StrEnum):
    """Whose value a lane gets: lane ^ n, lane - n, lane + n, or lane n of its part of the warp."""

    Bfly = "bfly"
    Up = "up"
    Down = "down"
    Idx = "idx"


class ReduxKind(StrEnum):
    """How values are combined; `f` is for floats, on processors that have it."""

    Add = "add"
    Min = "min"
    Max = "max"
    UMin = "umin"
    UMax = "umax"
    And = "and"
    Or = "or"
    Xor = "xor"


class VoteKind(StrEnum):
    """Whether any or all lanes say yes, all say the same, or a bit for each that says yes."""

    Any = "any"
    All = "all"
    Uni = "uni"
    Ballot = "ballot"


class MatchKind(StrEnum):
    """The lanes that have this lane's value, or whether all have it."""

    Any = "any"
    All = "all"


class LoadCache(StrEnum):
    """Keep what is copied in all caches, or in the second level only."""

    CA = "ca"
    CG = "cg"


class MemoryScope(StrEnum):
    """Who sees memory in order after a barrier: the block, the cluster, the device, or all devices and the host."""

    CTA = "cta"
    Cluster = "cluster"
    GPU = "gpu"
    System = "sys"


class Dependency(StrEnum):
    """Wait for the launches before, or let those that wait for this one begin."""

    Wait = "wait"
    LaunchDependents = "launch_dependents"


class RegisterChange(StrEnum):
    """Take more registers, or give some back."""

    Increase = "increase"
    Decrease = "decrease"


class MatrixLayout(StrEnum):
    """Which elements of a matrix lie next to each other: those of a row or of a column."""

    Row = "row"
    Column = "col"


class MatrixType(StrEnum):
    """The elements of a factor, where the registers that hold them do not tell."""

    BF16 = "bf16"
    TF32 = "tf32"
    S8 = "s8"
    U8 = "u8"


class Overflow(StrEnum):
    """What an integer sum does that does not fit."""

    Wrapped = "wrapped"
    Saturated = "satfinite"


class StoredType(StrEnum):
    """The elements of a matrix of 8 rows in shared memory, each row 16 bytes."""

    B16 = "b16"


class Proxy(StrEnum):
    """The way into memory after which accesses of the ordinary one are ordered: that of the copy engine."""

    Async = "async"
    AsyncGlobal = "async.global"
    AsyncShared = "async.shared"


class SharedSpace(StrEnum):
    """The block's own shared memory, or that of all the cluster."""

    Block = "cta"
    Cluster = "cluster"


class GroupType(StrEnum):
    """The elements of what a warp group multiplies and adds up."""

    F16 = "f16"
    BF16 = "bf16"
    TF32 = "tf32"
    S8 = "s8"
    U8 = "u8"
    E4M3 = "e4m3"
    E5M2 = "e5m2"
    F32 = "f32"
    S32 = "s32"


class ScaleIn(StrEnum):
    """A factor as it is, or negated."""

    One = "one"
    Negated = "neg"


class ScaleOut(StrEnum):
    """Add to the old sum, or begin a new one."""

    Zero = "zero"
    One = "one"


@irdl_attr_definition
class ShuffleKindAttr(EnumAttribute[ShuffleKind], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<shfl_kind bfly>`"""

    name = "nvvm.shfl_kind"


@irdl_attr_definition
class ReduxKindAttr(EnumAttribute[ReduxKind], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<redux_kind add>`"""

    name = "nvvm.redux_kind"


@irdl_attr_definition
class VoteKindAttr(EnumAttribute[VoteKind], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<vote_sync_kind any>`"""

    name = "nvvm.vote_sync_kind"


@irdl_attr_definition
class MatchKindAttr(EnumAttribute[MatchKind], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<match_sync_kind any>`"""

    name = "nvvm.match_sync_kind"


@irdl_attr_definition
class LoadCacheAttr(EnumAttribute[LoadCache], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<load_cache_modifier cg>`"""

    name = "nvvm.load_cache_modifier"


@irdl_attr_definition
class DependencyAttr(EnumAttribute[Dependency], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<grid_dep_action wait>`"""

    name = "nvvm.grid_dep_action"


@irdl_attr_definition
class RegisterChangeAttr(EnumAttribute[RegisterChange], SpacedOpaqueSyntaxAttribute):
    """`#nvvm<action increase>`"""

    name = "nvvm.action"


class Bracketed:
    """An enumeration's word in angle brackets: `#nvvm.mem_scope<gpu>`"""

    enum_type: ClassVar[type[StrEnum]]

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{cast('EnumAttribute[Any]', self).data.value}>")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Any:
        with parser.in_angle_brackets():
            return parser.parse_str_enum(cls.enum_type)


@irdl_attr_definition
class MemoryScopeAttr(Bracketed, EnumAttribute[MemoryScope]):
    """`#nvvm.mem_scope<gpu>`"""

    name = "nvvm.mem_scope"


@irdl_attr_definition
class MatrixLayoutAttr(Bracketed, EnumAttribute[MatrixLayout]):
    """`#nvvm.mma_layout<row>`"""

    name = "nvvm.mma_layout"


@irdl_attr_definition
class MatrixTypeAttr(Bracketed, EnumAttribute[MatrixType]):
    """`#nvvm.mma_type<bf16>`"""

    name = "nvvm.mma_type"


@irdl_attr_definition
class OverflowAttr(Bracketed, EnumAttribute[Overflow]):
    """`#nvvm.mma_int_overflow<wrapped>`"""

    name = "nvvm.mma_int_overflow"


@irdl_attr_definition
class StoredTypeAttr(Bracketed, EnumAttribute[StoredType]):
    """`#nvvm.ld_st_matrix_elt_type<b16>`"""

    name = "nvvm.ld_st_matrix_elt_type"


@irdl_attr_definition
class ProxyAttr(Bracketed, EnumAttribute[Proxy]):
    """`#nvvm.proxy_kind<async>`"""

    name = "nvvm.proxy_kind"


@irdl_attr_definition
class SharedSpaceAttr(Bracketed, EnumAttribute[SharedSpace]):
    """`#nvvm.shared_space<cta>`"""

    name = "nvvm.shared_space"


@irdl_attr_definition
class GroupTypeAttr(Bracketed, EnumAttribute[GroupType]):
    """`#nvvm.wgmma_type<bf16>`"""

    name = "nvvm.wgmma_type"


@irdl_attr_definition
class ScaleInAttr(Bracketed, EnumAttribute[ScaleIn]):
    """`#nvvm.wgmma_scale_in<one>`"""

    name = "nvvm.wgmma_scale_in"


@irdl_attr_definition
class ScaleOutAttr(Bracketed, EnumAttribute[ScaleOut]):
    """`#nvvm.wgmma_scale_out<one>`"""

    name = "nvvm.wgmma_scale_out"


class Sizes(ParametrizedAttribute, ABC):
    """Numbers by name: `<m = 16, n = 8, k = 16>`"""

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(", ".join(f"{name} = {getattr(self, name).data}" for name in self.names()))

    @classmethod
    def names(cls) -> list[str]:
        return [name for name, _ in cls.get_irdl_definition().parameters]

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        found: list[Attribute] = []
        with parser.in_angle_brackets():
            for position, name in enumerate(cls.names()):
                if position:
                    parser.parse_punctuation(",")
                parser.parse_keyword(name)
                parser.parse_punctuation("=")
                found.append(IntAttr(parser.parse_integer()))
        return found


@irdl_attr_definition
class ShapeAttr(Sizes):
    """`#nvvm.shape<m = 16, n = 8, k = 16>`: D of m rows and n columns is A, m by k, times B, k by n."""

    name = "nvvm.shape"
    m: IntAttr
    n: IntAttr
    k: IntAttr

    @classmethod
    def of(cls, m: int, n: int, k: int) -> ShapeAttr:
        return cls(IntAttr(m), IntAttr(n), IntAttr(k))

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.m.data, self.n.data, self.k.data


@irdl_attr_definition
class StoredShapeAttr(Sizes):
    """`#nvvm.ld_st_matrix_shape<m = 8, n = 8>`"""

    name = "nvvm.ld_st_matrix_shape"
    m: IntAttr
    n: IntAttr

    @classmethod
    def of(cls, m: int, n: int) -> StoredShapeAttr:
        return cls(IntAttr(m), IntAttr(n))


ATTRIBUTES = (
    DependencyAttr,
    GroupTypeAttr,
    LoadCacheAttr,
    MatchKindAttr,
    MatrixLayoutAttr,
    MatrixTypeAttr,
    MemoryScopeAttr,
    OverflowAttr,
    ProxyAttr,
    ReduxKindAttr,
    RegisterChangeAttr,
    ScaleInAttr,
    ScaleOutAttr,
    ShapeAttr,
    SharedSpaceAttr,
    ShuffleKindAttr,
    StoredShapeAttr,
    StoredTypeAttr,
    VoteKindAttr,
)
