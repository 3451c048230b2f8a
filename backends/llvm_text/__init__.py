"""Prints structured ops as LLVM IR text: rows of a table that backends share."""
