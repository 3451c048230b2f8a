"""Warps that run ahead of each other: one at a time, each until it has to wait for what another one does.

A kernel whose warps wait for mbarriers is run so: each warp of a block, or of the blocks of a cluster, is a strand, a
thread of Python's that gives way to the others where it waits. Which strand runs next does not depend on the machine.
Where every strand waits, the first one says what for, and the kernel has failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.reference.interpreter import Array
from xmlc.dialects.reference.lanes.frame import Group, ThreadError, ThreadFrame


class Abandoned(BaseException):
    """Ends a strand whose kernel has failed elsewhere."""


@dataclass(eq=False)
class Strand:
    """One warp: what it waits for, and the lock that it is woken by."""

    run: Callable[[], object]
    wakes: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ready: Callable[[], bool] | None = None
    """Whether what it waits for has come; None: it does not wait."""
    stuck: Callable[[], Exception] | None = None
    """Says what it waits for."""
    thread: threading.Thread | None = None
    ended: bool = False
    error: BaseException | None = None


class Strands:
    """The strands of a group of blocks."""

    def __init__(self, runs: Sequence[Callable[[], object]]):
        self.strands = [Strand(run) for run in runs]
        self.gives_way = threading.Semaphore(0)
        self.now: Strand | None = None
        self.failing: BaseException | None = None

    def run(self) -> None:
        """Run all to their ends. Raises what one of them raises."""
        for strand in self.strands:
            context = copy_context()  # NumPy's settings are of a context
            strand.thread = threading.Thread(target=context.run, args=(self.live, strand), daemon=True)
            strand.thread.start()
        try:
            while left := [each for each in self.strands if not each.ended]:
                strand = next((each for each in left if each.ready is None or each.ready()), None)
                if strand is None:
                    assert left[0].stuck is not None
                    raise left[0].stuck()
                # those behind it come first the next time: none is left waiting while others go round and round
                self.strands.remove(strand)
                self.strands.append(strand)
                self.resume(strand)
                if strand.error is not None:
                    raise strand.error
        finally:
            self.abandon()

    def resume(self, strand: Strand) -> None:
        strand.ready = strand.stuck = None
        self.now = strand
        strand.wakes.release()
        self.gives_way.acquire()

    def live(self, strand: Strand) -> None:
        strand.wakes.acquire()
        try:
            if self.failing is None:
                strand.run()
        except Abandoned:
            pass
        except BaseException as error:  # it is raised where the strands are run
            strand.error = error
        strand.ended = True
        self.gives_way.release()

    def wait(self, ready: Callable[[], bool], stuck: Callable[[], Exception]) -> None:
        """Called by the strand that runs: give way until `ready`."""
        if ready():
            return
        strand = self.now
        assert strand is not None
        strand.ready, strand.stuck = ready, stuck
        self.gives_way.release()
        strand.wakes.acquire()
        if self.failing is not None:
            raise self.failing

    def abandon(self) -> None:
        self.failing = Abandoned()
        for strand in self.strands:
            while not strand.ended:
                self.resume(strand)


@dataclass
class Meeting:
    """Threads that come to one place, and what they bring: arrays with an entry for each thread."""

    numbers: list[Array] = field(default_factory=list[Array])
    brought: list[Sequence[Array]] = field(default_factory=list[Sequence[Array]])
    results: list[Sequence[Array]] | None = None

    @property
    def count(self) -> int:
        return sum(len(each) for each in self.numbers)


Together = Callable[[Array, Sequence[Array]], Sequence[Array]]
"""What threads do together: their numbers in the group, ascending, and what each brought -> what each gets."""


def strands_of(group: Group) -> Strands | None:
    return group.state.get("strands")


def wait(frame: ThreadFrame, ready: Callable[[], bool], stuck: Callable[[], Exception]) -> None:
    """Wait for what another warp does. Raises what `stuck` gives where none can do it."""
    strands = strands_of(frame.threads.group)
    if strands is not None:
        strands.wait(ready, stuck)
    elif not ready():
        raise stuck()


def meet(
    frame: ThreadFrame, op: Operation, place: tuple[Any, ...], expected: int, brought: Sequence[Array], do: Together
) -> Sequence[Array]:
    """Wait until `expected` threads have come to a place, and do together what they came for.

    Without strands all of them must be here already. Raises ThreadError where more come, or not all.
    """
    group, threads = frame.threads.group, frame.threads
    meetings: dict[tuple[Any, ...], Meeting] = group.state.setdefault("meetings", {})
    meeting = meetings.setdefault(place, Meeting())
    mine = len(meeting.numbers)
    meeting.numbers.append(threads.number)
    meeting.brought.append(brought)
    if meeting.count > expected:
        raise ThreadError(op, f"{threads.name(0)}: {meeting.count} threads come, {expected} are waited for")
    if meeting.count == expected:
        del meetings[place]
        numbers = np.concatenate(meeting.numbers)
        order = np.argsort(numbers, kind="stable")
        given = [np.concatenate(each)[order] for each in zip(*meeting.brought)]
        made = do(numbers[order], given)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        ends = np.cumsum([len(each) for each in meeting.numbers])[:-1]
        meeting.results = [[each[part] for each in made] for part in np.split(back, ends)]
    came = threads.name(0)
    wait(
        frame,
        lambda: meeting.results is not None,
        lambda: ThreadError(op, f"{meeting.count} threads come to the barrier, {expected} must: {came} is one of them"),
    )
    assert meeting.results is not None
    return meeting.results[mine]
