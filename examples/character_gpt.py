"""A small GPT that learns to write a text, character by character; and writes some when it has learned.

    python -m xmlc.examples.character_gpt

The text is the licence of Python, which every Python brings along. The network is GPT-2's in small (Radford et al.
2019): attention and a layer with `gelu`, each after a normalisation and around a connection that skips it.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import xmlc
from xmlc import nn, training
from xmlc import numpy as xnp

Array = Any
Tokens = NDArray[np.int64]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """The sizes of a network."""

    characters: int
    length: int = 64
    width: int = 128
    heads: int = 4
    layers: int = 4


def text() -> str:
    """The licence that `license()` prints in an interactive Python, else the Zen of Python by its module."""
    licence: Any = getattr(builtins, "license", None)
    if licence is not None:
        licence._Printer__setup()
        found = "\n".join(licence._Printer__lines)
        if len(found) > 5000:
            return found
    import this  # pyright: ignore

    turned: dict[str, str] = this.d
    return "".join(turned.get(each, each) for each in this.s)


def encoded(source: str) -> tuple[Tokens, str]:
    """The text as numbers, and the characters that they stand for."""
    alphabet = "".join(sorted(set(source)))
    return np.array([alphabet.index(each) for each in source], np.int64), alphabet


def initial(shape: Shape, random: np.random.Generator) -> Parameters:
    """Normally distributed weights, those that end in a skipped connection smaller the deeper the network is."""
    width = shape.width

    def dense(inputs: int, outputs: int, deviation: float = 0.02) -> dict[str, Any]:
        return {
            "weight": training.normal(random, (inputs, outputs), deviation),
            "bias": np.zeros(outputs, np.float32),
        }

    def norm() -> dict[str, Any]:
        return {"scale": np.ones(width, np.float32), "bias": np.zeros(width, np.float32)}

    small = 0.02 / (2 * shape.layers) ** 0.5
    return {
        "characters": training.normal(random, (shape.characters, width)),
        "positions": training.normal(random, (shape.length, width)),
        "blocks": [
            {
                "norm1": norm(),
                "qkv": dense(width, 3 * width),
                "projection": dense(width, width, small),
                "norm2": norm(),
                "wide": dense(width, 4 * width),
                "narrow": dense(4 * width, width, small),
            }
            for _ in range(shape.layers)
        ],
        "norm": norm(),
        "head": training.normal(random, (width, shape.characters)),
    }


def dense(layer: dict[str, Any], x: Array) -> Array:
    return x @ layer["weight"] + layer["bias"]


def attention(block: dict[str, Any], x: Array, heads: int) -> Array:
    """Each position looks at those before it: (batch, length, width) to the same."""
    batch, length, width = x.shape
    parts = dense(block["qkv"], x).reshape(batch, length, 3, heads, width // heads)
    query, key, value = (xnp.permute_dims(parts[:, :, i], (0, 2, 1, 3)) for i in range(3))
    seen = nn.attention(query, key, value, causal=True)
    return dense(block["projection"], xnp.permute_dims(seen, (0, 2, 1, 3)).reshape(batch, length, width))


def scores(parameters: Parameters, tokens: Array, heads: int) -> Array:
    """Tokens (batch, length) to a score for each character that may come next, (batch, length, characters)."""
    x = parameters["characters"][tokens] + parameters["positions"][: tokens.shape[1]]
    for block in parameters["blocks"]:
        x = x + attention(block, nn.layer_norm(x, **block["norm1"]), heads)
        x = x + dense(block["narrow"], nn.gelu(dense(block["wide"], nn.layer_norm(x, **block["norm2"]))))
    return nn.layer_norm(x, **parameters["norm"]) @ parameters["head"]


def windows(tokens: Tokens, length: int, batch: int, random: np.random.Generator) -> tuple[Tokens, Tokens]:
    """Pieces of a text, (batch, length), and the same moved by one: what is to be foretold."""
    starts = random.integers(0, len(tokens) - length - 1, batch)
    rows = starts[:, None] + np.arange(length + 1)
    pieces = tokens[rows]
    return pieces[:, :-1], pieces[:, 1:]


def training_step(shape: Shape, optimizer: training.Optimizer) -> Any:
    """f(parameters, state, inputs, targets) -> (parameters, state, loss), compiled."""

    def loss(parameters: Parameters, inputs: Array, targets: Array) -> Array:
        return nn.cross_entropy(scores(parameters, inputs, shape.heads), targets)

    @xmlc.compile(donate=("parameters", "state"))
    def step(parameters: Parameters, state: Any, inputs: Array, targets: Array) -> Any:
        value, gradient = xmlc.value_and_grad(loss)(parameters, inputs, targets)
        parameters, state = optimizer.update(training.clip_by_norm(gradient, 1.0), state, parameters)
        return parameters, state, value

    return step


def written(parameters: Parameters, shape: Shape, start: Tokens, count: int, random: np.random.Generator) -> Tokens:
    """`start`, and `count` more tokens, each drawn by how probable the network finds it."""

    @xmlc.compile
    def probabilities(parameters: Parameters, tokens: Array) -> Array:
        return nn.softmax(scores(parameters, tokens, shape.heads))

    tokens = list(start)
    for _ in range(count):
        seen = tokens[-shape.length :]
        padded = np.array(seen + [0] * (shape.length - len(seen)))  # of one shape, so that it is compiled once
        chances = probabilities(parameters, padded[None])[0, len(seen) - 1].astype(np.float64)
        tokens.append(int(random.choice(len(chances), p=chances / chances.sum())))
    return np.array(tokens)


def main(steps: int = 300) -> None:
    random = np.random.default_rng(0)
    tokens, alphabet = encoded(text())
    shape = Shape(len(alphabet))
    optimizer = training.adamw(training.warmup(20, training.cosine(1e-3, steps)))
    parameters = initial(shape, random)
    state = optimizer.init(parameters)
    print(f"{training.parameter_count(parameters):,} parameters, {len(tokens):,} characters")
    step = training_step(shape, optimizer)
    with training.Progress(steps) as progress:
        for _ in range(steps):
            parameters, state, loss = step(parameters, state, *windows(tokens, shape.length, 16, random))
            progress.advance(loss)
    print(f"loss {progress.losses[0]:.3f} at first, {progress.losses[-1]:.3f} at last\n")
    print("".join(alphabet[i] for i in written(parameters, shape, tokens[:20], 200, random)))


if __name__ == "__main__":
    main()
