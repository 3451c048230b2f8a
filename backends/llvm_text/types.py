"""How types and constants of the structured level are spelled in LLVM IR."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from typing_extensions import TypeIs
from xdsl.dialects.builtin import (
    BFloat16Type,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    FloatAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    VectorType,
)
from xdsl.ir import Attribute

from xmlc.dialects.amx import TileType
from xmlc.dialects.dtypes import TO_NUMPY, storage_type

if TYPE_CHECKING:
    from xdsl.dialects.llvm import LLVMPointerType, LLVMStructType

DYNAMIC = -(2**63)  # MLIR's mark for a size or stride that is known only at run time

FLOATS: dict[type[Attribute], str] = {Float64Type: "double", Float32Type: "float", Float16Type: "half"}
# LLVM's name of a type inside an intrinsic's name
MANGLED: dict[str, str] = {"double": "f64", "float": "f32", "half": "f16", "ptr": "p0"}
ADDRESS_SPACE = "ptr addrspace("
BYTES: dict[str, int] = {"double": 8, "float": 4, "half": 2, "i64": 8, "i32": 4, "i16": 2, "i8": 1}
PLAIN_NAME = re.compile(r"[-a-zA-Z$._][-a-zA-Z$._0-9]*\Z")


class Unprintable(Exception):
    """An op that has a row but uses something the row cannot spell; the message says what."""


def is_memref(attribute: Attribute) -> TypeIs[MemRefType[Attribute]]:
    return isinstance(attribute, MemRefType)


def is_vector(attribute: Attribute) -> TypeIs[VectorType[Attribute]]:
    return isinstance(attribute, VectorType)


def spelled(attribute: Attribute, soft_half: bool) -> str:
    """The LLVM type of a value in a register.

    bf16 travels as its 16 bits: LLVM would call into a runtime library, or use instructions that
    flush subnormals, for its own `bfloat`. So does f16 on processors that cannot convert it.
    """
    match attribute:
        case IntegerType():
            return f"i{attribute.width.data}"
        case IndexType():
            return "i64"
        case BFloat16Type():
            return "i16"
        case Float16Type() if soft_half:
            return "i16"
        case VectorType():
            if attribute.get_num_dims() > 1:
                raise Unprintable(f"{attribute} has more than one dimension")
            if attribute.get_num_scalable_dims():
                raise Unprintable(f"{attribute} is scalable")
            element = spelled(attribute.element_type, soft_half)
            return f"<{prod(attribute.get_shape())} x {element}>"
        case TileType():
            return "x86_amx"
        case MemRefType():
            return "ptr"
        case _ if type(attribute) in FLOATS:
            return FLOATS[type(attribute)]
        case Attribute(name="llvm.ptr"):  # by name: only code for GPUs has them, and their dialect is long to import
            space = cast("LLVMPointerType", attribute).addr_space
            return f"ptr addrspace({space.data})" if isinstance(space, IntAttr) else "ptr"
        case Attribute(name="llvm.struct"):
            parts = cast("LLVMStructType", attribute).types
            return "{ " + ", ".join(spelled(each, soft_half) for each in parts) + " }"
        case _:
            raise Unprintable(f"type {attribute} has no LLVM spelling")


def stored(element: Attribute, soft_half: bool) -> str:
    """The LLVM type of one element in memory: as in a register, but i1 takes a byte."""
    text = "i8" if element == IntegerType(1) else spelled(element, soft_half)
    if text not in BYTES:
        raise Unprintable(f"elements of type {element} cannot be stored")
    return text


def mangled(kind: str) -> str:
    """`<8 x float>` -> `v8f32`, as intrinsics' names want it."""
    if kind.startswith("<"):
        lanes, _, element = kind[1:-1].partition(" x ")
        return f"v{lanes}{MANGLED.get(element, element)}"
    if kind.startswith(ADDRESS_SPACE):
        return "p" + kind[len(ADDRESS_SPACE) : -1]
    return MANGLED.get(kind, kind)


