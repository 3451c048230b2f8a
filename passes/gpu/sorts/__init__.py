"""Sorts of rows as kernels: keys whose bits are in order, ranks within a block, and passes over digits."""
