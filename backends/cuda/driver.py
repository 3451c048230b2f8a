"""NVIDIA's driver, as far as we need it: devices, memory, code, launches, graphs, events.

Through `cuda.bindings`, which is imported when a device is first asked for. Every failure is a CompileError that says
what was being done: `CUDA_ERROR_OUT_OF_MEMORY while allocating 1.5 GiB`. There is no other way to run than a GPU: where
there is none, that is said, and nothing is run on the processor instead.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xmlc.backends.cuda.pinned import ResultPool, StagingPool
from xmlc.dialects.diagnostics import CompileError

if TYPE_CHECKING:
    from xmlc.dialects.nvvm.tensor_map import TensorMap

Array = NDArray[Any]
Handle = Any
"""What the driver calls a module, a function, a stream, an event or a graph."""

STAGED = 8 << 20
"""Bytes of a copy from which on it goes through pinned memory: of less the driver's own copy is as fast."""

INSTALL = "pip install 'xmlc[cuda]'"
DEFAULT_STREAM = 0
"""The stream that waits for all others, and they for it: what other libraries use unless they are told otherwise."""
MOST_DEFAULT = 2
"""The largest number of a stream that stands for a default stream of the current context."""
MOST_STATIC_SHARED = 48 * 1024
"""Bytes of shared memory that a kernel has without asking for more."""

MAPPED = {
    "u8": "UINT8",
    "i8": "UINT8",  # copied as they are
    "u16": "UINT16",
    "u32": "UINT32",
    "i32": "INT32",
    "f16": "FLOAT16",
    "bf16": "BFLOAT16",
    "f32": "FLOAT32",
    "f64": "FLOAT64",
}
"""Elements of a tensor map -> the driver's name for them."""

HINTS = {
    "CUDA_ERROR_OUT_OF_MEMORY": "another program may hold the device's memory: nvidia-smi shows which",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "compile for this device: --target=cuda:sm_XX",
    "CUDA_ERROR_INVALID_PTX": "the kernels may be made for a newer device than this one: --target=cuda:sm_XX",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": "the driver is older than the PTX: update it",
}


class CudaError(CompileError):
    """The driver refused something."""

    def __init__(self, code: str, doing: str, hint: str | None = None):
        self.code, self.doing = code, doing
        super().__init__(f"{code} while {doing}", hint=hint or HINTS.get(code))


@dataclass(frozen=True)
class Device:
    """A GPU: its number, and what it is."""

    number: int
    name: str
    capability: tuple[int, int]
    memory: int
    """Bytes."""
    multiprocessors: int
    driver: str = ""
    """The version of CUDA that the driver is for."""

    @property
    def processor(self) -> str:
        """The architecture as targets name it; sm_90 has instructions that only code for it may use."""
        major, minor = self.capability
        return f"sm_{major}{minor}" + ("a" if major >= 9 else "")


class Driver(Protocol):
    """What the runtime asks of one device. Sizes are in bytes, addresses are numbers."""

    device: Device

    def use(self) -> None: ...
    def load(self, code: bytes) -> Handle: ...
    def function(self, module: Handle, name: str, shared: int) -> Handle: ...
    def allocate(self, size: int, stream: Handle) -> int: ...
    def free(self, address: int, stream: Handle) -> None: ...
    def host_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...
    def copy_in(self, address: int, array: Array, stream: Handle) -> None: ...
    def copy_out(self, array: Array, address: int, stream: Handle) -> None: ...
    def copy(self, target: int, source: int, size: int, stream: Handle) -> None: ...
    def blocks_at_once(self, function: Handle, threads: int, shared: int) -> int: ...
    def prepared(
        self,
        function: Handle,
        grid: Sequence[int],
        block: Sequence[int],
        shared: int,
        stream: Handle,
        arguments: int,
        *,
        together: bool = False,
    ) -> Callable[[], None]: ...
    def synchronize(self, stream: Handle) -> None: ...
    def owner(self, address: int) -> int | None: ...
    def captured(self, run: Callable[[Handle], None]) -> Handle: ...
    def replaying(self, graph: Handle, stream: Handle, doing: str) -> Callable[[], None]: ...
    def free_graph(self, graph: Handle) -> None: ...


