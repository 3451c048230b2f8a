"""A program compiled for a GPU, as bytes: its entry points, what the host does, and the kernels' code."""

from __future__ import annotations

import json
from dataclasses import dataclass

from xmlc.backends.cuda.program import LaunchProgram
from xmlc.backends.signature import EntryPoint, Signature


@dataclass(frozen=True)
class Entry:
    """An entry point and how the host runs it."""

    point: EntryPoint
    program: LaunchProgram


@dataclass(frozen=True)
class CudaArtifact:
    """@main and, if there is one, @prepare; the code is PTX text or a cubin of all their kernels."""

    main: Entry
    prepare: Entry | None
    code: bytes

    def to_bytes(self) -> bytes:
        entries = [self.main, *([self.prepare] if self.prepare else [])]
        head = [
            {
                "signature": each.point.signature.to_json(),
                "arena_bytes": each.point.arena_bytes,
                "program": each.program.to_json(),
            }
            for each in entries
        ]
        return json.dumps(head).encode() + b"\n" + self.code

    @classmethod
    def from_bytes(cls, data: bytes) -> CudaArtifact:
        head, _, code = data.partition(b"\n")
        entries = [
            Entry(
                EntryPoint(Signature.from_json(each["signature"]), each["arena_bytes"]),
                LaunchProgram.from_json(each["program"]),
            )
            for each in json.loads(head)
        ]
        return cls(entries[0], entries[1] if len(entries) > 1 else None, code)
