"""Prints a structured module as LLVM IR text: one table row says how one kind of op is spelled."""

from __future__ import annotations

from xmlc.backends.cpu.emit.module import ROWS, emit_module, emit_units

__all__ = ["ROWS", "emit_module", "emit_units"]
