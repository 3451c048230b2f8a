"""Prints the kernels of a module as LLVM IR text for NVPTX."""

from __future__ import annotations

from xmlc.backends.cuda.emit.module import ROWS, emit_kernels

__all__ = ["ROWS", "emit_kernels"]
