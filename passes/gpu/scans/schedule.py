"""Who scans what: threads of a row, elements of a thread, and how tiles of a long row hand on what came before.

The schedule is stated by the option `schedule` of the pass, or chosen by length:

    hillis-steele    a block for each row, a thread for each element of a tile, log n steps that add what is 1, 2, 4 …
                     places before: n log n additions (Hillis, Steele, Data parallel algorithms, 1986)
    work-efficient   the same, summing up a tree and back down it: 2 n additions (Blelloch, Prefix sums, 1990)
    look-back        a block for each tile: threads scan what they hold, warps by shuffles, and a tile waits only for
                     sums of those before it, in one pass over memory (Merrill, Garland, Single-pass parallel prefix
                     scan with decoupled look-back, 2016)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.rows.schedule import ACCESS_BYTES, MULTIPROCESSORS, WARP, power_of_two
from xmlc.passes.gpu.stated import Candidate
from xmlc.passes.scans import Scan

BLOCK = 256
HELD = 16
"""Elements that a thread holds; twice as many of two bytes."""


@dataclass(frozen=True)
class ScanSchedule:
    """A tile is `lanes * vector * chunks` elements of a row."""

    vector: int
    """Elements that a thread loads at once."""
    lanes: int
    """Threads of a tile, a power of two."""
    chunks: int
    """Vectors of a thread, `lanes` vectors apart."""
    block_rows: int
    """Rows of a block, where a row is one tile."""
    columns: int

    @property
    def tile(self) -> int:
        return self.lanes * self.vector * self.chunks

    @property
    def tiles(self) -> int:
        """Tiles of a row."""
        return -(-self.columns // self.tile)

    @property
    def threads(self) -> int:
        return self.lanes * self.block_rows

    @property
    def warps(self) -> int:
        """Warps of a tile."""
        return max(1, self.lanes // WARP)


def choose(scan: Scan) -> ScanSchedule:
    vector = gcd(scan.columns, ACCESS_BYTES // min(ACCESS_BYTES, scan.element_bytes))
    vectors = -(-scan.columns // vector)
    held = HELD * 2 if scan.element_bytes <= 2 else HELD
    chunks = max(1, min(held // vector, WARP * WARP // BLOCK))
    lanes = min(BLOCK, power_of_two(-(-vectors // chunks)))
    if vectors <= lanes * chunks:  # the row is one tile
        chunks = -(-vectors // lanes)
    block_rows = max(1, BLOCK // lanes) if vectors <= lanes * chunks else 1
    while block_rows > 1 and block_rows * lanes > WARP and scan.rows < block_rows * MULTIPROCESSORS:
        block_rows //= 2
    return ScanSchedule(vector, lanes, chunks, block_rows, scan.columns)


LANES, CHUNKS = (32, 64, 128, 256, 512), (1, 2, 4, 8)
"""What the autotuner chooses from."""


def candidates(scan: Scan) -> Iterator[Candidate[ScanSchedule]]:
    """Every schedule of the table that fits, with what it asks of the device."""
    chosen = choose(scan)
    vectors = -(-scan.columns // chosen.vector)
    for lanes in LANES:
        for chunks in CHUNKS:
            # a warp scans the sums of all warps, for each chunk: a lane for each of them
            if max(1, lanes // WARP) * chunks > WARP or lanes > 2 * vectors:
                continue
            one_tile = lanes * chunks >= vectors
            for block_rows in (1, 2, 4, 8) if one_tile else (1,):
                if WARP <= lanes * block_rows <= BLOCK * 2:
                    schedule = ScanSchedule(chosen.vector, lanes, chunks, block_rows, scan.columns)
                    yield Candidate(schedule, demand(scan, schedule))


def demand(scan: Scan, schedule: ScanSchedule) -> Demand:
    """What a schedule asks of the device; a tile of several in a row waits for those before it."""
    held = schedule.vector * schedule.chunks
    return Demand(
        blocks=-(-scan.rows // schedule.block_rows) * schedule.tiles,
        threads=schedule.threads,
        moved=2 * scan.rows * scan.columns * scan.element_bytes,
        in_flight=held * scan.element_bytes,
        registers=24 + 2 * held,
        meetings=(schedule.warps > 1) + (schedule.tiles > 1),
    )
