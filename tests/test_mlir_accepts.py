"""MLIR accepts what we print: every program of the FileCheck corpus, at the linalg and the structured level."""

from __future__ import annotations

import os
from pathlib import Path

from oracle import mlir_opt, needs_mlir
from xdsl.dialects.builtin import ModuleOp

from xmlc.dialects import context
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings, run_stages, stage_of
from xmlc.frontend import toy
from xmlc.parse import parse_module
from xmlc.pipeline import printed

FOLDER = Path(__file__).resolve().parent.parent / "filecheck_tests"
SPLIT = "// -----"
LEVELS = ("linalg", "structured")


def programs() -> list[tuple[str, str]]:
    """Name and text of each program of the corpus that is meant to be right."""
    found: list[tuple[str, str]] = []
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix not in (".mlir", ".toy"):
            continue
        text = path.read_text(encoding="utf-8")
        if "RUN: not " in text or "expected-error" in text:
            continue
        parts = text.split(SPLIT) if "--split-input-file" in text else [text]
        found += [(path.name, part) for part in parts]
    return found


def opened(name: str, text: str) -> ModuleOp:
    if name.endswith(".toy"):
        return toy.build(toy.parse(text, name))
    return parse_module(text, name, context(allow_unregistered=True))


def has_ours(module: ModuleOp) -> bool:
    """Whether there are ops of a dialect that upstream does not have."""
    return any(op.name.startswith("grouped.") for op in module.walk())


def at_levels(name: str, text: str) -> dict[str, str]:
    """A program printed at each level that it can be brought to; {} where it is refused, as for free sizes."""
    made: dict[str, str] = {}
    try:
        module = opened(name, text)
        if has_ours(module):
            return {}
        if stage_of(module) == "structured" or any(op.name.startswith(("memref.", "vector.")) for op in module.walk()):
            return {"structured": printed(module)}
        for level in LEVELS:
            if stage_of(module) != level:
                run_stages(module, stage_of(module), level, Settings())
            if not has_ours(module):
                made[level] = printed(module)
    except CompileError:
        pass
    return made


@needs_mlir
def test_mlir_accepts_the_filecheck_corpus() -> None:
    texts: dict[str, list[str]] = {level: [] for level in LEVELS}
    for name, text in programs():
        for level, made in at_levels(name, text).items():
            texts[level].append(made)
    for level, each in texts.items():
        assert len(each) >= 15, f"only {len(each)} programs reach the level {level}"
        mlir_opt(f"\n{SPLIT}\n".join(each), "--split-input-file", "-o", os.devnull)