def lanes_of(kind: str) -> int | None:
    """The number of lanes of a vector type, None for a scalar."""
    return int(kind[1 : kind.index(" ")]) if kind.startswith("<") else None


def like(kind: str, element: str) -> str:
    """`element` with as many lanes as `kind` has: like("<4 x float>", "i1") is "<4 x i1>"."""
    lanes = lanes_of(kind)
    return element if lanes is None else f"<{lanes} x {element}>"


def element_of(kind: str) -> str:
    return kind[kind.index("x ") + 2 : -1] if kind.startswith("<") else kind


def symbol(name: str) -> str:
    """A global name, quoted where LLVM's lexer wants it."""
    if PLAIN_NAME.match(name):
        return "@" + name
    quoted = "".join(c if c.isprintable() and c.isascii() and c not in '"\\' else "" for c in name)
    if quoted != name:
        quoted = "".join(f"\\{byte:02X}" for byte in name.encode())
    return f'@"{quoted}"'


def float_literal(value: float, kind: Attribute, soft_half: bool) -> str:
    """A float constant in hexadecimal: exact, and NaN and infinities need no special case."""
    match kind:
        case Float64Type():
            return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
        case Float32Type():
            # LLVM writes a float as the double of the same value
            with np.errstate(over="ignore"):
                single = float(np.float32(value))
            return f"0x{struct.unpack('<Q', struct.pack('<d', single))[0]:016X}"
        case _:
            with np.errstate(over="ignore"):
                bits = int(np.asarray(value).astype(TO_NUMPY[kind]).view(np.uint16))
            return f"0xH{bits:04X}" if isinstance(kind, Float16Type) and not soft_half else str(bits)


def literal(value: Attribute, soft_half: bool) -> str:
    """The operand text of an `arith.constant`. Unprintable for constants of other kinds."""
    match value:
        case IntegerAttr():
            number = value.value.data
            if value.type == IntegerType(1):
                return "true" if number else "false"
            return str(number)
        case FloatAttr():
            return float_literal(value.value.data, value.type, soft_half)
        case DenseIntOrFPElementsAttr() if isinstance(value.type, VectorType):
            return vector_literal(cast("DenseIntOrFPElementsAttr[Any]", value), soft_half)
        case _:
            raise Unprintable(f"constant {value} is not a scalar or a vector")


def vector_literal(value: DenseIntOrFPElementsAttr[Any], soft_half: bool) -> str:
    element: Attribute = value.get_element_type()
    kind = spelled(element, soft_half)
    scalars = cast("Iterable[float]", value.iter_values())
    if type(element) in FLOATS or isinstance(element, BFloat16Type):
        texts = [float_literal(scalar, element, soft_half) for scalar in scalars]
    elif kind == "i1":
        texts = ["true" if scalar else "false" for scalar in scalars]
    else:
        texts = [str(scalar) for scalar in scalars]
    if len(set(texts)) == 1:
        return f"splat ({kind} {texts[0]})"
    return "<" + ", ".join(f"{kind} {text}" for text in texts) + ">"


def data_bytes(value: DenseIntOrFPElementsAttr[Any]) -> bytes:
    """The memory image of a dense constant, little-endian; i1 takes a byte that is 0 or 1."""
    element: Attribute = value.get_element_type()
    if storage_type(element) not in TO_NUMPY:
        raise Unprintable(f"elements of type {element} cannot be stored")
    data = value.data.data
    if len(data) == TO_NUMPY[storage_type(element)].itemsize:  # one number for all elements
        data *= prod(value.get_shape())
    return (np.frombuffer(data, np.uint8) & 1).tobytes() if element == IntegerType(1) else data


def data_literal(data: bytes) -> str:
    """An LLVM constant of these bytes: `[3 x i8] c"\\01\\02\\03"`."""
    if not any(data):
        return f"[{len(data)} x i8] zeroinitializer"
    return f'[{len(data)} x i8] c"\\{data.hex(chr(92))}"'
