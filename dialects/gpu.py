"""`gpu` in upstream's syntax: kernels, their launches, and what a thread asks of its block and its warp.

xDSL's ops of this dialect print in the generic form only, lack shuffles, warp reductions, dynamic shared memory and
address spaces, and keep a kernel's mark where MLIR does not look for it. These take their place.
Source: https://mlir.llvm.org/docs/Dialects/GPU/
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects import gpu as xdsl_gpu
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseArrayBase,
    FunctionType,
    IndexType,
    IntegerAttr,
    MemRefType,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    UnitAttr,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    AnyAttr,
    AttrSizedOperandSegments,
    IRDLOperation,
    VarConstraint,
    attr_def,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_attr_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import (
    HasParent,
    IsolatedFromAbove,
    IsTerminator,
    NoTerminator,
    Pure,
    SymbolOpInterface,
    SymbolTable,
)
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa
from xdsl.utils.str_enum import StrEnum

DimensionAttr = xdsl_gpu.DimensionAttr
DimensionEnum = xdsl_gpu.DimensionEnum

WARP = 32
"""Threads of a warp, which upstream calls a subgroup."""


class AddressSpace(StrEnum):
    """Where memory is: all threads see `global`, those of one block `workgroup`, one thread alone `private`."""

    Global = "global"
    Workgroup = "workgroup"
    Private = "private"


@irdl_attr_definition
class AddressSpaceAttr(EnumAttribute[AddressSpace]):
    """The memory space of a memref: `#gpu.address_space<workgroup>`."""

    name = "gpu.address_space"

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{self.data.value}>")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> AddressSpace:
        with parser.in_angle_brackets():
            return parser.parse_str_enum(AddressSpace)


WORKGROUP = AddressSpaceAttr(AddressSpace.Workgroup)


class ShuffleMode(StrEnum):
    """Whose value a lane gets: lane ^ offset, lane - offset, lane + offset, or lane `offset` itself."""

    Xor = "xor"
    Up = "up"
    Down = "down"
    Idx = "idx"


@irdl_attr_definition
class ShuffleModeAttr(EnumAttribute[ShuffleMode], SpacedOpaqueSyntaxAttribute):
    """`#gpu<shuffle_mode xor>`"""

    name = "gpu.shuffle_mode"


class Combine(StrEnum):
    """How a reduction combines two values: as the op of `arith` of the same name."""

    Add = "add"
    Mul = "mul"
    MinUI = "minui"
    MinSI = "minsi"
    MinNumF = "minnumf"
    MaxUI = "maxui"
    MaxSI = "maxsi"
    MaxNumF = "maxnumf"
    And = "and"
    Or = "or"
    Xor = "xor"
    MinimumF = "minimumf"
    MaximumF = "maximumf"


@irdl_attr_definition
class CombineAttr(EnumAttribute[Combine], SpacedOpaqueSyntaxAttribute):
    """`#gpu<all_reduce_op add>`"""

    name = "gpu.all_reduce_op"


class PositionOp(IRDLOperation, ABC):
    """A number of the launch along one dimension."""

    dimension = prop_def(DimensionAttr)
    result = result_def(IndexType)
    traits = traits_def(Pure())
    assembly_format = "$dimension attr-dict"

    def __init__(self, dimension: str):
        super().__init__(result_types=(IndexType(),), properties={"dimension": DimensionAttr(DimensionEnum(dimension))})


@irdl_op_definition
class ThreadIdOp(PositionOp):
    """The thread's position in its block."""

    name = "gpu.thread_id"


@irdl_op_definition
class BlockIdOp(PositionOp):
    """The block's position in the grid."""

    name = "gpu.block_id"


@irdl_op_definition
class BlockDimOp(PositionOp):
    """How many threads a block has."""

    name = "gpu.block_dim"


@irdl_op_definition
class GridDimOp(PositionOp):
    """How many blocks the grid has."""

    name = "gpu.grid_dim"


@irdl_op_definition
class GlobalIdOp(PositionOp):
    """The thread's position in the grid: block id * block size + thread id."""

    name = "gpu.global_id"


class WarpPositionOp(IRDLOperation, ABC):
    """A number about the warps of a block."""

    result = result_def(IndexType)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self) -> None:
        super().__init__(result_types=(IndexType(),))


@irdl_op_definition
class LaneIdOp(IRDLOperation):
    """The thread's position in its warp."""

    name = "gpu.lane_id"
    result = result_def(IndexType)
    traits = traits_def(Pure())
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__(result_types=(IndexType(),))


