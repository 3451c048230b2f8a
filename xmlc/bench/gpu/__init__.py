"""`xmlc bench --device cuda`: kernels that move memory, on a GPU, beside PyTorch and CuPy.

`cases` says what is measured, `build` compiles it (no GPU is needed), `measure` runs it and its peers (no LLVM is).
"""
