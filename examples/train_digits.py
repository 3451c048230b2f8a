"""Train the digit classifier of `xmlc demo` with NumPy alone, and write it as ONNX.

    pip install 'xmlc[examples]'
    python examples/train_digits.py

Data: scikit-learn's bundled digits, 1,797 images of 8x8 pixels from 0 to 16 (E. Alpaydin and C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI Machine Learning Repository, CC BY 4.0), of which a fifth is held out.
Writes `digits.onnx` and, so that the demo needs no scikit-learn, some of the held-out images as `digits.npz`.

The network: two convolutions of 3x3, a maximum over 2x2, two dense layers; trained by Adam on images that are moved
by up to a pixel. The arithmetic is float32, with gradients written out below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]
Weights = dict[str, Array]

FOLDER = Path(__file__).resolve().parent
CHANNELS = (12, 24)
HIDDEN = 64
SHOWN = 40
"""Held-out images kept for the demo."""


def data(random: np.random.Generator) -> tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]:
    """Images (n, 1, 8, 8) and labels (n) to train on, then those held out."""
    from sklearn.datasets import load_digits  # pyright: ignore

    digits = cast(Any, load_digits())
    images: Array = digits.images.astype(np.float32)[:, None]
    labels: NDArray[np.int64] = digits.target.astype(np.int64)
    order = random.permutation(len(labels))
    held_out, rest = order[: len(order) // 5], order[len(order) // 5 :]
    return images[rest], labels[rest], images[held_out], labels[held_out]


def initial(random: np.random.Generator) -> Weights:
    """Weights drawn as He et al. propose, biases zero."""

    def draw(*shape: int) -> Array:
        inputs = np.prod(shape[1:])
        return (random.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)

    first, second = CHANNELS
    flat = second * 4 * 4
    return {
        "conv1.weight": draw(first, 1, 3, 3),
        "conv1.bias": np.zeros(first, np.float32),
        "conv2.weight": draw(second, first, 3, 3),
        "conv2.bias": np.zeros(second, np.float32),
        "dense1.weight": draw(HIDDEN, flat),
        "dense1.bias": np.zeros(HIDDEN, np.float32),
        "dense2.weight": draw(10, HIDDEN),
        "dense2.bias": np.zeros(10, np.float32),
    }


# --- the layers, each with its gradient


def windows(x: Array) -> Array:
    """The 3x3 surroundings of each pixel, zero outside: (n, c, h, w) -> (n, h, w, c * 9)."""
    n, c, h, w = tuple(x.shape)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # n c h w 3 3
    return np.ascontiguousarray(parts.transpose(0, 2, 3, 1, 4, 5)).reshape(n, h, w, c * 9)


def conv(columns: Array, weight: Array, bias: Array) -> Array:
    """(n, h, w, c * 9) -> (n, k, h, w)"""
    rows: Array = columns @ weight.reshape(len(weight), -1).T + bias
    return rows.transpose(0, 3, 1, 2)


def conv_gradient(columns: Array, weight: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """Gradients of weight, bias and input for that of the output."""
    c: int = weight.shape[1]
    rows = gradient.transpose(0, 2, 3, 1)  # n h w k
    of_weight = np.tensordot(rows, columns, ((0, 1, 2), (0, 1, 2))).reshape(weight.shape)
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # c k 3 3
    of_input = conv(windows(gradient), turned, np.zeros(c, np.float32))
    return of_weight, rows.sum((0, 1, 2)), of_input


def gradients(weights: Weights, images: Array, labels: NDArray[np.int64]) -> tuple[float, Weights]:
    """The mean cross entropy, and its gradient for every weight."""
    n = len(images)
    columns1 = windows(images / np.float32(16))
    before1 = conv(columns1, weights["conv1.weight"], weights["conv1.bias"])
    columns2 = windows(np.maximum(before1, 0))
    before2 = conv(columns2, weights["conv2.weight"], weights["conv2.bias"])
    active2 = np.maximum(before2, 0)
    blocks = active2.reshape(n, CHANNELS[1], 4, 2, 4, 2)
    pooled = blocks.max((3, 5))
    flat = pooled.reshape(n, -1)
    before3 = flat @ weights["dense1.weight"].T + weights["dense1.bias"]
    active3 = np.maximum(before3, 0)
    scores = active3 @ weights["dense2.weight"].T + weights["dense2.bias"]
    scores -= scores.max(1, keepdims=True)
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    loss = -float(np.log(probabilities[np.arange(n), labels] + 1e-12).mean())

    found: Weights = {}
    back = probabilities.copy()
    back[np.arange(n), labels] -= 1
    back /= n
    found["dense2.weight"], found["dense2.bias"] = back.T @ active3, back.sum(0)
    back = (back @ weights["dense2.weight"]) * (before3 > 0)
    found["dense1.weight"], found["dense1.bias"] = back.T @ flat, back.sum(0)
    back = (back @ weights["dense1.weight"]).reshape(pooled.shape)
    largest = blocks == pooled[:, :, :, None, :, None]
    back = (largest * back[:, :, :, None, :, None]).reshape(before2.shape) * (before2 > 0)
    found["conv2.weight"], found["conv2.bias"], back = conv_gradient(columns2, weights["conv2.weight"], back)
    back = back * (before1 > 0)
    found["conv1.weight"], found["conv1.bias"], _ = conv_gradient(columns1, weights["conv1.weight"], back)
    return loss, found


# --- training


def shifted(images: Array, random: np.random.Generator) -> Array:
    """Each image moved by up to a pixel each way."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = random.integers(0, 3, (len(images), 2))
    return np.stack([image[:, y : y + 8, x : x + 8] for image, (y, x) in zip(padded, moves)])


