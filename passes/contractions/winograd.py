"""Winograd's convolution: tiles of the image transformed, many small products, results transformed back.

    for each image, for each strip of rows of tiles:
      for each vector of input channels, row of tiles: transpose pixels to channels; data[a, b] = B^T x B
      for each a, b: product[a, b] = data[a, b] (tiles x channels) @ weight[a, b] (channels x outputs)
      for each vector of output channels, row of tiles: A^T product A; transpose channels to pixels; store

A strip is as long as lets what it makes stay in the second cache without reading the filters too often. Vectors run
along channels inside: images whose rows are short fill them as well as any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2, prod
from typing import cast

import numpy as np
from xdsl.dialects import arith, linalg, memref, vector
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseIntOrFPElementsAttr,
    Float32Type,
    Float64Type,
    MemRefType,
    NoneAttr,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr
from xdsl.traits import SymbolTable

from xmlc.dialects.ml.winograd import FILTER, POINTS, Matrix, transforms
from xmlc.passes.contractions.emitter import EXACT, Emitter, View, bits_of
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.plans.cost import Schedule
from xmlc.passes.contractions.plans.direct import direct
from xmlc.passes.contractions.recognise import Contraction, Operand, Recognised, simplified, start_of
from xmlc.passes.contractions.result import result_of
from xmlc.passes.contractions.tile import Shape, Tile
from xmlc.passes.contractions.transpose import transposed
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_ml.winograd import is_winograd
from xmlc.passes.machine import Machine
from xmlc.passes.views import row_major, shape_of

IMAGE, OUTPUT, ROW, COLUMN = range(4)
"""The loops of the convolution: image, output channel, row, column of the result."""
POINT, TILE, CHANNEL = range(4, 7)
"""Further dimensions of buffers: an (a, b), a tile of the strip, an input channel."""


@dataclass(frozen=True)
class Winograd:
    """A convolution by transformed filters."""

    found: Contraction
    """The loops of its result. lhs is the padded image (n, c, rows * size + 2, columns * size + 2), or that with its
    channels last; rhs the filters (taps, taps, panels, c, p)."""
    image: View
    """The padded image."""
    size: int
    """Results of a tile along each axis."""

    @property
    def taps(self) -> int:
        return self.size + FILTER - 1

    @property
    def channels(self) -> int:
        return shape_of(self.found.rhs.value)[3]

    @property
    def channels_last(self) -> bool:
        """Whether the channels of the image and of the result lie side by side."""
        return self.image.loops[-1] == CHANNEL

    @property
    def tiles(self) -> tuple[int, int]:
        height, width = self.found.extents[ROW:]
        return -(-height // self.size), -(-width // self.size)


# Recognition


def winograd_of(op: linalg.ops.GenericOp) -> tuple[Winograd, Recognised] | None:
    """The convolution that a sum of six factors is, without an epilogue."""
    if not is_winograd(op) or not multiplies_all(op) or not all(is_plain(value) for value in op.operands):
        return None
    weight, x, out = op.inputs[2], op.inputs[5], op.outputs[0]
    size = shape_of(weight)[0] - FILTER + 1
    written = tuple(op.indexing_maps.data[-1].data.results)
    loops = tuple(index.position for index in written if isinstance(index, AffineDimExpr))
    matrices = transforms(size)
    wanted = (matrices.result, matrices.result, None, matrices.data, matrices.data, None)
    if any(matrix is not None and not holds(value, matrix) for value, matrix in zip(op.inputs, wanted)):
        return None
    strides = by_loop(loops, row_major(shape_of(out)))
    lhs, rhs, result = Operand(x, (0,) * 4), Operand(weight, (0,) * 4), Operand(out, strides)
    start, setter = start_of(op, result, written, 4)
    if start is None or setter is None:
        return None
    found = Contraction(by_loop(loops, shape_of(out)), (False,) * 4, lhs, rhs, result, start, result)
    image = View(x, tuple(CHANNEL if loop == OUTPUT else loop for loop in loops), row_major(shape_of(x)))
    return Winograd(found, image, size), Recognised(found, setter, written)


def by_loop(loops: Sequence[int], values: Sequence[int]) -> tuple[int, ...]:
    """What belongs to each dimension of a buffer, in the order of the loops that index it."""
    return tuple(values[loops.index(loop)] for loop in range(len(loops)))


def can_store(given: Winograd, found: Contraction) -> bool:
    """Whether vectors can be stored, more than once: what is read and written with them is in one piece."""
    read = found.epilogue.buffers if found.epilogue is not None else ()
    along = OUTPUT if given.channels_last else COLUMN
    whole = found.out.strides[along] == found.sums.strides[along] == 1
    return whole and found.restarts and all(each.strides[along] in (0, 1) for each in read)


def is_plain(value: SSAValue) -> bool:
    """Whether a value is a contiguous buffer of f32 or f64, of known shape."""
    type_ = value.type
    if not isinstance(type_, MemRefType):
        return False
    found = cast(MemRefType[Attribute], type_)
    known = isinstance(found.layout, NoneAttr) and DYNAMIC_INDEX not in found.get_shape()
    return known and isinstance(found.element_type, Float32Type | Float64Type)


def multiplies_all(op: linalg.ops.GenericOp) -> bool:
    """yield total + the product of all inputs, from the first on"""
    body = op.body.block
    product: SSAValue = body.args[0]
    ops = list(body.ops)
    for each, factor in zip(ops, body.args[1:-1]):
        if not isinstance(each, arith.MulfOp) or (each.lhs, each.rhs) != (product, factor):
            return False
        product = each.result
    match ops[len(op.inputs) - 1 :]:
        case [arith.AddfOp(lhs=lhs, rhs=rhs, result=result), linalg.ops.YieldOp(arguments=given)]:
            return lhs is body.args[-1] and rhs is product and given[0] is result
        case _:
            return False


def holds(value: SSAValue, matrix: Matrix) -> bool:
    """Whether a buffer is a constant that holds a matrix."""
    if not isinstance(value.owner, memref.GetGlobalOp) or shape_of(value) != matrix.shape:
        return False
    constant = SymbolTable.lookup_symbol(value.owner, value.owner.name_)
    if not isinstance(constant, memref.GlobalOp) or not isinstance(constant.initial_value, DenseIntOrFPElementsAttr):
        return False
    return np.array_equal(np.reshape(constant.initial_value.get_values(), matrix.shape), matrix)


# The schedule


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut into strips and vectors."""

    rows: int
    """Rows of tiles of a strip."""
    lanes: int
    channels: int
    """Elements from one tile of transformed data to the next."""
    outputs: int
    """Elements from one tile of products to the next."""
    cycles: float


