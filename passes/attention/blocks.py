"""Attention of many queries: blocks of queries and keys, which never hold more scores than the first caches do.

The scores of a block of queries are kept transposed, a row for each key and a lane for each query. So the largest score
and the sum of powers of sixteen queries are single vectors, and both products read keys and values as they lie in
memory. Blocks of keys follow one another: what is known of a query, its largest score, its sum and its mixture of
values, is corrected whenever a larger score turns up (Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022,
arXiv:2205.14135). Where one block holds all keys, its mixtures go to the result at once. Under a causal mask, blocks of
keys that come after all queries of a block are left out.

The multiply-adds of products leave a core's other units idle, most of which a power needs. So the powers of some lanes
are computed while values are mixed for the lanes before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, VectorType, f32, i1, i64
from xdsl.ir import SSAValue

from xmlc.dialects.lanewise import CmpiOp
from xmlc.passes import remarks
from xmlc.passes.attention.problem import Attention
from xmlc.passes.contractions.emitter import View, whole_view
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_transposes import transposed
from xmlc.passes.number import INTEGER_PREDICATES

BLOCK_SCORES = 8192
"""Scores that are held at a time, in the first cache beside the queries, or the next."""
MOST_VECTORS = 4
MOST_ROWS = 16
POWER_ROWS = 4
"""Rows of a tile of mixtures beside which powers are computed: what a power needs has registers then."""
POWER_REGISTERS = 8
LINE = 16
"""Numbers of a cache line."""


@dataclass
class Block:
    """A block of queries: where it is, how many, and the buffers that it works in. Those of a lane each are a vector
    for each place of sixteen queries (or as many as a vector has lanes)."""

    batch: Index
    head: Index
    group: Index
    first: Index
    rows: int
    vectors: int
    keys: int
    """Keys of a block of them."""
    queries: View
    """(depth, vectors * lanes): scaled, transposed."""
    scores: View
    """(keys, vectors * lanes)"""
    highest: View
    """(vectors * lanes): the largest scores so far."""
    bases: View
    """(vectors * lanes): the same, but 0 for a query that has seen nothing, whose powers are then 2^(-inf - 0)."""
    totals: View
    """(vectors * lanes): the sums of powers so far."""
    factors: View
    """(vectors * lanes): what mixtures are to be multiplied by."""
    mixed: View | None
    """(rows, e): the mixtures of values so far; None where one block holds all keys."""
    biases: View | None
    """(keys, vectors * lanes): what the mask adds to scores, where queries have masks of their own."""


@dataclass
class Keys:
    """A block of keys."""

    start: Index
    count: int


Beside = Callable[[Index, SSAValue], SSAValue]
"""What else is computed in the step of a mixture that begins at some key of the block: carries one vector."""


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
        """Keys of a block, of blocks that are about as large as each other."""
        most = max(1, BLOCK_SCORES // (vectors * self.lanes))
        blocks = -(-self.columns // most)
        even = rounded_up(-(-self.columns // blocks), self.tile_rows(vectors))
        return min(even, most, self.columns)

    # A block of queries

    def block(self, batch: Index, head: Index, group: Index, first: Index, rows: int) -> None:
        emitter, lanes = self.emitter, self.lanes
        vectors = -(-rows // lanes)
        keys = self.keys_for(vectors)
        wide = vectors * lanes

        def buffer(*shape: int) -> View:
            return whole_view(emitter.buffer(f32, shape))

        block = Block(
            *(batch, head, group, first, rows, vectors, keys),
            queries=buffer(self.depth, wide),
            scores=buffer(keys, wide),
            highest=buffer(wide),
            bases=buffer(wide),
            totals=buffer(wide),
            factors=buffer(wide),
            mixed=buffer(rows, rounded_up(self.width, lanes)) if keys < self.columns else None,
            biases=buffer(keys, wide) if self.mask_differs_by_query else None,
        )
        self.pack(block)
        self.begin(block)
        whole = self.columns // keys * keys
        with emitter.loop(self.seen(block, whole, keys), keys) as start:
            self.attend(block, Keys(start, keys))
        if whole < self.columns:
            self.attend(block, Keys(whole, self.columns - whole))
        if block.mixed is not None:
            self.finish(block, block.mixed)

    def begin(self, block: Block) -> None:
        """What is known before any key is."""
        emitter, lanes = self.emitter, self.lanes
        zero, lowest = emitter.number(0, self.vector), emitter.number(-inf, self.vector)
        for place in range(0, block.vectors * lanes, lanes):
            self.put(lowest, block.highest, {0: place})
            self.put(zero, block.totals, {0: place})
        if block.mixed is not None:
            with emitter.loop(block.rows) as row:
                for start in range(0, self.width, lanes):
                    self.put(zero, block.mixed, {0: row, 1: start})

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
        scale = self.scaling
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

    def finish(self, block: Block, mixed: View) -> None:
        """out = mixed / total"""
        emitter, lanes = self.emitter, self.lanes
        for place in range(0, block.vectors * lanes, lanes):
            self.divide(block, place)
        with emitter.loop(block.rows) as row:
            factor = self.factor(block, row)
            for start in range(0, self.width, lanes):
                found = self.made(arith.MulfOp, self.loaded(mixed, {0: row, 1: start}), factor)
                self.put_out(found, block, row, start)

    def divide(self, block: Block, place: Index) -> None:
        """factors = 1 / totals. A total of a query that sees no key is 0, any other at least 1."""
        one, total = self.emitter.number(1, self.vector), self.loaded(block.totals, {0: place})
        total = self.chosen(self.compared("lt", total, one), one, total) if self.hides else total
        self.put(self.made(arith.DivfOp, one, total), block.factors, {0: place})

    def factor(self, block: Block, row: Index) -> SSAValue:
        return self.emitter.splat(self.emitter.load(block.factors, {0: row}), self.lanes)

    def put_out(self, mixed: SSAValue, block: Block, row: Index, start: int) -> None:
        at = {0: block.batch, 1: block.head, 2: self.emitter.plus(block.first, row), 3: start}
        self.put(mixed, self.out, at, self.inside(start))

    # A block of keys

    def attend(self, block: Block, keys: Keys) -> None:
        """What is known of the queries after more keys: their largest scores, sums of powers and mixtures."""
        if block.biases is not None:
            self.pack_mask(block, block.biases, keys.start, keys.count)
        places = range(0, block.vectors * self.lanes, self.lanes)
        before = [self.loaded(block.highest, {0: place}) for place in places]
        highest = self.score(block, keys.start, keys.count, before)
        for place, old, new in zip(places, before, highest):
            base = self.base(new)
            self.put(base, block.bases, {0: place})
            if block.mixed is not None:
                factor = self.power(old, base)
                total = self.made(arith.MulfOp, self.loaded(block.totals, {0: place}), factor)
                self.put(new, block.highest, {0: place})
                self.put(factor, block.factors, {0: place})
                self.put(total, block.totals, {0: place})
        if self.computes_beside(block):
            self.mix_beside_powers(block, keys)
        else:
            self.mix_after_powers(block, keys)

    def base(self, highest: SSAValue) -> SSAValue:
        """What is taken from scores: the largest, or 0 where all are -inf."""
        if not self.hides:
            return highest
        lowest, zero = self.emitter.number(-inf, self.vector), self.emitter.number(0, self.vector)
        return self.chosen(self.compared("eq", highest, lowest), zero, highest)

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

            if self.exceeds_second_cache():
                for key in keys:
                    self.fetch_queries(block, key)
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

    def exceeds_second_cache(self) -> bool:
        """Whether what is read and written does not stay in the second cache between calls."""
        by_query, by_key = self.heads * self.rows, self.groups * self.columns
        return 4 * self.batches * (by_query + by_key) * (self.depth + self.width) > self.machine.second_cache

    def fetch_queries(self, block: Block, key: Index) -> None:
        """Ask for a query of the next block: as many keys as a block has queries ask for all of them.

        The next block is of the next head where this is a head's last. Without that, packing waits for the last cache
        or memory, since it reads rows that lie apart, and soon has read them all.
        """
        emitter = self.emitter
        row = emitter.plus(emitter.plus(block.first, block.rows), emitter.least(key, block.rows - 1))
        heads = emitter.arithmetic(arith.DivUIOp, row, self.rows)
        at: dict[int, Index] = {
            0: block.batch,
            1: emitter.least(emitter.plus(block.head, heads), self.heads - 1),
            2: emitter.less(row, emitter.arithmetic(arith.MuliOp, heads, self.rows)),
        }
        for start in range(0, self.depth, LINE):
            emitter.prefetch(self.query, {**at, 3: start})

    def visible(self, block: Block, local: Index, key: Index, scores: Sequence[SSAValue]) -> list[SSAValue]:
        """The scores of a key, `local` in its block, with its mask added, -inf where that or causality hides it."""
        emitter, lanes = self.emitter, self.lanes
        found = list(scores)
        if block.biases is not None:
            biases = [self.loaded(block.biases, {0: local, 1: place * lanes}) for place in range(len(found))]
            found = [self.made(arith.AddfOp, each, bias) for each, bias in zip(found, biases)]
        elif self.mask is not None:
            bias = emitter.load(self.mask, self.place_in_mask(self.mask, {0: block.batch, 1: block.head, 2: 0, 3: key}))
            bias = self.as_bias(emitter.splat(bias, lanes))
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

    # Powers and mixtures

    def computes_beside(self, block: Block) -> bool:
        """Whether there are lanes beside whose mixtures powers can be computed, and registers for both."""
        registers = POWER_ROWS * MOST_VECTORS + MOST_VECTORS + POWER_REGISTERS
        return block.vectors > 1 and self.lanes % POWER_ROWS == 0 and self.machine.vector_registers >= registers

    def mix_after_powers(self, block: Block, keys: Keys) -> None:
        places = range(0, block.vectors * self.lanes, self.lanes)
        self.powers(block, places, 0, keys.count)
        if block.mixed is None:
            for place in places:
                self.divide(block, place)
        self.mix(block, keys, 0, block.rows)

    def mix_beside_powers(self, block: Block, keys: Keys) -> None:
        """The powers of the first lanes, then the mixtures of all lanes but the last beside the powers of the next.

        Each of the tiles that lanes make computes one power for as many keys as there are such tiles.
        """
        emitter, lanes = self.emitter, self.lanes
        tiles = lanes // POWER_ROWS
        whole = keys.count // tiles * tiles
        last = (block.vectors - 1) * lanes
        self.powers(block, [0], 0, whole)
        self.powers(block, range(0, last + 1, lanes), whole, keys.count - whole)
        with emitter.loop(last, lanes) as place:
            if block.mixed is None:
                self.divide(block, place)
            self.mix_lanes_beside_powers(block, keys, place, whole)
        if block.mixed is None:
            self.divide(block, last)
        self.mix(block, keys, last, block.rows - last)

    def powers(self, block: Block, places: Sequence[int], start: int, count: int) -> None:
        """Scores become powers, and totals grow by them, for the lanes from some places on and `count` keys."""
        if count == 0:
            return

        def body(key: Index, totals: Sequence[SSAValue]) -> Sequence[SSAValue]:
            at = self.emitter.plus(key, start)
            return [self.weight(block, place, at, total) for place, total in zip(places, totals)]

        totals = [self.loaded(block.totals, {0: place}) for place in places]
        for place, total in zip(places, self.emitter.fold(count, totals, body)):
            self.put(total, block.totals, {0: place})

    def weight(self, block: Block, place: Index, key: Index, total: SSAValue) -> SSAValue:
        """One vector of scores becomes powers; the total with them."""
        at = {0: key, 1: place}
        power = self.power(self.loaded(block.scores, at), self.loaded(block.bases, {0: place}))
        self.put(power, block.scores, at)
        return self.made(arith.AddfOp, total, power)

    def mix_lanes_beside_powers(self, block: Block, keys: Keys, place: Index, whole: int) -> None:
        """The mixtures of the lanes from a place on, and the powers of the lanes after them for `whole` keys."""
        emitter, lanes = self.emitter, self.lanes
        after = emitter.plus(place, lanes)
        parts = self.parts()

        def tile(number: Index, totals: Sequence[SSAValue]) -> Sequence[SSAValue]:
            first = emitter.plus(place, emitter.times(number, POWER_ROWS))

            def beside(key: Index, total: SSAValue) -> SSAValue:
                return self.weight(block, after, emitter.plus(key, number), total)

            total = self.mix_tile(block, keys, parts[0], first, POWER_ROWS, (beside, totals[0], whole))
            assert total is not None
            for columns in parts[1:]:
                self.mix_tile(block, keys, columns, first, POWER_ROWS)
            return [total]

        (total,) = emitter.fold(lanes // POWER_ROWS, [self.loaded(block.totals, {0: after})], tile)
        self.put(total, block.totals, {0: after})

    def parts(self) -> list[list[int]]:
        """Where the vectors of a mixture start, in parts that are summed at a time."""
        starts = list(range(0, self.width, self.lanes))
        return [starts[part : part + MOST_VECTORS] for part in range(0, len(starts), MOST_VECTORS)]

    def mix(self, block: Block, keys: Keys, start: int, count: int) -> None:
        """The mixtures of `count` queries from one on."""
        for columns in self.parts():
            step = min(count, self.tile_rows(len(columns)))
            whole = count // step * step
            with self.emitter.loop(whole, step) as first:
                self.mix_tile(block, keys, columns, self.emitter.plus(first, start), step)
            if whole < count:
                self.mix_tile(block, keys, columns, start + whole, count - whole)

    def mix_tile(
        self,
        block: Block,
        keys: Keys,
        columns: Sequence[int],
        first: Index,
        size: int,
        beside: tuple[Beside, SSAValue, int] | None = None,
    ) -> SSAValue | None:
        """mixed[i] = mixed[i] * factors[i] + the sum over j of scores[j, i] * value[j]

        Or the sum times factors[i], as the result, where one block holds all keys. What is computed `beside` it carries
        a vector, and goes as far as some number of keys.
        """
        emitter, mixed = self.emitter, block.mixed
        rows = [emitter.plus(first, row) for row in range(size)]
        sums: list[SSAValue] = [emitter.number(0, self.vector)] * (size * len(columns))
        if mixed is not None:
            sums = [
                self.made(arith.MulfOp, self.loaded(mixed, {0: row, 1: j}), factor)
                for row, factor in [(row, self.factor(block, row)) for row in rows]
                for j in columns
            ]

        def products(key: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            at = {0: block.batch, 1: block.group, 2: emitter.plus(keys.start, key)}
            values = [self.loaded(self.value, {**at, 3: j}, self.inside(j)) for j in columns]
            made: list[SSAValue] = []
            for row in rows:
                factor = emitter.splat(emitter.load(block.scores, {0: key, 1: row}), self.lanes)
                made += [self.fma(factor, each, sums[len(made) + place]) for place, each in enumerate(values)]
            return made

        carried, done = None, 0
        if beside is not None:
            also, carried, done = beside
            tiles = self.lanes // POWER_ROWS

            def step(key: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                *sums, other = carried
                for each in range(tiles):
                    sums = products(emitter.plus(key, each), sums)
                return [*sums, also(key, other)]

            *sums, carried = emitter.fold(done, [*sums, carried], step, tiles)
        if done < keys.count:
            rest = emitter.fold(keys.count - done, sums, lambda key, sums: products(emitter.plus(key, done), sums))
            sums = list(rest)
        results = iter(sums)
        for row in rows:
            if mixed is not None:
                for j in columns:
                    self.put(next(results), mixed, {0: row, 1: j})
            else:
                factor = self.factor(block, row)
                for j in columns:
                    self.put_out(self.made(arith.MulfOp, next(results), factor), block, row, j)
        return carried


def rounded_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
