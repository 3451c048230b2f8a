"""What ops of `nvvm` do to memory, for passes that remove, merge or move ops."""

from __future__ import annotations

from xdsl.irdl import traits_def
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

READS = traits_def(MemoryReadEffect())
WRITES = traits_def(MemoryWriteEffect())
ORDERED = traits_def(MemoryReadEffect(), MemoryWriteEffect())
"""Copies, and what threads agree on or wait for: no pass may remove it, or move what uses memory across it."""
