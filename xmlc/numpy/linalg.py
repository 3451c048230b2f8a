"""Linear algebra of the array API standard: products make programs, decompositions are LAPACK's through NumPy."""

from __future__ import annotations

import numpy as np

from xmlc.tensors.library import LibraryFunction
from xmlc.tensors.operations import matmul, matrix_transpose, outer, tensordot, vecdot

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm",
]  # fmt: skip

cholesky, cross, det = map(LibraryFunction, (np.linalg.cholesky, np.linalg.cross, np.linalg.det))
diagonal, trace = LibraryFunction(np.linalg.diagonal), LibraryFunction(np.linalg.trace)
eigh, eigvalsh = LibraryFunction(np.linalg.eigh), LibraryFunction(np.linalg.eigvalsh)
inv, pinv, solve = map(LibraryFunction, (np.linalg.inv, np.linalg.pinv, np.linalg.solve))
matrix_norm, vector_norm = LibraryFunction(np.linalg.matrix_norm), LibraryFunction(np.linalg.vector_norm)
matrix_power, matrix_rank = LibraryFunction(np.linalg.matrix_power), LibraryFunction(np.linalg.matrix_rank)
qr, slogdet = LibraryFunction(np.linalg.qr), LibraryFunction(np.linalg.slogdet)
svd, svdvals = LibraryFunction(np.linalg.svd), LibraryFunction(np.linalg.svdvals)
