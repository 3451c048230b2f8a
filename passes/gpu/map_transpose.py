"""Map transposes: what is read along one dimension and written along another goes through shared memory.

A block loads a tile in the order of the input, sixteen bytes a thread, and stores it in the order of the output,
sixteen bytes a thread. In between it lies in shared memory, in rows one word longer than the tile, so that threads that
access a column at once find it in different banks. Elements of two bytes go in pairs, from two rows, one word each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects import linalg, memref, vector
from xdsl.dialects.builtin import MemRefType, ModuleOp, VectorType, i32
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects import gpu
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.code import Code, Index
from xmlc.passes.gpu.outline import Kernels, Outline, captures
from xmlc.passes.gpu.rows.emit import Flat, aligned, merged_loops
from xmlc.passes.gpu.rows.linear import Linear, linear_of
from xmlc.passes.memory import element_size
from xmlc.passes.views import contiguous_root, root, row_major

TILE, THREADS = 64, 256
ACCESS_BYTES, WORD = 16, 4


@dataclass(frozen=True)
class MapTranspose(ModulePass):
    """Make kernels of ops that read one operand along another dimension than they write along."""

    name = "map-transpose"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = Kernels(op)
        for function in defined_functions(op):
            for inner in list(function.walk()):
                if isinstance(inner, linalg.ops.GenericOp) and (found := transposed(inner)) is not None:
                    Transpose(inner, found, kernels).emit(function.sym_name.data)


def transposed(op: linalg.ops.GenericOp) -> Linear | None:
    """How the only operand that the op reads is laid out, over its loops, if that is across its output; else None."""
    if any(each.data != IteratorType.PARALLEL for each in op.iterator_types) or len(op.outputs) != 1:
        return None
    body = op.body.block
    if body.args[-1].uses or any(isinstance(inner, linalg.ops.IndexOp | memref.LoadOp) for inner in body.walk()):
        return None
    if len(op.inputs) != 1 or not isinstance(op.inputs[0].type, MemRefType):
        return None
    source, target = op.inputs[0], op.outputs[0]
    if not contiguous_root(source) or not contiguous_root(target) or root(source) is root(target):
        return None
    count = len(op.iterator_types)
    kinds = [cast("MemRefType[Attribute]", each.type) for each in (source, target)]
    maps = [each.data.results for each in op.indexing_maps]
    read, written = (linear_of(each, kind, count) for each, kind in zip(maps, kinds))
    shape = kinds[1].get_shape()
    if read is None or written is None or written.start or written.steps != row_major(shape):
        return None
    sizes, steps = merged_loops(*without_unit_loops(shape, read.steps))
    if steps[-1] <= 1 or 1 not in steps or min(sizes[-1], sizes[steps.index(1)]) < 8:
        return None
    return read


def without_unit_loops(extents: Sequence[int], steps: Sequence[int]) -> tuple[list[int], list[int]]:
    kept = [loop for loop, extent in enumerate(extents) if extent != 1]
    return [extents[loop] for loop in kept], [steps[loop] for loop in kept]


class Transpose:
    """The kernel of one op. Dimension `a` runs through the input, `b`, the last, through the output."""

    def __init__(self, op: linalg.ops.GenericOp, read: Linear, kernels: Kernels):
        self.op, self.kernels = op, kernels
        target = cast("MemRefType[Attribute]", op.outputs[0].type)
        self.source_element = cast("MemRefType[Attribute]", op.inputs[0].type).element_type
        self.element = target.element_type
        self.start = read.start
        self.sizes, self.steps = merged_loops(*without_unit_loops(target.get_shape(), read.steps))
        self.out_steps = row_major(self.sizes)
        self.a, self.b = self.steps.index(1), len(self.sizes) - 1
        self.pairs = 2 if element_size(self.element) == 2 and self.sizes[self.b] % 2 == 0 else 1
        wide = max(element_size(self.element), element_size(self.source_element))
        others = [step for loop, step in enumerate(self.steps) if loop != self.a]
        outs = [step for loop, step in enumerate(self.out_steps) if loop != self.b]
        self.load_width = gcd(ACCESS_BYTES // wide, self.sizes[self.a], self.start, *others)
        self.store_width = gcd(ACCESS_BYTES // wide, self.sizes[self.b], *outs)
        if self.pairs == 2 and self.store_width % 2:
            self.pairs = 1

    def emit(self, name: str) -> None:
        op = self.op
        self.outline = Outline(self.kernels, op)
        self.code = code = Code(self.outline.body, op.location)
        flat = Flat(self.outline, code)
        source, target = flat.bring(root(op.inputs[0])), flat.bring(root(op.outputs[0]))
        for value in captures(op.body.block.ops):
            if value not in op.body.block.args:
                self.outline.bring(value)
        word = i32 if self.pairs == 2 else self.element
        tile = code.value(self.kernels.shared_memory(word, (TILE // self.pairs) * (TILE + 1)))
        batch = [loop for loop in range(len(self.sizes)) if loop not in (self.a, self.b)]
        tiles = [-(-self.sizes[loop] // TILE) for loop in (self.a, self.b)]
        grid = [*(self.sizes[loop] for loop in batch), *tiles]
        block = code.value(gpu.BlockIdOp("x"))
        *outer, tile_a, tile_b = code.split(block, grid, prod(grid))
        first_a, first_b = code.times(tile_a, TILE), code.times(tile_b, TILE)
        self.thread = code.value(gpu.ThreadIdOp("x"))
        self.load_tile(source, tile, self.base(batch, outer, self.steps, self.start), first_a, first_b)
        code.add(gpu.BarrierOp())
        self.store_tile(target, tile, self.base(batch, outer, self.out_steps, 0), first_a, first_b)
        self.outline.launch(name, (prod(grid), 1, 1), (THREADS, 1, 1))
        op.detach()
        op.erase()

    def base(self, loops: Sequence[int], indices: Sequence[Index], steps: Sequence[int], start: int) -> Index:
        """Where a block's part of an operand starts, by the loops that are not of the tile."""
        total: Index = start
        for loop, index in zip(loops, indices):
            total = self.code.plus(total, self.code.times(index, steps[loop]))
        return total

    def rounds(self, width: int, rows: int) -> list[tuple[Index, Index]]:
        """(row, column) of the vectors of `width` that a thread takes of a tile with so many rows."""
        code, vectors = self.code, TILE // width
        total = rows * vectors
        if total >= THREADS:
            row, column = code.over(self.thread, vectors), code.rest(self.thread, vectors)
            step = THREADS // vectors
            return [(code.plus(row, step * turn), code.times(column, width)) for turn in range(total // THREADS)]
        return [(code.over(self.thread, vectors), code.times(code.rest(self.thread, vectors), width))]

    def inside(self, place: Index, loop: int, first: Index, unit: int) -> SSAValue | None:
        """Whether a place of the tile is in the operand; None where every one is."""
        if self.sizes[loop] % TILE == 0:
            return None
        return self.code.below(self.code.plus(first, place), self.sizes[loop])

    def load_tile(self, source: SSAValue, tile: SSAValue, base: Index, first_a: Index, first_b: Index) -> None:
        code, width = self.code, self.load_width
        work = self.rounds(width, TILE // self.pairs)
        exact = all(self.sizes[loop] % TILE == 0 for loop in (self.a, self.b))
        loaded: list[list[list[SSAValue]]] = []

        def load(row: Index, column: Index) -> list[list[SSAValue]]:
            rows: list[list[SSAValue]] = []
            for each in range(self.pairs):
                b = code.plus(first_b, code.plus(code.times(row, self.pairs), each))
                at = code.plus(base, code.plus(code.times(b, self.steps[self.b]), code.plus(first_a, column)))
                rows.append(vector_at(code, source, at, width, self.source_element))
            return rows

        if exact:
            loaded = [load(row, column) for row, column in work]
        for turn, (row, column) in enumerate(work):
            mine = code.both(
                self.inside(column, self.a, first_a, width),
                self.inside(code.times(row, self.pairs), self.b, first_b, self.pairs),
            )
            with code.only_if(mine):
                rows = loaded[turn] if exact else load(row, column)
                results = [[self.computed(element) for element in each] for each in rows]
                for lane in range(width):
                    word = self.word([each[lane] for each in results])
                    at = code.plus(code.times(row, TILE + 1), code.plus(column, lane))
                    code.add(memref.StoreOp.get(word, tile, [code.as_value(at)]))

    def store_tile(self, target: SSAValue, tile: SSAValue, base: Index, first_a: Index, first_b: Index) -> None:
        code, width = self.code, self.store_width
        for row, column in self.rounds(width, TILE):  # row: place along a, column: place along b
            mine = code.both(self.inside(row, self.a, first_a, 1), self.inside(column, self.b, first_b, width))
            with code.only_if(mine):
                elements: list[SSAValue] = []
                first = code.over(column, self.pairs)
                for each in range(width // self.pairs):
                    at = code.plus(code.times(code.plus(first, each), TILE + 1), row)
                    word = code.value(memref.LoadOp.get(tile, [code.as_value(at)]))
                    elements += self.unpacked(word)
                a = code.plus(first_a, row)
                at = code.plus(base, code.plus(code.times(a, self.out_steps[self.a]), code.plus(first_b, column)))
                store_at(code, target, at, elements, self.element)

    def computed(self, element: SSAValue) -> SSAValue:
        """The op's body on one element."""
        body = self.op.body.block
        values = {**self.outline.inside, body.args[0]: element}
        for op in body.ops:
            if isinstance(op, linalg.ops.YieldOp):
                return values.get(op.operands[0], op.operands[0])
            self.code.block.add_op(op.clone(values))
        raise AssertionError("a body without a yield")

    def word(self, elements: Sequence[SSAValue]) -> SSAValue:
        """What one word of shared memory holds."""
        if self.pairs == 1:
            return elements[0]
        whole = self.code.value(vector.BitcastOp(self.code.packed(elements), VectorType(i32, [1])))
        return self.code.value(vector.ExtractOp(whole, [0], i32))

    def unpacked(self, word: SSAValue) -> list[SSAValue]:
        if self.pairs == 1:
            return [word]
        whole = self.code.value(vector.BroadcastOp(word, VectorType(i32, [1])))
        pair = self.code.value(vector.BitcastOp(whole, VectorType(self.element, [2])))
        return self.code.elements(pair, 2, self.element)


def vector_at(code: Code, memory: SSAValue, at: Index, count: int, element: Attribute) -> list[SSAValue]:
    """Consecutive elements of a buffer of one dimension; their address is a multiple of all of them."""
    if count == 1:
        return [code.value(memref.LoadOp.get(memory, [code.as_value(at)]))]
    load: Operation = vector.LoadOp(memory, [code.as_value(at)], VectorType(element, [count]))
    aligned(load, element, count)
    return code.elements(code.value(load), count, element)


def store_at(code: Code, memory: SSAValue, at: Index, elements: Sequence[SSAValue], element: Attribute) -> None:
    if len(elements) == 1:
        code.add(memref.StoreOp.get(elements[0], memory, [code.as_value(at)]))
        return
    store = vector.StoreOp(code.packed(elements), memory, [code.as_value(at)])
    aligned(store, element, len(elements))
    code.add(store)
