"""Lower `gpu` inside kernels to `nvvm`: ids are special registers, barriers and shuffles the instructions of PTX.

What has no instruction of its own is made of others: a value of another width than 32 bits is shuffled as 32-bit
words, a reduction of a warp is a butterfly of shuffles. What is left (functions, modules, dynamic shared memory) is
how kernels are declared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects import arith, func, llvm, math
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FixedBitwidthType,
    IndexType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    f32,
    f64,
    i1,
    i32,
    i64,
)
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects import gpu
from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.nvvm import special_registers as registers
from xmlc.dialects.nvvm.intrinsics import exp2_intrinsic
from xmlc.dialects.nvvm.synchronization import Barrier0Op
from xmlc.dialects.nvvm.warp import ALL_LANES, ShflSyncOp

INDEX = IndexType()
KINDS = {"xor": "bfly", "up": "up", "down": "down", "idx": "idx"}
"""How `gpu` and how PTX name a shuffle."""


@dataclass(frozen=True)
class LowerToNvvm(ModulePass):
    """Make the ids, barriers and shuffles of kernels instructions of PTX."""

    name = "lower-gpu-to-nvvm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for module in [each for each in op.ops if isinstance(each, gpu.ModuleOp)]:
            for each in [inner for inner in module.walk() if has_instruction(inner)]:
                code = Code(each)
                results = ROWS[type(each)](code, each)
                Rewriter.replace_op(each, [], list(results))
            for each in module.walk():
                respell(each)


def respell(op: Operation) -> None:
    """Names of functions that kernels call have no dots: PTX does not know them."""
    if isinstance(op, func.FuncOp):
        op.sym_name = StringAttr(op.sym_name.data.replace(".", "_"))
    elif isinstance(op, func.CallOp):
        op.callee = SymbolRefAttr(op.callee.root_reference.data.replace(".", "_"))


class Code:
    """Ops put before the one that they take the place of."""

    def __init__(self, op: Operation):
        self.op = op
        self.place = InsertPoint.before(op)

    def add(self, op: Operation) -> SSAValue:
        """Insert an op; returns its first result."""
        self.do(op)
        return op.results[0]

    def do(self, op: Operation) -> None:
        op.location = self.op.location
        Rewriter.insert_op(op, self.place)

    def number(self, value: int, type: IntegerType | IndexType) -> SSAValue:
        return self.add(arith.ConstantOp.from_int_and_width(value, type))

    def register(self, kind: Callable[[], Operation]) -> SSAValue:
        """A special register as an index."""
        return self.add(arith.IndexCastOp(self.add(kind()), INDEX))

    def both(self, kind: Any, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.add(kind(a, b))


AXES: dict[type[Operation], tuple[type[registers.RegisterOp], ...]] = {
    gpu.ThreadIdOp: (registers.ThreadIdXOp, registers.ThreadIdYOp, registers.ThreadIdZOp),
    gpu.BlockIdOp: (registers.BlockIdXOp, registers.BlockIdYOp, registers.BlockIdZOp),
    gpu.BlockDimOp: (registers.BlockDimXOp, registers.BlockDimYOp, registers.BlockDimZOp),
    gpu.GridDimOp: (registers.GridDimXOp, registers.GridDimYOp, registers.GridDimZOp),
}
"""Op -> the register for x, y and z."""


def axis_of(op: gpu.PositionOp) -> int:
    return "XYZ".index(op.dimension.data.name)


def position(code: Code, op: gpu.PositionOp) -> Sequence[SSAValue]:
    return (code.register(AXES[type(op)][axis_of(op)]),)


def global_id(code: Code, op: gpu.GlobalIdOp) -> Sequence[SSAValue]:
    """block id * block size + thread id"""
    kinds = (gpu.BlockIdOp, gpu.BlockDimOp, gpu.ThreadIdOp)
    block, size, thread = (code.register(AXES[kind][axis_of(op)]) for kind in kinds)
    return (code.both(arith.AddiOp, code.both(arith.MuliOp, block, size), thread),)


def lane_id(code: Code, op: gpu.LaneIdOp) -> Sequence[SSAValue]:
    return (code.register(registers.LaneIdOp),)


def threads_of(code: Code) -> SSAValue:
    """How many threads a block has."""
    x, y, z = (code.register(each) for each in AXES[gpu.BlockDimOp])
    return code.both(arith.MuliOp, code.both(arith.MuliOp, x, y), z)


def subgroup_id(code: Code, op: gpu.SubgroupIdOp) -> Sequence[SSAValue]:
    """(x + size x * (y + size y * z)) / 32"""
    x, y, z = (code.register(each) for each in AXES[gpu.ThreadIdOp])
    size_x, size_y, _ = (code.register(each) for each in AXES[gpu.BlockDimOp])
    row = code.both(arith.AddiOp, y, code.both(arith.MuliOp, size_y, z))
    thread = code.both(arith.AddiOp, x, code.both(arith.MuliOp, size_x, row))
    return (code.both(arith.DivUIOp, thread, code.number(gpu.WARP, INDEX)),)


def num_subgroups(code: Code, op: gpu.NumSubgroupsOp) -> Sequence[SSAValue]:
    rounded = code.both(arith.AddiOp, threads_of(code), code.number(gpu.WARP - 1, INDEX))
    return (code.both(arith.DivUIOp, rounded, code.number(gpu.WARP, INDEX)),)


def subgroup_size(code: Code, op: gpu.SubgroupSizeOp) -> Sequence[SSAValue]:
    return (code.number(gpu.WARP, INDEX),)


def barrier(code: Code, op: gpu.BarrierOp) -> Sequence[SSAValue]:
    code.do(Barrier0Op())
    return ()


def shuffle(code: Code, op: gpu.ShuffleOp) -> Sequence[SSAValue]:
    """Within groups of `width` lanes: the bits of a lane's number that a group shares are in bits 8 to 12."""
    width = op.width.owner
    if not isinstance(width, arith.ConstantOp) or not isinstance(width.value, IntegerAttr):
        raise CompileError("the width of a shuffle must be a constant", place=place_of(op.location))
    mode = op.mode.data.value
    bound = 0 if mode == "up" else gpu.WARP - 1
    parts = (gpu.WARP - width.value.value.data) << 8
    mask, control = code.number(ALL_LANES, i32), code.number(parts | bound, i32)

    def word(value: SSAValue) -> SSAValue:
        return code.add(ShflSyncOp(mask, value, op.offset, control, KINDS[mode]))

    inside: SSAValue | None = None
    if op.valid.first_use is not None:
        pair = code.add(ShflSyncOp(mask, code.number(0, i32), op.offset, control, KINDS[mode], with_validity=True))
        inside = code.add(llvm.ExtractValueOp(DenseArrayBase.from_list(i64, [1]), pair, i1))
    return (shuffled(code, op.value, word), inside if inside is not None else code.number(1, i1))


