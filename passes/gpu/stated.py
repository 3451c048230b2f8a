"""Schedules as data: an attribute of a kernel function states them, else the cost model chooses.

What a mapping pass asks of a schedule is a dataclass of numbers, truths and names. A function states one for each thing
that the pass maps in it, in order; an empty dictionary leaves that one to the cost model:

    func.func private @softmax(…) attributes {xmlc.gpu.rows = [{lanes = 256 : i64, chunks = 4 : i64, …}]}

Whoever wants to know what else there was to choose listens: `with choices.collecting():` around the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from xdsl.dialects.builtin import ArrayAttr, BoolAttr, DictionaryAttr, IntegerAttr, StringAttr, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.utils.hints import isa

from xmlc.dialects.context_variables import setting
from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.passes.gpu.roofline import Demand

PREFIX = "xmlc.gpu."
"""Of the attributes; what follows is the kind: what a pass maps."""

Value = int | bool | str
S = TypeVar("S")


@dataclass(frozen=True)
class Candidate(Generic[S]):
    """A schedule that is possible, and what it asks of the device."""

    schedule: S
    demand: Demand


@dataclass(frozen=True)
class Choice:
    """What was chosen for one thing of a function, the `number`th of its kind, and what else is possible."""

    function: str
    kind: str
    number: int
    chosen: dict[str, Value]
    candidates: tuple[tuple[dict[str, Value], Demand], ...]


@dataclass
class Choices:
    """The choices of the passes that run while this one collects."""

    found: list[Choice] = field(default_factory=list[Choice])

    @contextmanager
    def collecting(self) -> Generator[None]:
        with setting(LISTENER, self):
            yield


LISTENER: ContextVar[Choices | None] = ContextVar("choices", default=None)


class Schedules:
    """The schedules of one kind that a function states, asked for one after the other."""

    def __init__(self, function: FuncOp, kind: str):
        self.function, self.kind, self.number = function, kind, 0
        stated = function.attributes.get(PREFIX + kind)
        if stated is not None and not isa(stated, ArrayAttr[Attribute]):
            raise self.refused(f"is no array of dictionaries: {stated}")
        self.stated: Sequence[Attribute] = () if stated is None else stated.data

    def next(self, chosen: S, candidates: Callable[[], Iterable[Candidate[S]]]) -> S:
        """The schedule stated for the next thing, `chosen` by the cost model if there is none.

        `candidates` gives what else is possible; it is asked if somebody listens. Raises CompileError for a statement
        that is none.
        """
        number, self.number = self.number, self.number + 1
        if (listener := LISTENER.get()) is not None:
            others = tuple((values_of(each.schedule), each.demand) for each in candidates())
            listener.found.append(Choice(self.function.sym_name.data, self.kind, number, values_of(chosen), others))
        if number >= len(self.stated):
            return chosen
        stated = self.stated[number]
        if not isinstance(stated, DictionaryAttr):
            raise self.refused(f"holds {stated}, expected a dictionary")
        return replace(chosen, **self.read(stated, values_of(chosen)))  # pyright: ignore

    def read(self, stated: DictionaryAttr, known: dict[str, Value]) -> dict[str, Value]:
        """The fields that a dictionary states, each of the type that the schedule has."""
        found: dict[str, Value] = {}
        for name, attribute in stated.data.items():
            if name not in known:
                raise self.refused(f"states '{name}'", f"its fields are {', '.join(known)}")
            value = python_value(attribute)
            if value is None or type(value) is not type(known[name]):
                raise self.refused(f"states {name} = {attribute}", f"it is {known[name]!r} by the cost model")
            found[name] = value
        return found

    def refused(self, what: str, hint: str | None = None) -> CompileError:
        message = f"the attribute {PREFIX}{self.kind} of @{self.function.sym_name.data} {what}"
        return CompileError(message, place=place_of(self.function.location), hint=hint)


def values_of(schedule: Any) -> dict[str, Value]:
    """The fields of a schedule by name."""
    names = {each.name for each in fields(schedule)}
    return {name: value for name, value in asdict(schedule).items() if name in names}


def python_value(attribute: Attribute) -> Value | None:
    match attribute:
        case IntegerAttr() if attribute.type == BoolAttr.from_bool(True).type:
            return bool(attribute.value.data)
        case IntegerAttr():
            return attribute.value.data
        case StringAttr():
            return attribute.data
        case _:
            return None


def attribute_of(value: Value) -> Attribute:
    match value:
        case bool():
            return BoolAttr.from_bool(value)
        case int():
            return IntegerAttr(value, i64)
        case str():
            return StringAttr(value)


def state(function: FuncOp, kind: str, schedules: Sequence[dict[str, Value]]) -> None:
    """Have a function state schedules of a kind; an empty one leaves the choice to the cost model."""
    made = [DictionaryAttr({name: attribute_of(value) for name, value in each.items()}) for each in schedules]
    function.attributes[PREFIX + kind] = ArrayAttr(made)