@irdl_op_definition
class SubgroupIdOp(WarpPositionOp):
    """The warp's position in its block."""

    name = "gpu.subgroup_id"


@irdl_op_definition
class NumSubgroupsOp(WarpPositionOp):
    """How many warps a block has."""

    name = "gpu.num_subgroups"


@irdl_op_definition
class SubgroupSizeOp(WarpPositionOp):
    """How many threads a warp has."""

    name = "gpu.subgroup_size"


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """Every thread of the block waits for all others, and sees what they wrote before it."""

    name = "gpu.barrier"
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class ShuffleOp(IRDLOperation):
    """(the value of another lane of the same group of `width` lanes, whether that lane is inside the group)

    Its lane is found from this one's and `offset` as the mode says. Every lane of the group takes part.
    """

    name = "gpu.shuffle"

    T: ClassVar = VarConstraint("T", AnyAttr())

    value = operand_def(T)
    offset = operand_def(i32)
    width = operand_def(i32)
    mode = prop_def(ShuffleModeAttr)
    shuffle_result = result_def(T)
    valid = result_def(i1)
    # reads other lanes: moving it to where other lanes are absent would change it, so it is not Pure
    assembly_format = "$mode $value `,` $offset `,` $width attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, offset: SSAValue, width: SSAValue, mode: str):
        super().__init__(
            operands=(value, offset, width),
            result_types=(value.type, i1),
            properties={"mode": ShuffleModeAttr(ShuffleMode(mode))},
        )


@irdl_op_definition
class SubgroupReduceOp(IRDLOperation):
    """All values of a warp, or of each cluster of its lanes, combined: every lane gets the result.

    A cluster is `cluster_size` lanes, `cluster_stride` apart.
    """

    name = "gpu.subgroup_reduce"

    T: ClassVar = VarConstraint("T", AnyAttr())

    value = operand_def(T)
    op = prop_def(CombineAttr)
    uniform = opt_prop_def(UnitAttr)
    cluster_size = opt_prop_def(IntegerAttr.constr(i32))
    cluster_stride = prop_def(IntegerAttr.constr(i32), default_value=IntegerAttr(1, i32))
    result = result_def(T)

    def __init__(self, value: SSAValue, combine: str, cluster_size: int | None = None, cluster_stride: int = 1):
        super().__init__(
            operands=(value,),
            result_types=(value.type,),
            properties={
                "op": CombineAttr(Combine(combine)),
                "cluster_size": None if cluster_size is None else IntegerAttr(cluster_size, i32),
                "cluster_stride": IntegerAttr(cluster_stride, i32),
            },
        )

    @property
    def size(self) -> int:
        """How many lanes are combined."""
        return WARP if self.cluster_size is None else self.cluster_size.value.data

    def verify_(self) -> None:
        for name, number in (("cluster size", self.size), ("cluster stride", self.cluster_stride.value.data)):
            if number < 1 or number & (number - 1):
                raise VerifyException(f"the {name} is {number}, expected a power of two")
        if self.size * self.cluster_stride.value.data > WARP:
            raise VerifyException(
                f"a cluster reaches over {self.size * self.cluster_stride.value.data} lanes of {WARP}"
            )

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.op.data.value} ")
        printer.print_ssa_value(self.value)
        if self.uniform is not None:
            printer.print_string(" uniform")
        if self.cluster_size is not None:
            printer.print_string(f" cluster(size = {self.size}")
            if self.cluster_stride.value.data != 1:
                printer.print_string(f", stride = {self.cluster_stride.value.data}")
            printer.print_string(")")
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : (")
        printer.print_attribute(self.value.type)
        printer.print_string(") -> ")
        printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: Parser) -> SubgroupReduceOp:
        combine = parser.parse_str_enum(Combine)
        value = parser.parse_unresolved_operand()
        uniform = parser.parse_optional_keyword("uniform") is not None
        size, stride = None, 1
        if parser.parse_optional_keyword("cluster") is not None:
            with parser.in_parens():
                parser.parse_keyword("size")
                parser.parse_punctuation("=")
                size = parser.parse_integer()
                if parser.parse_optional_punctuation(",") is not None:
                    parser.parse_keyword("stride")
                    parser.parse_punctuation("=")
                    stride = parser.parse_integer()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        found = parser.parse_type()
        assert isinstance(found, FunctionType)
        made = cls(parser.resolve_operand(value, found.inputs.data[0]), combine.value, size, stride)
        if uniform:
            made.uniform = UnitAttr()
        made.attributes.update(attributes)
        return made


