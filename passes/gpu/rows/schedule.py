"""Who computes what of a row program: the cost model, and the schedule as data that it chooses.

A user or the autotuner states others by the attribute `xmlc.gpu.rows` of a kernel function: see `passes/gpu/stated.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import gcd, prod

from xdsl.ir import SSAValue

from xmlc.passes.gpu.rows.levels import levels_of
from xmlc.passes.gpu.rows.program import Kind, Program, Step, Stored
from xmlc.passes.memory import element_size
from xmlc.passes.views import buffer_type, row_major

ACCESS_BYTES = 16
"""The most bytes that a thread moves by one instruction."""
WARP, MOST_THREADS = 32, 1024
HELD, HELD_NARROW = 32, 64
"""How many elements of each operand a thread holds in registers while it reduces a row; twice as many if it must."""
LOOPED = 8
"""Vectors that a thread loads before it computes, where a row is gone over in a loop."""
MULTIPROCESSORS = 132
ENOUGH_BLOCKS = 8 * MULTIPROCESSORS
"""Blocks that keep the whole device busy."""
BLOCK = 256
CLUSTER_BLOCK = 256
"""Threads of a block of a cluster, as long as the cluster may have more blocks."""
LARGEST_ALONE = 512
"""Threads of a row beyond which a cluster shares it: one block alone on a multiprocessor loads, then computes."""


NAIVE, THROUGH_SHARED, SHUFFLE = EXCHANGES = ("naive", "shared", "shuffle")
"""The ladder of reductions: a thread for each row, which leaves nothing to exchange (map-loops does those); a tree in
shared memory, half as many threads adding at each step; shuffles within warps, and shared memory between them only."""


@dataclass(frozen=True)
class Schedule:
    """Threads of a row, what each holds, and how rows and columns are shared out."""

    vector: int
    """Elements that a thread loads at once."""
    lanes: int
    """Threads of a row (or of a part of one), a power of two."""
    block_rows: int
    """Rows of a block."""
    chunks: int
    """Vectors that a thread takes without a loop, `lanes` vectors apart."""
    width: int
    """Columns of a block: all, rounded up, unless a row is shared by several blocks."""
    looped: bool
    """Whether a thread goes over its columns in a loop, once for each reduction that needs the one before it."""
    cluster: int = 1
    """Blocks that share a row, run at the same time, and wait for each other."""
    exchange: str = SHUFFLE
    """How the threads of a block put their results together: one of EXCHANGES."""
    stages: int = 0
    """Rows on their way to a block through shared memory; 0: rows do not come through it."""
    resident: int = 0
    """Blocks that a multiprocessor is to hold."""
    groups: int = 0
    """Rows that are worked on at the same time, on the largest device."""
    apart: int = 0
    """Rows between a row's reduction and what needs its result, which its blocks hand on through global memory; 0: what
    needs it follows at once."""
    stride: int = 0
    """Points between a thread's vectors, where nothing is reduced; 0: `lanes` vectors."""

    @property
    def span(self) -> int:
        """Columns that the threads of a row take without a loop."""
        return self.lanes * self.vector * self.chunks

    @property
    def threads(self) -> int:
        return self.lanes * self.block_rows

    def splits(self, columns: int) -> int:
        """How many blocks share a row."""
        return self.cluster if self.cluster > 1 else -(-columns // self.width)


def power_of_two(number: int) -> int:
    """The least power of two that is no less."""
    return 1 << (max(1, number) - 1).bit_length()


def choose(program: Program, most_cluster: int = 1) -> Schedule:
    """What is taken to be fastest, on a device on which clusters have at most so many blocks."""
    vector = vector_length(program)
    if not program.reduces:
        chunks = 2 if vector * widest(program) > 2 * ACCESS_BYTES else 4
        while chunks > 1 and program.columns < BLOCK * vector * chunks * MULTIPROCESSORS:
            chunks //= 2
        lanes = min(BLOCK, max(WARP, power_of_two(-(-program.columns // vector))))
        near = Schedule(vector, lanes, 1, chunks, lanes * vector * chunks, looped=False)
        few = replace(near, chunks=min(2, chunks), width=lanes * vector * min(2, chunks))
        far = far_apart(program, few)
        return near if far == few else far
    return reducing(program, vector, most_cluster)


def far_apart(program: Program, schedule: Schedule) -> Schedule:
    """The schedule with a thread's vectors so far apart that all read the same elements of smaller operands, if any."""
    stride, rest = divmod(program.points, schedule.chunks)
    periods = [period(source, step) for step in program.steps for source in step.sources if isinstance(source, Stored)]
    smaller = [each for each in periods if schedule.vector <= each < program.points]
    if rest or schedule.chunks == 1 or not smaller or any(stride % each for each in smaller):
        return schedule
    if program.points % schedule.width:
        return schedule
    return replace(schedule, stride=stride)


def period(source: Stored, step: Step) -> int:
    """After how many points a step reads the same elements again."""
    outer = next((loop for loop, each in enumerate(source.at.steps) if each), len(step.extents))
    return prod(step.extents[outer:])


def reducing(program: Program, vector: int, most_cluster: int) -> Schedule:
    columns, rows = program.columns, program.rows
    vectors = -(-columns // vector)
    most = HELD_NARROW if is_narrow(program) and not reads_by_column(program) else HELD
    held = max(vector, most // max(1, len(whole_operands(program)) - 1))
    chunks = max(1, held // vector)
    if rows * vectors < MULTIPROCESSORS * 4 * BLOCK * chunks:  # too little to fill the device: more threads
        chunks = max(1, chunks // 4)
    lanes = power_of_two(-(-vectors // chunks))
    if lanes > LARGEST_ALONE and most_cluster > 1 and not may_split(program):
        found = staged(program, vector, most_cluster) or relayed(program, vector)
        if found is not None:
            return found
        if is_for_cluster(program):
            return shared_by_cluster(columns, vector, chunks, lanes, most_cluster)
    twice = 2 * held if may_split(program) else min(2 * held, HELD_NARROW)  # what is not folded at once is held
    if lanes > MOST_THREADS // 2 and chunks * vector < twice:
        lanes //= 2
    if lanes <= MOST_THREADS and (lanes < BLOCK or rows >= MULTIPROCESSORS or not may_split(program)):
        block_rows = max(1, BLOCK // 2 // lanes) if lanes <= WARP else 1
        while block_rows > 1 and block_rows * lanes > WARP and rows < block_rows * MULTIPROCESSORS:
            block_rows //= 2
        chunks = -(-vectors // lanes)
        if chunks * vector <= (twice if lanes < MOST_THREADS else twice // 2):
            return Schedule(vector, lanes, block_rows, chunks, lanes * vector * chunks, looped=False)
    chunks = max(1, 16 // vector) if may_split(program) else LOOPED
    lanes = BLOCK if may_split(program) else MOST_THREADS  # one block a multiprocessor: its rows stay in the cache
    span = lanes * vector * chunks
    blocks = max(1, ENOUGH_BLOCKS // rows) if may_split(program) else 1
    width = max(1, -(-columns // (blocks * span))) * span
    return Schedule(vector, lanes, 1, chunks, width, looped=True)


def is_for_cluster(program: Program) -> bool:
    """Whether long rows are shared by clusters.

    Not narrow ones with operands for each column: each block must wait for its part of those too. On an H200 a
    layer norm of 65536 columns of bf16 has 69 % of the speed of a copy so, 81 % by a loop; of f32 83 % and 53 %.
    """
    return not may_split(program) and not (reads_by_column(program) and is_narrow(program))


def reads_by_column(program: Program) -> bool:
    """Whether there are operands, such as weights, with an element for each column."""
    return bool(by_column(program))


def by_column(program: Program) -> set[SSAValue]:
    """The operands with an element for each column, or for some points otherwise."""
    return {
        source.buffer
        for step in program.steps
        if step.kind is Kind.POINT
        for source in step.sources
        if isinstance(source, Stored) and any(source.at.steps) and source.at.steps != row_major(step.extents)
    }


def is_narrow(program: Program) -> bool:
    """Whether elements of all points are loaded as two bytes or less."""
    return all(element_size(buffer_type(each).element_type) <= 2 for each in whole_operands(program))


def shared_by_cluster(columns: int, vector: int, chunks: int, lanes: int, most_cluster: int) -> Schedule:
    """A row for a cluster: held in registers if all its threads can, else gone over in a loop."""
    cluster = min(most_cluster, lanes // CLUSTER_BLOCK)
    lanes = min(lanes // cluster, MOST_THREADS)
    vectors = -(-columns // vector)
    if vectors <= cluster * lanes * chunks:
        chunks = -(-vectors // (cluster * lanes))
        return Schedule(vector, lanes, 1, chunks, lanes * vector * chunks, looped=False, cluster=cluster)
    chunks = LOOPED
    span = lanes * vector * chunks
    return Schedule(vector, lanes, 1, chunks, -(-columns // (cluster * span)) * span, looped=True, cluster=cluster)


SHARED_BYTES = 224 << 10
"""Shared memory of a multiprocessor that rows may have: 227 KiB less a little for what blocks exchange."""


STAGED_LANES, STAGED_ROWS = 512, 3
"""Threads of a block through which rows come, and the most rows on their way to it; one is on a multiprocessor."""


def staged(program: Program, vector: int, most_cluster: int) -> Schedule | None:
    """Rows through shared memory, each shared by a cluster; None where they do not fit, or cannot be copied.

    Not with weights, for which threads would need registers too. Figures are in docs/gpu-ladders.md.
    """
    sizes = copied(program, vector)
    splits = -(-program.columns // (STAGED_LANES * (HELD_NARROW if is_narrow(program) else HELD)))
    cluster = power_of_two(splits)
    if not sizes or reads_by_column(program) or not 1 < cluster <= most_cluster:
        return None
    chunks = -(-program.columns // (cluster * STAGED_LANES * vector))
    width = STAGED_LANES * vector * chunks
    stages = min(STAGED_ROWS, SHARED_BYTES // (width * sum(sizes)))
    groups = min(program.rows, MULTIPROCESSORS // cluster)
    if stages == 0 or groups == 0:
        return None
    return Schedule(
        vector, STAGED_LANES, 1, chunks, width, looped=False, cluster=cluster, stages=stages, resident=1, groups=groups
    )


def copied(program: Program, vector: int) -> list[int]:
    """The sizes of the elements that are copied to shared memory; none where vectors of one cannot be."""
    sizes = [element_size(buffer_type(each).element_type) for each in whole_operands(program)]
    return sizes if all(size * vector in (4, 8, 16, 32) for size in sizes) else []


@dataclass(frozen=True)
class RelayShape:
    """Threads of a block, blocks of a multiprocessor, elements of a row for a thread, and rows between phases."""

    lanes: int
    resident: int
    held: int
    apart: int


NARROW_RELAY, RELAY = RelayShape(256, 4, 16, 2), RelayShape(512, 2, 16, 1)
LONG_NARROW_RELAY, LONG_WEIGHED_RELAY = RelayShape(256, 2, 32, 2), RelayShape(512, 1, 32, 2)
LONG_RELAY = RelayShape(512, 1, 16, 3)
MOST_EQUALS = 32
"""Blocks that share a row beyond which rows are long: each block reads what all others found."""
WEIGHTS_HELD = 64
"""Elements of operands with one for each column, such as weights, that a thread keeps in registers while rows pass."""


def relayed(program: Program, vector: int) -> Schedule | None:
    """Rows through shared memory, each shared by blocks anywhere, which go on to other rows while they wait."""
    narrow = is_narrow(program)
    found = relayed_as(program, vector, NARROW_RELAY if narrow else RELAY)
    if found is not None and found.splits(program.columns) <= MOST_EQUALS:
        return found
    if not narrow:
        return relayed_as(program, vector, LONG_RELAY)
    return relayed_as(program, vector, LONG_WEIGHED_RELAY if reads_by_column(program) else LONG_NARROW_RELAY)


def relayed_as(program: Program, vector: int, shape: RelayShape) -> Schedule | None:
    """Rows by a shape; None where they do not fit, or cannot be copied."""
    sizes = copied(program, vector)
    chunk = shape.lanes * vector
    blocks = -(-program.columns // (chunk * max(1, shape.held // vector)))
    width = -(-program.columns // (chunk * blocks)) * chunk
    chunks = width // chunk
    levels = max(level for step, level in levels_of(program).items() if step.kind is Kind.REDUCE) + 1
    stages = levels * shape.apart + 1
    needed = stages * width * sum(sizes) + weight_bytes(program, width, vector * chunks)
    groups = min(program.rows, MULTIPROCESSORS * shape.resident // blocks)
    if not sizes or blocks < 2 or groups == 0 or needed > SHARED_BYTES // shape.resident:
        return None
    return Schedule(
        vector, shape.lanes, 1, chunks, width, looped=False, stages=stages, resident=shape.resident, groups=groups,
        apart=shape.apart,
    )  # fmt: skip


def weight_bytes(program: Program, width: int, held: int) -> int:
    """Shared memory for operands with an element for each column, where registers do not hold them."""
    weights = by_column(program)
    if len(weights) * held <= WEIGHTS_HELD:
        return 0
    return width * sum(element_size(buffer_type(each).element_type) for each in weights)


def may_split(program: Program) -> bool:
    """Whether several blocks may share a row: nothing at a point needs a result of its row."""
    return all(level == 0 for step, level in levels_of(program).items() if step.kind is not Kind.ROW)


def widest(program: Program) -> int:
    """Bytes of the largest element that is moved at every point."""
    return max(point_sizes(program), default=1)


def point_sizes(program: Program) -> Iterable[int]:
    """The sizes of elements that are loaded or stored at every point, in bytes."""
    for step in program.steps:
        if step.kind is Kind.ROW:
            continue
        for source in step.sources:
            if isinstance(source, Stored) and source.at.steps == row_major(step.extents):
                yield element_size(buffer_type(source.buffer).element_type)
        if step.kind is Kind.POINT:
            for element in step.element_types:
                yield element_size(element)


def whole_operands(program: Program) -> set[SSAValue]:
    """The operands in memory that have an element for each point."""
    return {
        source.buffer
        for step in program.steps
        for source in step.sources
        if isinstance(source, Stored) and source.at.steps == row_major(step.extents)
    }


def vector_length(program: Program) -> int:
    """As many elements as 16 bytes hold of the smallest type, and as divide every row."""
    return gcd(program.columns, ACCESS_BYTES // min(min(point_sizes(program), default=4), ACCESS_BYTES))
