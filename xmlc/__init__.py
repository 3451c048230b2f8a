"""xmlc: an ML compiler written wholly in Python on xDSL. The names below are its public interface.

A name is imported when it is first used, so that `import xmlc` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmlc import nn as nn
    from xmlc import numpy as numpy
    from xmlc import random as random
    from xmlc.batching import vmap as vmap
    from xmlc.builder import Builder as Builder
    from xmlc.builder import ml as ml
    from xmlc.builder import tensor as tensor
    from xmlc.custom_derivatives import checkpoint as checkpoint
    from xmlc.custom_derivatives import custom_gradient as custom_gradient
    from xmlc.custom_derivatives import custom_jvp as custom_jvp
    from xmlc.custom_derivatives import stop_gradient as stop_gradient
    from xmlc.derivatives import grad as grad
    from xmlc.derivatives import jvp as jvp
    from xmlc.derivatives import value_and_grad as value_and_grad
    from xmlc.derivatives import vjp as vjp
    from xmlc.dialects.diagnostics import CompileError as CompileError
    from xmlc.driver import compile_module as compile_module
    from xmlc.expression import expr as expr
    from xmlc.jacobians import hessian as hessian
    from xmlc.jacobians import jacobian as jacobian
    from xmlc.nan_search import debug_nans as debug_nans
    from xmlc.onnx_export import export_onnx as export_onnx
    from xmlc.open_sizes import Array as Array
    from xmlc.running import load as load
    from xmlc.tensors.compare import compare_kernels as compare_kernels
    from xmlc.tensors.device import Device as Device
    from xmlc.tensors.dispatch import explain_dispatch as explain_dispatch
    from xmlc.tensors.dispatch import register_kernel as register_kernel
    from xmlc.tensors.evaluate import explain as explain
    from xmlc.tensors.libraries import use_library as use_library
    from xmlc.tensors.operation_check import check_operation as check_operation
    from xmlc.tensors.tensor import Operation as Operation
    from xmlc.tensors.tensor import Tensor as Tensor
    from xmlc.tracing import compile as compile
    from xmlc.tracing import cond as cond
    from xmlc.tracing import scan as scan
    from xmlc.tracing import while_loop as while_loop

PUBLIC = {
    "Device": "xmlc.tensors.device",
    "Array": "xmlc.open_sizes",
    "Builder": "xmlc.builder",
    "CompileError": "xmlc.dialects.diagnostics",
    "checkpoint": "xmlc.custom_derivatives",
    "compile": "xmlc.tracing",
    "compile_module": "xmlc.driver",
    "Operation": "xmlc.tensors.tensor",
    "Tensor": "xmlc.tensors.tensor",
    "expr": "xmlc.expression",
    "explain": "xmlc.tensors.evaluate",
    "explain_dispatch": "xmlc.tensors.dispatch",
    "register_kernel": "xmlc.tensors.dispatch",
    "compare_kernels": "xmlc.tensors.compare",
    "use_library": "xmlc.tensors.libraries",
    "check_operation": "xmlc.tensors.operation_check",
    "cond": "xmlc.tracing",
    "custom_gradient": "xmlc.custom_derivatives",
    "custom_jvp": "xmlc.custom_derivatives",
    "debug_nans": "xmlc.nan_search",
    "export_onnx": "xmlc.onnx_export",
    "grad": "xmlc.derivatives",
    "hessian": "xmlc.jacobians",
    "jacobian": "xmlc.jacobians",
    "jvp": "xmlc.derivatives",
    "load": "xmlc.running",
    "ml": "xmlc.builder",
    "scan": "xmlc.tracing",
    "stop_gradient": "xmlc.custom_derivatives",
    "tensor": "xmlc.builder",
    "value_and_grad": "xmlc.derivatives",
    "vjp": "xmlc.derivatives",
    "vmap": "xmlc.batching",
    "while_loop": "xmlc.tracing",
}
"""Public name -> the module that defines it; the list for type checkers above names the same."""

MODULES = ("nn", "numpy", "random")
"""Modules of functions that are public: names that are imported as a whole."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("xmlc")
    if name in MODULES:
        from importlib import import_module

        from xmlc.importing import quickly

        with quickly():
            return import_module(f"xmlc.{name}")
    if name in PUBLIC:
        from xmlc.importing import imported

        return imported(PUBLIC[name], name)
    raise AttributeError(f"module 'xmlc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC, *MODULES, "__version__"])
