"""What GPU code is generated for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xmlc.dialects.diagnostics import CompileError

TRIPLE = "nvptx64-nvidia-cuda"
DEFAULT = "sm_90a"
PTX_VERSION = "+ptx86"
"""The version of PTX: drivers of CUDA 12.7 and later read it."""

ARCHITECTURE = re.compile(r"sm_(?P<number>[0-9]+)[af]?\Z")
LEAST = 80
"""The oldest architecture that kernels are made for: it copies to shared memory asynchronously and rounds to bf16."""


@dataclass(frozen=True)
class CudaTarget:
    """An NVIDIA GPU to generate code for; hashable, so that it can be part of a cache key.

    The limits are those of the H100 and H200: cost models read them.
    """

    name: str
    """What the user wrote: `cuda`, `cuda:sm_80`."""
    processor: str = DEFAULT
    features: str = PTX_VERSION
    multiprocessors: int = 132
    shared_bytes: int = 227 * 1024
    """Shared memory that one block may have."""

    @property
    def has_clusters(self) -> bool:
        """Whether blocks can be made to run together and wait for each other."""
        return int(self.processor.removeprefix("sm_").rstrip("af")) >= 90

    def __str__(self) -> str:
        return f"target     {self.name}\ntriple     {TRIPLE}\nprocessor  {self.processor}"


def parse_cuda(text: str) -> CudaTarget:
    """The target that `text` names: `cuda`, or `cuda:sm_XX`. CompileError where it names none."""
    base, _, processor = text.partition(":")
    processor = processor or DEFAULT
    match = ARCHITECTURE.match(processor)
    if base != "cuda" or match is None:
        raise CompileError(f"unknown target '{text}'", hint="write cuda or cuda:sm_90a")
    if int(match["number"]) < LEAST:
        raise CompileError(f"{processor} is too old", hint=f"kernels are made for sm_{LEAST} and later")
    return CudaTarget(text, processor)
