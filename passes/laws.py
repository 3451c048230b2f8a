"""Laws: rewrites of single ops, and the driver that applies them until none matches.

A law is a function of one op that returns what the op equals, or None where it does not apply:

    @law
    def double_negation(op: NegOp) -> SSAValue | None:
        \"\"\"-(-x) -> x\"\"\"
        match op.x.owner:
            case NegOp(x=x):
                return x
            case _:
                return None

Its docstring states it. The op's annotation says what it looks at (a union for several kinds). What it builds, with
the functions of `xmlc.dialects.ml.functions`, goes before the op and gets its place in the source. A law must
build nothing where it returns None, and must not change other ops. Where it asks what only run time knows
(`UnknownSize`), it does not apply. `@law(holds=…)` says how far it is true.
"""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, get_args, get_type_hints, overload

from xdsl.builder import Builder, ImplicitBuilder
from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.transforms.dead_code_elimination import is_trivially_dead

from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.sizes import UnknownSize, is_symbolic

LOG = logging.getLogger("xmlc.laws")

Equal: TypeAlias = SSAValue | Sequence[SSAValue] | None
"""What an op equals: a value for each of its results; None where the law does not apply."""


class Holds(Enum):
    """How far a law is true of floating-point numbers."""

    EXACT = "exact"
    """Every bit of every result stays the same, NaN, infinities and signed zeros included."""

    ON_REALS = "exact on reals"
    """The same real number, rounded in other places; no NaN or infinity appears where none was."""

    FAST_MATH = "fast-math"
    """True only where no NaN, infinity or signed zero matters; needs the option `fast-math`."""


@dataclass(frozen=True)
class Law:
    """One law: the kinds of op it looks at, how far it holds, and the function that states it."""

    kinds: tuple[type[Operation], ...]
    holds: Holds
    function: Callable[[Any], Equal]

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def statement(self) -> str:
        """The first line of the docstring."""
        return inspect.getdoc(self.function).partition("\n")[0]  # pyright: ignore[reportOptionalMemberAccess]

    def __call__(self, op: Operation) -> Equal:
        return self.function(op)


@overload
def law(function: Callable[[Any], Equal], /) -> Law: ...
@overload
def law(*, holds: Holds) -> Callable[[Callable[[Any], Equal]], Law]: ...
def law(
    function: Callable[[Any], Equal] | None = None, /, *, holds: Holds = Holds.EXACT
) -> Law | Callable[[Callable[[Any], Equal]], Law]:
    """Make a function a law; exact unless it says otherwise."""

    def make(function: Callable[[Any], Equal]) -> Law:
        assert function.__doc__, f"the law {function.__name__} does not state what it is"
        parameter = next(iter(inspect.signature(function).parameters))
        annotation = get_type_hints(function)[parameter]
        return Law(get_args(annotation) or (annotation,), holds, function)

    return make if function is None else make(function)


def is_of_other_sizes(op: Operation, equal: SSAValue | Sequence[SSAValue]) -> bool:
    """Whether what an op equals is spelled with other sizes, which are the same only as it is assumed."""
    values = (equal,) if isinstance(equal, SSAValue) else equal
    return any(
        old.type != new.type and (is_symbolic(shape_of(old)) or is_symbolic(shape_of(new)))
        for old, new in zip(op.results, values, strict=True)
    )


def discard(before: Operation | None, op: Operation) -> None:
    """Erase what a law built before `op` and did not use."""
    while (made := op.prev_op) is not before:
        assert made is not None
        made.detach()
        made.erase()


class LawDriver:
    """Applies laws to all ops of a region tree, and again to what has changed, until none matches."""

    LIMIT = 1000
    """Rewrites an op's descendants may go through; more means that laws undo one another, which is a bug."""

    def __init__(self, laws: Iterable[Law], fast_math: bool = False):
        self.laws = [each for each in laws if fast_math or each.holds is not Holds.FAST_MATH]
        self.rows: dict[type[Operation], list[Law]] = {}
        """The laws for each type of op met so far; a law for a base class looks at all that derive from it."""
        self.work: list[Operation] = []
        self.waiting: set[Operation] = set()
        self.depth: dict[Operation, int] = {}
        self.counts: Counter[str] = Counter()
        """How often each law was applied, by name."""

    def run(self, root: Operation) -> bool:
        """Rewrite everything inside `root`; returns whether anything changed."""
        for op in reversed(list(root.walk())):
            self.push(op)
        changed = False
        while self.work:
            op = self.work.pop()
            if op not in self.waiting:
                continue
            self.waiting.discard(op)
            if op.parent is not None and self.rewrite(op):
                changed = True
        return changed

    def push(self, op: Operation) -> None:
        if op not in self.waiting and self.laws_for(type(op)):
            self.waiting.add(op)
            self.work.append(op)

    def laws_for(self, kind: type[Operation]) -> list[Law]:
        if kind not in self.rows:
            self.rows[kind] = [each for each in self.laws if issubclass(kind, each.kinds)]
        return self.rows[kind]

    def rewrite(self, op: Operation) -> bool:
        """Apply the first law that matches an op; False if none does."""
        block = op.parent
        assert block is not None
        before = op.prev_op
        with ImplicitBuilder(Builder(InsertPoint.before(op))):
            for each in self.rows[type(op)]:
                try:
                    equal = each(op)
                except UnknownSize:
                    discard(before, op)
                    continue
                if equal is not None and is_of_other_sizes(op, equal):
                    discard(before, op)
                    continue
                if equal is not None:
                    break
                assert op.prev_op is before, f"the law {each.name} built something and did not apply"
            else:
                return False
        self.counts[each.name] += 1
        self.replace(op, (equal,) if isinstance(equal, SSAValue) else equal, before, block, each)
        return True

    def replace(
        self, op: Operation, values: Sequence[SSAValue], before: Operation | None, block: Block, law: Law
    ) -> None:
        """Put `values` in the place of an op's results; look again at what is new, what uses it, what it used."""
        depth = self.depth.pop(op, 0) + 1
        assert depth < self.LIMIT, f"laws undo one another; the last was {law.name}"
        made = block.first_op if before is None else before.next_op
        while made is not None and made is not op:
            if isinstance(made.location, UnknownLoc):
                made.location = op.location
            self.depth[made] = depth
            self.push(made)
            made = made.next_op
        for old, new in zip(op.results, values, strict=True):
            assert old.type == new.type, f"the law {law.name} changed {old.type} to {new.type}"
            for use in tuple(old.uses):
                self.push(use.operation)
            old.replace_all_uses_with(new)
        self.erase(op)

    def erase(self, op: Operation) -> None:
        """Erase an op without uses, and what nothing uses any more."""
        dead = [op]
        while dead:
            op = dead.pop()
            if op.parent is None:
                continue
            operands = tuple(op.operands)
            self.waiting.discard(op)
            op.detach()
            op.erase()
            for operand in operands:
                owner = operand.owner
                if isinstance(owner, Operation) and owner.parent is not None:
                    if is_trivially_dead(owner):
                        dead.append(owner)
                    else:
                        self.push(owner)


def apply_laws(root: Operation, laws: Iterable[Law], *, fast_math: bool = False) -> bool:
    """Apply laws inside `root` until none matches; returns whether anything changed.

    Laws that need fast-math are left out unless `fast_math`.
    """
    driver = LawDriver(laws, fast_math)
    changed = driver.run(root)
    LOG.debug("laws applied: %s", ", ".join(f"{name} {count}" for name, count in driver.counts.most_common()))
    return changed
