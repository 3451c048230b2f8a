"""Operator sets: which version of which domain a graph is written for."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

DOMAINS = {"ai.onnx": ""}
"""The default domain has two spellings."""


def opsets_of(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {DOMAINS.get(each.domain, each.domain): each.version for each in imports}
