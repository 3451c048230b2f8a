"""Chains of elementwise ops and reductions of rows as one kernel: found, scheduled and emitted.

`program` finds them among linalg ops on memrefs, `schedule` chooses who does what, `emit` writes the kernel.
"""
