"""The host's part of a compiled program, as data: launches, copies, and the control flow around them.

It is made from the host function at the level `gpu` (`host_steps.py`), kept in the cache beside the kernels' code, and
run by `execute.py` without the IR. Of device memory the host reads single elements that decide what comes next.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, cast


@dataclass(frozen=True)
class Register:
    """A number that is known when the program runs."""

    number: int


Scalar: TypeAlias = "int | float | Register"


@dataclass(frozen=True)
class Address:
    """Bytes from the start of a buffer."""

    buffer: int
    offset: Scalar


@dataclass(frozen=True)
class Given:
    """A buffer that the caller gives: an argument of the entry point, by position."""

    position: int


@dataclass(frozen=True)
class Allocated:
    """A buffer of the program's own."""

    size: int


@dataclass(frozen=True)
class Constant:
    """A buffer that holds constants, as base64."""

    data: str

    @property
    def bytes(self) -> bytes:
        return base64.b64decode(self.data)


Buffer: TypeAlias = Given | Allocated | Constant


@dataclass(frozen=True)
class Argument:
    """What a kernel is given: an address, or a number of a type."""

    value: Address | Scalar
    element: str = "pointer"


@dataclass(frozen=True)
class Launch:
    """A kernel over a grid of blocks; `place` is where the user wrote what it computes.

    If not 0, every `together` blocks wait for each other: all blocks of the grid must run at once, and where the device
    holds fewer, the grid is cut to a multiple of the number.
    """

    kernel: str
    grid: tuple[Scalar, ...]
    block: tuple[Scalar, ...]
    shared: Scalar
    arguments: tuple[Argument, ...]
    place: str = ""
    together: int = 0


@dataclass(frozen=True)
class Copy:
    """Contiguous bytes from one place of device memory to another."""

    source: Address
    target: Address
    size: int


@dataclass(frozen=True)
class Read:
    """An element of device memory into a register: the host waits for it."""

    register: Register
    address: Address
    element: str


@dataclass(frozen=True)
class Write:
    """A number into an element of device memory."""

    address: Address
    value: Scalar
    element: str


@dataclass(frozen=True)
class Compute:
    """An op of `arith` on numbers of type `given`."""

    register: Register
    op: str
    predicate: int
    operands: tuple[Scalar, ...]
    given: str
    result: str


@dataclass(frozen=True)
class Call:
    """A function of the host, such as one that prints."""

    function: str
    operands: tuple[Scalar, ...]


@dataclass(frozen=True)
class Move:
    """Numbers into registers, all at once."""

    registers: tuple[Register, ...]
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class If:
    """Each side ends with a Move into the registers of the results."""

    condition: Scalar
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]


@dataclass(frozen=True)
class For:
    """The body ends with a Move into the registers that are carried round."""

    register: Register
    low: Scalar
    high: Scalar
    step: Scalar
    body: tuple[Step, ...]


@dataclass(frozen=True)
class While:
    """`before` leaves the condition in a register; where it is false, the loop ends."""

    before: tuple[Step, ...]
    condition: Scalar
    body: tuple[Step, ...]


Step: TypeAlias = Launch | Copy | Read | Write | Compute | Call | Move | If | For | While

KINDS: dict[str, type] = {
    each.__name__: each
    for each in (
        *(Register, Address, Given, Allocated, Constant, Argument),
        *(Launch, Copy, Read, Write, Compute, Call, Move, If, For, While),
    )
}


@dataclass(frozen=True)
class LaunchProgram:
    """What the host does, in order, with the buffers that it names by number."""

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]

    def to_json(self) -> str:
        return json.dumps(plain({"buffers": self.buffers, "steps": self.steps}))

    @classmethod
    def from_json(cls, text: str) -> LaunchProgram:
        data = unplain(json.loads(text))
        return cls(data["buffers"], data["steps"])

    @property
    def is_straight(self) -> bool:
        """Whether it only launches and copies, the same each time: then it can become a CUDA graph."""
        return all(isinstance(step, Launch | Copy) for step in self.steps)

    def launches(self) -> list[Launch]:
        """Every launch, those inside control flow too."""
        return [step for step in every(self.steps) if isinstance(step, Launch)]


def every(steps: Sequence[Step]) -> list[Step]:
    """Steps and those inside them."""
    found: list[Step] = []
    for step in steps:
        found.append(step)
        match step:
            case If():
                found += [*every(step.then), *every(step.otherwise)]
            case For():
                found += every(step.body)
            case While():
                found += [*every(step.before), *every(step.body)]
            case _:
                pass
    return found


def plain(value: Any) -> Any:
    """A value as lists and dictionaries; a dataclass is [its name, its fields in order]."""
    if type(value).__name__ in KINDS:
        return [type(value).__name__, *(plain(getattr(value, each.name)) for each in fields(value))]
    if isinstance(value, tuple):
        return ["", *map(plain, cast(tuple[Any, ...], value))]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in cast(dict[str, Any], value).items()}
    return value


def unplain(value: Any) -> Any:
    """The value that `plain` made this of."""
    if isinstance(value, dict):
        return {key: unplain(each) for key, each in cast(dict[str, Any], value).items()}
    if not isinstance(value, list):
        return value
    name, *rest = cast(list[Any], value)
    made = tuple(map(unplain, rest))
    return KINDS[name](*made) if name else made
