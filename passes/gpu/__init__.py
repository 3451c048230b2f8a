"""Passes that give the work of a program to the blocks and threads of a GPU."""
