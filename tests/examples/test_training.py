"""The examples that train: sampled here, and as they stand by `python -m xmlc.examples.NAME`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xmlc import training
from xmlc.examples import character_gpt, regression


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_linear_regression_finds_the_solution_of_least_squares() -> None:
    x = random().normal(size=(100, 3)).astype(np.float32)
    y = (x @ np.float32([1, -2, 3]) + 0.5 + random().normal(size=100)).astype(np.float32)
    model, _ = regression.fitted(regression.squared_error, x, y, training.sgd(0.1, momentum=0.9), 300)
    expected = np.linalg.lstsq(np.column_stack([x, np.ones(100)]), y, rcond=None)[0]
    np.testing.assert_allclose([*model["weight"], model["bias"]], expected, rtol=1e-4, atol=1e-4)


def test_logistic_regression_has_no_gradient_left() -> None:
    x = random().normal(size=(200, 2)).astype(np.float32)
    y = (x[:, 0] + random().normal(size=200) > 0).astype(np.float32)
    model, _ = regression.fitted(regression.logistic_loss, x, y, training.adam(0.1), 400)
    probability = 1 / (1 + np.exp(-(x @ model["weight"] + model["bias"])))
    np.testing.assert_allclose(x.T @ (probability - y) / len(y), 0, atol=1e-3)


def test_the_digits_are_told_apart() -> None:
    pytest.importorskip("sklearn")
    from xmlc.examples import digits_cnn

    generator = random()
    images, labels, test_images, test_labels = digits_cnn.data(generator)
    parameters = digits_cnn.train(images, labels, generator, epochs=10)
    assert digits_cnn.accuracy(parameters, test_images, test_labels) >= 0.97  # after all 40 epochs it is 99 %


def test_the_autoencoder_learns() -> None:
    pytest.importorskip("sklearn")
    from xmlc.examples import digits_autoencoder, digits_cnn

    generator = random()
    images, *_ = digits_cnn.data(generator)
    _, losses = digits_autoencoder.train(images, generator, epochs=5)
    assert np.mean(losses[-10:]) < 0.7 * losses[0]


SMALL = character_gpt.Shape(characters=20, length=12, width=16, heads=2, layers=2)


def batches(steps: int) -> list[Any]:
    tokens = random().integers(0, SMALL.characters, 200)
    generator = random()
    return [character_gpt.windows(tokens, SMALL.length, 4, generator) for _ in range(steps)]


def mine(steps: int) -> list[float]:
    """The losses of a small GPT."""
    optimizer = training.adamw(1e-3)
    parameters = character_gpt.initial(SMALL, random())
    state, step = optimizer.init(parameters), character_gpt.training_step(SMALL, optimizer)
    losses: list[float] = []
    for inputs, targets in batches(steps):
        parameters, state, loss = step(parameters, state, inputs, targets)
        losses.append(float(loss))
    return losses


def of_torch(torch: Any, steps: int) -> list[float]:
    """The losses of the same network in torch, from the same weights and on the same batches."""
    functional = torch.nn.functional
    parameters = torch.utils._pytree.tree_map(
        lambda x: torch.tensor(x, requires_grad=True), character_gpt.initial(SMALL, random())
    )
    leaves = torch.utils._pytree.tree_leaves(parameters)

    def norm(x: Any, layer: Any) -> Any:
        return functional.layer_norm(x, x.shape[-1:], layer["scale"], layer["bias"])

    def dense(x: Any, layer: Any) -> Any:
        return x @ layer["weight"] + layer["bias"]

    def scores(tokens: Any) -> Any:
        x = parameters["characters"][tokens] + parameters["positions"]
        batch, length, width = x.shape
        for block in parameters["blocks"]:
            parts = dense(norm(x, block["norm1"]), block["qkv"]).reshape(batch, length, 3, SMALL.heads, -1)
            q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + dense(seen.transpose(1, 2).reshape(batch, length, width), block["projection"])
            x = x + dense(functional.gelu(dense(norm(x, block["norm2"]), block["wide"])), block["narrow"])
        return norm(x, parameters["norm"]) @ parameters["head"]

    optimizer = torch.optim.AdamW(leaves, 1e-3, weight_decay=0.01)
    losses: list[float] = []
    for inputs, targets in batches(steps):
        loss = functional.cross_entropy(scores(torch.tensor(inputs)).flatten(0, 1), torch.tensor(targets).flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(leaves, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_gpt_learns_as_the_same_in_torch_does_for_a_hundred_steps() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(mine(100), of_torch(torch, 100), atol=1e-3)


def test_the_gpt_writes_in_its_alphabet() -> None:
    tokens, alphabet = character_gpt.encoded(character_gpt.text())
    assert "".join(alphabet[i] for i in tokens[:20]) == character_gpt.text()[:20]
    parameters = character_gpt.initial(SMALL, random())
    found = character_gpt.written(parameters, SMALL, np.array([1, 2]), 15, random())
    assert len(found) == 17
    assert (found < SMALL.characters).all()