def shuffled(code: Code, value: SSAValue, word: Callable[[SSAValue], SSAValue]) -> SSAValue:
    """A value moved by a function that moves 32 bits."""
    kind = value.type
    if kind in (f32, i32):
        return word(value)
    if isinstance(kind, IndexType):
        return code.add(arith.IndexCastOp(shuffled(code, code.add(arith.IndexCastOp(value, i64)), word), INDEX))
    assert isinstance(kind, FixedBitwidthType)
    bits = IntegerType(kind.bitwidth)
    number = value if kind == bits else code.add(arith.BitcastOp(value, bits))
    if kind.bitwidth < 32:
        moved = code.add(arith.TruncIOp(word(code.add(arith.ExtUIOp(number, i32))), bits))
    else:
        half = code.number(32, i64)
        low = word(code.add(arith.TruncIOp(number, i32)))
        high = word(code.add(arith.TruncIOp(code.both(arith.ShRUIOp, number, half), i32)))
        top = code.both(arith.ShLIOp, code.add(arith.ExtUIOp(high, i64)), half)
        moved = code.both(arith.OrIOp, top, code.add(arith.ExtUIOp(low, i64)))
    return moved if kind == bits else code.add(arith.BitcastOp(moved, kind))


COMBINE: dict[str, tuple[Any, ...]] = {
    "add": (arith.AddiOp, arith.AddfOp),
    "mul": (arith.MuliOp, arith.MulfOp),
    "minui": (arith.MinUIOp,),
    "minsi": (arith.MinSIOp,),
    "maxui": (arith.MaxUIOp,),
    "maxsi": (arith.MaxSIOp,),
    "and": (arith.AndIOp,),
    "or": (arith.OrIOp,),
    "xor": (arith.XOrIOp,),
    "minnumf": (arith.MinnumfOp,),
    "maxnumf": (arith.MaxnumfOp,),
    "minimumf": (arith.MinimumfOp,),
    "maximumf": (arith.MaximumfOp,),
}
"""How `gpu` names a way to combine -> the op, or that of integers and that of floats."""