def train(images: Array, labels: NDArray[np.int64], random: np.random.Generator, epochs: int = 60) -> Weights:
    """Adam (Kingma and Ba, 2015), the step falling to zero along a half cosine."""
    weights = initial(random)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    batch, count = 64, 0
    steps = epochs * (len(images) // batch)
    for epoch in range(epochs):
        order = random.permutation(len(images))
        losses: list[float] = []
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            loss, found = gradients(weights, shifted(images[chosen], random), labels[chosen])
            losses.append(loss)
            count += 1
            rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * count / steps))
            for name, gradient in found.items():
                first[name] += np.float32(0.1) * (gradient - first[name])
                second[name] += np.float32(0.001) * (gradient**2 - second[name])
                step = (first[name] / (1 - 0.9**count)) / (np.sqrt(second[name] / (1 - 0.999**count)) + 1e-8)
                weights[name] = (weights[name] - rate * step).astype(np.float32)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return weights


# --- the model


def model(weights: Weights) -> onnx.ModelProto:
    """The network as ONNX: images (N, 1, 8, 8) from 0 to 16 to probabilities (N, 10)."""
    same: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Div", ["image", "white"], ["scaled"], "scale"),
        helper.make_node("Conv", ["scaled", "conv1.weight", "conv1.bias"], ["c1"], "conv1", **same),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "conv2.weight", "conv2.bias"], ["c2"], "conv2", **same),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("MaxPool", ["r2"], ["p2"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p2"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "dense1.weight", "dense1.bias"], ["d1"], "dense1", transB=1),
        helper.make_node("Relu", ["d1"], ["r3"], "relu3"),
        helper.make_node("Gemm", ["r3", "dense2.weight", "dense2.bias"], ["scores"], "dense2", transB=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.array(16, np.float32), "white")]
        + [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="train_digits.py")
    made.ir_version = 8
    onnx.checker.check_model(made, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    return made


def predict(weights: Weights, images: Array) -> NDArray[np.int64]:
    """The most probable digits."""
    x = np.maximum(conv(windows(images / np.float32(16)), weights["conv1.weight"], weights["conv1.bias"]), 0)
    x = np.maximum(conv(windows(x), weights["conv2.weight"], weights["conv2.bias"]), 0)
    x = x.reshape(len(x), CHANNELS[1], 4, 2, 4, 2).max((3, 5)).reshape(len(x), -1)
    x = np.maximum(x @ weights["dense1.weight"].T + weights["dense1.bias"], 0)
    return np.argmax(x @ weights["dense2.weight"].T + weights["dense2.bias"], 1)


def main() -> None:
    random = np.random.default_rng(0)
    images, labels, test_images, test_labels = data(random)
    weights = train(images, labels, random)
    right = predict(weights, test_images) == test_labels
    print(f"accuracy on {len(right)} held-out images: {right.mean():.2%}")
    (FOLDER / "digits.onnx").write_bytes(model(weights).SerializeToString())
    np.savez_compressed(FOLDER / "digits.npz", image=test_images[:SHOWN].astype(np.uint8), label=test_labels[:SHOWN])


if __name__ == "__main__":
    main()
