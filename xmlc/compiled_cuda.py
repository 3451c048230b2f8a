"""A module compiled for a GPU, called from Python with arrays.

Arrays of the host are copied to the device and the results back. Arrays that are on the device are used where they
are, and the results stay there: DLPack and `__cuda_array_interface__` both ways, in the order of the caller's stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from xmlc.arguments import Array, all_outputs, bound, checked, refuse_overlaps
from xmlc.backends.cuda.arrays import HOST, DeviceArray, Seen, seen
from xmlc.backends.cuda.artifact import CudaArtifact, Entry
from xmlc.backends.cuda.driver import DEFAULT_STREAM, CudaError, Driver, Handle
from xmlc.backends.cuda.execute import Execution, kernel_names
from xmlc.backends.cuda.program import Address, Given
from xmlc.backends.signature import Signature, Tensor
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.types import shape_text
from xmlc.options import CUDA_SYNC
from xmlc.printing import PRINT_FUNCTIONS

ALIGNMENT = 16
"""Bytes: kernels load and store so many at once."""


class CudaModule:
    """A module's entry point as a Python function of arrays. One thread calls it at a time."""

    def __init__(self, artifact: CudaArtifact, weights: Mapping[str, Array], driver: Driver):
        """Load the kernels onto the driver's device, and bind `weights` by name: they are copied there once."""
        self.driver = driver
        self.artifact = artifact
        if artifact.prepare is not None:
            weights = {**weights, **self.prepared(artifact.prepare, weights)}
        self.weights = [DeviceArray.of(driver, each) for each in bound(self.signature, weights)]
        first = len(self.signature.inputs) + len(self.weights)
        self.own_outputs = [
            (each.shape, each.dtype, f"output '{each.name}'", first + number)
            for number, each in enumerate(self.signature.own_outputs)
        ]
        """What is asked of memory for the outputs that no input gives theirs to."""
        self.execution = self.loaded(artifact.main)
        self.arena = self.new_arena(DEFAULT_STREAM)
        self.staged: dict[int, DeviceArray] = {}
        """Where inputs from the host are copied to, by position."""

    @property
    def signature(self) -> Signature:
        return self.artifact.main.point.signature

    @property
    def arena_bytes(self) -> int:
        """How much memory of the device a call works in, besides its inputs and outputs."""
        return self.artifact.main.point.arena_bytes

    def loaded(self, entry: Entry) -> Execution:
        """An entry point on the device, with buffers of its own."""
        return Execution(entry.program, self.artifact.code, self.driver, PRINT_FUNCTIONS, wait=CUDA_SYNC.get())

    def memory(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], what: str, position: int, stream: Handle = DEFAULT_STREAM
    ) -> DeviceArray:
        """Memory of the device for the argument at a position of the entry point. CudaError says whose it is."""
        try:
            return DeviceArray(self.driver, shape, dtype, stream)
        except CudaError as error:
            raise CudaError(error.code, f"{error.doing} for {what}{self.user(position)}") from error

    def new_outputs(self, stream: Handle) -> list[DeviceArray]:
        """Memory for the outputs that no input gives theirs to."""
        return [self.memory(*each, stream) for each in self.own_outputs]

    def new_arena(self, stream: Handle) -> DeviceArray:
        position = len(self.signature.inputs) + len(self.weights) + len(self.own_outputs)
        return self.memory((self.arena_bytes,), np.dtype(np.uint8), "intermediate results", position, stream)

    def prepared(self, entry: Entry, weights: Mapping[str, Array]) -> dict[str, Array]:
        """What the entry point @prepare makes of weights, by name."""
        signature = entry.point.signature
        given = [DeviceArray.of(self.driver, each) for each in bound(signature, weights)]
        outputs = [DeviceArray(self.driver, each.shape, each.dtype) for each in signature.outputs]
        arena = DeviceArray(self.driver, (entry.point.arena_bytes,), np.dtype(np.uint8))
        execution = self.loaded(entry)
        execution.give([each.address for each in (*given, *outputs, arena)])
        execution.run(DEFAULT_STREAM)
        made = {spec.name: array.numpy() for spec, array in zip(signature.outputs, outputs)}
        execution.release(DEFAULT_STREAM)
        return made

    def __call__(self, *inputs: Any, stream: Handle = DEFAULT_STREAM) -> tuple[Any, ...]:
        """The outputs for inputs in the order of the signature.

        They are NumPy arrays if all inputs are in the host's memory, else `DeviceArray`s, which are complete once
        `stream` (a CUDA stream's number) is. Raises CompileError for what does not fit or the device refuses.
        """
        given = self.placed(inputs, stream)
        outputs = self.launched(given, stream)
        if any(each.keep is not None for each in given) or stream != DEFAULT_STREAM:
            return outputs
        try:
            results = tuple(each.numpy() for each in outputs)
        except CudaError as error:
            raise self.told(error) from error
        return results

    def on_device(self, *inputs: Any) -> tuple[DeviceArray, ...]:
        """The outputs in the device's memory, wherever the inputs are."""
        return self.launched(self.placed(inputs, DEFAULT_STREAM), DEFAULT_STREAM)

    def launched(self, given: Sequence[Seen], stream: Handle) -> tuple[DeviceArray, ...]:
        """The outputs for these inputs; kernels may still run when this returns."""
        own = self.new_outputs(stream)
        self.give([each.address for each in given], own)
        self.execution.run(stream)
        return all_outputs(self.signature, own, self.written(given, stream))

    def placed(self, inputs: Sequence[Any], stream: Handle) -> list[Seen]:
        """Where the inputs are on the device; those of the host are copied there."""
        specs = self.signature.inputs
        if len(inputs) != len(specs):
            expected = ", ".join(map(str, specs)) or "nothing"
            raise CompileError(f"expected {len(specs)} inputs, found {len(inputs)}", hint=f"the inputs are {expected}")
        given = [self.place(number, value, spec, stream) for number, (value, spec) in enumerate(zip(inputs, specs))]
        if self.signature.in_place:
            sizes = [prod(spec.shape) * spec.dtype.itemsize for spec in specs]
            refuse_overlaps(self.signature, [(each.address, size) for each, size in zip(given, sizes)])
        return given

    def written(self, given: Sequence[Seen], stream: Handle) -> dict[int, DeviceArray]:
        """The inputs that outputs are written to, by their numbers: from now on they are the caller's."""
        found: dict[int, DeviceArray] = {}
        for number, _ in self.signature.in_place:
            keep = given[number].keep
            if keep is None:  # a copy of an array of the host
                found[number] = self.staged.pop(number)
            else:
                is_ours = isinstance(keep, DeviceArray)
                found[number] = keep if is_ours else DeviceArray.around(self.driver, given[number], stream)
        return found

    def place(self, number: int, value: Any, spec: Tensor, stream: Handle) -> Seen:
        found = seen(value, self.driver, stream)
        if found is not None:
            self.check(found, number, spec)
            return found
        array = checked(value, spec, "input")
        if number not in self.staged:
            self.staged[number] = self.memory(spec.shape, spec.dtype, f"input '{spec.name}'", number)
        self.driver.copy_in(self.staged[number].address, array, stream)
        return Seen(self.staged[number].address, spec.shape, spec.dtype, None, self.driver.device.number)

    def moved(self, value: Any, stream: Handle) -> Any:
        """An array of the device as it is, one of the host as a copy there."""
        if seen(value, self.driver, stream) is not None:
            return value
        return DeviceArray.of(self.driver, np.asarray(value), stream)

    def check(self, found: Seen, number: int, spec: Tensor) -> None:
        """Raise CompileError if an array of the device is not one that the kernels can use."""
        fits = found.dtype == spec.dtype and found.shape == spec.shape and found.device == self.driver.device.number
        if fits and found.is_contiguous and not found.address % ALIGNMENT:
            return
        what = f"input '{spec.name}'"
        if found.dtype != spec.dtype:
            raise CompileError(f"{what} has element type {found.dtype}, expected {spec.dtype}")
        if found.shape != spec.shape:
            raise CompileError(f"{what} has shape {shape_text(found.shape)}, expected {shape_text(spec.shape)}")
        if found.device == HOST:
            message = f"{what} says that it is in a GPU's memory, but its address is one of the host{self.user(number)}"
            raise CompileError(message, hint="copy it to the GPU, or give a NumPy array of it")
        if found.device != self.driver.device.number:
            here = f"the program is on GPU {self.driver.device.number} ({self.driver.device.name})"
            raise CompileError(f"{what} is on GPU {found.device}, {here}{self.user(number)}", hint="move one of them")
        if not found.is_contiguous:
            raise CompileError(f"{what} has strides {found.strides}, expected a contiguous array{self.user(number)}")
        message = f"{what} starts at an address that is no multiple of {ALIGNMENT} bytes{self.user(number)}"
        raise CompileError(message, hint="give a copy of it: it may be a slice of a larger array")

    def user(self, position: int) -> str:
        """The first kernel that uses an input, for a message."""
        buffers = {i for i, each in enumerate(self.artifact.main.program.buffers) if each == Given(position)}
        for step in self.artifact.main.program.launches():
            if any(isinstance(each.value, Address) and each.value.buffer in buffers for each in step.arguments):
                return f"; the kernel @{step.kernel} uses it" + (f", for {step.place}" if step.place else "")
        return ""

    def give(self, inputs: Sequence[int], outputs: Sequence[DeviceArray]) -> None:
        """Say where everything is."""
        rest = [each.address for each in (*self.weights, *outputs, self.arena)]
        self.execution.give([*inputs, *rest])

    def told(self, error: CudaError) -> CompileError:
        """A failure that came out after the launches: kernels run on while the host goes ahead."""
        kernels = kernel_names(self.artifact.main.program)
        return CudaError(error.code, f"running one of the kernels {kernels}", f"{CUDA_SYNC.name}=1 tells which")

    def bind(self, *inputs: Any, stream: Handle = DEFAULT_STREAM) -> BoundCall:
        """The call for these very arrays, ready to be made again and again: one CUDA graph where that can be."""
        return BoundCall(self, inputs, stream)


class BoundCall:
    """A call whose inputs and outputs stay where they are: change what is in the inputs, call, read the outputs."""

    def __init__(self, module: CudaModule, inputs: Sequence[Any], stream: Handle):
        self.module = module
        self.stream = stream
        self.inputs = module.placed([module.moved(value, stream) for value in inputs], stream)
        own = module.new_outputs(stream)
        self.outputs = all_outputs(module.signature, own, module.written(self.inputs, stream))
        self.execution = module.loaded(module.artifact.main)
        self.arena = module.new_arena(stream)
        rest = [each.address for each in (*module.weights, *own, self.arena)]
        self.execution.give([*(each.address for each in self.inputs), *rest])
        self.use, self.run = module.driver.use, self.execution.bound(stream)

    def __call__(self) -> tuple[DeviceArray, ...]:
        """Launch everything; the outputs are complete once the stream is."""
        self.use()
        self.run()
        return self.outputs