def subgroup_reduce(code: Code, op: gpu.SubgroupReduceOp) -> Sequence[SSAValue]:
    """Every lane combines with the one whose number differs in one bit, bit by bit. Warps must be full."""
    kinds = COMBINE[op.op.data.value]
    combine = kinds[0] if isinstance(op.value.type, IntegerType | IndexType) else kinds[-1]
    mask, control = code.number(ALL_LANES, i32), code.number(gpu.WARP - 1, i32)
    value, distance = op.value, 1
    while distance < op.size:
        offset = code.number(distance * op.cluster_stride.value.data, i32)
        other = shuffled(code, value, lambda word: code.add(ShflSyncOp(mask, word, offset, control, "bfly")))  # noqa: B023
        value = code.both(combine, value, other)
        distance *= 2
    return (value,)


def exp2(code: Code, op: math.Exp2Op) -> Sequence[SSAValue]:
    """There is an instruction for f32: `expand-math` leaves no other."""
    return (code.add(llvm.CallIntrinsicOp(exp2_intrinsic(op), [op.operand], [f32])),)


def float_function(code: Code, op: Operation) -> Sequence[SSAValue]:
    """LLVM's intrinsic: of the op itself MLIR makes a call of NVIDIA's device library."""
    kind = op.results[0].type
    name = f"llvm.{FLOAT_FUNCTIONS[type(op)]}.{kind}"
    return (code.add(llvm.CallIntrinsicOp(name, list(op.operands), [kind])),)


FLOAT_FUNCTIONS: dict[type[Operation], str] = {
    math.AbsFOp: "fabs",
    math.CeilOp: "ceil",
    math.CopySignOp: "copysign",
    math.FloorOp: "floor",
    math.RoundEvenOp: "roundeven",
    math.RoundOp: "round",
    math.SqrtOp: "sqrt",
}
"""Op -> the intrinsic's name without its type."""

ROWS: dict[type[Operation], Callable[[Code, Any], Sequence[SSAValue]]] = {
    **dict.fromkeys(AXES, position),
    gpu.GlobalIdOp: global_id,
    gpu.LaneIdOp: lane_id,
    gpu.SubgroupIdOp: subgroup_id,
    gpu.NumSubgroupsOp: num_subgroups,
    gpu.SubgroupSizeOp: subgroup_size,
    gpu.BarrierOp: barrier,
    gpu.ShuffleOp: shuffle,
    gpu.SubgroupReduceOp: subgroup_reduce,
    math.Exp2Op: exp2,
    **dict.fromkeys(FLOAT_FUNCTIONS, float_function),
}
"""Op -> what gives its results."""


def has_instruction(op: Operation) -> bool:
    """Functions of floats of 16 bits are left: some targets compute them in 32."""
    return type(op) in ROWS and (type(op) not in FLOAT_FUNCTIONS or op.results[0].type in (f32, f64))
