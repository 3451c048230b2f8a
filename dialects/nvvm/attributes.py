"""The words that ops of `nvvm` choose from, and the pointers that they take."""

from __future__ import annotations

from xdsl.dialects.builtin import IntAttr
from xdsl.dialects.llvm import LLVMPointerType
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import SpacedOpaqueSyntaxAttribute
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


@irdl_attr_definition
class MemoryScopeAttr(EnumAttribute[MemoryScope]):
    """`#nvvm.mem_scope<gpu>`"""

    name = "nvvm.mem_scope"

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{self.data.value}>")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> MemoryScope:
        with parser.in_angle_brackets():
            return parser.parse_str_enum(MemoryScope)


ATTRIBUTES = (
    DependencyAttr,
    LoadCacheAttr,
    MatchKindAttr,
    MemoryScopeAttr,
    ReduxKindAttr,
    RegisterChangeAttr,
    ShuffleKindAttr,
    VoteKindAttr,
)
