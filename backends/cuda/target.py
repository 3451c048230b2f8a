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
VERSIONS = {80: 86, 86: 86, 87: 86, 88: 90, 89: 86, 90: 86, 100: 86, 101: 86, 103: 88, 110: 90, 120: 87, 121: 88}
"""Number of an architecture -> the version of PTX of its code: the first that has the architecture, 8.6 at least."""
FAMILY_VERSION = 88
"""The first version of PTX with code for families of architectures, such as sm_100f."""
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
    if int(match["number"]) not in VERSIONS:
        known = ", ".join(f"sm_{number}" for number in VERSIONS)
        raise CompileError(f"there is no architecture {processor}", hint=f"there are {known}")
    version = max(VERSIONS[int(match["number"])], FAMILY_VERSION if processor.endswith("f") else 0)
    return CudaTarget(text, processor, f"+ptx{version}")
