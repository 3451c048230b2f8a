"""ONNX's backend interface (`onnx.backend.base`): models compiled by xmlc.

    import xmlc.onnx_backend as backend
    prepared = backend.prepare(onnx.load("model.onnx"))
    (probabilities,) = prepared.run([image])

One prepared model serves inputs of several shapes: it is compiled for each combination of shapes it meets, and
keeps the latest `CACHED`. What xmlc lacks is a NotImplementedError that lists all of it; nothing falls back.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.backend.base import Backend, BackendRep

from xmlc.dialects.diagnostics import CompileError, Place
from xmlc.frontend.onnx.importer import import_model
from xmlc.frontend.onnx.load import load
from xmlc.frontend.onnx.program import Program
from xmlc.frontend.onnx.signature import has_free_sizes, input_dtype, input_infos
from xmlc.frontend.onnx.unsupported import NeedsValue, Unsupported

logger = logging.getLogger("xmlc.onnx")

Array: TypeAlias = NDArray[Any]
Compiled: TypeAlias = Callable[[Sequence[Array]], Sequence[Array]]

CACHED = 16
"""How many combinations of input shapes a prepared model keeps compiled."""


def interpreted(program: Program, options: Mapping[str, Any]) -> Compiled:
    """The program run by the reference interpreter: for tests of the importer."""
    from xmlc.dialects.reference.interpreter import interpret

    weights = list(program.weights.values())

    def run(inputs: Sequence[Array]) -> Sequence[Array]:
        return tuple(np.asarray(each) for each in interpret(program.module, "main", [*inputs, *weights]))

    return run


def jitted(program: Program, options: Mapping[str, Any]) -> Compiled:
    """The program compiled to machine code, its weights bound; `intra_op_num_threads` says for how many threads."""
    from xmlc.driver import Settings, compile_module

    threads = options.get("intra_op_num_threads")
    settings = Settings(threads=threads) if threads else Settings()
    compiled = compile_module(program.module, program.weights, settings)
    return lambda inputs: compiled(*inputs)


EXECUTE: dict[str, Callable[[Program, Mapping[str, Any]], Compiled]] = {"jit": jitted, "interpret": interpreted}


def as_list(inputs: Any) -> list[Any]:
    """Inputs in graph order; one array stands for a single input."""
    return [inputs] if isinstance(inputs, np.ndarray) else list(inputs)


class Prepared(BackendRep):
    """A model ready to run; compiles itself for each combination of input shapes it meets."""

    def __init__(self, model: onnx.ModelProto, execute: str, options: Mapping[str, Any], file: str):
        self.model = model
        self.execute = EXECUTE[execute]
        self.options = options
        self.file = file
        self.inputs = [(info.name, input_dtype(info, Place(file))) for info in input_infos(model)]
        self.fixed: tuple[str, ...] = ()
        """The inputs whose values decide shapes: part of what a compiled program is for."""
        self.compiled: OrderedDict[tuple[Any, ...], tuple[Program, Compiled]] = OrderedDict()
        if not has_free_sizes(model):
            try:
                self.prepare({}, {})
            except NeedsValue as needs:
                self.fixed = needs.inputs

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """The outputs, in graph order, for inputs in graph order (or one array for a single input).

        CompileError for a wrong number, shape or element type of inputs.
        """
        arrays = self.checked(as_list(inputs))
        return tuple(self.program_for(arrays)[1](arrays))

    def checked(self, given: Sequence[Any]) -> list[Array]:
        """The inputs as arrays, each of the element type the model declares."""
        if len(given) != len(self.inputs):
            names = ", ".join(name for name, _ in self.inputs)
            raise CompileError(
                f"the model takes {len(self.inputs)} inputs, given {len(given)}", hint=f"its inputs are {names}"
            )
        arrays: list[Array] = []
        for (name, wanted), value in zip(self.inputs, given):
            array = np.asarray(value)
            if array.dtype != wanted:
                raise CompileError(f"input {name!r} has element type {array.dtype}, expected {wanted}")
            arrays.append(array)
        return arrays

    def program_for(self, arrays: Sequence[Array]) -> tuple[Program, Compiled]:
        """The program for these shapes, and these values of the inputs that decide shapes."""
        shapes = tuple([array.shape for array in arrays])
        while True:
            key = (shapes, *[array.tobytes() for array in self.deciding(arrays).values()]) if self.fixed else (shapes,)
            if key in self.compiled:
                self.compiled.move_to_end(key)
                return self.compiled[key]
            try:
                named = {name: shape for (name, _), shape in zip(self.inputs, shapes)}
                return self.prepare(named, self.deciding(arrays), key)
            except NeedsValue as needs:
                new = tuple(name for name in needs.inputs if name not in self.fixed)
                if not new:
                    raise
                self.fixed += new

    def deciding(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Those inputs whose values decide shapes, by name."""
        return {name: array for (name, _), array in zip(self.inputs, arrays) if name in self.fixed}

    def prepare(
        self, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Array], key: tuple[Any, ...] | None = None
    ) -> tuple[Program, Compiled]:
        program = import_model(self.model, shapes=shapes, values=values, file=self.file)
        made = program, self.execute(program, self.options)
        self.compiled[key or (tuple(port.shape for port in program.inputs),)] = made
        if len(self.compiled) > CACHED:
            dropped, _ = self.compiled.popitem(last=False)
            logger.warning("dropped the program for input shapes %s: more than %d are in use", dropped[0], CACHED)
        return made


class XmlcBackend(Backend):
    """ONNX's entry points."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """True where `prepare` accepts the model."""
        try:
            cls.prepare(model, device, **kwargs)
        except (CompileError, NotImplementedError):
            return False
        return True

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto | str | Path, device: str = "CPU", *, execute: str = "jit", **kwargs: Any
    ) -> Prepared:
        """A model, or the path of one, ready to run.

        Raises NotImplementedError for another device and for operators that xmlc lacks, all of them at once, and
        CompileError for a model that is wrong. `execute="interpret"` runs the reference interpreter, for tests.
        """
        if not cls.supports_device(device):
            raise Unsupported(f"device {device} is not supported", hint="xmlc runs ONNX models on CPU")
        file = str(model) if isinstance(model, str | Path) else (model.graph.name or "model")
        return Prepared(load(model), execute, kwargs, file)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Array, ...]:
        """Prepare and run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """Run one node on given inputs; `opset_version` says which operator set it is of."""
        arrays = [np.asarray(value) for value in as_list(inputs)]
        names = [name for name in node.input if name]
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        graph = onnx.helper.make_graph(
            [node],
            node.name or node.op_type,
            [
                onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                for name, array in zip(names, arrays, strict=True)
            ],
            [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])
        return cls.run_model(model, arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """CPU, or CPU:0."""
        return device.partition(":")[0].upper() == "CPU"


prepare = XmlcBackend.prepare
run_model = XmlcBackend.run_model
run_node = XmlcBackend.run_node
supports_device = XmlcBackend.supports_device
is_compatible = XmlcBackend.is_compatible
