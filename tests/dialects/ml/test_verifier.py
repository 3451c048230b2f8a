"""Each message of the verifiers of `ml`, and of the inference that constructors and verifiers share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ml_samples import operand_type, program
from xdsl.builder import ImplicitBuilder
from xdsl.dialects.builtin import IntegerType, f32, i1, i32, i64
from xdsl.ir import Block, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.ml import composite, contraction, control, elementwise, random, reduction, shaping
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.attributes import integer, integers
from xmlc.dialects.ml.types import tensor

Build = Callable[..., Any]


def region(*values: SSAValue, arguments: tuple[Any, ...] = ()) -> Region:
    block = Block(arg_types=arguments)
    with ImplicitBuilder(block):
        control.YieldOp(*values)
    return Region(block)


def region_without_yield() -> Region:
    block = Block()
    with ImplicitBuilder(block):
        F.constant(0.0)
    return Region(block)


def scan_with(x: SSAValue, given: tuple[SSAValue, ...], arguments: tuple[Any, ...], *result_types: Any) -> Any:
    return control.ScanOp.build(
        operands=([x], [x]),
        result_types=(result_types,),
        properties={"length": None, "reverse": None},
        regions=(region(*given, arguments=arguments),),
    ).results


ELEMENTWISE: list[tuple[str, Build, str]] = [
    ("f32:2x3 f32:2", F.add, "cannot broadcast shapes 2x3 and 2: sizes 2 and 3 differ in dimension -1"),
    ("f32:2 f64:2", F.add, "element types must be equal, found f32 and f64"),
    ("i1:2", F.neg, "element type i1 is not accepted, expected one of f64, f32, f16, bf16, i64"),
    ("i32:2", F.exp, "element type i32 is not accepted, expected one of f64, f32, f16, bf16"),
    ("f32:2 f32:2", F.and_, "element type f32 is not accepted, expected one of i64"),
    ("i32: f32: f32:", F.select, "element type i32 is not accepted, expected one of i1"),
    (
        "f32:2",
        lambda x: elementwise.NegOp.create(operands=[x], result_types=[tensor((3,), f32)]).results,
        "result type is tensor<3xf32>, expected tensor<2xf32>",
    ),
    (
        "f32:2",
        lambda x: elementwise.CastOp.create(operands=[x], result_types=[tensor((3,), i32)]).results,
        "result type is tensor<3xi32>, expected tensor<2xi32>",
    ),
    (
        "f32:2",
        lambda x: elementwise.CastOp.create(operands=[x], result_types=[tensor((2,), IntegerType(7))]).results,
        "i7 is not an element type, expected one of f64, f32",
    ),
]

SHAPING: list[tuple[str, Build, str]] = [
    (
        "",
        lambda: (
            shaping.ConstantOp.create(
                properties={"value": shaping.dense(np.zeros(2, np.float32))}, result_types=[tensor((3,), f32)]
            ).results
        ),
        "result type is tensor<3xf32>, expected that of the value, tensor<2xf32>",
    ),
    ("", lambda: F.iota((2,), 0, i1), "element type i1 is not accepted, expected a number"),
    ("", lambda: F.iota((2,), 1, i32), "axis 1 is out of range for rank 1"),
    ("f32:2x3", lambda x: F.broadcast(x, (3, 3)), "cannot broadcast shapes 2x3 and 3x3: sizes 2 and 3 differ"),
    ("f32:2x3", lambda x: F.broadcast(x, (1, 3)), "cannot broadcast 2x3 to 1x3"),
    ("f32:2x3", lambda x: F.reshape(x, (4, 2)), "cannot reshape 2x3 to 4x2: 6 elements are not 8"),
    (
        "f32:2x3",
        lambda x: F.transpose(x, (0, 0)),
        "permutation [0, 0] is not one of the 2 dimensions of tensor<2x3xf32>",
    ),
    ("", lambda: F.concat([], 0), "concat needs at least one operand"),
    ("f32:2 f32:2x1", lambda *xs: F.concat(xs, 0), "every operand of a concat must have rank 1, found tensor<2x1xf32>"),
    (
        "f32:2x3 f32:2x4",
        lambda *xs: F.concat(xs, 0),
        "sizes in dimension 1 of a concat along 0 must be equal, found 3 and 4",
    ),
    ("f32:2", lambda x: F.slice_(x, (0, 0), (1, 1)), "a slice of tensor<2xf32> needs 1 starts, sizes and strides"),
    ("f32:2", lambda x: F.slice_(x, (0,), (1,), (0,)), "size 1 with stride 0 in dimension 0 is not a slice"),
    ("f32:5", lambda x: F.slice_(x, (1,), (3,), (2,)), "slice from 1 to 5 is out of bounds for size 5 of dimension 0"),
    ("f32:2", lambda x: F.pad(x, (0, 0), (0, 0), "edge"), "padding of tensor<2xf32> needs 1 low and high widths"),
    ("f32:2", lambda x: F.pad(x, (-1,), (0,), "edge"), "padding must not be negative, found -1 and 0 in dimension 0"),
    ("f32:0", lambda x: F.pad(x, (1,), (0,), "edge"), "cannot repeat the edge of dimension 0, which is empty"),
    (
        "f32:2",
        lambda x: F.pad(x, (2,), (0,), "reflect"),
        "reflect padding of 2 in dimension 0 needs a size above it, found 2",
    ),
    ("f32:2", lambda x: F.pad(x, (1,), (0,)), "a padding value goes with mode constant, found none with constant"),
    ("f32:2 f32:", lambda x, v: F.pad(x, (1,), (0,), "edge", v), "mode constant, found one with edge"),
    (
        "f32:2 f32:1",
        lambda x, v: F.pad(x, (1,), (0,), value=v),
        "the padding value must have rank 0, found tensor<1xf32>",
    ),
    ("f32:2x3", lambda x: F.reverse(x, (1, -1)), "axes [1, -1] name a dimension twice"),
    ("f32:2", lambda x: F.tile(x, (1, 2)), "tiling tensor<2xf32> needs 1 counts of at least 0, found [1, 2]"),
    ("f32:2 f32:1", lambda x, i: F.gather(x, i, 0), "element type f32 is not accepted, expected one of i64"),
    ("f32:2 i64:1", lambda x, i: F.gather(x, i, 1), "axis 1 is out of range for rank 1"),
    (
        "f32:2x3 i64:1",
        lambda x, i: F.gather_elements(x, i, 0),
        "the indices of gather_elements must have rank 2, found tensor<1xi64>",
    ),
    (
        "f32:2x3 i64:1x4",
        lambda x, i: F.gather_elements(x, i, 0),
        "indices have size 4 in dimension 1, expected at most 3",
    ),
    ("f32:2 i64:", F.gather_nd, "the indices of gather_nd must have rank 1 or more"),
    ("f32:2x3 i64:4x3", F.gather_nd, "indices 4x3 with 0 batch dimensions do not fit 2x3"),
    ("f32:2x3 i64:3x1", lambda x, i: F.gather_nd(x, i, 1), "sizes of batch dimension 0 must be equal, found 2 and 3"),
    (
        "i1:2 i64:1 i1:1",
        lambda x, i, u: F.scatter_elements(x, i, u, 0, "add"),
        "element type i1 is not accepted by a scatter that combines with add",
    ),
    ("f32:4x3 i64:2x1 f32:2", F.scatter_nd, "the updates must have rank 2, found tensor<2xf32>"),
    (
        "f32:4x3 i64:2x1 f32:2x4",
        F.scatter_nd,
        "sizes in dimension 1 of the updates and of what they replace must be equal, found 4 and 3",
    ),
    ("i64:2 f32: f32:", lambda *xs: F.one_hot(*xs, -1), "depth must not be negative, found -1"),
    ("i64:2 f32:1 f32:", lambda *xs: F.one_hot(*xs, 3), "the value of a one_hot must have rank 0, found tensor<1xf32>"),
]

CONTRACTION: list[tuple[str, Build, str]] = [
    ("f32:3 f32:3x2", F.matmul, "cannot multiply tensor<3xf32> by tensor<3x2xf32>: both must have rank 2 or more"),
    (
        "f32:2x3 f32:4x5",
        F.matmul,
        "cannot multiply tensor<2x3xf32> by tensor<4x5xf32>: the inner sizes, 3 and 4, must be equal",
    ),
    ("f32:2x3 f32:3x5 f32:3x1x5", F.matmul, "bias 3x1x5 does not broadcast to 2x5"),
    ("f32:2", lambda x: F.einsum([x], "i"), "equation 'i' must name indices by letters, as in 'ij,jk->ik'"),
    ("f32:2", lambda x: F.einsum([x], "i->ii"), "the result of equation 'i->ii' must name each of its indices once"),
    ("f32:2", lambda x: F.einsum([x], "i,i->"), "equation 'i,i->' has 2 operands, found 1"),
    ("f32:2", lambda x: F.einsum([x], "ij->i"), "indices 'ij' of equation 'ij->i' do not fit tensor<2xf32>"),
    ("f32:2x3", lambda x: F.einsum([x], "ii->i"), "sizes of index i must be equal, found 2 and 3"),
    ("f32:1x2 f32:3x2", F.conv, "expected a batch, a channel and 1 to 3 spatial dimensions, found tensor<1x2xf32>"),
    (
        "f32:1x2x3 f32:3x2x1",
        lambda *xs: F.conv(*xs, strides=(1, 1)),
        "expected one value for each of the 1 spatial dimensions of tensor<1x2x3xf32>",
    ),
    ("f32:1x2x3 f32:3x2x1", lambda *xs: F.conv(*xs, strides=(0,)), "strides must be at least 1, found [0]"),
    ("f32:1x2x3 f32:3x2", F.conv, "weight must have rank 3 like the input, found tensor<3x2xf32>"),
    ("f32:1x2x3 f32:3x1x1", lambda *xs: F.conv(*xs, groups=2), "3 output channels cannot be divided into 2 groups"),
    (
        "f32:1x2x3 f32:3x4x1",
        F.conv,
        "input has 2 channels, expected 4 for weight tensor<3x4x1xf32> in 1 groups",
    ),
    (
        "f32:1x2x3 f32:3x2x1 f32:2",
        F.conv,
        "bias must have one value for each of 3 output channels, found tensor<2xf32>",
    ),
    ("f32:1x2x3 f32:2x2", F.conv_transpose, "weight must have rank 3 like the input, found tensor<2x2xf32>"),
    (
        "f32:1x2x3 f32:3x2x1",
        F.conv_transpose,
        "weight tensor<3x2x1xf32> in 1 groups does not fit 2 input channels",
    ),
    (
        "f32:3x4 f32:2x4x8",
        F.packed_matmul,
        "expected a matrix and panels of rank 4, found tensor<3x4xf32> and tensor<2x4x8xf32>",
    ),
    ("f32:3x4 f32:2x5x8x1", F.packed_matmul, "the reduction has 4 steps, expected 5 groups of 1"),
    ("f32:3x4 f32:2x?x8x1", F.packed_matmul, "panels must be of known sizes, found tensor<2x?x8x1xf32>"),
    ("f32:3x4 f32:2x4x8x1 f32:2x3x16", F.packed_matmul, "bias 2x3x16 does not broadcast to 3x16"),
    (
        "f32:1x2x3x4 f32:4x4x3x2",
        F.winograd_conv,
        "expected an image and transformed filters of rank 5, found tensor<1x2x3x4xf32> and tensor<4x4x3x2xf32>",
    ),
    ("f32:1x2x3x4 f32:5x5x1x2x3", F.winograd_conv, "no tiles of 5x5 are known, expected one of 4x4, 6x6"),
    (
        "f32:1x2x3x4 f32:4x4x1x5x3",
        F.winograd_conv,
        "input has 2 channels, expected 5 for filters tensor<4x4x1x5x3xf32>",
    ),
    (
        "f32:1x2x3x4 f32:4x4x1x2x3 f32:2",
        F.winograd_conv,
        "bias must have one value for each of 3 output channels, found tensor<2xf32>",
    ),
    (
        "f32:3x4 f32:1x3x2x4",
        F.channels_last_conv,
        "expected a batch, 1 to 3 spatial dimensions and a channel, found tensor<3x4xf32>",
    ),
    (
        "f32:1x3x4x2 f32:1x3x2x4",
        F.channels_last_conv,
        "expected panels of filters, of rank 5, found tensor<1x3x2x4xf32>",
    ),
    (
        "f32:1x3x4x2 f32:3x2",
        F.channels_last_depthwise_conv,
        "expected a filter for each channel, of rank 3, found tensor<3x2xf32>",
    ),
    ("f32:1x2x3", lambda x: F.max_pool(x, (0,)), "window must be at least 1, found [0]"),
    ("i32:1x2x3", lambda x: F.avg_pool(x, (1,)), "element type i32 is not accepted, expected one of f64"),
    (
        "f32:2x3",
        lambda x: F.resize(x, (2, 3), scales=(1.0,)),
        "expected one scale and one size for each dimension of tensor<2x3xf32>",
    ),
    ("f32:2", lambda x: F.resize(x, (2,), scales=(-1.0,)), "scales must be positive, found [-1.0]"),
    ("f32:0", lambda x: F.resize(x, (2,)), "cannot resize tensor<0xf32>, which is empty, to tensor<2xf32>"),
    ("i32:2", lambda x: F.resize(x, (4,), "linear"), "element type i32 is not accepted, expected one of f64"),
    (
        "f32:2x3 f32:3x4",
        lambda *xs: contraction.MatmulOp.create(operands=xs, result_types=[tensor((2, 5), f32)]).results,
        "result type is tensor<2x5xf32>, expected tensor<2x4xf32>",
    ),
]

REDUCTION: list[tuple[str, Build, str]] = [
    ("f32:2x3", lambda x: F.reduce_sum(x, (2,)), "axis 2 is out of range for rank 2"),
    ("f32:2x3", lambda x: F.reduce_max(x, (0, 0)), "axes [0, 0] name a dimension twice"),
    ("f32:2", F.reduce_any, "element type f32 is not accepted, expected one of i1"),
    ("f32:2x0", lambda x: F.argmax(x, 1), "dimension 1 of tensor<2x0xf32> is empty and has no extreme element"),
    ("f32:2", lambda x: F.topk(x, 3), "cannot take 3 of the 2 elements of dimension 0"),
    ("i1:2", F.sort, "element type i1 is not accepted, expected one of f64"),
    (
        "f32:2x3",
        lambda x: (
            reduction.ReduceSumOp.create(
                operands=[x], properties={"axes": integers((0,))}, result_types=[tensor((2,), f32)]
            ).results
        ),
        "result type is tensor<2xf32>, expected tensor<3xf32>",
    ),
]

COMPOSITE: list[tuple[str, Build, str]] = [
    ("i32:2", F.softmax, "element type i32 is not accepted, expected one of f64, f32, f16, bf16"),
    ("f32:2x3", lambda x: F.softmax(x, 2), "axis 2 is out of range for rank 2"),
    ("f32:2x3 f32:2x3", F.layer_norm, "scale 2x3 does not broadcast to 3"),
    ("f32:2x3 f32:3 f32:2x3", F.layer_norm, "bias 2x3 does not broadcast to 3"),
    ("f32:2x3 f32:3", lambda *xs: F.rms_norm(*xs, epsilon=-1.0), "epsilon must not be negative, found -1.0"),
    ("f32:2 f32:2 f32:2", F.instance_norm, "expected a batch, a channel and other dimensions, found tensor<2xf32>"),
    ("f32:2x3 f32:3x1 f32:3", F.instance_norm, "the scale must have rank 1, found tensor<3x1xf32>"),
    (
        "f32:2x3 f32:3 f32:3 f32:2 f32:3",
        F.batch_norm,
        "the size of the mean and the number of channels must be equal, found 2 and 3",
    ),
    ("f32:2x3x4 f32:3 f32:3", lambda *xs: F.group_norm(*xs, 2), "3 channels cannot be divided into 2 groups"),
    ("f32:1x2x3 f32:1x2x3x4 f32:1x2x3x4", F.attention, "the query must have rank 4, found tensor<1x2x3xf32>"),
    ("f32:1x2x3x4 f32:2x2x3x4 f32:1x2x3x4", F.attention, "batch sizes must be equal, found 1 and 2"),
    ("f32:1x2x3x4 f32:1x2x3x5 f32:1x2x3x4", F.attention, "the depths of query and key must be equal, found 4 and 5"),
    ("f32:1x2x3x4 f32:1x2x3x4 f32:1x2x5x4", F.attention, "the lengths of key and value must be equal, found 3 and 5"),
    (
        "f32:1x2x3x4 f32:1x2x3x4 f32:1x1x3x4",
        F.attention,
        "the numbers of heads of key and value must be equal, found 2 and 1",
    ),
    (
        "f32:1x3x3x4 f32:1x2x3x4 f32:1x2x3x4",
        F.attention,
        "3 heads of the query are not a multiple of 2 heads of the key",
    ),
    ("f32:1x2x3x4 f32:1x2x3x4 f32:1x2x3x4 f32:1x1x1x3x3", F.attention, "mask 1x1x1x3x3 does not broadcast to 1x2x3x3"),
    ("f32:1x2x3x4 f32:1x2x3x4 f32:1x2x3x4 i32:3", F.attention, "element type i32 is not accepted, expected one of f32"),
    (
        "f32:1x2x3x4 f32:1x2x3x4 f32:1x2x3x4",
        lambda *xs: F.attention(*xs, offset=1),
        "an offset goes with causal attention",
    ),
    (
        "f32:2x3",
        lambda x: (
            composite.SoftmaxOp.create(
                operands=[x], properties={"axis": integer(1)}, result_types=[tensor((2, 2), f32)]
            ).results
        ),
        "result type is tensor<2x2xf32>, expected tensor<2x3xf32>",
    ),
]

RECURRENT: list[tuple[str, Build, str]] = [
    ("f32:4x3 f32:1x20x3 f32:1x20x5", F.lstm, "the input must have rank 3, found tensor<4x3xf32>"),
    ("f32:4x2x3 f32:1x20x3 f32:20x5", F.lstm, "the recurrent weight must have rank 3, found tensor<20x5xf32>"),
    ("f32:4x2x3 f32:1x15x3 f32:1x20x5", F.lstm, "the weight must have shape 1x20x3, found 1x15x3"),
    ("f32:4x2x3 f32:1x15x3 f32:1x20x5", F.gru, "the recurrent weight must have shape 1x15x5, found 1x20x5"),
    (
        "f32:4x2x3 f32:1x15x3 f32:1x15x5",
        lambda *xs: F.gru(*xs, direction="bidirectional"),
        "the weight must have shape 2x15x3, found 1x15x3",
    ),
    ("f32:4x2x3 f32:1x15x3 f32:1x15x5 f32:1x15", F.gru, "the operand bias must have shape 1x30, found 1x15"),
    (
        "f32:4x2x3 f32:1x15x3 f32:1x15x5 f32:2",
        lambda x, w, r, n: F.gru(x, w, r, lengths=n),
        "element type f32 is not accepted, expected one of i64",
    ),
    (
        "f32:4x2x3 f32:1x20x3 f32:1x20x5 f32:1x20",
        lambda x, w, r, p: F.lstm(x, w, r, peepholes=p),
        "the operand peepholes must have shape 1x15, found 1x20",
    ),
]

CONTROL: list[tuple[str, Build, str]] = [
    (
        "i1:1 f32:2",
        lambda c, x: F.if_(c, lambda: [x], lambda: [x]),
        "the condition must have rank 0, found tensor<1xi1>",
    ),
    (
        "i32: f32:2",
        lambda c, x: F.if_(c, lambda: [x], lambda: [x]),
        "element type i32 is not accepted, expected one of i1",
    ),
    (
        "i1: f32:2",
        lambda c, x: F.if_(c, lambda: [x], list),
        "the branches yield 1 and 0 values, expected as many",
    ),
    (
        "i1: f32:2 f32:2x2",
        lambda c, x, y: F.if_(c, lambda: [x], lambda: [y]),
        "the branches yield tensor<2xf32> and tensor<2x2xf32>, expected equal ranks and element types",
    ),
    (
        "i1: f32:2",
        lambda c, x: control.IfOp(c, region(x), region_without_yield()).results,
        "the second region must end in ml.yield",
    ),
    (
        "i1: f32:2",
        lambda c, x: control.IfOp(c, region(arguments=(x.type,)), region()).results,
        "the arguments of the first region must be 0 values, found 1",
    ),
    (
        "i1: f32:2",
        lambda c, x: (
            control.IfOp.build(
                operands=(c,), result_types=([tensor((3,), f32)],), regions=(region(x), region(x))
            ).results
        ),
        "the results: value 0 must be tensor<2xf32>, found tensor<3xf32>",
    ),
    (
        "f32:2 i1: f32:3",
        lambda x, c, y: F.while_(lambda _: c, lambda _: [y], [x]),
        "what the body yields: value 0 must be tensor<2xf32>, found tensor<3xf32>",
    ),
    (
        "f32:2 i1:2",
        lambda x, c: F.while_(lambda _: c, lambda v: v, [x]),
        "what the condition region yields must have rank 0, found tensor<2xi1>",
    ),
    (
        "f32:2",
        lambda x: control.WhileOp([x], region(arguments=(x.type,)), region(x, arguments=(x.type,))).results,
        "what the condition region yields must be one tensor<i1>, found 0 values",
    ),
    (
        "f32:2 i1:",
        lambda x, c: control.WhileOp([x], region(c), region(x, arguments=(x.type,))).results,
        "the arguments of the condition region must be 1 values, found 0",
    ),
    (
        "f32:2 i1:",
        lambda x, c: control.WhileOp([x], region(c, arguments=(x.type,)), region(x)).results,
        "the arguments of the body must be 1 values, found 0",
    ),
    ("f32:2", lambda x: F.scan(lambda c, s: (c, s), [x])[0], "a scan needs sequences or a length, and not both"),
    (
        "f32:2",
        lambda x: F.scan(lambda c, s: (c, s), [x], length=-1)[0],
        "the length of a scan must not be negative, found -1",
    ),
    (
        "f32:",
        lambda x: F.scan(lambda c, s: (c, s), [], [x])[1],
        "a scanned sequence must have rank 1 or more, found tensor<f32>",
    ),
    (
        "f32:2 f32:3",
        lambda *xs: F.scan(lambda c, s: (c, s), [], xs)[1],
        "lengths of scanned sequences must be equal, found 2 and 3",
    ),
    (
        "f32:3 f32:2",
        lambda x, xs: F.scan(lambda c, s: (s, []), [x], [xs])[0],
        "what the body yields to the next step: value 0 must be tensor<3xf32>, found tensor<f32>",
    ),
    (
        "f32:2",
        lambda x: F.scan(lambda c, s: ([], []), [x], [x])[0],
        "what the body yields to the next step must be 1 values, found 0",
    ),
    (
        "f32:2",
        lambda x: scan_with(x, (x,), (x.type, x.type), x.type),
        "the arguments of the body: value 1 must be tensor<f32>, found tensor<2xf32>",
    ),
    (
        "f32:2",
        lambda x: scan_with(x, (x, x), (x.type, tensor((), f32)), x.type, tensor((3, 2), f32)),
        "the results: value 1 must be tensor<2x2xf32>, found tensor<3x2xf32>",
    ),
]

RANDOM: list[tuple[str, Build, str]] = [
    ("i32:2", lambda k: F.random_normal(k, (3,), f32), "the key must be tensor<2xui32>, found tensor<2xi32>"),
    ("u32:2", lambda k: F.random_normal(k, (3,), i64), "element type i64 is not accepted, expected one of f64"),
    (
        "u32:2",
        lambda k: F.random_uniform(k, (3,), f32, 1.0, 1.0),
        "low must be below high and both finite, found 1.0 and 1.0",
    ),
    (
        "u32:2",
        lambda k: F.random_normal(k, (3,), f32, 0.0, -1.0),
        "mean and scale must be finite, scale not negative, found 0.0 and -1.0",
    ),
    (
        "u32:2",
        lambda k: random.RandomNormalOp(k, (3,), f32, np.inf).results,
        "mean and scale must be finite, scale not negative, found inf and 1.0",
    ),
]

CASES = [*ELEMENTWISE, *SHAPING, *CONTRACTION, *REDUCTION, *COMPOSITE, *RECURRENT, *CONTROL, *RANDOM]


@pytest.mark.parametrize(("operands", "build", "message"), CASES, ids=[message for _, _, message in CASES])
def test_a_mistake_is_named(operands: str, build: Build, message: str) -> None:
    with pytest.raises(VerifyException, match=re.escape(message)):
        program([operand_type(each) for each in operands.split()], build).verify()


def test_what_is_no_tensor_is_named() -> None:
    with pytest.raises(VerifyException, match="expected a tensor, found f32"):
        program([f32], F.neg)
