"""MLIR's own lowering as a second opinion: `mlir-opt` and `mlir-translate` 22, then llvmlite's JIT."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, BoolAttr, DictionaryAttr, MemRefType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.printer import Printer

from xmlc.dialects import context
from xmlc.dialects.dtypes import TO_NUMPY

MLIR_OPT = shutil.which("mlir-opt-22")
MLIR_TRANSLATE = shutil.which("mlir-translate-22")
needs_mlir = pytest.mark.skipif(MLIR_OPT is None, reason="mlir-opt-22 is not installed (Debian: mlir-22-tools)")
"""Marks a test that compares with MLIR."""

LOWERING = (
    "-one-shot-bufferize=bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map",
    "-buffer-results-to-out-params=modify-public-functions=1 hoist-static-allocs=1",
    "-convert-linalg-to-loops",
    "-expand-strided-metadata",
    "-lower-affine",
    "-convert-vector-to-scf",
    "-convert-scf-to-cf",
    "-convert-vector-to-llvm",
    "-convert-math-to-libm",
    "-convert-math-to-llvm",
    "-arith-expand=include-bf16=1",
    "-convert-arith-to-llvm",
    "-finalize-memref-to-llvm",
    "-convert-func-to-llvm=use-bare-ptr-memref-call-conv=1",
    "-convert-cf-to-llvm",
    "-convert-ub-to-llvm",
    "-reconcile-unrealized-casts",
)
SCALARS: dict[str, Any] = {
    "index": ctypes.c_int64,
    "i64": ctypes.c_int64,
    "i32": ctypes.c_int32,
    "i16": ctypes.c_int16,
    "i8": ctypes.c_int8,
    "i1": ctypes.c_bool,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}


def mlir_opt(text: str, *arguments: str) -> str:
    """What mlir-opt-22 makes of a module; a failed run fails the test with its message."""
    assert MLIR_OPT is not None
    done = subprocess.run(
        [MLIR_OPT, "--allow-unregistered-dialect", *arguments], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"mlir-opt-22 {' '.join(arguments)}\n{done.stderr}\n{text}"
    return done.stdout


def parse(text: str) -> ModuleOp:
    """A module read with every dialect of xDSL and of xmlc at hand."""
    return Parser(context(allow_unregistered=True), text).parse_module()


def is_array(type: Attribute) -> bool:
    return isinstance(type, TensorType | MemRefType)


def empty(type: Attribute) -> Any:
    assert isinstance(type, TensorType | MemRefType)
    return np.empty(type.get_shape(), TO_NUMPY[type.element_type])


class UnrankedMemref(ctypes.Structure):
    """MLIR's unranked memref; the descriptor is two pointers, an offset, the sizes, then the strides."""

    _fields_ = (("rank", ctypes.c_int64), ("descriptor", ctypes.POINTER(ctypes.c_int64)))


def seen_bytes(memref: UnrankedMemref, size: int) -> Any:
    """The elements of a memref, each as `size` bytes."""
    rank, words = memref.rank, memref.descriptor
    shape, strides = words[3 : 3 + rank], words[3 + rank : 3 + 2 * rank]
    extent = size * (1 + sum((each - 1) * stride for each, stride in zip(shape, strides)))
    memory = (ctypes.c_uint8 * extent).from_address(words[1] + words[2] * size)
    return np.ndarray((*shape, size), np.uint8, memory, 0, (*(size * stride for stride in strides), 1))


@ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.POINTER(UnrankedMemref), ctypes.POINTER(UnrankedMemref))
def memref_copy(size: int, source: Any, target: Any) -> None:
    """The function of MLIR's runtime library that copies between layouts that differ."""
    seen_bytes(target.contents, size)[...] = seen_bytes(source.contents, size)


def mlir_opt_functions(text: str) -> dict[str, Callable[..., tuple[Any, ...]]]:
    """Every public function of a module, compiled by MLIR: takes arrays and scalars, returns a tuple of results.

    The module is at the linalg level (tensors in, tensors out) or at the structured level (memrefs, written to
    in place; no results); all shapes are static.
    """
    module = parse(text)
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    for function in functions:
        # else a result that is written over an argument would be left out of the results
        writable = DictionaryAttr({"bufferization.writable": BoolAttr.from_bool(False)})
        attributes = [writable if isinstance(type, TensorType) else DictionaryAttr({}) for type in parameters(function)]
        function.arg_attrs = ArrayAttr(attributes)
    stream = StringIO()
    Printer(stream, print_generic_format=True).print_op(module)
    lowered = mlir_opt(stream.getvalue(), *LOWERING)
    assert MLIR_TRANSLATE is not None
    llvm_text = subprocess.run(
        [MLIR_TRANSLATE, "--mlir-to-llvmir"], input=lowered, capture_output=True, text=True, check=True
    ).stdout
    llvm.add_symbol("memrefCopy", ctypes.cast(memref_copy, ctypes.c_void_p).value)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    compiled = llvm.parse_assembly(llvm_text)
    compiled.verify()
    # the host's features: f16 conversions would call functions of compiler-rt, which is not there
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(llvm.get_host_cpu_name(), features, opt=1)
    engine = llvm.create_mcjit_compiler(compiled, machine)
    engine.finalize_object()
    return {
        op.sym_name.data: _callable(engine, compiled, op)
        for op in functions
        if op.body.blocks and op.sym_visibility is None
    }


def mlir_opt_jit(text: str, name: str = "main") -> Callable[..., tuple[Any, ...]]:
    """One function of a module, compiled by MLIR (see `mlir_opt_functions`)."""
    return mlir_opt_functions(text)[name]


def parameters(function: FuncOp) -> list[Attribute]:
    return list(function.function_type.inputs)


def _callable(
    engine: llvm.ExecutionEngine, compiled: llvm.ModuleRef, function: FuncOp
) -> Callable[..., tuple[Any, ...]]:
    name = function.sym_name.data
    inputs, outputs = parameters(function), list(function.function_type.outputs)
    arity = len(inputs) + sum(map(is_array, outputs))
    assert len(list(compiled.get_function(name).arguments)) == arity, "MLIR left out a result that is an argument"
    scalars = [each for each in outputs if not is_array(each)]
    assert len(scalars) <= 1, "several scalar results are returned in a struct"
    prototype = ctypes.CFUNCTYPE(
        SCALARS[str(scalars[0])] if scalars else None,
        *(ctypes.c_void_p if is_array(each) else SCALARS[str(each)] for each in inputs),
        *(ctypes.c_void_p for each in outputs if is_array(each)),
    )
    call = prototype(engine.get_function_address(name))

    def run(*arguments: Any) -> tuple[Any, ...]:
        assert engine is not None  # keeps the code alive
        # tensors may be bufferized in place: MLIR gets copies of them
        given = [
            np.ascontiguousarray(value).copy() if isinstance(type, TensorType) else value
            for value, type in zip(arguments, inputs, strict=True)
        ]
        results = [empty(type) if is_array(type) else None for type in outputs]
        slots: Sequence[Any] = [*given, *(each for each in results if each is not None)]
        returned = call(*(each.ctypes.data if isinstance(each, np.ndarray) else each for each in slots))
        return tuple(returned if each is None else each for each in results)

    return run
