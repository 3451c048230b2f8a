"""The table of operators: by domain and name, their versions from the oldest to the newest."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator

from xmlc.frontend.onnx.operator import Operator, operators_of

FAMILIES: dict[str, tuple[str, ...]] = {
    "": (
        "elementwise",
        "shaping",
        "indexing",
        "contraction",
        "pooling",
        "reduction",
        "normalization",
        "recurrent",
        "quantization",
        "resampling",
        "spectral",
        "attention",
        "sequence",
        "control",
    ),
    "ai.onnx.ml": ("traditional",),
}
"""The files of this folder by the domain whose operators they define."""


@functools.cache
def table() -> dict[tuple[str, str], tuple[Operator, ...]]:
    """Every operator, read from the signatures of the functions once."""
    result: dict[tuple[str, str], list[Operator]] = {}
    for domain, families in FAMILIES.items():
        for family in families:
            for operator in operators_of(importlib.import_module(f"{__name__}.{family}")):
                result.setdefault((domain, operator.name), []).append(operator)
    return {key: tuple(sorted(versions, key=lambda each: each.since)) for key, versions in result.items()}


def find(domain: str, name: str, opset: int) -> Operator | None:
    """The version of an operator in force at `opset`, or None where there is none."""
    versions = [each for each in table().get((domain, name), ()) if each.since <= opset]
    return versions[-1] if versions else None


def names() -> Iterator[str]:
    """The operators xmlc has, `domain:name` outside the default domain."""
    for domain, name in sorted(table()):
        yield f"{domain}:{name}" if domain else name
