"""Sorts on processors: what is sorted in the place of elements, and the networks that sort it."""
