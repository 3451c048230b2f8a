"""Optimisers step as those of torch do, or as the paper says; schedules and clipping keep their promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xmlc
from xmlc import training

PARAMETERS = {"w": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "b": [np.float32([0.5, -0.25])]}
STEPS = 5


def gradients(step: int) -> dict[str, Any]:
    """A gradient of each parameter that changes from step to step."""
    rng = np.random.default_rng(step)
    return {"w": rng.normal(size=(2, 3)).astype(np.float32), "b": [rng.normal(size=2).astype(np.float32)]}


def after(optimizer: training.Optimizer) -> dict[str, Any]:
    """The parameters after some steps of a compiled update."""
    update = xmlc.compile(optimizer.update)
    parameters, state = PARAMETERS, optimizer.init(PARAMETERS)
    for step in range(STEPS):
        parameters, state = update(gradients(step), state, parameters)
    assert state["step"] == STEPS
    return parameters


LIKE_TORCH: dict[str, tuple[training.Optimizer, Callable[[Any, Any], Any]]] = {
    "sgd": (training.sgd(0.1), lambda torch, p: torch.SGD(p, 0.1)),
    "momentum": (training.sgd(0.1, momentum=0.9), lambda torch, p: torch.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (
        training.sgd(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda torch, p: torch.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "adam": (training.adam(0.01), lambda torch, p: torch.Adam(p, 0.01)),
    "adamw": (
        training.adamw(0.01, betas=(0.8, 0.9), weight_decay=0.1),
        lambda torch, p: torch.AdamW(p, 0.01, betas=(0.8, 0.9), weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", LIKE_TORCH)
def test_an_optimizer_steps_as_that_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    optimizer, make = LIKE_TORCH[name]
    tensors = [torch.tensor(PARAMETERS["w"], requires_grad=True), torch.tensor(PARAMETERS["b"][0], requires_grad=True)]
    reference = make(torch.optim, tensors)
    for step in range(STEPS):
        given = gradients(step)
        tensors[0].grad, tensors[1].grad = torch.tensor(given["w"]), torch.tensor(given["b"][0])
        reference.step()
    found = after(optimizer)
    for mine, theirs in zip((found["w"], found["b"][0]), tensors):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_adam_steps_as_the_paper_says() -> None:
    mean, square, expected = 0.0, 0.0, PARAMETERS["w"].astype(np.float64)
    for step in range(STEPS):
        gradient = gradients(step)["w"].astype(np.float64)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8
        expected = expected - 0.01 * mean / (1 - 0.9 ** (step + 1)) / size
    np.testing.assert_allclose(after(training.adam(0.01))["w"], expected, rtol=1e-5, atol=1e-6)


def test_lion_steps_as_the_paper_says() -> None:
    mean, expected = np.zeros((2, 3)), PARAMETERS["w"].astype(np.float64)
    for step in range(STEPS):
        gradient = gradients(step)["w"]
        expected = expected - 0.01 * (np.sign(0.9 * mean + 0.1 * gradient) + 0.1 * expected)
        mean = 0.99 * mean + 0.01 * gradient
    np.testing.assert_allclose(after(training.lion(0.01, weight_decay=0.1))["w"], expected, rtol=1e-5, atol=1e-6)


SCHEDULES: dict[str, tuple[Any, dict[int, float]]] = {
    "linear": (training.linear(1.0, 0.0, 10), {0: 1.0, 5: 0.5, 20: 0.0}),
    "cosine": (training.cosine(2.0, 10, end=1.0), {0: 2.0, 5: 1.5, 10: 1.0, 20: 1.0}),
    "exponential": (training.exponential(1.0, 0.5, 10), {0: 1.0, 10: 0.5, 20: 0.25}),
    "warmup": (training.warmup(4, training.linear(1.0, 0.0, 10)), {0: 0.25, 1: 0.5, 4: 1.0, 9: 0.5}),
    "warmup to a number": (training.warmup(4, 3.0), {1: 1.5, 9: 3.0}),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_through_its_points(name: str) -> None:
    schedule, points = SCHEDULES[name]
    rate = xmlc.compile(schedule)
    for taken, expected in points.items():
        np.testing.assert_allclose(rate(np.float32(taken)), expected, rtol=1e-6, atol=1e-6)


def test_a_schedule_is_asked_with_the_steps_taken_before() -> None:
    update = xmlc.compile(training.sgd(training.linear(1.0, 0.0, 2)).update)
    x, state = np.float32([0.0]), {"step": np.zeros((), np.int32)}
    found: list[float] = []
    for _ in range(3):
        x, state = update(np.float32([1.0]), state, x)
        found.append(float(x[0]))
    assert found == [-1.0, -1.5, -1.5]


@pytest.mark.parametrize(("limit", "expected"), [(1.0, 1.0), (10.0, 5.0)])
def test_clipping_leaves_a_norm_of_at_most_the_limit(limit: float, expected: float) -> None:
    clipped = xmlc.compile(lambda tree: training.clip_by_norm(tree, limit))((np.float32([3, 0]), np.float32([[4]])))
    np.testing.assert_allclose(np.hypot(np.linalg.norm(clipped[0]), np.linalg.norm(clipped[1])), expected, rtol=1e-6)


def test_clipping_leaves_zeros() -> None:
    clipped = xmlc.compile(lambda x: training.clip_by_norm(x, 1.0))(np.zeros(3, np.float32))
    np.testing.assert_array_equal(clipped, np.zeros(3))
