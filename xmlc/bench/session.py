"""The process that measures: cases come in on standard input, cells go out on standard output, a line of JSON each.

It is a process of its own since the number of threads of some peers is fixed when they are loaded, and since a
contestant may hang or crash: the parent then starts another one, without that contestant in that case. Before
anything that could take the process down it says what it is about to do.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from xmlc.bench.case import Array, Case, error_of, random_inputs
from xmlc.bench.contestant import Contestant, Declined
from xmlc.bench.kinds import KINDS
from xmlc.bench.measure import Plan, measure
from xmlc.bench.models import model_inputs
from xmlc.bench.peers import PEERS
from xmlc.bench.record import DECLINED, ERROR, OK, WRONG, Cell, Outcome, rounded
from xmlc.bench.reference import reference_of
from xmlc.bench.roofs import measure_roofs

Prepare = Callable[[Case, Sequence[Array], int], Contestant]
Tell = Callable[[str, Any], None]
"""Called with the name of an event and what belongs to it."""


@dataclass(frozen=True)
class Orders:
    """What a session is to do."""

    cases: list[Case]
    peers: list[str]
    threads: int
    plan: Plan
    skip: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Case -> contestant -> status: those that took an earlier session down."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        data: dict[str, Any] = json.loads(text)
        cases = [
            Case(**{**each, "shapes": tuples(each["shapes"]), "draws": tuples(each["draws"])}) for each in data["cases"]
        ]
        return cls(cases, data["peers"], data["threads"], Plan(**data["plan"]), data["skip"])


def tuples(value: Any) -> Any:
    """Lists of lists as the tuples they were before they became JSON."""
    return tuple(tuple(each) for each in value)


def short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]


def run_case(
    case: Case,
    contestants: dict[str, Prepare],
    threads: int,
    plan: Plan,
    tell: Tell,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Cell:
    """Prepare each contestant, check its answer, then time them all in turns. The roof is the parent's to add."""
    inputs = model_inputs(case) if case.file is not None else random_inputs(case)
    wanted, source = reference_of(case, inputs)
    outcomes: dict[str, Outcome] = {}
    ready: dict[str, Contestant] = {}
    for name, prepare in contestants.items():
        tell("trying", name)
        before = clock()
        try:
            made = prepare(case, inputs, threads)
            result = made.run()
            elapsed = (clock() - before) * 1e-9
            error = error_of(made.arrays(result), wanted)
        except Declined as refusal:
            outcomes[name] = Outcome(DECLINED, str(refusal))
            continue
        except Exception as failure:  # any: whatever a peer raises is the answer to how it fares
            outcomes[name] = Outcome(ERROR, short(failure))
            continue
        status = OK if error <= case.allowed else WRONG
        message = "" if status == OK else f"error {error:.1e}, allowed {case.allowed:.0e}"
        outcomes[name] = Outcome(status, message, None, elapsed, error)
        ready[name] = made
        tell("tried", {"name": name, "prepare_s": elapsed})
    tell("measuring", None)
    for name, timing in measure({name: each.run for name, each in ready.items()}, plan, clock).items():
        known = outcomes[name]
        outcomes[name] = Outcome(known.status, known.message, timing, known.prepare_s, known.error)
    flops, moved = work_of(case, inputs, wanted)
    return Cell(case.name, case.group, case.dtype, threads, flops, moved, 0.0, source, outcomes)


def work_of(case: Case, inputs: Sequence[Array], outputs: Sequence[Array]) -> tuple[int, int]:
    """Operations, and bytes of inputs and outputs; a model's operations are not counted."""
    size = 4 if case.dtype == "i8" else inputs[0].dtype.itemsize  # of the result
    out_bytes = sum(each.size * size for each in outputs) if case.file is None else sum(e.nbytes for e in outputs)
    moved = sum(each.nbytes for each in inputs) + out_bytes
    if case.file is not None:
        return 0, moved
    return KINDS[case.kind].flops(case.shapes, outputs[0].shape), moved


def serve(orders: Orders, out: TextIO) -> None:
    """Carry the orders out, telling of every step."""

    def tell(event: str, what: Any) -> None:
        out.write(json.dumps({"event": event, "what": rounded(what)}) + "\n")
        out.flush()

    tell("roofs", asdict(measure_roofs(orders.threads)))
    for case in orders.cases:
        tell("case", case.name)
        skipped = orders.skip.get(case.name, {})
        contestants = {name: PEERS[name].prepare for name in orders.peers if name not in skipped}
        cell = run_case(case, contestants, orders.threads, orders.plan, tell)
        for name, status in skipped.items():
            cell.outcomes[name] = Outcome(status)
        tell("cell", asdict(cell))
        gc.collect()
    tell("roofs", asdict(measure_roofs(orders.threads)))
    tell("done", None)


def main() -> None:
    """Whatever a peer prints goes to standard error: standard output belongs to the record."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        serve(Orders.from_json(sys.stdin.read()), out)
    sys.stdout.flush()
    os._exit(0)  # pools of threads of several libraries in one process do not always end in peace


if __name__ == "__main__":
    main()
