"""Random small `ml` programs: a hypothesis strategy, and the same generator with a seed.

A program grows from its parameters by steps, each a row of STEPS applied to a value made before. The steps keep
numbers moderate, so that an error of rounding stays one and results can be compared across levels.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st
from xdsl.builder import ImplicitBuilder
from xdsl.dialects.builtin import FunctionType, ModuleOp, f32, f64, i1, i32, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor

T = TypeVar("T")
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (3, 4), (4, 3), (1, 4), (2, 3, 4), (2, 1, 4), (1, 2, 3, 3))
ELEMENTS: tuple[Attribute, ...] = (f32, f32, f32, f64, i32, i64, i1)
FLOATS, INTEGERS = (f32, f64), (i32, i64)
LIMIT = 500
"""No value has more elements than this."""


class Choose(Protocol):
    """Picks one of several; hypothesis shrinks towards the first."""

    def __call__(self, options: Sequence[T], /) -> T: ...


Step = Callable[[SSAValue, list[SSAValue], Choose], SSAValue]
"""f(a value, all values so far, choose) -> a value made of them, at the insertion point."""


def apply(*functions: Callable[[SSAValue], SSAValue]) -> Step:
    """One of several functions of one value."""
    return lambda x, pool, choose: choose(functions)(x)


def combine(*functions: Callable[[SSAValue, SSAValue], SSAValue]) -> Step:
    """One of several functions of two values that broadcast."""
    return lambda x, pool, choose: choose(functions)(x, partner(x, pool, choose))


def partner(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    """A value of the same element type that broadcasts with x: one made before, or a constant."""
    fitting = [y for y in pool if element_of(y) == element_of(x) and broadcasts(shape_of(x), shape_of(y))]
    return choose([*fitting, F.scalar(x, 1)])


def broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    try:
        return bool(np.prod(np.broadcast_shapes(tuple(a), tuple(b))) <= LIMIT)
    except ValueError:
        return False


def axis_of(x: SSAValue, choose: Choose) -> int:
    return choose(range(rank_of(x)))


def quotient(x: SSAValue, y: SSAValue) -> SSAValue:
    return F.div(x, F.add(F.abs_(y), F.scalar(y, 1)))


def integer_quotient(x: SSAValue, y: SSAValue) -> SSAValue:
    """Never a division by zero, and no overflow: the divisor is 1 to 8."""
    return F.floor_div(x, F.add(F.and_(y, F.scalar(y, 7)), F.scalar(y, 1)))


def compare(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    return F.compare(x, partner(x, pool, choose), choose(("lt", "le", "gt", "ge", "eq", "ne")))


def select(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    y = partner(x, pool, choose)
    shape = np.broadcast_shapes(shape_of(x), shape_of(y))
    conditions = [c for c in pool if element_of(c) == i1 and broadcasts(shape_of(c), shape)]
    return F.select(choose([*conditions, F.constant(True)]), x, y)


def reduce(*functions: Callable[..., SSAValue]) -> Step:
    def step(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
        axes = choose([None, *[(axis,) for axis in range(rank_of(x))]])
        return choose(functions)(x, axes, keep_dims=choose((False, True)))

    return step


def along_axis(*functions: Callable[..., SSAValue]) -> Step:
    return lambda x, pool, choose: choose(functions)(x, axis_of(x, choose))


def transpose(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    order = list(range(rank_of(x)))
    shift = choose(range(1, len(order) + 1))
    return F.transpose(x, order[shift:] + order[:shift])


def reshape(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    shape = shape_of(x)
    size = int(np.prod(shape))
    return F.reshape(x, choose([(size,), (1, *shape), (*shape, 1), tuple(reversed(shape))]))


def slice_(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    starts, sizes, strides = [], [], []
    for size in shape_of(x):
        start, stride = choose([(0, 1), (size - 1, -1), (size // 2, 1), (0, 2), (size - 1, -2)])
        starts.append(start)
        strides.append(stride)
        sizes.append(len(range(start, size if stride > 0 else -1, stride)))
    return F.slice_(x, starts, sizes, strides)


def pad(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    low, high = ([choose((0, 1, 2)) for _ in shape_of(x)] for _ in range(2))
    if choose((False, True)):
        return F.pad(x, low, high, "edge")
    return F.pad(x, low, high, value=F.scalar(x, 2))


def broadcast(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    return F.broadcast(x, (choose((1, 2)), *[choose((2, 3)) if size == 1 else size for size in shape_of(x)]))


def concat(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    axis = axis_of(x, choose)

    def others(y: SSAValue) -> list[int]:
        return [size for number, size in enumerate(shape_of(y)) if number != axis]

    fitting = [
        y for y in pool if element_of(y) == element_of(x) and rank_of(y) == rank_of(x) and others(y) == others(x)
    ]
    return F.concat([x, choose(fitting)], axis)


def gather(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    axis = axis_of(x, choose)
    size = shape_of(x)[axis]
    return F.gather(x, F.constant(np.array([size - 1, 0, size // 2], np.int64)), axis)


def matmul(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    """x @ y for a y that fits; x @ x^T if none does."""
    fitting = [
        y for y in pool if element_of(y) == element_of(x) and rank_of(y) == 2 and shape_of(y)[0] == shape_of(x)[-1]
    ]
    rank = rank_of(x)
    turned = F.transpose(x, [*range(rank - 2), rank - 1, rank - 2])
    return F.matmul(x, choose([*fitting, turned]))


def layer_norm(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    size = shape_of(x)[-1]
    return F.layer_norm(x, F.cast(F.constant(np.linspace(0.5, 1.5, size)), element_of(x)))


def branch(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    conditions = [c for c in pool if element_of(c) == i1 and rank_of(c) == 0]
    condition = choose([*conditions, F.constant(True)])
    return F.if_(condition, lambda: [F.neg(x)], lambda: [F.add(x, x)])[0]


def running_sum(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    """A scan over the first dimension; a choice of its final state or of all its outputs."""
    first = F.reshape(F.slice_(x, [0] * rank_of(x), [1, *shape_of(x)[1:]]), shape_of(x)[1:])

    def body(carried: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
        total = F.add(carried[0], slices[0])
        return [total], [F.mul(total, slices[0])]

    final, outputs = F.scan(body, [first], [x], reverse=choose((False, True)))
    return choose([final[0], outputs[0]])


def to_type(x: SSAValue, pool: list[SSAValue], choose: Choose) -> SSAValue:
    """A cast that does not turn an error of rounding into another number."""
    element = element_of(x)
    return F.cast(x, choose((f32, f64) if element in FLOATS else (f32, i32, i64)))


ANY = (*FLOATS, *INTEGERS, i1)
NUMBERS = (*FLOATS, *INTEGERS)

STEPS: dict[str, tuple[tuple[Attribute, ...], int, Step]] = {
    "unary": (FLOATS, 0, apply(F.neg, F.abs_, F.relu, F.tanh, F.sigmoid, F.erf, F.sin, F.cos, F.atan, F.asinh)),
    "activation": (FLOATS, 0, apply(F.gelu, F.silu, F.softplus, F.elu, F.leaky_relu, F.hard_sigmoid, F.hard_swish)),
    "bounded": (FLOATS, 0, apply(*(lambda x, f=f: f(F.tanh(x)) for f in (F.exp, F.expm1, F.sinh, F.cosh, F.tan)))),
    "positive": (
        FLOATS,
        0,
        apply(*(lambda x, f=f: f(F.add(F.abs_(x), F.scalar(x, 1))) for f in (F.log, F.log1p, F.sqrt, F.rsqrt))),
    ),
    "binary": (FLOATS, 0, combine(F.add, F.sub, F.mul, F.max_, F.min_, quotient)),
    "integer": (INTEGERS, 0, combine(F.add, F.sub, F.mul, F.max_, F.min_, F.and_, F.or_, F.xor, integer_quotient)),
    "boolean": ((i1,), 0, combine(F.and_, F.or_, F.xor)),
    "not": ((i1, *INTEGERS), 0, apply(F.not_)),
    "compare": (NUMBERS, 0, compare),
    "select": (ANY, 0, select),
    "cast": (ANY, 0, to_type),
    "reduce": (NUMBERS, 0, reduce(F.reduce_sum, F.reduce_max, F.reduce_min)),
    "mean": (FLOATS, 0, reduce(F.reduce_mean)),
    "any": ((i1,), 0, reduce(F.reduce_any, F.reduce_all)),
    "arg": (NUMBERS, 1, along_axis(F.argmax, F.argmin)),
    "cumulative": (NUMBERS, 1, along_axis(F.cumulative_sum)),
    "transpose": (ANY, 1, transpose),
    "reshape": (ANY, 0, reshape),
    "slice": (ANY, 1, slice_),
    "pad": (NUMBERS, 1, pad),
    "reverse": (ANY, 1, lambda x, pool, choose: F.reverse(x, [axis_of(x, choose)])),
    "broadcast": (ANY, 0, broadcast),
    "concat": (ANY, 1, concat),
    "gather": (ANY, 1, gather),
    "matmul": (FLOATS, 2, matmul),
    "softmax": (FLOATS, 1, along_axis(F.softmax, F.log_softmax)),
    "layer_norm": (FLOATS, 1, layer_norm),
    "if": (FLOATS, 0, branch),
    "scan": (FLOATS, 1, running_sum),
}
"""Name -> (element types it takes, least rank, what it builds)."""


def build(choose: Choose, steps: Sequence[str] = tuple(STEPS), most: int = 6) -> ModuleOp:
    """A module whose @main has 1 to 3 parameters, at most `most` steps, and 1 or 2 results."""
    inputs = [tensor(choose(SHAPES), choose(ELEMENTS)) for _ in range(choose((1, 2, 3)))]
    block = Block(arg_types=inputs)
    pool: list[SSAValue] = list(block.args)
    with ImplicitBuilder(block):
        for _ in range(choose(range(1, most + 1))):
            x = choose(pool[::-1])
            fitting = [name for name in steps if element_of(x) in STEPS[name][0] and rank_of(x) >= STEPS[name][1]]
            if not fitting:
                continue
            made = STEPS[choose(fitting)][2](x, pool, choose)
            if np.prod(shape_of(made)) <= LIMIT and rank_of(made) <= 5:
                pool.append(made)
        results = [pool[-1], *([choose(pool)] if choose((False, True)) else [])]
        ReturnOp(*results)
    types = FunctionType.from_lists(inputs, [result.type for result in results])
    return ModuleOp([FuncOp("main", types, Region(block))])


def random_program(seed: int, steps: Sequence[str] = tuple(STEPS), most: int = 6) -> ModuleOp:
    """The program that a seed stands for."""
    source = random.Random(seed)
    return build(lambda options: options[source.randrange(len(options))], steps, most)


@st.composite
def programs(draw: st.DrawFn, steps: Sequence[str] = tuple(STEPS), most: int = 6) -> ModuleOp:
    """Random `ml` programs; a failing one shrinks towards few parameters and steps."""

    def choose(options: Any) -> Any:
        return options[draw(st.integers(0, len(options) - 1))]

    return build(choose, steps, most)