@irdl_op_definition
class DynamicSharedMemoryOp(IRDLOperation):
    """The bytes of shared memory that the launch gives each block; every op of this kind gives the same ones."""

    name = "gpu.dynamic_shared_memory"
    result = result_def(MemRefType.constr(i8))
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    TYPE: ClassVar = MemRefType(i8, (DYNAMIC_INDEX,), memory_space=WORKGROUP)

    def __init__(self) -> None:
        super().__init__(result_types=(self.TYPE,))

    def verify_(self) -> None:
        if self.result.type != self.TYPE:
            raise VerifyException(f"the result is {self.result.type}, expected {self.TYPE}")


CLUSTER = IntegerAttr(7, i64)
"""The memory space of what blocks of a cluster see of each other's shared memory: the number that NVVM has for it."""


@irdl_op_definition
class PeerMemoryOp(IRDLOperation):
    """What another block of the cluster has where this block has `source`, in shared memory.

    `block` counts the blocks of the cluster. Not before all of them have begun: a barrier of the cluster tells. MLIR
    has no such op: there it is a pointer through `nvvm.mapa`.
    """

    name = "gpu.peer_memory"
    source = operand_def(MemRefType)
    block = operand_def(i32)
    result = result_def(MemRefType)
    traits = traits_def(Pure())
    assembly_format = "$source `of` $block attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, block: SSAValue):
        super().__init__(operands=(source, block), result_types=(peer_type(source.type),))

    def verify_(self) -> None:
        if self.result.type != peer_type(self.source.type):
            raise VerifyException(f"the result is {self.result.type}, expected {peer_type(self.source.type)}")


def peer_type(source: Attribute) -> MemRefType[Attribute]:
    """The type of a memref of shared memory in another block. Raises VerifyException for another memref."""
    if not isa(source, MemRefType[Attribute]) or source.memory_space != WORKGROUP:
        raise VerifyException(f"only shared memory is seen by other blocks, found {source}")
    return MemRefType(source.element_type, source.shape, source.layout, CLUSTER)


@irdl_op_definition
class ModuleOp(IRDLOperation):
    """Code for the device: kernels, and the shared memory that they name."""

    name = "gpu.module"
    body = region_def("single_block")
    sym_name = prop_def(SymbolNameConstraint())
    traits = traits_def(IsolatedFromAbove(), NoTerminator(), SymbolOpInterface(), SymbolTable())

    def __init__(self, name: str, ops: Sequence[Operation] = ()):
        super().__init__(properties={"sym_name": StringAttr(name)}, regions=(Region(Block(ops)),))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body)

    @classmethod
    def parse(cls, parser: Parser) -> ModuleOp:
        name = parser.parse_symbol_name()
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region()
        if not body.blocks:
            body.add_block(Block())
        made = cls.create(properties={"sym_name": name}, regions=[body])
        if attributes is not None:
            made.attributes.update(attributes.data)
        return made


UNPRINTED = ("sym_name", "gpu.kernel", "workgroup_attributions")
"""Attributes of a function that its syntax shows in another way, or that MLIR adds by itself."""


