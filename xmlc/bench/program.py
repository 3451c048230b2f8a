"""A case as a program of xmlc: a module of `ml`."""

from __future__ import annotations

from xdsl.builder import ImplicitBuilder
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr, TensorType, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp

from xmlc.bench.case import DTYPES, Case
from xmlc.bench.kinds import KINDS
from xmlc.dialects.dtypes import FROM_NUMPY


def program_of(case: Case) -> ModuleOp:
    """The module of the case: @main takes the inputs, then the weights, named `weight0`, `weight1`, …"""
    element = FROM_NUMPY[DTYPES[case.dtype]]
    types = [TensorType(element, shape) for shape in case.shapes]
    varying = len(types) - case.weights
    inputs = [DictionaryAttr({"ml.name": StringAttr(f"x{i}")}) for i in range(varying)]
    weights = [
        DictionaryAttr({"ml.name": StringAttr(f"weight{i}"), "ml.weight": UnitAttr()}) for i in range(case.weights)
    ]
    function = FuncOp("main", (types, ()), arg_attrs=ArrayAttr([*inputs, *weights]))
    with ImplicitBuilder(function.body.block) as arguments:
        result = KINDS[case.kind].ml(*arguments, **case.options)
        ReturnOp(result)
    function.function_type = FunctionType.from_lists(types, [result.type])
    return ModuleOp([function])
