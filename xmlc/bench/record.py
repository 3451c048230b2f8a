"""The record of a run: what is written to JSON and read back. docs/benchmarks.md describes every field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xmlc.bench.measure import Timing
from xmlc.bench.roofs import Roofs
from xmlc.dialects.diagnostics import CompileError
from xmlc.files import read_text

SCHEMA = 1
"""Raised when a field changes its meaning; a reader refuses others."""

OK, WRONG, DECLINED, ERROR, TIMEOUT, CRASH = "ok", "wrong", "declined", "error", "timeout", "crash"
"""How a contestant fared: only `ok` counts. Declined: it says it does not do this case."""


@dataclass(frozen=True)
class Outcome:
    """One contestant in one cell."""

    status: str
    message: str = ""
    timing: Timing | None = None
    """Kept where the answer was wrong too, to be shown; it counts for nothing."""
    prepare_s: float | None = None
    """Compiling, loading, and the first call."""
    error: float | None = None
    """The largest error over the largest element of the right answer."""


@dataclass(frozen=True)
class Cell:
    """One case with one number of threads."""

    case: str
    group: str
    dtype: str
    threads: int
    flops: int
    bytes: int
    """What any contestant has to read and write once: inputs and outputs."""
    roof_s: float
    """The least time that the roofs allow; 0 where the work is unknown."""
    reference: str
    outcomes: dict[str, Outcome]

    @property
    def key(self) -> str:
        return f"{self.case} [{self.threads}]"

    def seconds(self, name: str) -> float | None:
        """The median of a contestant whose answer was right."""
        outcome = self.outcomes.get(name)
        return outcome.timing.median if outcome and outcome.status == OK and outcome.timing else None


@dataclass(frozen=True)
class Record:
    """A whole run."""

    suite: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    commit: str
    settings: dict[str, Any]
    absent: dict[str, str]
    """Peer that is not installed -> how to install it."""
    roofs: dict[int, Roofs]
    """By number of threads."""
    cells: list[Cell]
    left_out: list[str] = field(default_factory=list[str])
    """Cells that the time budget, or an interruption, left out."""
    schema: int = SCHEMA

    def to_json(self) -> str:
        """JSON with one cell a line, so that a diff of two records can be read."""
        data = asdict(self)
        cells = data.pop("cells")
        head = json.dumps(rounded(data), indent=1)
        lines = ",\n".join("  " + json.dumps(rounded(cell)) for cell in cells)
        return f'{head[:-2]},\n "cells": [\n{lines}\n ]\n}}\n'

    @classmethod
    def from_json(cls, text: str, name: str = "<record>") -> Record:
        """Raises CompileError for text that is no record, or one of another schema."""
        try:
            data: dict[str, Any] = json.loads(text)
            schema = data["schema"]
            if schema != SCHEMA:
                raise CompileError(f"'{name}' is of schema {schema}, expected {SCHEMA}", hint="measure again")
            data["roofs"] = {int(threads): read_roofs(each) for threads, each in data["roofs"].items()}
            data["cells"] = [read_cell(each) for each in data["cells"]]
            return cls(**data)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise CompileError(f"'{name}' is not a record of xmlc bench", hint="give a file made with -o") from error


def rounded(value: Any) -> Any:
    """Floats with as many digits as anybody can believe."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [rounded(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def read_roofs(data: Mapping[str, Any]) -> Roofs:
    bandwidth = {int(size): rate for size, rate in data["bandwidth"].items()}
    return Roofs(data["flops"], bandwidth, data["instructions"])


def read_cell(data: Mapping[str, Any]) -> Cell:
    outcomes: Any = {name: read_outcome(each) for name, each in data["outcomes"].items()}
    return Cell(**{**data, "outcomes": outcomes})


def read_outcome(data: Mapping[str, Any]) -> Outcome:
    timing: Any = Timing(**data["timing"]) if data["timing"] else None
    return Outcome(**{**data, "timing": timing})


def read_record(path: Path) -> Record:
    """The record in a file. Raises CompileError."""
    return Record.from_json(read_text(path), str(path))