def plan_of(given: Winograd, machine: Machine) -> Plan:
    found, taps = given.found, given.taps
    batch, outputs, _, _ = found.extents
    bits = bits_of(found.element)
    lanes = machine.lanes(bits)
    while lanes > min(given.channels, outputs):
        lanes //= 2
    high, wide = given.tiles
    filters = size_in_bytes(found.rhs.value)

    def cycles(rows: int) -> float:
        """What strips of so many rows of tiles cost to bring from memory, and in products."""
        strips = batch * -(-high // rows)
        scratch = taps * taps * rows * wide * (given.channels + outputs) * bits // 8
        tiles = rows * wide
        overhead = -(-tiles // TILE_ROWS) * TILE_STEP
        steps = (tiles + overhead) * taps * taps * given.channels * outputs / (2 * machine.lanes(bits))
        moved = 2 * scratch / bytes_a_cycle(scratch, machine)
        again = filters / bytes_a_cycle(filters + scratch, machine)
        around = tiles * (given.channels + outputs) * TRANSFORM / lanes
        return strips * (max(steps, again) + moved + around)

    rows = min(range(1, high + 1), key=cycles)
    rows = -(-high // -(-high // rows))
    return Plan(rows, lanes, odd_lines(given.channels, lanes), odd_lines(outputs, lanes), cycles(rows))


def bytes_a_cycle(size: int, machine: Machine) -> float:
    """How quickly a buffer of so many bytes is written or read: the slower the more it exceeds the second cache."""
    return SECOND_CACHE_BYTES / (1 + max(0.0, log2(size / machine.second_cache)))


SECOND_CACHE_BYTES = 32.0
"""Bytes a cycle from the second cache."""
TRANSFORM = 220.0
"""Cycles to transpose and transform a tile of a vector of channels, there or back."""
SPARE_REGISTERS = 3
"""Registers left free: with 28 of 32 taken by sums LLVM moves some of them about, which costs half the speed."""
TILE_ROWS, TILE_STEP = 13, 0.7
"""Rows of a register tile of products, at most, and what a step costs beside its multiply-adds, in rows."""


def odd_lines(count: int, lanes: int) -> int:
    """At least `count` elements, an odd number of vectors: what is so far apart competes for no place in a cache."""
    return (-(-count // lanes) | 1) * lanes


def size_in_bytes(value: SSAValue) -> int:
    return prod(shape_of(value)) * bits_of(cast(MemRefType[Attribute], value.type).element_type) // 8


def winograd(given: Winograd, machine: Machine) -> Schedule:
    plan = plan_of(given, machine)
    note = f"winograd, tiles of {given.size}x{given.size}, strips of {plan.rows} rows of them"
    return Schedule("winograd", plan.cycles, lambda emitter: emit_winograd(emitter, given, plan, machine), note)


def emit_winograd(emitter: Emitter, given: Winograd, plan: Plan, machine: Machine) -> None:
    found, points = given.found, given.taps**2
    batch, outputs, _, _ = found.extents
    high, wide = given.tiles
    tiles = plan.rows * wide

    def strip(at: Mapping[int, Index], _: Mapping[int, int]) -> None:
        data = scratch(emitter, found, (POINT, TILE, CHANNEL), (points, tiles | 1, plan.channels))
        products = scratch(emitter, found, (POINT, TILE, OUTPUT), (points, tiles | 1, plan.outputs))
        blocks = (Steps(CHANNEL, given.channels, plan.lanes, overlaps=True), Steps(TILE, plan.rows))
        around(emitter, blocks, lambda inner, _: transform_data(emitter, given, plan, data, {**at, **inner}))
        multiply(emitter, given, plan, machine, data, products)
        blocks = (Steps(OUTPUT, outputs, plan.lanes, overlaps=True), Steps(TILE, plan.rows))
        around(emitter, blocks, lambda inner, _: transform_result(emitter, given, plan, products, {**at, **inner}))

    around(emitter, (Steps(IMAGE, batch), Steps(ROW, high, plan.rows, overlaps=True)), strip)


def scratch(emitter: Emitter, found: Contraction, loops: tuple[int, ...], shape: tuple[int, ...]) -> View:
    return View(emitter.buffer(found.element, shape), loops, row_major(shape))


def first_row(emitter: Emitter, given: Winograd, at: Mapping[int, Index]) -> Index:
    """The first row of the image, or of the result, of a row of tiles."""
    return emitter.times(emitter.plus(at[ROW], at[TILE]), given.size)


def pixels(count: int, lanes: int) -> Steps:
    """Steps over pixels of a row, in vectors: the last moves back."""
    return Steps(COLUMN, count, lanes, overlaps=True)


def transform_data(emitter: Emitter, given: Winograd, plan: Plan, data: View, at: Mapping[int, Index]) -> None:
    """data[a, b] = B^T x B for a vector of channels and a row of tiles."""
    lanes, taps = plan.lanes, given.taps
    _, wide = given.tiles
    if given.channels_last:
        pixels, corner = given.image, {**at, ROW: first_row(emitter, given, at)}
    else:
        pixels, corner = transposed_pixels(emitter, given, plan, at), {}
    with emitter.loop(wide) as tile:
        where = {**corner, COLUMN: emitter.times(tile, given.size)}
        source = emitter.corner(pixels, where, {ROW: taps, COLUMN: taps, CHANNEL: lanes})
        values = [
            [emitter.load_vector(source, emitter.indices(source, {ROW: i, COLUMN: j}), lanes) for j in range(taps)]
            for i in range(taps)
        ]
        made = two_sided(emitter, values, lambda column: evaluated(emitter, given.size, column))
        place = emitter.plus(emitter.times(at[TILE], wide), tile)
        target = emitter.corner(data, {TILE: place, CHANNEL: at[CHANNEL]}, {POINT: taps**2, CHANNEL: lanes})
        for point, value in enumerate(each for row in made for each in row):
            emitter.store_vector(value, target, emitter.indices(target, {POINT: point}))


def transposed_pixels(emitter: Emitter, given: Winograd, plan: Plan, at: Mapping[int, Index]) -> View:
    """The pixels that a row of tiles reads, a vector of channels of each side by side."""
    lanes, taps = plan.lanes, given.taps
    count = given.tiles[1] * given.size + FILTER - 1
    rows = scratch(emitter, given.found, (ROW, COLUMN, CHANNEL), (taps, max(count, lanes), lanes))
    first = first_row(emitter, given, at)
    mask = emitter.mask(count, lanes) if count < lanes else None

    def transpose_pixels(inner: Mapping[int, Index], _: Mapping[int, int]) -> None:
        where = {**at, ROW: emitter.plus(first, inner[ROW]), COLUMN: inner[COLUMN]}
        source = emitter.corner(given.image, where, {CHANNEL: lanes, COLUMN: min(lanes, count)})
        vectors = [
            emitter.load_vector(source, emitter.indices(source, {CHANNEL: channel}), lanes, mask)
            for channel in range(lanes)
        ]
        target = emitter.corner(rows, inner, {COLUMN: lanes, CHANNEL: lanes})
        for place, vector_ in enumerate(transposed(emitter, vectors)):
            emitter.store_vector(vector_, target, emitter.indices(target, {COLUMN: place}))

    around(emitter, (Steps(ROW, taps), pixels(count, lanes)), transpose_pixels)
    return rows


def multiply(emitter: Emitter, given: Winograd, plan: Plan, machine: Machine, data: View, products: View) -> None:
    """products[point] (tiles x outputs) = data[point] (tiles x channels) @ filters[point] (channels x outputs)"""
    taps, _, panels, channels, width = shape_of(given.found.rhs.value)
    tiles = plan.rows * given.tiles[1]
    # loops: point, panel, tile, output of the panel, channel
    lhs = Operand(data.value, (data.strides[0], 0, data.strides[1], 0, 1))
    rhs = Operand(given.found.rhs.value, (panels * channels * width, channels * width, 0, 1, width))
    out = Operand(products.value, (products.strides[0], width, products.strides[1], 1, 0))
    zero = emitter.number(0.0, given.found.element)
    reduces = (False, False, False, False, True)
    product = simplified(Contraction((taps**2, panels, tiles, width, channels), reduces, lhs, rhs, out, zero, out))
    roomy = replace(machine, vector_registers=machine.vector_registers - SPARE_REGISTERS)
    min(direct(product, roomy), key=lambda schedule: schedule.cycles).emit(emitter)


def transform_result(emitter: Emitter, given: Winograd, plan: Plan, products: View, at: Mapping[int, Index]) -> None:
    """out = A^T product A for a vector of output channels and a row of tiles, plus what sums start from."""
    found, lanes, taps, size = given.found, plan.lanes, given.taps, given.size
    _, wide = given.tiles
    height, width = found.extents[ROW:]
    rows = scratch(emitter, found, (ROW, COLUMN, OUTPUT), (size, max(wide * size, lanes), lanes))
    with emitter.loop(wide) as tile:
        place = emitter.plus(emitter.times(at[TILE], wide), tile)
        source = emitter.corner(products, {TILE: place, OUTPUT: at[OUTPUT]}, {POINT: taps**2, OUTPUT: lanes})
        values = [
            [emitter.load_vector(source, emitter.indices(source, {POINT: a * taps + b}), lanes) for b in range(taps)]
            for a in range(taps)
        ]
        made = two_sided(emitter, values, lambda column: interpolated(emitter, size, column))
        target = emitter.corner(rows, {COLUMN: emitter.times(tile, size)}, {ROW: size, COLUMN: size, OUTPUT: lanes})
        for i, row in enumerate(made):
            for j, value in enumerate(row):
                emitter.store_vector(value, target, emitter.indices(target, {ROW: i, COLUMN: j}))

    first = first_row(emitter, given, at)
    left = size if height % size == 0 else emitter.least(emitter.less(height, first), size)
    along = OUTPUT if given.channels_last else COLUMN
    result = result_of(emitter, found, along)
    start = emitter.view(found.start, found.extents, along) if isinstance(found.start, Operand) else found.start
    assert start is not None
    count = min(lanes, width)
    shape = (
        Shape(COLUMN, count, OUTPUT, lanes, lanes)
        if given.channels_last
        else Shape(OUTPUT, lanes, COLUMN, count, lanes)
    )

    def store_pixels(row: Index, inner: Mapping[int, Index]) -> None:
        source = emitter.corner(rows, {ROW: row, **inner}, {COLUMN: lanes, OUTPUT: lanes})
        vectors = [
            emitter.load_vector(source, emitter.indices(source, {COLUMN: place}), lanes)
            for place in range(count if given.channels_last else lanes)
        ]
        where = {**at, ROW: emitter.plus(first, row), **inner}
        tile = Tile(emitter, shape, found.element)
        before = tile.start(emitter.corner(start, where, tile.shape.sizes) if isinstance(start, View) else start)
        values = vectors if given.channels_last else transposed(emitter, vectors)
        sums = [combine(emitter, arith.AddfOp, value, first) for value, first in zip(values, before, strict=True)]
        tile.store(sums, result.corner(emitter, where, tile.shape.sizes))

    with emitter.loop(left) as row:
        around(emitter, (pixels(width, lanes),), lambda inner, _: store_pixels(row, inner))


# The transforms


def two_sided(
    emitter: Emitter,
    values: Sequence[Sequence[SSAValue]],
    transform: Callable[[Sequence[SSAValue]], Sequence[SSAValue]],
) -> list[Sequence[SSAValue]]:
    """M values M^T, where `transform` multiplies a column by M."""
    columns = [transform(column) for column in zip(*values, strict=True)]
    return [transform(row) for row in zip(*columns, strict=True)]


def evaluated(emitter: Emitter, size: int, values: Sequence[SSAValue]) -> list[SSAValue]:
    """B^T values. The rows of points p and -p are even + odd and even - odd."""
    matrix = transforms(size).data
    made = [linear(emitter, matrix[0], values)]
    for point in range(1, len(POINTS[size]), 2):
        even = linear(emitter, (matrix[point] + matrix[point + 1]) / 2, values)
        coefficients = (matrix[point] - matrix[point + 1]) / 2
        scale = coefficients[np.flatnonzero(coefficients)[-1]]
        odd = linear(emitter, coefficients / scale, values)
        made += [add_scaled(emitter, even, odd, scale), add_scaled(emitter, even, odd, -scale)]
    return [*made, linear(emitter, matrix[-1], values)]


def interpolated(emitter: Emitter, size: int, values: Sequence[SSAValue]) -> list[SSAValue]:
    """A^T values. The columns of points p and -p differ by the sign of odd powers."""
    matrix = transforms(size).result
    terms, columns = [values[0], values[-1]], [matrix[:, 0], matrix[:, -1]]
    for point in range(1, len(POINTS[size]), 2):
        pair = values[point], values[point + 1]
        terms += [combine(emitter, kind, *pair) for kind in (arith.AddfOp, arith.SubfOp)]
        columns += [(matrix[:, point] + sign * matrix[:, point + 1]) / 2 for sign in (1, -1)]
    return [linear(emitter, row, terms) for row in np.stack(columns, 1)]


def linear(emitter: Emitter, coefficients: Sequence[float], values: Sequence[SSAValue]) -> SSAValue:
    """The sum of coefficients[i] * values[i]"""
    terms = [(float(c), value) for c, value in zip(coefficients, values, strict=True) if c != 0]
    terms.sort(key=lambda term: term[0] != 1)
    scale, total = terms[0]
    if scale != 1:
        total = combine(emitter, arith.MulfOp, total, emitter.number(scale, total.type))
    for scale, value in terms[1:]:
        total = add_scaled(emitter, total, value, scale)
    return total


def add_scaled(emitter: Emitter, total: SSAValue, value: SSAValue, scale: float) -> SSAValue:
    """total + scale * value"""
    if abs(scale) == 1:
        return combine(emitter, arith.AddfOp if scale == 1 else arith.SubfOp, total, value)
    operands = (value, emitter.number(scale, value.type), total)
    return emitter.add(vector.FMAOp.create(operands=operands, result_types=(total.type,))).results[0]


def combine(emitter: Emitter, kind: type[Operation], x: SSAValue, y: SSAValue) -> SSAValue:
    return emitter.add(kind.create(operands=(x, y), result_types=(x.type,), properties=EXACT)).results[0]
