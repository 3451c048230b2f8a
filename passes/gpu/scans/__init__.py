"""Scans of rows as kernels: found among loops, scheduled, and emitted, by one pass over memory or by older ways.

`recognise` finds them, `schedule` chooses who does what, `emit` writes the kernel of the default schedule, `ladder`
those of the textbook.
"""
