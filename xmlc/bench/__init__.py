"""Benchmarks: cases, contestants, roofs, interleaved timing, records and what is made of them."""
