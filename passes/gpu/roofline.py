"""How fast a schedule could be: what it asks of the device against what that can give.

A model to rank schedules by, not to predict times: it knows how many blocks are resident, how many bytes they have on
their way at once (Little's law: that much is the bandwidth times the latency), and the tail of the last blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

MULTIPROCESSORS = 132
BANDWIDTH = 4.2e12
"""Bytes a second of device memory."""
LATENCY = 0.9e-6
"""Seconds from a load to its use, of memory that is busy."""
FLOAT_RATE = 6.0e13
"""Multiplications and additions of f32 a second."""
SHARED_RATE = 132 * 128 * 1.7e9
"""Bytes a second between shared memory and registers."""
LAUNCH = 2.5e-6
"""Seconds that a further kernel takes."""
MEETING = 1.0e-6
"""Seconds that the threads of a block, or of a cluster, take to exchange results while the memory waits for them."""
THREADS, BLOCKS, SHARED, REGISTERS = 2048, 32, 227 * 1024, 65536
"""What a multiprocessor has for its resident blocks."""


@dataclass(frozen=True)
class Demand:
    """What a schedule asks for."""

    blocks: int
    threads: int
    """Of a block."""
    moved: float
    """Bytes between device memory and the multiprocessors."""
    in_flight: float
    """Bytes that a thread asks for before it waits for one of them."""
    registers: int = 32
    """Of a thread, about."""
    shared: int = 0
    """Bytes of a block."""
    operations: float = 0
    """Multiplications and additions."""
    shared_moved: float = 0
    """Bytes between shared memory and registers."""
    meetings: int = 0
    """How often the threads of a block wait for each other on the way, other blocks being what hides it."""
    kernels: int = 1


def resident(demand: Demand) -> int:
    """Blocks of a multiprocessor at once; 0: not even one fits."""
    by_registers = REGISTERS // (demand.threads * demand.registers)
    by_shared = SHARED // demand.shared if demand.shared else BLOCKS
    return min(BLOCKS, THREADS // demand.threads, by_registers, by_shared)


def seconds(demand: Demand, multiprocessors: int = MULTIPROCESSORS) -> float:
    """About how long a kernel takes; infinity where it cannot run."""
    together = resident(demand)
    if together == 0:
        return float("inf")
    slots = together * multiprocessors
    waves = -(-demand.blocks // slots)
    running = min(demand.blocks, slots)
    used = min(demand.blocks, multiprocessors) / multiprocessors  # of the multiprocessors
    asked = running * demand.threads * demand.in_flight
    memory = demand.moved / BANDWIDTH / min(1.0, asked / (BANDWIDTH * LATENCY))
    tail = waves * slots / demand.blocks if demand.blocks > slots else 1.0
    arithmetic = max(demand.operations / FLOAT_RATE, demand.shared_moved / SHARED_RATE) * tail / used
    hidden = max(1, together - 1)
    waits = waves * demand.meetings * MEETING / hidden
    return max(memory, arithmetic) + waits + demand.kernels * LAUNCH
