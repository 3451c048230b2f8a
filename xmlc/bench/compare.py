"""Two records side by side: the change of each cell, the drift of the machine, and what is beyond the noise."""

from __future__ import annotations

from dataclasses import dataclass

from xmlc.bench.peers import OURS
from xmlc.bench.record import OK, Cell, Outcome, Record
from xmlc.bench.summary import geometric_mean, peers_of

LEAST_NOISE = 0.05
"""A change smaller than this is noise whatever the quartiles say."""


@dataclass(frozen=True)
class Change:
    """One cell in both records. Ratios are new time over old time: above 1 is slower."""

    cell: str
    group: str
    old_s: float
    new_s: float
    ratio: float
    corrected: float
    """The ratio with the drift of the machine taken out."""
    noise: float
    """What the ratio may be off by: the spreads of both measurements, added."""

    @property
    def verdict(self) -> str:
        """`slower` or `faster` where the change, drift taken out, is beyond the noise; else empty."""
        if self.corrected > 1 + self.noise:
            return "slower"
        return "faster" if self.corrected < 1 / (1 + self.noise) else ""


@dataclass(frozen=True)
class Comparison:
    """What became of each cell, from an old record to a new one."""

    changes: list[Change]
    drift: dict[int, float]
    """Number of threads -> new time over old time of the peers that were in both runs: the machine's own change."""
    broken: dict[str, str]
    """Cell that was right and is not any more -> what it is now."""
    mended: list[str]
    """Cells that were not right and are now."""
    only_old: list[str]
    only_new: list[str]
    notes: list[str]
    """Why the two may not be comparable."""

    @property
    def mean(self) -> float:
        """Geometric mean of the corrected ratios; NaN without a common cell."""
        return geometric_mean(change.corrected for change in self.changes)

    @property
    def regressions(self) -> list[Change]:
        return [change for change in self.changes if change.verdict == "slower"]


def by_key(record: Record) -> dict[str, Cell]:
    return {cell.key: cell for cell in record.cells}


def same_packages(old: Record, new: Record, peer: str) -> bool:
    from xmlc.bench.peers import PEERS

    package = PEERS[peer].package if peer in PEERS else peer
    return old.versions.get(package) == new.versions.get(package)


def drift_of(old: Record, new: Record, threads: int) -> float:
    """How much slower the peers have become, whose versions are the same: 1 where there are none."""
    before = by_key(old)
    ratios: list[float] = []
    peers = [name for name in peers_of(new.cells) if same_packages(old, new, name)]
    for cell in new.cells:
        if cell.threads != threads or cell.key not in before:
            continue
        pairs = [(cell.seconds(name), before[cell.key].seconds(name)) for name in peers]
        ratios += [now / then for now, then in pairs if now and then]
    return geometric_mean(ratios) if ratios else 1.0


def compare(old: Record, new: Record, contestant: str = OURS) -> Comparison:
    """What changed for a contestant."""
    before, after = by_key(old), by_key(new)
    common = [key for key in after if key in before]
    threads = sorted({after[key].threads for key in common})
    # a peer is not its own yardstick: for one, the machine's drift stays in
    drift = {count: drift_of(old, new, count) if contestant == OURS else 1.0 for count in threads}
    changes: list[Change] = []
    broken: dict[str, str] = {}
    mended: list[str] = []
    for key in common:
        then, now = before[key].outcomes.get(contestant), after[key].outcomes.get(contestant)
        if then is None or now is None:
            continue
        was, is_ = then.status == OK, now.status == OK
        if was and not is_:
            broken[key] = f"{now.status}: {now.message}" if now.message else now.status
        elif is_ and not was:
            mended.append(key)
        elif was and then.timing and now.timing:
            changes.append(change_of(after[key], then, now, drift[after[key].threads]))
    return Comparison(
        changes,
        drift,
        broken,
        mended,
        [key for key in before if key not in after],
        [key for key in after if key not in before],
        differences(old, new),
    )


def change_of(cell: Cell, then: Outcome, now: Outcome, drift: float) -> Change:
    assert then.timing is not None and now.timing is not None
    ratio = now.timing.median / then.timing.median
    noise = max(LEAST_NOISE, then.timing.spread + now.timing.spread)
    return Change(cell.key, cell.group, then.timing.median, now.timing.median, ratio, ratio / drift, noise)


def differences(old: Record, new: Record) -> list[str]:
    """What differs between the machines and versions of the two."""
    notes: list[str] = []
    for name in ("processor", "cores", "llvm_name"):
        if old.machine.get(name) != new.machine.get(name):
            notes.append(f"{name}: {old.machine.get(name)} then, {new.machine.get(name)} now")
    for package in sorted(old.versions.keys() | new.versions.keys()):
        if old.versions.get(package) != new.versions.get(package):
            notes.append(
                f"{package}: {old.versions.get(package, 'absent')} then, {new.versions.get(package, 'absent')} now"
            )
    return notes
