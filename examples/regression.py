"""Linear and logistic regression: the smallest programs that learn, and what they find is known.

python -m xmlc.examples.regression
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import xmlc
from xmlc import nn, training

Array = NDArray[np.float32]
Model = dict[str, Any]


def prediction(model: Model, x: Any) -> Any:
    return x @ model["weight"] + model["bias"]


def squared_error(model: Model, x: Any, y: Any) -> Any:
    return ((prediction(model, x) - y) ** 2).mean()


def logistic_loss(model: Model, x: Any, y: Any) -> Any:
    """The mean of -log of the probability that the model gives the truth, y being 0 or 1."""
    score = prediction(model, x)
    return (nn.softplus(score) - y * score).mean()


def fitted(loss: Any, x: Array, y: Array, optimizer: training.Optimizer, steps: int) -> tuple[Model, float]:
    """The model after so many steps on all rows at once, and its loss before the last."""

    @xmlc.compile(donate=("model", "state"))
    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = xmlc.value_and_grad(loss)(model, x, y)
        model, state = optimizer.update(gradient, state, model)
        return model, state, value

    model: Model = {"weight": np.zeros(x.shape[1], np.float32), "bias": np.zeros((), np.float32)}
    state = optimizer.init(model)
    value = np.inf
    for _ in range(steps):
        model, state, value = step(model, state, x, y)
    return model, float(value)


def main() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 3)).astype(np.float32)
    truth = np.array([1, -2, 3], np.float32)
    y = (x @ truth + 0.5 + random.normal(size=500) * 0.1).astype(np.float32)
    line, error = fitted(squared_error, x, y, training.sgd(0.1, momentum=0.9), 200)
    print(f"linear: weights {line['weight']}, bias {line['bias']:.3f}, squared error {error:.4f}")
    above = (y > 0).astype(np.float32)
    border, loss = fitted(logistic_loss, x, above, training.adam(0.1), 300)
    right = ((x @ border["weight"] + border["bias"] > 0) == above).mean()
    print(f"logistic: {right:.1%} of the rows on their side, loss {loss:.4f}")


if __name__ == "__main__":
    main()
