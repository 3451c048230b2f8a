"""Scans of rows as kernels: scheduled, and emitted, by one pass over memory or by older ways.

`passes/scans.py` finds them among loops, `schedule` chooses who does what, `emit` writes the kernel of the default
schedule, `ladder` those of the textbook.
"""
