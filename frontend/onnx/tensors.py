"""Element types and tensors: from ONNX's encoding to NumPy's and the IR's."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper
from xdsl.ir import Attribute

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.frontend.onnx.unsupported import Unsupported

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def dtype_name(code: int) -> str:
    """ONNX's own name of an element type, in lower case: float, int64, float8e4m3fn."""
    known = onnx.TensorProto.DataType.values()
    return onnx.TensorProto.DataType.Name(code).lower() if code in known else f"number {code}"  # pyright: ignore[reportArgumentType]


def dtype_of(code: int) -> np.dtype[Any]:
    """The NumPy element type of ONNX's `TensorProto.DataType`; Unsupported for one that `ml` lacks."""
    if code in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        raise Unsupported(f"element type {dtype_name(code)} is not supported")
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    except (KeyError, ValueError) as error:
        raise Unsupported(f"element type {dtype_name(code)} is not supported") from error
    if dtype not in FROM_NUMPY:
        raise Unsupported(f"element type {dtype_name(code)} is not supported")
    return dtype


def element_of(code: int) -> Attribute:
    """The IR element type of ONNX's `TensorProto.DataType`."""
    return FROM_NUMPY[dtype_of(code)]


def code_of(element: Attribute) -> int:
    """ONNX's `TensorProto.DataType` of an IR element type."""
    return onnx.helper.np_dtype_to_tensor_dtype(TO_NUMPY[element])


T = onnx.TensorProto

WIDENED: dict[int, np.dtype[Any]] = {
    **dict.fromkeys((T.INT4, T.INT2), np.dtype(np.int8)),
    **dict.fromkeys((T.UINT4, T.UINT2), np.dtype(np.uint8)),
    **dict.fromkeys(
        (T.FLOAT8E4M3FN, T.FLOAT8E4M3FNUZ, T.FLOAT8E5M2, T.FLOAT8E5M2FNUZ, T.FLOAT4E2M1), np.dtype(np.float16)
    ),
    T.FLOAT8E8M0: np.dtype(np.float32),
}
"""Formats that weights are stored in, and the type that holds each of their numbers exactly."""


def array_of(tensor: onnx.TensorProto) -> Array:
    """The values of a tensor whose data is in the message, perhaps read-only; those of a narrow format in a wider type.

    CompileError where the data does not fit the shape, Unsupported for an element type that `ml` lacks.
    """
    dtype = WIDENED.get(tensor.data_type) or dtype_of(tensor.data_type)
    try:
        # read-only: it is the copy that the message gave out, and to copy hundreds of megabytes again takes its time
        return numpy_helper.to_array(tensor).astype(dtype, copy=False)
    except (ValueError, TypeError) as error:
        raise CompileError(f"tensor {tensor.name!r} is malformed: {error}") from error


def dense_of(sparse: onnx.SparseTensorProto) -> Array:
    """A sparse tensor written out: zero everywhere but at its listed indices, linear or one row each."""
    values, indices = array_of(sparse.values), array_of(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    try:
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
    except (IndexError, ValueError) as error:
        raise CompileError(f"sparse tensor {sparse.values.name!r} is malformed: {error}") from error
    return dense
