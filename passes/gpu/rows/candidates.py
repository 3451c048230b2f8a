"""The schedules that a row program may have: what the autotuner chooses from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.rows.program import Kind, Program
from xmlc.passes.gpu.rows.schedule import (
    LOOPED,
    MOST_THREADS,
    WARP,
    RelayShape,
    Schedule,
    far_apart,
    may_split,
    relayed_as,
    staged,
    vector_length,
    whole_operands,
)
from xmlc.passes.gpu.stated import Candidate
from xmlc.passes.memory import element_size
from xmlc.passes.views import buffer_type

MOST_HELD = 64
"""Elements of each operand that a thread may hold: more of them spill."""
LANES = (8, 16, 32, 64, 128, 256, 512, 1024)
CLUSTER_LANES = (256, 512, 1024)
BLOCK_ROWS = (1, 2, 4, 8, 16)
CHUNKS = (1, 2, 4, 8)
RELAY_LANES, RESIDENT, RELAY_HELD, APART = (256, 512, 1024), (1, 2, 3, 4), (16, 32), (1, 2, 3)
MOST_RELAYING = 128
"""Blocks that share a row: of 256, each would wait for 9 µs to read what all others found."""
MULTIPROCESSOR_REGISTERS, LEAST_REGISTERS = 1 << 16, 40
SPLITS = (1, 2, 4, 8, 16, 32)


def candidates(program: Program, chosen: Schedule, most_cluster: int) -> Iterator[Candidate[Schedule]]:
    """Every schedule of the table that fits, with what it asks of the device."""
    for vector in {vector_length(program), max(1, vector_length(program) // 2)}:
        for schedule in (reducing if program.reduces else elementwise)(
            program, replace(chosen, vector=vector), most_cluster
        ):
            yield Candidate(schedule, demand(program, schedule))


def elementwise(program: Program, base: Schedule, most_cluster: int) -> Iterator[Schedule]:
    for lanes in LANES:
        for chunks in CHUNKS:
            if lanes >= WARP and chunks * base.vector <= MOST_HELD:
                near = replace(base, lanes=lanes, chunks=chunks, width=lanes * base.vector * chunks, stride=0)
                yield near
                if (far := far_apart(program, near)) != near:
                    yield far


def reducing(program: Program, base: Schedule, most_cluster: int) -> Iterator[Schedule]:
    """Rows held in registers, by a block or a cluster; and rows gone over in a loop, by one block or several."""
    vectors = -(-program.columns // base.vector)
    base = replace(base, cluster=1, block_rows=1, looped=False, stages=0, apart=0)
    for lanes in LANES:
        chunks = -(-vectors // lanes)
        held = replace(base, lanes=lanes, chunks=chunks, width=lanes * base.vector * chunks)
        if chunks * base.vector <= MOST_HELD and lanes <= 2 * vectors:
            for rows in BLOCK_ROWS:
                # rows share a block where no warp has two of them to put together in shared memory
                if WARP <= rows * lanes <= MOST_THREADS and (rows == 1 or lanes <= WARP):
                    yield replace(held, block_rows=rows)
        if lanes < 4 * WARP:
            continue
        for chunks in (4, LOOPED):
            span = lanes * base.vector * chunks
            for splits in SPLITS if may_split(program) else (1,):
                if span * splits <= program.columns:
                    width = -(-program.columns // (splits * span)) * span
                    yield replace(base, lanes=lanes, chunks=chunks, width=width, looped=True)
    if may_split(program):
        return
    if most_cluster > 1:
        yield from through_shared_memory(program, base.vector, most_cluster)
    cluster = 2
    while cluster <= most_cluster:
        for lanes in CLUSTER_LANES:
            chunks = -(-vectors // (cluster * lanes))
            if chunks * base.vector <= MOST_HELD and lanes * cluster <= vectors:
                yield replace(base, lanes=lanes, chunks=chunks, width=lanes * base.vector * chunks, cluster=cluster)
        cluster *= 2


def through_shared_memory(program: Program, vector: int, most_cluster: int) -> Iterator[Schedule]:
    """Rows that blocks share which stay, the next rows on their way."""
    if (found := staged(program, vector, most_cluster)) is not None:
        yield found
    for lanes, resident, held, apart in product(RELAY_LANES, RESIDENT, RELAY_HELD, APART):
        if lanes * resident * max(held, LEAST_REGISTERS) <= MULTIPROCESSOR_REGISTERS:
            found = relayed_as(program, vector, RelayShape(lanes, resident, held, apart))
            if found is not None and found.splits(program.columns) <= MOST_RELAYING:
                yield found


def demand(program: Program, schedule: Schedule) -> Demand:
    """What a schedule asks of the device."""
    sizes = [element_size(buffer_type(each).element_type) for each in whole_operands(program)]
    splits = schedule.splits(program.columns)
    blocks = -(-program.rows // schedule.block_rows) * splits
    held = schedule.vector * schedule.chunks
    levels = sum(step.kind is Kind.REDUCE for step in program.steps)
    sweeps = 1 + (levels if schedule.looped and not may_split(program) else 0) / 2  # again, mostly from the cache
    # a block of a cluster, or one alone on its multiprocessor, loads nothing while its row is put together
    meetings = levels * (1 if schedule.threads > WARP else 0) + 2 * levels * (schedule.cluster > 1)
    return Demand(
        blocks=blocks,
        threads=schedule.threads,
        moved=program.points * sum(sizes) * sweeps,
        in_flight=held * sum(sizes),
        registers=24 + (held if not schedule.looped else schedule.vector) * len(sizes),
        meetings=meetings,
        kernels=2 if program.reduces and schedule.cluster == 1 and splits > 1 else 1,
    )
