"""Kernels written for a test, and launched on the GPU interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oracle import parse

from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.dialects.reference.interpreter import interpret

SHARED = "#gpu.address_space<workgroup>"
CONSTANTS = "\n".join(f"%c{n} = arith.constant {n} : index" for n in (0, 1, 2, 3, 4, 8, 16, 31, 32, 64))


def memref_of(array: Any) -> str:
    return f"memref<{''.join(f'{size}x' for size in array.shape)}{FROM_NUMPY[array.dtype]}>"


def program(
    body: str,
    arrays: Sequence[Any],
    grid: Sequence[int],
    block: Sequence[int],
    shared: str,
    dynamic: int,
    cluster: int | None = None,
) -> str:
    """A module whose @main launches the kernel @k, which takes arrays as %a, %b …"""
    names = "abcdefg"[: len(arrays)]
    parameters = ", ".join(f"%{name}: {memref_of(array)}" for name, array in zip(names, arrays))
    arguments = ", ".join(f"%{name} : {memref_of(array)}" for name, array in zip(names, arrays))
    sizes = {f"%{what}{axis}": size for what, each in (("g", grid), ("t", block)) for axis, size in zip("xyz", each)}
    made = "\n".join(f"{name} = arith.constant {size} : index" for name, size in sizes.items())
    globals_ = (
        f'"memref.global"() <{{sym_name = "s", sym_visibility = "private", type = memref<{shared}, {SHARED}>, '
        "initial_value}> : () -> ()"
    )
    promised = f"attributes {{known_cluster_size = array<i32: {cluster}, 1, 1>}} " if cluster else ""
    return f"""
    module attributes {{gpu.container_module}} {{
      gpu.module @kernels {{
        {globals_ if shared else ""}
        gpu.func @k({parameters}) kernel {promised}{{
          {CONSTANTS}
          %t = gpu.thread_id x
          {body}
          gpu.return
        }}
      }}
      func.func @main({parameters}) {{
        {made}
        %bytes = arith.constant {dynamic} : i32
        gpu.launch_func @kernels::@k blocks in (%gx, %gy, %gz) threads in (%tx, %ty, %tz)
          dynamic_shared_memory_size %bytes args({arguments})
        func.return
      }}
    }}"""


def launch(
    body: str,
    *arrays: Any,
    grid: Sequence[int] = (1, 1, 1),
    block: Sequence[int] = (32, 1, 1),
    shared: str = "",
    dynamic: int = 0,
    cluster: int | None = None,
) -> None:
    """Run a kernel on arrays, in place. `shared` is the shape and type of @s, `SHARED` memory."""
    module = parse(program(body, arrays, grid, block, shared, dynamic, cluster))
    module.verify()
    interpret(module, "main", arrays)
