"""Operators of the domain ai.onnx.ml: what exporters of classical models (scikit-learn) write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import TO_NUMPY, is_float
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.frontend.onnx.operators.indexing import Gather
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import Value


def floats(values: Sequence[float]) -> SSAValue:
    """Numbers that hold for each column, or one for all."""
    return F.constant(np.array(values, np.float32) if len(values) != 1 else np.float32(values[0]))


def Scaler(x: SSAValue, *, offset: tuple[float, ...] = (), scale: tuple[float, ...] = ()) -> SSAValue:
    """(x - offset) * scale in float32, one of each a column"""
    result = F.cast(x, f32)
    if offset:
        result = F.sub(result, floats(offset))
    return F.mul(result, floats(scale)) if scale else result


def Binarizer(x: SSAValue, *, threshold: float = 0.0) -> SSAValue:
    return F.cast(F.compare(x, F.scalar(x, threshold), "gt"), element_of(x))


def ArrayFeatureExtractor(x: SSAValue, columns: Value) -> SSAValue:
    """The named columns of x."""
    flat = columns.array.reshape(-1) if columns.array is not None else None
    chosen = Value(columns.facts, columns.name, array=flat) if flat is not None else columns
    picked = Gather(x, chosen, axis=-1)
    return F.reshape(picked, (1, *shape_of(picked))) if rank_of(x) == 1 else picked


def Normalizer(x: SSAValue, *, norm: str = "MAX") -> SSAValue:
    """Each row divided by its largest element, the sum of its magnitudes, or its length."""
    x = F.cast(x, f32)
    axes = (rank_of(x) - 1,)
    match norm:
        case "MAX":
            divisor = F.reduce_max(x, axes, True)
        case "L1":
            divisor = F.reduce_sum(F.abs_(x), axes, True)
        case "L2":
            divisor = F.sqrt(F.reduce_sum(F.mul(x, x), axes, True))
        case _:
            raise CompileError(f"unknown norm {norm!r}")
    zero = F.scalar(x, 0.0)
    return F.select(F.compare(divisor, zero, "eq"), x, F.div(x, divisor))


def Imputer(
    x: SSAValue,
    *,
    imputed_value_floats: tuple[float, ...] = (),
    imputed_value_int64s: tuple[int, ...] = (),
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> SSAValue:
    """Missing values (NaN or a given number) replaced, by one number or one a column."""
    if is_float(element_of(x)):
        missing = (
            F.is_nan(x) if np.isnan(replaced_value_float) else F.compare(x, F.scalar(x, replaced_value_float), "eq")
        )
        return F.select(missing, F.cast(floats(imputed_value_floats), element_of(x)), x)
    missing = F.compare(x, F.scalar(x, replaced_value_int64), "eq")
    values = np.array(imputed_value_int64s, TO_NUMPY[element_of(x)])
    return F.select(missing, F.constant(values if values.size != 1 else values.reshape(())), x)


def FeatureVectorizer(*operands: SSAValue, inputdimensions: tuple[int, ...] = ()) -> SSAValue:
    """The columns of all operands side by side, in float32."""
    columns = [F.cast(each, f32) for each in operands]
    return F.concat([F.reshape(each, (1, *shape_of(each))) if rank_of(each) == 1 else each for each in columns], 1)


def LinearRegressor(
    x: SSAValue,
    *,
    coefficients: tuple[float, ...],
    intercepts: tuple[float, ...] = (),
    post_transform: str = "NONE",
    targets: int = 1,
) -> SSAValue:
    """x @ coefficients + intercepts"""
    if post_transform not in ("NONE", ""):
        raise Unsupported(f"post_transform {post_transform} is not supported")
    weight = np.array(coefficients, np.float32).reshape(targets, -1).T
    product = F.matmul(F.cast(x, f32), F.constant(np.ascontiguousarray(weight)))
    return F.add(product, floats(intercepts)) if intercepts else product


def LabelEncoder(
    x: SSAValue,
    *,
    keys_floats: tuple[float, ...] = (),
    keys_int64s: tuple[int, ...] = (),
    keys_tensor: Array | None = None,
    values_floats: tuple[float, ...] = (),
    values_int64s: tuple[int, ...] = (),
    values_tensor: Array | None = None,
    default_float: float = 0.0,
    default_int64: int = -1,
    default_tensor: Array | None = None,
) -> SSAValue:
    """The value whose key equals x, or the default; NaN is a key like any other."""
    kind = TO_NUMPY[element_of(x)]
    keys = np.array(keys_floats or keys_int64s, kind) if keys_tensor is None else keys_tensor
    if values_tensor is not None:
        values = values_tensor
        default = np.zeros((1,), values.dtype) if default_tensor is None else default_tensor.reshape(1)
    elif values_floats:
        values, default = np.array(values_floats, np.float32), np.array([default_float], np.float32)
    else:
        values, default = np.array(values_int64s, np.int64), np.array([default_int64], np.int64)
    column = F.reshape(x, (*shape_of(x), 1))
    found = F.compare(column, F.constant(keys.astype(kind)), "eq")
    if kind.kind == "f" and np.isnan(keys).any():
        found = F.or_(found, F.and_(F.is_nan(column), F.constant(np.isnan(keys))))
    # one more column, always found, stands for the default: the first found one counts
    always = F.broadcast(F.constant(np.array(True)), (*shape_of(x), 1))
    first = F.argmax(F.cast(F.concat([found, always], rank_of(column) - 1), i64), rank_of(column) - 1)
    return F.gather(F.constant(np.concatenate([values, default.astype(values.dtype)])), first, 0)
