"""Functions of one thing made to work on many at once: `xmlc.vmap`.

    distances = xmlc.vmap(distance, in_axes=(0, None))(points, origin)

The function is written, and traced, for one; the pass `batch` then makes its ops compute for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, SSAValue

from xmlc.derivatives import either_way
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor
from xmlc.frontend.python.array import Array, value_of
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active
from xmlc.frontend.python.tree import Tree, flatten
from xmlc.passes.batch.batching import Batched, Batching, moved

Axis = int | None


def vmap(function: Callable[..., Any], in_axes: Axis | Sequence[Axis] = 0, out_axes: int = 0) -> Callable[..., Any]:
    """A function that gives for a batch of arguments what another gives for each.

    `in_axes` tells along which dimension of the arrays of an argument the batch lies, one number for all or one for
    each argument; None marks one that is the same for all. In the results it lies along `out_axes`.
    """

    def mapped(*args: Any) -> Any:
        axes = [in_axes] * len(args) if in_axes is None or isinstance(in_axes, int) else list(in_axes)
        if len(axes) != len(args):
            raise CompileError(f"in_axes has {len(axes)} entries for {len(args)} arguments", place=user_place())
        trees = [flatten(each) for each in args]
        fronts = [[in_front(value_of(leaf), axis) for leaf in leaves] for (leaves, _), axis in zip(trees, axes)]
        size = size_of([each for front in fronts for each in front])
        results, structure = traced(function, fronts, [each for _, each in trees], size)
        return structure.build([Array(moved(x, 0, placed(out_axes, rank_of(x))), active()) for x in results])

    return either_way(mapped, function)


def placed(axis: int, rank: int) -> int:
    """A dimension counted from the start. CompileError if there is none."""
    if not -rank <= axis < rank:
        raise CompileError(f"there is no dimension {axis} among {rank} for the batch to lie along", place=user_place())
    return axis % rank


def in_front(value: SSAValue, axis: Axis) -> Batched:
    """The value with its batch as dimension 0, or without one."""
    if axis is None:
        return Batched(value, False)
    return Batched(moved(value, placed(axis, rank_of(value)), 0), True)


def size_of(found: Sequence[Batched]) -> int:
    """The size of the batch, on which all arrays that have one must agree."""
    sizes = {shape_of(value)[0] for value, is_batched in found if is_batched}
    if len(sizes) != 1:
        what = f"the arguments have batches of sizes {sorted(sizes)}" if sizes else "no argument has a batch"
        raise CompileError(what, place=user_place(), hint="in_axes tells which dimension of each argument is the batch")
    return sizes.pop()


def traced(
    function: Callable[..., Any], arguments: Sequence[Sequence[Batched]], structures: Sequence[Tree], size: int
) -> tuple[list[SSAValue], Tree]:
    """The batches of what the function returns, and how that is arranged."""
    trace = active()
    leaves = [each for argument in arguments for each in argument]
    one = Block(arg_types=[type_of_one(*each) for each in leaves])
    inside = iter(one.args)
    built = [
        structure.build([Array(next(inside), trace) for _ in argument])
        for argument, structure in zip(arguments, structures)
    ]
    with trace.inside(one):
        found, structure = flatten(function(*built))
        ReturnOp(*map(value_of, found))
    every, batching = Block(), Batching(size)
    results = batching.rebuilt(one, leaves, every)
    ops = list(every.ops)
    for op in ops:
        op.detach()
    trace.insert(ops)
    full = [x if is_batched else F.broadcast(x, (size, *shape_of(x))) for x, is_batched in results]
    return full, structure


def type_of_one(value: SSAValue, is_batched: bool) -> Any:
    return tensor(shape_of(value)[1:], element_of(value)) if is_batched else value.type
