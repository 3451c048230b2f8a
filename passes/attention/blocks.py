"""Attention of many queries: blocks of queries and keys, which never hold more scores than the first cache does.

The scores of a block of queries are kept transposed, a row for each key and a lane for each query. So the largest score
and the sum of powers of sixteen queries are single vectors, and both products read keys and values as they lie in
memory. Blocks of keys follow one another: what is known of a query, its largest score, its sum and its mixture of
values, is corrected whenever a larger score turns up (Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022,
arXiv:2205.14135). Under a causal mask, blocks of keys that come after all queries of a block are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, VectorType, f32, i1, i64
from xdsl.ir import SSAValue

from xmlc.dialects.lanewise import CmpiOp, SelectOp
from xmlc.passes import remarks
from xmlc.passes.attention.problem import Attention
from xmlc.passes.contractions.emitter import View, whole_view
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_transposes import transposed
from xmlc.passes.number import INTEGER_PREDICATES

BLOCK_SCORES = 3072
"""Scores that are held at a time: a quarter of a first cache, beside queries, keys and values."""
MOST_VECTORS = 4
MOST_ROWS = 16


@dataclass
class Block:
    """A block of queries: where it is, how many, and the buffers that it works in."""

    batch: Index
    head: Index
    group: Index
    first: Index
    rows: int
    vectors: int
    queries: View
    """(depth, vectors * lanes): scaled, transposed."""
    scores: View
    """(keys of a block, vectors * lanes)"""
    mixed: View
    """(rows, e): the mixture of values so far."""
    factors: View
    """(vectors * lanes): what the mixture is to be multiplied by."""
    biases: View | None = None
    """(keys of a block, vectors * lanes): what the mask adds to scores, where queries have masks of their own."""


class Blocks(Attention):
    """Emits attention in blocks of queries and keys."""

    def emit(self) -> None:
        emitter = self.emitter
        vectors = min(MOST_VECTORS, -(-self.rows // self.lanes), max(1, (self.machine.vector_registers - 2) // 6))
        size = min(self.rows, vectors * self.lanes)
        remarks.passed(
            self.op,
            lambda: f"attention in blocks of {size} queries and {self.keys_for(vectors)} keys: no scores in memory",
        )
        whole = self.rows // size * size
        with emitter.loop(self.batches, parallel=True) as batch, emitter.loop(self.heads, parallel=True) as head:
            group = self.group_of(head)
            with emitter.loop(whole, size, parallel=True) as first:
                self.block(batch, head, group, first, size)
            if whole < self.rows:
                self.block(batch, head, group, whole, self.rows - whole)

    def tile_rows(self, vectors: int) -> int:
        """Rows of sums beside `vectors` columns that fit the registers, with the vectors that are multiplied."""
        return max(1, min(MOST_ROWS, (self.machine.vector_registers - vectors - 2) // vectors))

    def keys_for(self, vectors: int) -> int:
        """Keys of a block, a multiple of a tile's rows."""
        rows = self.tile_rows(vectors)
        return max(1, BLOCK_SCORES // (vectors * self.lanes) // rows) * rows

    # A block of queries

    def block(self, batch: Index, head: Index, group: Index, first: Index, rows: int) -> None:
        emitter, lanes = self.emitter, self.lanes
        vectors = -(-rows // lanes)
        keys = min(self.columns, self.keys_for(vectors))
        stored = -(-self.width // lanes) * lanes
        shapes = ((self.depth, vectors * lanes), (keys, vectors * lanes), (rows, stored), (vectors * lanes,))
        buffers = [whole_view(emitter.buffer(f32, shape)) for shape in shapes]
        if self.mask_differs_by_query:
            buffers.append(whole_view(emitter.buffer(f32, (keys, vectors * lanes))))
        block = Block(batch, head, group, first, rows, vectors, *buffers)
        self.pack(block)
        zero = emitter.number(0, self.vector)
        with emitter.loop(rows) as row:
            for start in range(0, stored, lanes):
                self.put(zero, block.mixed, {0: row, 1: start})
        lowest = emitter.number(-inf, self.vector)
        state: Sequence[SSAValue] = [*[lowest] * vectors, *[zero] * vectors]
        whole = self.columns // keys * keys
        state = emitter.fold(
            self.seen(block, whole, keys), state, lambda start, carried: self.keys(block, start, keys, carried), keys
        )
        if whole < self.columns:
            state = self.keys(block, whole, self.columns - whole, state)
        self.finish(block, state[vectors:])

    def seen(self, block: Block, whole: int, keys: int) -> Index:
        """How far the whole blocks of keys go that some query of the block sees."""
        if self.offset is None or whole <= keys:
            return whole
        last = self.emitter.plus(block.first, block.rows + self.offset + keys - 1)
        last = self.emitter.arithmetic(arith.MaxSIOp, last, 0)
        blocks = self.emitter.arithmetic(arith.DivUIOp, last, keys)
        return self.emitter.least(self.emitter.times(blocks, keys), whole)

    def pack(self, block: Block) -> None:
        """queries[k, i] = query[i, k] * scale; 0 where a lane has no query."""
        emitter, lanes = self.emitter, self.lanes
        scale = self.op.scale.value.data
        whole = self.depth // lanes * lanes
        for vector_ in range(block.vectors):
            start = vector_ * lanes
            left = min(lanes, block.rows - start)

            def one(row: Index, k: Index, start: int = start) -> None:
                i = emitter.plus(emitter.plus(block.first, start), row)
                found = emitter.load(self.query, {0: block.batch, 1: block.head, 2: i, 3: k})
                scaled = self.made(arith.MulfOp, found, emitter.number(scale, f32))
                emitter.store(scaled, block.queries, {0: k, 1: emitter.plus(start, row)})

            done = 0
            if left == lanes and whole:
                done = whole
                with emitter.loop(whole, lanes) as k:
                    rows = [
                        self.loaded(
                            self.query,
                            {0: block.batch, 1: block.head, 2: emitter.plus(block.first, start + row), 3: k},
                        )
                        for row in range(lanes)
                    ]
                    factor = emitter.number(scale, self.vector)
                    for column, found in enumerate(transposed(emitter, rows)):
                        scaled = self.made(arith.MulfOp, found, factor)
                        self.put(scaled, block.queries, {0: emitter.plus(k, column), 1: start})
            if done < self.depth:
                with emitter.loop(left) as row, emitter.loop(self.depth - done) as k:
                    one(row, emitter.plus(done, k))
            if left < lanes:
                with emitter.loop(lanes - left) as row, emitter.loop(self.depth) as k:
                    emitter.store(emitter.number(0, f32), block.queries, {0: k, 1: emitter.plus(start + left, row)})

    def finish(self, block: Block, totals: Sequence[SSAValue]) -> None:
        """out = mixed / total. A total of a query that sees no key is 0, any other at least 1."""
        emitter, lanes = self.emitter, self.lanes
        one = emitter.number(1, self.vector)
        for place, total in enumerate(totals):
            total = self.chosen(self.compared("lt", total, one), one, total) if self.hides else total
            self.put(self.made(arith.DivfOp, one, total), block.factors, {0: place * lanes})
        with emitter.loop(block.rows) as row:
            factor = emitter.splat(emitter.load(block.factors, {0: row}), lanes)
            for start in range(0, self.width, lanes):
                mixed = self.made(arith.MulfOp, self.loaded(block.mixed, {0: row, 1: start}), factor)
                at = {0: block.batch, 1: block.head, 2: emitter.plus(block.first, row), 3: start}
                self.put(mixed, self.out, at, self.inside(start))

    # A block of keys

    def keys(self, block: Block, start: Index, count: int, state: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """What is known of the queries after `count` more keys: their largest scores, and their sums of powers."""
        emitter, lanes, vectors = self.emitter, self.lanes, block.vectors
        before, totals = state[:vectors], state[vectors:]
        if block.biases is not None:
            self.pack_mask(block, block.biases, start, count)
        highest = self.score(block, start, count, before)
        base = highest
        if self.hides:  # of a query that has seen nothing yet, every power is e^(-inf - 0)
            lowest, zero = emitter.number(-inf, self.vector), emitter.number(0, self.vector)
            base = [self.chosen(self.compared("eq", each, lowest), zero, each) for each in highest]
        factors = [self.power(old, new) for old, new in zip(before, base)]
        for place, factor in enumerate(factors):
            self.put(factor, block.factors, {0: place * lanes})
        totals = [self.made(arith.MulfOp, total, factor) for total, factor in zip(totals, factors)]

        def powers(key: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            sums: list[SSAValue] = []
            for place, (total, high) in enumerate(zip(carried, base)):
                at = {0: key, 1: place * lanes}
                power = self.power(self.loaded(block.scores, at), high)
                self.put(power, block.scores, at)
                sums.append(self.made(arith.AddfOp, total, power))
            return sums

        totals = emitter.fold(count, totals, powers)
        self.mix(block, start, count)
        return [*highest, *totals]

    def score(self, block: Block, start: Index, count: int, highest: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """scores[j, i] = query i . key j, as far as they see each other; the largest of each query so far."""
        emitter, lanes = self.emitter, self.lanes
        step = min(count, self.tile_rows(block.vectors))

        def tile(first: Index, size: int, highest: Sequence[SSAValue]) -> Sequence[SSAValue]:
            keys = [emitter.plus(emitter.plus(start, first), row) for row in range(size)]
            zero = emitter.number(0, self.vector)

            def body(k: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
                queries = [self.loaded(block.queries, {0: k, 1: place * lanes}) for place in range(block.vectors)]
                made: list[SSAValue] = []
                for row, key in enumerate(keys):
                    found = emitter.load(self.key, {0: block.batch, 1: block.group, 2: key, 3: k})
                    factor = emitter.splat(found, lanes)
                    for place, each in enumerate(queries):
                        made.append(self.fma(factor, each, sums[row * block.vectors + place]))
                return made

            sums = emitter.fold(self.depth, [zero] * (size * block.vectors), body)
            highest = list(highest)
            for row, key in enumerate(keys):
                shown = sums[row * block.vectors : (row + 1) * block.vectors]
                for place, each in enumerate(self.visible(block, emitter.plus(first, row), key, shown)):
                    self.put(each, block.scores, {0: emitter.plus(first, row), 1: place * lanes})
                    higher = self.compared("gt", each, highest[place])
                    highest[place] = self.chosen(higher, each, highest[place])
            return highest

        whole = count // step * step
        highest = emitter.fold(whole, highest, lambda first, carried: tile(first, step, carried), step)
        return tile(whole, count - whole, highest) if whole < count else highest

    def visible(self, block: Block, local: Index, key: Index, scores: Sequence[SSAValue]) -> list[SSAValue]:
        """The scores of a key, `local` in its block, with its mask added, -inf where that or causality hides it."""
        emitter, lanes = self.emitter, self.lanes
        found = list(scores)
        if block.biases is not None:
            biases = [self.loaded(block.biases, {0: local, 1: place * lanes}) for place in range(len(found))]
            found = [self.made(arith.AddfOp, each, bias) for each, bias in zip(found, biases)]
        elif self.mask is not None:
            bias = emitter.load(self.mask, self.place_in_mask(self.mask, {0: block.batch, 1: block.head, 2: 0, 3: key}))
            if bias.type == i1:
                shown, hidden = emitter.number(0, f32), emitter.number(-inf, f32)
                bias = emitter.add(SelectOp.create(operands=(bias, shown, hidden), result_types=(f32,))).results[0]
            bias = emitter.splat(bias, lanes)
            found = [self.made(arith.AddfOp, each, bias) for each in found]
        if self.offset is not None:
            lowest = emitter.number(-inf, self.vector)
            last = emitter.splat(emitter.index(emitter.less(key, self.offset)), lanes)
            for place, each in enumerate(found):
                rows = self.numbered(emitter.plus(block.first, place * lanes))
                properties = {"predicate": IntegerAttr(INTEGER_PREDICATES["le"], i64)}
                flags = (VectorType(i1, (lanes,)),)
                sees = CmpiOp.create(operands=(last, rows), result_types=flags, properties=properties)
                found[place] = self.chosen(emitter.add(sees).results[0], each, lowest)
        return found

    def pack_mask(self, block: Block, biases: View, start: Index, count: int) -> None:
        """biases[j, i] = what the mask adds to the score of query i with key start + j. The last query fills lanes."""
        assert self.mask is not None
        emitter, lanes, mask = self.emitter, self.lanes, self.mask
        whole = count // lanes * lanes

        def tile(place: Index, rows: int, first: Index, keys: int) -> None:
            found: list[SSAValue] = []
            for lane in range(lanes):
                row = emitter.plus(emitter.plus(block.first, place), min(lane, rows - 1))
                where = {0: block.batch, 1: block.head, 2: row, 3: emitter.plus(start, first)}
                read = self.loaded(mask, self.place_in_mask(mask, where), self.first_lanes(keys))
                found.append(self.as_bias(read))
            for column, each in enumerate(transposed(emitter, found)[:keys]):
                self.put(each, biases, {0: emitter.plus(first, column), 1: place})

        def column_of_tiles(place: Index, rows: int) -> None:
            if whole:
                with emitter.loop(whole, lanes) as first:
                    tile(place, rows, first, lanes)
            if whole < count:
                tile(place, rows, whole, count - whole)

        full = block.rows // lanes * lanes
        if full:
            with emitter.loop(full, lanes) as place:
                column_of_tiles(place, lanes)
        if full < block.rows:
            column_of_tiles(full, block.rows - full)

    def mix(self, block: Block, start: Index, count: int) -> None:
        """mixed[i] = mixed[i] * factors[i] + the sum over j of scores[j, i] * value[j]"""
        emitter, lanes = self.emitter, self.lanes
        starts = list(range(0, self.width, lanes))
        for part in range(0, len(starts), MOST_VECTORS):
            columns = starts[part : part + MOST_VECTORS]
            step = min(block.rows, self.tile_rows(len(columns)))
            whole = block.rows // step * step
            with emitter.loop(whole, step) as first:
                self.mix_tile(block, start, count, columns, first, step)
            if whole < block.rows:
                self.mix_tile(block, start, count, columns, whole, block.rows - whole)

    def mix_tile(self, block: Block, start: Index, count: int, columns: Sequence[int], first: Index, size: int) -> None:
        emitter, lanes = self.emitter, self.lanes
        rows = [emitter.plus(first, row) for row in range(size)]
        sums: list[SSAValue] = []
        for row in rows:
            factor = emitter.splat(emitter.load(block.factors, {0: row}), lanes)
            sums += [self.made(arith.MulfOp, self.loaded(block.mixed, {0: row, 1: j}), factor) for j in columns]

        def body(key: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            at = {0: block.batch, 1: block.group, 2: emitter.plus(start, key)}
            values = [self.loaded(self.value, {**at, 3: j}, self.inside(j)) for j in columns]
            made: list[SSAValue] = []
            for place, row in enumerate(rows):
                factor = emitter.splat(emitter.load(block.scores, {0: key, 1: row}), lanes)
                for column, each in enumerate(values):
                    made.append(self.fma(factor, each, carried[place * len(columns) + column]))
            return made

        results = iter(emitter.fold(count, sums, body))
        for row in rows:
            for j in columns:
                self.put(next(results), block.mixed, {0: row, 1: j})