TOGETHER = "xmlc.together"
"""Attribute of a kernel: so many neighbouring blocks wait for each other, so all blocks of the grid run at once. The
grid is cut to a multiple of the number where the device holds fewer blocks."""
KNOWN_SIZES = ("known_block_size", "known_grid_size", "known_cluster_size")


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A function of the device; one marked `kernel` is what the host launches, and returns nothing.

    `known_block_size`, `known_grid_size` and `known_cluster_size` promise how it is launched. A cluster is that many
    blocks, neighbours in the grid, which run at the same time.
    """

    name = "gpu.func"
    body = region_def()
    sym_name = attr_def(SymbolNameConstraint())
    kernel = opt_attr_def(UnitAttr, attr_name="gpu.kernel")
    function_type = prop_def(FunctionType)
    known_block_size = opt_prop_def(DenseArrayBase.constr(i32))
    known_grid_size = opt_prop_def(DenseArrayBase.constr(i32))
    known_cluster_size = opt_prop_def(DenseArrayBase.constr(i32))
    traits = traits_def(IsolatedFromAbove(), HasParent(ModuleOp), SymbolOpInterface())

    def __init__(
        self,
        name: str,
        inputs: Sequence[Attribute],
        body: Region | None = None,
        *,
        known_block_size: Sequence[int] | None = None,
        known_grid_size: Sequence[int] | None = None,
        known_cluster_size: Sequence[int] | None = None,
    ):
        """A kernel; without a body, one with an empty block is made."""
        sizes = dict(zip(KNOWN_SIZES, (known_block_size, known_grid_size, known_cluster_size)))
        super().__init__(
            properties={
                "function_type": FunctionType.from_lists(inputs, ()),
                **{name: DenseArrayBase.from_list(i32, size) for name, size in sizes.items() if size is not None},
            },
            attributes={"sym_name": StringAttr(name), "gpu.kernel": UnitAttr()},
            regions=(Region(Block(arg_types=inputs)) if body is None else body,),
        )

    def verify_(self) -> None:
        if self.function_type.inputs.data != self.body.blocks[0].arg_types:
            raise VerifyException("the first block's arguments are not of the types that the function takes")
        if self.kernel is not None and self.function_type.outputs.data:
            raise VerifyException("a kernel returns nothing")
        for size in (self.known_block_size, self.known_grid_size, self.known_cluster_size):
            if size is not None and (len(size) != 3 or min(size.get_values()) < 1):
                raise VerifyException(f"known sizes are three positive numbers, found {tuple(size.get_values())}")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        with printer.in_parens():
            printer.print_list(self.body.blocks[0].args, printer.print_block_argument)
        if outputs := self.function_type.outputs.data:
            printer.print_string(" -> (")
            printer.print_list(outputs, printer.print_attribute)
            printer.print_string(")")
        if self.kernel is not None:
            printer.print_string(" kernel")
        known = {key: value for key, value in self.properties.items() if key.startswith("known_")}
        rest = {key: value for key, value in self.attributes.items() if key not in UNPRINTED}
        printer.print_op_attributes(known | rest, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    @classmethod
    def parse(cls, parser: Parser) -> FuncOp:
        name = parser.parse_symbol_name()
        arguments = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        outputs: Sequence[Attribute] = ()
        if parser.parse_optional_punctuation("->") is not None:
            outputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        kernel = parser.parse_optional_keyword("kernel") is not None
        found = parser.parse_optional_attr_dict_with_keyword()
        attributes = dict(found.data) if found is not None else {}
        body = parser.parse_region(arguments)
        known = {key: attributes.pop(key) for key in KNOWN_SIZES if key in attributes}
        return cls.create(
            properties={
                "function_type": FunctionType.from_lists([each.type for each in arguments], outputs),
                **known,
            },
            attributes={"sym_name": name, **({"gpu.kernel": UnitAttr()} if kernel else {}), **attributes},
            regions=[body],
        )


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """The end of a function of the device."""

    name = "gpu.return"
    values = var_operand_def()
    traits = traits_def(IsTerminator(), HasParent(FuncOp))
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, values: Sequence[SSAValue] = ()):
        super().__init__(operands=(values,))


@irdl_op_definition
class LaunchFuncOp(IRDLOperation):
    """Run a kernel by a grid of blocks of threads; each block has `dynamic` bytes of shared memory of its own."""

    name = "gpu.launch_func"
    dependencies = var_operand_def(xdsl_gpu.AsyncTokenType)
    grid_x = operand_def(IndexType)
    grid_y = operand_def(IndexType)
    grid_z = operand_def(IndexType)
    block_x = operand_def(IndexType)
    block_y = operand_def(IndexType)
    block_z = operand_def(IndexType)
    cluster_x = opt_operand_def(IndexType)
    cluster_y = opt_operand_def(IndexType)
    cluster_z = opt_operand_def(IndexType)
    dynamic = opt_operand_def(i32)
    arguments = var_operand_def()
    stream = opt_operand_def()
    kernel = prop_def(SymbolRefAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        kernel: SymbolRefAttr,
        grid: Sequence[SSAValue],
        block: Sequence[SSAValue],
        arguments: Sequence[SSAValue],
        *,
        cluster: Sequence[SSAValue] = (),
        dynamic: SSAValue | None = None,
    ):
        """`grid`, `block` and `cluster` are three sizes each: x, y, z."""
        clusters = [[each] for each in cluster] or [[], [], []]
        super().__init__(
            operands=([], *grid, *block, *clusters, dynamic, arguments, None), properties={"kernel": kernel}
        )

    @property
    def grid(self) -> tuple[SSAValue, SSAValue, SSAValue]:
        """How many blocks the grid has along x, y, z."""
        return self.grid_x, self.grid_y, self.grid_z

    @property
    def block(self) -> tuple[SSAValue, SSAValue, SSAValue]:
        """How many threads a block has along x, y, z."""
        return self.block_x, self.block_y, self.block_z

    @property
    def cluster(self) -> tuple[SSAValue, ...]:
        """How many blocks a cluster has along x, y, z; () where there are none."""
        return tuple(each for each in (self.cluster_x, self.cluster_y, self.cluster_z) if each is not None)

    def verify_(self) -> None:
        if len(self.cluster) not in (0, 3):
            raise VerifyException(f"a cluster has three sizes, found {len(self.cluster)}")
        if len(self.kernel.nested_references.data) != 1:
            raise VerifyException(f"the kernel is {self.kernel}, expected one of a gpu.module: @module::@kernel")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_attribute(self.kernel)
        for word, sizes in (("clusters", self.cluster), ("blocks", self.grid), ("threads", self.block)):
            if sizes:
                printer.print_string(f" {word} in ")
                with printer.in_parens():
                    printer.print_list(sizes, printer.print_ssa_value)
        if self.dynamic is not None:
            printer.print_string(" dynamic_shared_memory_size ")
            printer.print_ssa_value(self.dynamic)
        if self.arguments:
            printer.print_string(" args")
            with printer.in_parens():
                printer.print_list(self.arguments, lambda each: _print_typed(printer, each))
        printer.print_op_attributes(self.attributes)

    @classmethod
    def parse(cls, parser: Parser) -> LaunchFuncOp:
        kernel = parser.parse_attribute()
        assert isinstance(kernel, SymbolRefAttr)
        cluster = _parse_sizes(parser, "clusters") if parser.parse_optional_keyword("clusters") else ()
        parser.parse_keyword("blocks")
        grid = _parse_sizes(parser, "blocks")
        parser.parse_keyword("threads")
        block = _parse_sizes(parser, "threads")
        dynamic = None
        if parser.parse_optional_keyword("dynamic_shared_memory_size") is not None:
            dynamic = parser.resolve_operand(parser.parse_unresolved_operand(), i32)
        arguments: Sequence[SSAValue] = ()
        if parser.parse_optional_keyword("args") is not None:
            arguments = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: _parse_typed(parser))
        made = cls(kernel, grid, block, arguments, cluster=cluster, dynamic=dynamic)
        made.attributes.update(parser.parse_optional_attr_dict())
        return made


def _print_typed(printer: Printer, value: SSAValue) -> None:
    printer.print_ssa_value(value)
    printer.print_string(" : ")
    printer.print_attribute(value.type)


def _parse_typed(parser: Parser) -> SSAValue:
    value = parser.parse_unresolved_operand()
    parser.parse_punctuation(":")
    return parser.resolve_operand(value, parser.parse_type())


def _parse_sizes(parser: Parser, what: str) -> Sequence[SSAValue]:
    """Three sizes, after the keyword that says what they count."""
    parser.parse_keyword("in")
    found = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
    if len(found) != 3:
        parser.raise_error(f"expected three sizes after '{what} in', found {len(found)}")
    return [parser.resolve_operand(each, IndexType()) for each in found]


OURS: tuple[type[Operation], ...] = (
    BarrierOp,
    BlockDimOp,
    BlockIdOp,
    DynamicSharedMemoryOp,
    PeerMemoryOp,
    FuncOp,
    GlobalIdOp,
    GridDimOp,
    LaneIdOp,
    LaunchFuncOp,
    ModuleOp,
    NumSubgroupsOp,
    ReturnOp,
    ShuffleOp,
    SubgroupIdOp,
    SubgroupReduceOp,
    SubgroupSizeOp,
    ThreadIdOp,
)
NAMES = {each.name for each in OURS}
# every other op is xDSL's: register this dialect in the place of xDSL's
GPU = Dialect(
    "gpu",
    [*(each for each in xdsl_gpu.GPU.operations if each.name not in NAMES and each is not xdsl_gpu.AllReduceOp), *OURS],
    [
        *(each for each in xdsl_gpu.GPU.attributes if each is not xdsl_gpu.AllReduceOpAttr),
        AddressSpaceAttr,
        CombineAttr,
        ShuffleModeAttr,
    ],
)
