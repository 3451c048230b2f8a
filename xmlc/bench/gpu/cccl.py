"""CUB by its own Python interface, `cuda.cccl`: reductions, running sums and sorts of arrays of PyTorch.

Each is made once, with the memory that it works in; a call only launches it. It compiles with NVRTC when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

Call = Callable[[], Any]


def cccl_call(operation: str, torch: Any, x: Any) -> Call | None:
    """A call of CUB for an operation on a matrix; None where it is not installed, or has nothing for it."""
    if operation not in MADE or x.dtype == torch.bfloat16:
        return None
    try:
        compute: Any = import_module("cuda.compute")
    except ImportError:
        return None
    return MADE[operation](compute, torch, x)


def planned(torch: Any, algorithm: Any, **given: Any) -> Call:
    """A call of an algorithm, with the memory that it asks for."""
    size = algorithm(temp_storage=None, **given)
    memory = torch.empty(max(size, 1), dtype=torch.uint8, device="cuda")
    return lambda: algorithm(temp_storage=memory, **given)


def started(torch: Any, x: Any) -> Any:
    """The number that sums start from."""
    return np.zeros((), dtype=str(x.dtype).removeprefix("torch."))


def offsets(torch: Any, x: Any) -> tuple[Any, Any]:
    """Where each row starts and ends."""
    whole = torch.arange(x.shape[0] + 1, dtype=torch.int64, device="cuda") * x.shape[1]
    return whole[:-1], whole[1:]


def whole_sum(compute: Any, torch: Any, x: Any) -> Call:
    out = torch.empty(1, dtype=x.dtype, device="cuda")
    flat, plus, start = x.reshape(-1), compute.OpKind.PLUS, started(torch, x)
    made = compute.make_reduce_into(d_in=flat, d_out=out, op=plus, h_init=start)
    return planned(torch, made, d_in=flat, d_out=out, num_items=x.numel(), op=plus, h_init=start)


def row_sums(compute: Any, torch: Any, x: Any) -> Call:
    out = torch.empty(x.shape[0], dtype=x.dtype, device="cuda")
    first, last = offsets(torch, x)
    what = {
        "d_in": x.reshape(-1),
        "d_out": out,
        "start_offsets_in": first,
        "end_offsets_in": last,
        "op": compute.OpKind.PLUS,
        "h_init": started(torch, x),
    }
    made = compute.make_segmented_reduce(**what)
    return planned(torch, made, num_segments=x.shape[0], max_segment_size=x.shape[1], **what)


def running_sums(compute: Any, torch: Any, x: Any) -> Call | None:
    """Of one row: CUB has no scan of several."""
    if x.shape[0] != 1:
        return None
    flat, plus = x.reshape(-1), compute.OpKind.PLUS
    out = torch.empty_like(flat)
    made = compute.make_inclusive_scan(d_in=flat, d_out=out, op=plus, init_value=None)
    return planned(torch, made, d_in=flat, d_out=out, op=plus, init_value=None, num_items=x.numel())


def sorted_rows(compute: Any, torch: Any, x: Any) -> Call:
    flat = x.reshape(-1)
    out = torch.empty_like(flat)
    keys = {"d_in_keys": flat, "d_out_keys": out, "d_in_values": None, "d_out_values": None}
    ascending = compute.SortOrder.ASCENDING
    if x.shape[0] == 1:
        return planned(torch, compute.make_radix_sort(order=ascending, **keys), num_items=x.numel(), **keys)
    first, last = offsets(torch, x)
    segments = {"start_offsets_in": first, "end_offsets_in": last}
    made = compute.make_segmented_sort(order=ascending, **keys, **segments)
    return planned(torch, made, num_items=x.numel(), num_segments=x.shape[0], **keys, **segments)


MADE: dict[str, Callable[[Any, Any, Any], Call | None]] = {
    "full_sum": whole_sum,
    "row_sum": row_sums,
    "cumsum": running_sums,
    "sort": sorted_rows,
}
"""Operation of the grid -> CUB's."""
