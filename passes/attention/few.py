"""Attention of a few queries, as when a text is continued: a stream of keys, then a stream of values, each read once.

A vector holds the scores of one query with as many keys: each key is multiplied by the query along its own memory, and
the lanes of sixteen such products are added up together. The scores of the queries with all keys stay in a cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, VectorType, f32, i1, i64
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import SSAValue

from xmlc.dialects.lanewise import CmpiOp
from xmlc.passes import remarks
from xmlc.passes.attention.problem import Attention
from xmlc.passes.contractions.emitter import Emitter, View, whole_view
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_transposes import shuffled
from xmlc.passes.number import INTEGER_PREDICATES
from xmlc.passes.views import shape_of

MOST_QUERIES = 8
"""More of them fill a good part of a vector, so that lanes are better spent on queries."""
MOST_VECTORS = 8
"""Vectors of a row of values that are summed at a time."""


class FewQueries(Attention):
    """Emits attention of a few queries."""

    def fits(self) -> bool:
        """Whether there are few queries, and their scores take half of the second cache at most."""
        return self.rows <= MOST_QUERIES and 4 * self.rows * self.columns <= self.machine.second_cache // 2

    def emit(self) -> None:
        emitter, lanes = self.emitter, self.lanes
        remarks.passed(self.op, lambda: f"attention of {self.rows} queries: keys and values are read once, in order")
        with emitter.loop(self.batches, parallel=True) as batch, emitter.loop(self.heads, parallel=True) as head:
            group = self.group_of(head)
            depth, columns = (-(-size // lanes) * lanes for size in (self.depth, self.columns))
            shapes = ((self.rows, depth), (self.rows, columns), (self.rows, lanes))
            queries, scores, factors = (whole_view(emitter.buffer(f32, shape)) for shape in shapes)
            self.scale(batch, head, queries)
            whole = self.columns // lanes * lanes
            if whole:
                with emitter.loop(whole, lanes) as first:
                    self.score(batch, head, group, first, lanes, queries, scores)
            if whole < self.columns:
                self.score(batch, head, group, whole, self.columns - whole, queries, scores)
            with emitter.loop(self.rows) as row:
                self.normalize(row, columns, scores, factors)
            self.mix(batch, head, group, scores, factors)

    def scale(self, batch: Index, head: Index, queries: View) -> None:
        """queries[row, k] = query[row, k] * scale; 0 beyond the depth."""
        factor = self.emitter.number(self.scaling, self.vector)
        with self.emitter.loop(self.rows) as row:
            for start in range(0, self.depth, self.lanes):
                at = {0: batch, 1: head, 2: row, 3: start}
                found = self.loaded(self.query, at, self.first_lanes(self.depth - start))
                self.put(self.made(arith.MulfOp, found, factor), queries, {0: row, 1: start})

    def score(
        self, batch: Index, head: Index, group: Index, first: Index, count: int, queries: View, scores: View
    ) -> None:
        """scores[row, first + j] = query row . key first + j, for a vector of keys of which `count` are there."""
        emitter, lanes = self.emitter, self.lanes
        keys = [emitter.plus(first, min(j, count - 1)) for j in range(lanes)]
        whole = self.depth // lanes * lanes
        with emitter.loop(self.rows) as row:

            def products(
                k: Index, sums: Sequence[SSAValue], row: Index = row, mask: SSAValue | None = None
            ) -> Sequence[SSAValue]:
                query = self.loaded(queries, {0: row, 1: k})
                found = [self.loaded(self.key, {0: batch, 1: group, 2: key, 3: k}, mask) for key in keys]
                return [self.fma(query, key, total) for key, total in zip(found, sums)]

            sums = emitter.fold(whole, [emitter.number(0, self.vector)] * lanes, products, lanes)
            if whole < self.depth:
                sums = products(whole, sums, mask=self.first_lanes(self.depth - whole))
            found = self.visible(batch, head, row, first, count, lane_sums(emitter, sums))
            self.put(found, scores, {0: row, 1: first})

    def visible(self, batch: Index, head: Index, row: Index, first: Index, count: int, scores: SSAValue) -> SSAValue:
        """The scores with their mask added, -inf where that, or causality, hides a key, or there is none."""
        emitter = self.emitter
        lowest = emitter.number(-inf, self.vector)
        if self.mask is not None:
            scores = self.made(arith.AddfOp, scores, self.bias(self.mask, batch, head, row, first, count))
        if self.offset is not None:
            last = emitter.splat(emitter.index(emitter.plus(row, self.offset)), self.lanes)
            properties = {"predicate": IntegerAttr(INTEGER_PREDICATES["le"], i64)}
            flags = (VectorType(i1, (self.lanes,)),)
            sees = CmpiOp.create(operands=(self.numbered(first), last), result_types=flags, properties=properties)
            scores = self.chosen(emitter.add(sees).results[0], scores, lowest)
        there = self.first_lanes(count)
        return scores if there is None else self.chosen(there, scores, lowest)

    def bias(self, mask: View, batch: Index, head: Index, row: Index, first: Index, count: int) -> SSAValue:
        """What the mask adds to the scores of a query with a vector of keys."""
        emitter = self.emitter
        at = self.place_in_mask(mask, {0: batch, 1: head, 2: row, 3: first})
        if shape_of(mask.value)[-1] == 1:
            found = emitter.splat(emitter.load(mask, at), self.lanes)
        else:
            found = self.loaded(mask, at, self.first_lanes(count))
        return self.as_bias(found)

    def normalize(self, row: Index, columns: int, scores: View, factors: View) -> None:
        """scores = 2^(scores - the largest of them); factors[row] = 1 / their sum, in every lane."""
        emitter, lanes = self.emitter, self.lanes
        lowest, zero = emitter.number(-inf, self.vector), emitter.number(0, self.vector)

        def higher(j: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            found = self.loaded(scores, {0: row, 1: j})
            return [self.chosen(self.compared("gt", found, carried[0]), found, carried[0])]

        highest = self.spread_reduction("maxnumf", emitter.fold(columns, [lowest], higher, lanes)[0])
        if self.hides:  # of a query that sees nothing, every power is 2^(-inf - 0)
            highest = self.chosen(self.compared("eq", highest, lowest), zero, highest)

        def powers(j: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            found = self.power(self.loaded(scores, {0: row, 1: j}), highest)
            self.put(found, scores, {0: row, 1: j})
            return [self.made(arith.AddfOp, carried[0], found)]

        total = self.spread_reduction("add", emitter.fold(columns, [zero], powers, lanes)[0])
        one = emitter.number(1, self.vector)
        if self.hides:  # nothing is seen: 0; any other sum has a power 2^0 in it
            total = self.chosen(self.compared("lt", total, one), one, total)
        self.put(self.made(arith.DivfOp, one, total), factors, {0: row, 1: 0})

    def mix(self, batch: Index, head: Index, group: Index, scores: View, factors: View) -> None:
        """out[row] = factors[row] * the sum over keys of scores[row, key] * value[key]"""
        emitter, lanes = self.emitter, self.lanes
        starts = list(range(0, self.width, lanes))
        vectors = max(1, min(MOST_VECTORS, (self.machine.vector_registers - 2) // (self.rows + 1)))
        for part in range(0, len(starts), vectors):
            columns = starts[part : part + vectors]

            def body(key: Index, sums: Sequence[SSAValue], columns: Sequence[int] = columns) -> Sequence[SSAValue]:
                at = {0: batch, 1: group, 2: key}
                values = [self.loaded(self.value, {**at, 3: j}, self.inside(j)) for j in columns]
                made: list[SSAValue] = []
                for row in range(self.rows):
                    factor = emitter.splat(emitter.load(scores, {0: row, 1: key}), lanes)
                    made += [self.fma(factor, each, sums[len(made) + place]) for place, each in enumerate(values)]
                return made

            zero = emitter.number(0, self.vector)
            sums = iter(emitter.fold(self.columns, [zero] * (self.rows * len(columns)), body))
            for row in range(self.rows):
                factor = self.loaded(factors, {0: row, 1: 0})
                for j in columns:
                    mixed = self.made(arith.MulfOp, next(sums), factor)
                    self.put(mixed, self.out, {0: batch, 1: head, 2: row, 3: j}, self.inside(j))

    def spread_reduction(self, kind: str, value: SSAValue) -> SSAValue:
        """All lanes of a vector, none of which is NaN where the kind is maxnumf, combined: in every lane."""
        flag = FastMathFlag.NO_NANS if kind == "maxnumf" else FastMathFlag.REASSOC
        found = self.emitter.reduction(kind, value, arith.FastMathFlagsAttr([flag]))
        return self.emitter.splat(found, self.lanes)


def lane_sums(emitter: Emitter, vectors: Sequence[SSAValue]) -> SSAValue:
    """A vector whose lane j is the sum of the lanes of vector j, as many vectors as lanes.

    Two vectors that hold parts of as many sums each become one with half as many parts of each sum: the first halves
    of all parts added to the second halves.
    """
    lanes = count = len(vectors)
    found = list(vectors)
    while len(found) > 1:
        part = count
        count //= 2
        first = [start + lane for start in range(0, 2 * lanes, part) for lane in range(count)]
        second = [lane + count for lane in first]
        pairs = zip(found[::2], found[1::2])
        found = [emitter.sum(shuffled(emitter, x, y, first), shuffled(emitter, x, y, second)) for x, y in pairs]
    return found[0]