@cache
def bindings() -> Any:
    """The module `cuda.bindings.driver`, its driver initialised. CompileError where that cannot be."""
    try:
        api: Any = import_module("cuda.bindings.driver")
    except ImportError as error:
        raise CompileError("the package cuda-bindings is not installed", hint=INSTALL) from error
    try:
        code = api.cuInit(0)[0]
    except RuntimeError as error:  # it did not find libcuda.so.1
        raise CompileError("this machine has no NVIDIA driver", hint="use --target=cpu to run here") from error
    if code == api.CUresult.CUDA_ERROR_NO_DEVICE:
        raise CompileError("this machine has no NVIDIA GPU", hint="use --target=cpu to run here")
    if code != api.CUresult.CUDA_SUCCESS:
        raise CudaError(code.name, "starting the driver")
    return api


def devices() -> list[Device]:
    """The GPUs of this machine. CompileError where there is no driver."""
    api = bindings()
    return [described(api, number) for number in range(done(api.cuDeviceGetCount(), "counting devices"))]


def described(api: Any, number: int) -> Device:
    handle = done(api.cuDeviceGet(number), f"opening device {number}")
    wanted = api.CUdevice_attribute

    def attribute(name: str) -> int:
        return done(api.cuDeviceGetAttribute(getattr(wanted, f"CU_DEVICE_ATTRIBUTE_{name}"), handle), f"reading {name}")

    name: bytes = done(api.cuDeviceGetName(256, handle), "reading a device's name")
    return Device(
        number,
        name.split(b"\0")[0].decode(),
        (attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")),
        done(api.cuDeviceTotalMem(handle), "reading the size of memory"),
        attribute("MULTIPROCESSOR_COUNT"),
        str(done(api.cuDriverGetVersion(), "asking for the driver's version")),
    )


def done(answer: tuple[Any, ...], doing: str) -> Any:
    """What a call of the driver gave besides its code: nothing, one value, or a tuple. Raises CudaError."""
    code = answer[0]
    if code.value:
        raise CudaError(code.name, doing)
    return answer[1] if len(answer) == 2 else answer[1:]


def spelled(size: int) -> str:
    """A number of bytes for a message."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024  # pyright: ignore[reportAssignmentType]
    return f"{size:.4g} GiB"


class NvidiaDriver:
    """One device, its primary context, and its pool of memory."""

    def __init__(self, number: int):
        api = self.api = bindings()
        found = devices()
        if number >= len(found):
            raise CompileError(f"there is no GPU {number}", hint=f"this machine has {len(found)}, counted from 0")
        self.device = found[number]
        handle = done(api.cuDeviceGet(number), f"opening device {number}")
        self.context = done(api.cuDevicePrimaryCtxRetain(handle), "making a context")
        self.is_alone = len(found) == 1
        self.entered = threading.local()
        """Threads that work on the device, which they go on doing where there is no other."""
        self.use()
        self.pool = done(api.cuDeviceGetDefaultMemPool(handle), "opening the device's memory pool")
        keep = api.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        # memory that is freed stays in the pool: the next call wants it again
        done(api.cuMemPoolSetAttribute(self.pool, keep, api.cuuint64_t(2**64 - 1)), "setting up the memory pool")
        self.streams: dict[int, Any] = {}
        self.modules: dict[bytes, Handle] = {}
        self.staging, self.results = StagingPool(self), ResultPool(self)

    def use(self) -> None:
        """Make this thread work on the device: first of all that is asked of it, except launches."""
        if not (self.is_alone and getattr(self.entered, "yes", False)):
            done(self.api.cuCtxSetCurrent(self.context), "choosing a device")
            self.entered.yes = True

    def load(self, code: bytes) -> Handle:
        """A module from PTX text, which the driver compiles, or from a cubin; the same code is loaded once."""
        key = hashlib.sha256(code).digest()
        self.use()
        if key not in self.modules:
            self.modules[key] = done(self.api.cuModuleLoadData(code + b"\0"), "loading kernels")
        return self.modules[key]

    def function(self, module: Handle, name: str, shared: int) -> Handle:
        """A kernel by name, allowed to have `shared` bytes of dynamic shared memory."""
        found = done(self.api.cuModuleGetFunction(module, name.encode()), f"looking for the kernel @{name}")
        if shared > MOST_STATIC_SHARED:
            attribute = self.api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            doing = f"giving the kernel @{name} {spelled(shared)} of shared memory"
            done(self.api.cuFuncSetAttribute(found, attribute, shared), doing)
        return found

    def stream(self, stream: Handle) -> Any:
        """A stream's number as the driver's object. CompileError for a stream of another device or context."""
        if not isinstance(stream, int):
            return stream
        if stream not in self.streams:
            made = self.api.CUstream(stream)
            if stream > MOST_DEFAULT:
                context = done(self.api.cuStreamGetCtx(made), f"using the stream {stream:#x}")
                if int(context) != int(self.context):
                    raise CompileError(
                        f"the stream {stream:#x} belongs to another device, or to another context of this one",
                        hint=f"make it on GPU {self.device.number} ({self.device.name}), in its primary context",
                    )
            self.streams[stream] = made
        return self.streams[stream]

    def allocate(self, size: int, stream: Handle) -> int:
        self.use()
        code, address = self.api.cuMemAllocFromPoolAsync(max(size, 1), self.pool, self.stream(stream))
        if code.value:
            raise CudaError(code.name, f"allocating {spelled(size)} on device {self.device.number}")
        return int(address)

    def free(self, address: int, stream: Handle) -> None:
        self.use()
        done(self.api.cuMemFreeAsync(address, self.stream(stream)), "freeing memory")

    def pin(self, size: int) -> int:
        """The address of memory of the host that the device reads and writes by itself."""
        self.use()
        return int(done(self.api.cuMemHostAlloc(size, 0), f"pinning {spelled(size)} of the host's memory"))

    def unpin(self, address: int) -> None:
        self.use()
        done(self.api.cuMemFreeHost(address), "freeing pinned memory")

    def copy_from_pinned(self, target: int, source: int, size: int, stream: Handle) -> None:
        done(self.api.cuMemcpyHtoDAsync(target, source, size, self.stream(stream)), f"copying {spelled(size)}")

    def mark(self, stream: Handle) -> Handle:
        """What `wait_for` waits for: all that the stream has been told so far."""
        event = self.new_event()
        self.record(event, stream)
        return event

    def wait_for(self, mark: Handle) -> None:
        done(self.api.cuEventSynchronize(mark), "waiting for a copy")
        done(self.api.cuEventDestroy(mark), "waiting for a copy")

    def host_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of the host for what comes from the device."""
        return self.results.array(shape, dtype)

    def copy_in(self, address: int, array: Array, stream: Handle) -> None:
        """From the host; the array may be changed once this returns."""
        if array.nbytes >= STAGED:
            self.use()
            self.staging.copy_in(address, array, stream)
            return
        if array.nbytes:
            self.use()
            answer = self.api.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, self.stream(stream))
            done(answer, f"copying {spelled(array.nbytes)} to the device")

    def copy_out(self, array: Array, address: int, stream: Handle) -> None:
        """To the host; the array holds what it should once the stream is synchronised."""
        if array.nbytes:
            self.use()
            answer = self.api.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, self.stream(stream))
            done(answer, f"copying {spelled(array.nbytes)} from the device")

    def copy(self, target: int, source: int, size: int, stream: Handle) -> None:
        self.use()
        done(self.api.cuMemcpyDtoDAsync(target, source, size, self.stream(stream)), f"copying {spelled(size)}")

    def fill(self, address: int, size: int, stream: Handle) -> None:
        """Make all bytes 0."""
        done(self.api.cuMemsetD8Async(address, 0, size, self.stream(stream)), f"filling {spelled(size)}")

    def blocks_at_once(self, function: Handle, threads: int, shared: int) -> int:
        """How many blocks of a kernel the device runs at the same time."""
        api, doing = self.api, "asking how many blocks fit"
        width = api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH
        cluster = done(api.cuFuncGetAttribute(width, function), doing)
        if cluster <= 1:
            answer = api.cuOccupancyMaxActiveBlocksPerMultiprocessor(function, threads, shared)
            return done(answer, doing) * self.device.multiprocessors
        attribute = api.CUlaunchAttribute()
        attribute.id = api.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        size = attribute.value.clusterDim
        size.x, size.y, size.z = cluster, 1, 1
        config = api.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = cluster, 1, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = threads, 1, 1
        config.sharedMemBytes, config.attrs, config.numAttrs = shared, [attribute], 1
        return done(api.cuOccupancyMaxActiveClusters(function, config), doing) * cluster

    def prepared(
        self,
        function: Handle,
        grid: Sequence[int],
        block: Sequence[int],
        shared: int,
        stream: Handle,
        arguments: int,
        *,
        together: bool = False,
    ) -> Callable[[], None]:
        """A launch as a function, with as little between it and the driver as can be.

        `arguments` is where an array of the addresses of the arguments is. With `together` it is an error unless all
        blocks run at once.
        """
        cu_launch, success = self.api.cuLaunchKernel, self.api.CUresult.CUDA_SUCCESS
        if together:
            cu_launch = self.api.cuLaunchCooperativeKernel
        given = (function, *grid, *block, shared, self.stream(stream), arguments)
        given = given if together else (*given, 0)

        def launch() -> None:
            code = cu_launch(*given)[0]
            if code is not success and code != success:
                raise CudaError(code.name, "launching a kernel")

        return launch

    def synchronize(self, stream: Handle) -> None:
        self.use()
        done(self.api.cuStreamSynchronize(self.stream(stream)), "running kernels")

    def owner(self, address: int) -> int | None:
        """The device that an address belongs to; None for memory of the host."""
        wanted = self.api.CUpointer_attribute
        code, kind = self.api.cuPointerGetAttribute(wanted.CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address)
        if code.value or int(kind) != int(self.api.CUmemorytype.CU_MEMORYTYPE_DEVICE):
            return None
        return int(
            done(
                self.api.cuPointerGetAttribute(wanted.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address),
                "asking whose memory it is",
            )
        )

    def tensor_map(self, described: TensorMap) -> bytes:
        """A tensor map as the device reads it. `described` has an address of this device."""
        api = self.api
        pick = api.CUtensorMapDataType, api.CUtensorMapSwizzle, api.CUtensorMapFloatOOBfill
        kind, swizzle, fill = (
            getattr(each, f"CU_TENSOR_MAP_{name}")
            for each, name in zip(
                pick,
                (
                    f"DATA_TYPE_{MAPPED[described.element]}",
                    f"SWIZZLE_{f'{described.swizzle}B' if described.swizzle else 'NONE'}",
                    "FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA" if described.fills_nan else "FLOAT_OOB_FILL_NONE",
                ),
            )
        )
        made = done(
            api.cuTensorMapEncodeTiled(
                kind,
                len(described.sizes),
                described.address,
                [api.cuuint64_t(each) for each in described.sizes],
                [api.cuuint64_t(each) for each in described.strides],
                [api.cuuint32_t(each) for each in described.box],
                [api.cuuint32_t(1)] * len(described.sizes),
                api.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle,
                api.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                fill,
            ),
            f"making a map of a tensor of {described.sizes}",
        )
        return b"".join(int(each).to_bytes(8, "little") for each in made.opaque)

    def new_stream(self) -> Handle:
        """A stream that does not wait for the default one."""
        self.use()
        return done(self.api.cuStreamCreate(1), "making a stream")

    def captured(self, run: Callable[[Handle], None]) -> Handle:
        """What a function launches on the stream that it is given, as a graph: nothing is launched now."""
        api, doing, stream = self.api, "making a graph", self.new_stream()
        try:
            done(api.cuStreamBeginCapture(stream, api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), doing)
            try:
                run(stream)
            finally:
                ended = api.cuStreamEndCapture(stream)  # fails too where a launch failed: that error is the one to tell
            graph = done(ended, doing)
            made = done(api.cuGraphInstantiate(graph, 0), doing)
            done(api.cuGraphDestroy(graph), doing)
        finally:
            done(api.cuStreamDestroy(stream), doing)
        return made

    def replaying(self, graph: Handle, stream: Handle, doing: str) -> Callable[[], None]:
        """The launch of a graph as a function, with as little between it and the driver as can be.

        `doing` is what its error says.
        """
        cu_launch, success, on = self.api.cuGraphLaunch, self.api.CUresult.CUDA_SUCCESS, self.stream(stream)

        def replay() -> None:
            code = cu_launch(graph, on)[0]
            if code is not success and code != success:
                raise CudaError(code.name, doing)

        return replay

    def free_graph(self, graph: Handle) -> None:
        """Forget a graph; one that runs does so to its end."""
        self.use()
        done(self.api.cuGraphExecDestroy(graph), "freeing a graph")

    def new_event(self) -> Handle:
        return done(self.api.cuEventCreate(0), "making an event")

    def record(self, event: Handle, stream: Handle) -> None:
        done(self.api.cuEventRecord(event, self.stream(stream)), "recording an event")

    def seconds_between(self, first: Handle, second: Handle) -> float:
        """The time of the device between two events; waits for the second."""
        done(self.api.cuEventSynchronize(second), "running kernels")
        return done(self.api.cuEventElapsedTime(first, second), "reading events") * 1e-3


@cache
def driver_of(number: int = 0) -> NvidiaDriver:
    """The one driver of a device in this process."""
    return NvidiaDriver(number)
