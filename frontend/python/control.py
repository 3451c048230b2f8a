"""Control flow that depends on values: the parts are Python functions, each traced once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute, Block, Region, SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import control as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_text
from xmlc.frontend.python.array import Array, ArrayLike, as_array, value_of
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import Trace, active
from xmlc.frontend.python.tree import Tree, flatten


def values_of(tree: Any) -> tuple[list[SSAValue], Tree]:
    """The values of a tree of arrays, and its structure."""
    leaves, structure = flatten(tree)
    return [value_of(each) for each in leaves], structure


def arrays_of(values: Sequence[SSAValue], structure: Tree, trace: Trace) -> Any:
    return structure.build([Array(each, trace) for each in values])


def traced_region(types: Sequence[Attribute], body: Callable[[Sequence[SSAValue]], Sequence[SSAValue]]) -> Region:
    """A region whose arguments have `types`, and which yields the values that `body` makes of them."""
    block = Block(arg_types=types)
    with active().inside(block) as arguments:
        ml.YieldOp(*body(arguments))
    return Region(block)


def expect_same(found: Tree, wanted: Tree, what: str) -> None:
    if found != wanted:
        raise CompileError(f"{what} must be arranged alike, found different structures", place=user_place())


def expect_types(found: Sequence[SSAValue], wanted: Sequence[Attribute], what: str) -> list[SSAValue]:
    """Values that go round in a loop keep their type, or the loop would be another one each time."""
    for i, (value, type) in enumerate(zip(found, wanted)):
        if value.type != type:
            raise CompileError(
                f"{what} must keep its types: value {i} is {type}, and becomes {value.type}",
                place=user_place(),
                hint="convert it with astype, or start with the type it becomes",
            )
    return list(found)


def truth(x: ArrayLike) -> SSAValue:
    """A condition: an array without dimensions, as a truth value."""
    array = as_array(x)
    if array.ndim:
        raise CompileError(
            f"a condition is one value, found shape {shape_text(array.shape)}",
            place=user_place(),
            hint="use xmlc.numpy.where to choose by element",
        )
    return F.cast(array.value, i1)


def cond(condition: ArrayLike, then: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any) -> Any:
    """then(*operands) where the condition is true, else otherwise(*operands); both give trees of the same types."""
    trace, test = active(), truth(condition)
    structures: list[Tree] = []

    def branch(function: Callable[..., Any]) -> Region:
        def body(_: Sequence[SSAValue]) -> list[SSAValue]:
            values, structure = values_of(function(*operands))
            structures.append(structure)
            return values

        return traced_region((), body)

    regions = branch(then), branch(otherwise)
    expect_same(structures[1], structures[0], "the results of both branches")
    return arrays_of(ml.IfOp(test, *regions).results, structures[0], trace)


def while_loop(
    condition: Callable[[Any], ArrayLike], body: Callable[[Any], Any], start: Any, *, most: int | None = None
) -> Any:
    """`start`, replaced by body(it) as long as condition(it) is true; its structure and types stay the same.

    With `most` it ends after so many steps at the latest, and can be differentiated.
    """
    if most is not None:
        return bounded_loop(condition, body, start, most)
    trace = active()
    inits, structure = values_of(start)
    types = [each.type for each in inits]

    def step(values: Sequence[SSAValue]) -> list[SSAValue]:
        made, found = values_of(body(arrays_of(values, structure, trace)))
        expect_same(found, structure, "what a loop carries and what its body gives")
        return expect_types(made, types, "what a loop carries")

    test = traced_region(types, lambda values: [truth(condition(arrays_of(values, structure, trace)))])
    return arrays_of(ml.WhileOp(inits, test, traced_region(types, step)).results, structure, trace)


def bounded_loop(condition: Callable[[Any], ArrayLike], body: Callable[[Any], Any], start: Any, most: int) -> Any:
    """A scan of `most` steps that does nothing any more once the condition is false."""
    trace, structure = active(), flatten(start)[1]
    types = [each.type for each in values_of(start)[0]]

    def stepped(state: Any) -> Any:
        made, found = values_of(body(state))
        expect_same(found, structure, "what a loop carries and what its body gives")
        return arrays_of(expect_types(made, types, "what a loop carries"), structure, trace)

    def step(state: Any, _: None) -> tuple[Any, None]:
        return cond(condition(state), lambda: stepped(state), lambda: state), None

    return scan(step, start, length=most)[0]


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    sequences: Any = None,
    *,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """body(carried, slice) -> (carried, output) along dimension 0 of the sequences, or `length` times.

    Returns the last carried tree and the outputs, stacked. `reverse` begins with the last slice.
    """
    trace = active()
    inits, structure = values_of(start)
    scanned, slices = values_of(sequences)
    types = [each.type for each in inits]
    outputs: list[Tree] = []

    def step(values: Sequence[SSAValue]) -> list[SSAValue]:
        carried = arrays_of(values[: len(inits)], structure, trace)
        pair = body(carried, arrays_of(values[len(inits) :], slices, trace))
        if not isinstance(pair, tuple) or len(pair) != 2:  # pyright: ignore[reportUnnecessaryComparison, reportUnnecessaryIsInstance]
            message = "the body of a scan gives two things: what it carries on, and the output of the step"
            raise CompileError(message, place=user_place(), hint="return (carried, None) where there is no output")
        after, output = pair
        made, found = values_of(after)
        expect_same(found, structure, "what a scan carries and what its body gives")
        given, arrangement = values_of(output)
        outputs.append(arrangement)
        return [*expect_types(made, types, "what a scan carries"), *given]

    region = traced_region([*types, *ml.slice_types([each.type for each in scanned])], step)
    results = ml.ScanOp(inits, scanned, region, length=length, reverse=reverse).results
    last = arrays_of(results[: len(inits)], structure, trace)
    return last, arrays_of(results[len(inits) :], outputs[0], trace)
