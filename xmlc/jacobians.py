"""Matrices of derivatives: `xmlc.jacobian` of functions of arrays, `xmlc.hessian` of those that give one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xmlc.batching import vmap
from xmlc.derivatives import Inner, either_way, grad, vjp
from xmlc.frontend.python import functions as xnp
from xmlc.frontend.python.array import Array
from xmlc.frontend.python.tree import map_leaves


def jacobian(function: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    """The derivative of every element of what a function gives by every element of one argument.

    It has the structure of the result; in the place of each array is a tree of the structure of the argument, whose
    arrays have the shape of the result's, then that of the argument's. It is found backwards, all elements at once.
    """

    def matrix(*args: Any) -> Any:
        def of_argument(argument: Any) -> Any:
            return function(*args[:argnum], argument, *args[argnum + 1 :])

        inner = Inner(of_argument, (args[argnum],), (0,))
        outputs = [Array(value, inner.trace) for value in inner.results]

        def rows(place: int) -> Any:
            """The derivatives of one array of the result."""
            shape, size, dtype = outputs[place].shape, outputs[place].size, outputs[place].dtype

            def pulled(row: Array) -> Any:
                cotangents = [row if i == place else xnp.zeros(x.shape, dtype=x.dtype) for i, x in enumerate(outputs)]
                return vjp(of_argument, (args[argnum],), inner.structure.build(cotangents))[1][0]

            found = vmap(pulled)(xnp.asarray(np.eye(size, dtype=dtype)).reshape(size, *shape))
            return map_leaves(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), found)  # pyright: ignore

        return inner.structure.build([rows(place) for place in range(len(outputs))])

    return either_way(matrix, function)


def hessian(function: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    """The second derivatives of a function that gives one number: the Jacobian of its gradient."""
    return jacobian(grad(function, argnum), argnum)
