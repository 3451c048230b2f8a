"""Programs with free sizes: one compilation gives, for every size, what the reference gives for that size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ml_samples import SAMPLES, Array, Sample, program, random_array
from strategies import random_program
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import VerifyException

from xmlc import dynamic
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.shaping import ConstantOp
from xmlc.dialects.ml.types import DYNAMIC, TensorLike, element_of, rank_of, shape_of, tensor
from xmlc.dialects.reference.interpreter import interpret
from xmlc.dialects.sizes import Assumptions, UnknownSize, assuming, evaluated, is_symbolic, state, symbol
from xmlc.driver import Settings, compile_module, entry_of
from xmlc.dynamic import DynamicModule, Unfit
from xmlc.meaning import difference
from xmlc.passes.infer_sizes import infer_sizes
from xmlc.passes.specialise import specialise
from xmlc.verify import verify

NUMBERS = (1, 2, 5, 17)
"""What free sizes are tried as."""


def freed(types: Sequence[Attribute], size: int) -> list[Attribute]:
    """The types with a free size wherever they have `size`."""
    return [
        tensor([symbol("n") if each == size else each for each in shape_of(type)], element_of(type)) for type in types
    ]


def agree(module: ModuleOp, numbers: Sequence[dict[str, int]]) -> None:
    """Compile once, and compare with the reference interpreter for each choice of sizes."""
    types = list(next(iter(module.body.block.ops)).function_type.inputs)  # pyright: ignore
    compiled = compile_module(module.clone(), settings=Settings())
    assert isinstance(compiled, DynamicModule)
    random = np.random.default_rng(0)
    for given in numbers:
        fixed = module.clone()
        specialise(fixed, given)
        shapes = [tuple(evaluated(size, given.__getitem__) for size in shape_of(type)) for type in types]
        inputs = [drawn(random, tensor(shape, element_of(type))) for shape, type in zip(shapes, types)]
        expected = interpret(fixed, "main", inputs)
        found = compiled(*inputs)
        for position, (x, y) in enumerate(zip(found, expected, strict=True)):
            assert difference("result", y, x) is None, f"result {position} for {given}"


def drawn(random: np.random.Generator, type: TensorLike) -> Array:
    """An array whose integers are 0 or 1: valid as indices and lengths whatever the sizes are."""
    array = random_array(random, type)
    return array % 2 if array.dtype.kind in "iu" else array


def free_samples() -> list[Any]:
    """Every sample in which the first size above 1 can be free."""
    found: list[Any] = []
    for sample in SAMPLES:
        sizes = [size for each in sample.types(sample.elements[0]) for size in shape_of(each) if size > 1]
        if sizes:
            found.append(pytest.param(sample, sizes[0], id=f"{sample}-{sizes[0]}"))
    return found


@pytest.mark.parametrize("sample, size", free_samples())
def test_an_op_agrees_for_every_size(sample: Sample, size: int) -> None:
    element = f32 if f32 in sample.elements else sample.elements[0]
    try:
        module = program(freed(sample.types(element), size), sample.build)
        verify(module)
    except (VerifyException, UnknownSize, CompileError) as error:
        pytest.skip(f"the sample needs this size: {error}")
    try:
        agree(module, [{"n": number} for number in NUMBERS])
    except CompileError as error:
        assert "size" in str(error)  # it says which size it has to know
        pytest.skip(str(error))


def transformer(tokens: SSAValue, table: SSAValue, weight: SSAValue, scale: SSAValue, shift: SSAValue) -> SSAValue:
    """An embedding, attention of two heads over the sequence, a residual and a normalization."""
    x = F.gather(table, tokens, 0)
    batch, length, width = shape_of(x)

    def heads(value: SSAValue) -> SSAValue:
        return F.transpose(F.reshape(value, (batch, length, 2, width // 2)), (0, 2, 1, 3))

    q, k, v = (heads(F.matmul(x, weight)) for _ in range(3))
    scores = F.softmax(F.matmul(q, F.transpose(k, (0, 1, 3, 2))), 3)
    seen = F.reshape(F.transpose(F.matmul(scores, v), (0, 2, 1, 3)), (batch, length, width))
    return F.layer_norm(F.add(x, F.gelu(seen)), scale, shift, axis=2)


def detector(image: SSAValue, first: SSAValue, second: SSAValue) -> SSAValue:
    """Two convolutions with strides, a pooling and a residual at half the resolution."""
    x = F.relu(F.conv(image, first, strides=(2, 2), low=(1, 1), high=(1, 1)))
    y = F.conv(x, second, low=(1, 1), high=(1, 1))
    return F.max_pool(F.sigmoid(F.add(x, y)), (2, 2), strides=(2, 2))


def free(text: str, element: Attribute = f32) -> Attribute:
    """`batch 3 height width`: numbers and free sizes."""
    return tensor([int(size) if size.isdecimal() else symbol(size) for size in text.split()], element)


def test_one_compilation_serves_every_batch_and_length_of_a_transformer() -> None:
    types = [free("batch length", i64), *map(free, ("10 32", "32 32", "32", "32"))]
    lengths = (1, 2, 7, 16, 33)
    agree(program(types, transformer), [{"batch": b, "length": n} for b in (1, 3) for n in lengths])


def test_one_compilation_serves_every_height_and_width_of_a_detector() -> None:
    types = [free("batch 3 height width"), *map(free, ("8 3 3 3", "8 8 3 3"))]
    sizes = [(1, 4, 4), (2, 5, 7), (1, 64, 31), (1, 37, 70)]
    with assuming(Assumptions(example=lambda _: 64)) as assumptions:
        module = program(types, detector)
    state(assumptions, module)
    agree(module, [{"batch": b, "height": h, "width": w} for b, h, w in sizes])


@pytest.mark.parametrize(("filters", "groups"), [("5 3 3 3", 1), ("3 1 3 3", 3), ("6 1 5 4", 3), ("4 3 1 1", 1)])
def test_every_other_column_is_convolved_for_every_width(filters: str, groups: int) -> None:
    """Widths around those of one vector and two: what there is of the last one is under a mask."""

    def strided(image: SSAValue, window: SSAValue) -> SSAValue:
        return F.conv(image, window, strides=(1, 2), low=(2, 1), high=(2, 3), groups=groups)

    with assuming(Assumptions(example=lambda _: 64)) as assumptions:
        module = program([free("1 3 4 width"), free(filters)], strided)
    state(assumptions, module)
    agree(module, [{"width": width} for width in (1, 2, 29, 30, 31, 32, 33, 61, 62, 63, 64, 65, 97, 130)])


def doubled() -> DynamicModule:
    types = [free("n 3"), free("n 3")]
    compiled = compile_module(program(types, F.add))
    assert isinstance(compiled, DynamicModule)
    return compiled


def test_a_lock_that_nobody_gives_back_stops_no_call() -> None:
    """So it is in a child that was forked while another thread held it."""
    compiled = doubled()
    assert compiled.lock.acquire(timeout=1)
    (total,) = compiled(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
    assert total.tolist() == [[2] * 3] * 2


def test_of_many_sizes_those_not_used_for_longest_are_let_go() -> None:
    compiled = doubled()

    def call(size: int) -> None:
        compiled(np.ones((size, 3), np.float32), np.ones((size, 3), np.float32))

    for size in range(1, dynamic.KEPT + 1):
        call(size)
    call(1)
    call(dynamic.KEPT + 1)
    assert len(compiled.layouts) == dynamic.KEPT
    assert (1,) in compiled.layouts and (2,) not in compiled.layouts


def test_a_free_size_is_the_same_everywhere() -> None:
    with pytest.raises(CompileError, match="'input1' has size 4 in dimension 0, where 'n' is already 2"):
        doubled()(np.zeros((2, 3), np.float32), np.zeros((4, 3), np.float32))


def test_an_input_of_another_rank_is_refused() -> None:
    with pytest.raises(CompileError, match="input 'input0' has 1 dimensions, expected 2"):
        doubled()(np.zeros(3, np.float32), np.zeros(3, np.float32))


def test_an_empty_input_is_no_size_it_was_made_for() -> None:
    with pytest.raises(Unfit, match="not compiled for n = 0"):
        doubled()(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))


def test_what_is_assumed_of_sizes_is_checked() -> None:
    with assuming(Assumptions(example=lambda _: 8)) as assumptions:
        module = program([free("1 1 n"), free("1 1 5")], F.conv)
    state(assumptions, module)
    compiled = compile_module(module)
    window = np.ones((1, 1, 5), np.float32)
    (result,) = compiled(np.ones((1, 1, 6), np.float32), window)
    assert result.tolist() == [[[5, 5]]]
    with pytest.raises(Unfit, match="not compiled for n = 3"):
        compiled(np.ones((1, 1, 3), np.float32), window)


def test_rows_of_any_number_times_weights_in_panels() -> None:
    """Panels as wide as a tile, on this machine or on another, and narrower ones."""
    for width in (8, 16, 32):
        types = [tensor((symbol("n"), 40), f32), tensor((3, 40, width, 1), f32)]
        agree(program(types, lambda x, panels: [F.packed_matmul(x, panels)]), [{"n": n} for n in (1, 3, 12, 29)])


OF_ANY_SIZE = (
    *("unary", "activation", "bounded", "positive", "binary", "integer", "boolean", "not", "compare", "select"),
    *("cast", "reduce", "mean", "any", "arg", "cumulative", "transpose", "pad", "reverse", "concat", "matmul"),
    "softmax",
)
"""Steps of random programs in which no property and no constant speaks of a size."""


def with_free_size(program: ModuleOp) -> bool:
    """Let every 4 in the inputs be the free size n, and the rest follow; whether that can be."""
    main = entry_of(program)
    types = freed(main.function_type.inputs.data, 4)
    for op in main.body.block.ops:
        for result in () if isinstance(op, ConstantOp) else op.results:
            open_type = TensorType(element_of(result), [DYNAMIC] * rank_of(result))
            Rewriter.replace_value_with_new_type(result, open_type)
    open_types = [TensorType(element_of(each), [DYNAMIC] * rank_of(each)) for each in main.function_type.outputs.data]
    main.properties["function_type"] = FunctionType.from_lists(main.function_type.inputs.data, open_types)
    try:
        infer_sizes(program, main, [shape_of(each) for each in types])
    except (CompileError, UnknownSize):
        return False  # 4 meets a number in it, or a size follows from no operand
    return any(is_symbolic(shape_of(each)) for each in types)


@pytest.mark.parametrize("seed", range(24))
def test_a_random_program_agrees_for_every_size(seed: int) -> None:
    """Sampled; more seeds are a larger range."""
    candidates = (random_program(1000 * seed + attempt, OF_ANY_SIZE, 5) for attempt in range(100))
    program = next(each for each in candidates if with_free_size(each))
    try:
        agree(program, [{"n": number} for number in NUMBERS])
    except CompileError as error:
        assert "the pass 'lower-ml' has to know a size" in str(error)  # what an edge is padded with comes from a table
        pytest.skip(str(error))
