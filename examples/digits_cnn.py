"""Train the digit classifier of `xmlc demo`, and write it as ONNX: forward pass, gradients and update are one program.

    pip install 'xmlc[examples]'
    python -m xmlc.examples.digits_cnn

Data: 1,797 images of 8x8 pixels from 0 to 16 (E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository, CC BY 4.0), of which a fifth is held out. The network: two convolutions of 3x3, a
maximum over 2x2, two dense layers; trained by Adam on images that are moved by up to a pixel. Writes `digits.onnx` and,
so that the demo needs no scikit-learn, some of the held-out images as `digits.npz`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import xmlc
from xmlc import nn, training

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Parameters = dict[str, Any]

FOLDER = Path(__file__).resolve().parent
SHOWN = 40
"""Held-out images kept for the demo."""
CHANNELS = (12, 24)
HIDDEN = 64
BATCH = 64
WHITE = 16
"""The value of a white pixel."""


def data(random: np.random.Generator) -> tuple[Images, Labels, Images, Labels]:
    """Images (n, 1, 8, 8) and labels (n) to train on, then those held out."""
    from sklearn.datasets import load_digits  # pyright: ignore

    digits = cast(Any, load_digits())
    images: Images = digits.images.astype(np.float32)[:, None]
    labels: Labels = digits.target.astype(np.int64)
    order = random.permutation(len(labels))
    held_out, rest = order[: len(order) // 5], order[len(order) // 5 :]
    return images[rest], labels[rest], images[held_out], labels[held_out]


def initial(random: np.random.Generator) -> Parameters:
    """Weights drawn as He et al. propose, biases zero."""
    shapes = {
        "conv1": (CHANNELS[0], 1, 3, 3),
        "conv2": (CHANNELS[1], CHANNELS[0], 3, 3),
        "dense1": (CHANNELS[1] * 4 * 4, HIDDEN),
        "dense2": (HIDDEN, 10),
    }
    outputs = {"conv1": CHANNELS[0], "conv2": CHANNELS[1], "dense1": HIDDEN, "dense2": 10}
    return {
        name: {"weight": training.he_normal(random, shape), "bias": np.zeros(outputs[name], np.float32)}
        for name, shape in shapes.items()
    }


def scores(parameters: Parameters, image: Any) -> Any:
    """Images (n, 1, 8, 8) to one score for each digit, (n, 10)."""
    x = image / WHITE
    for name in ("conv1", "conv2"):
        x = nn.relu(nn.conv(x, parameters[name]["weight"], parameters[name]["bias"], padding=1))
    x = nn.max_pool(x, (2, 2))
    x = x.reshape(x.shape[0], -1)
    x = nn.relu(x @ parameters["dense1"]["weight"] + parameters["dense1"]["bias"])
    return x @ parameters["dense2"]["weight"] + parameters["dense2"]["bias"]


def loss(parameters: Parameters, images: Any, labels: Any) -> Any:
    return nn.cross_entropy(scores(parameters, images), labels)


def moved(images: Images, random: np.random.Generator) -> Images:
    """Each image moved by up to a pixel each way."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = random.integers(0, 3, (len(images), 2))
    return np.stack([image[:, y : y + 8, x : x + 8] for image, (y, x) in zip(padded, moves)])


def train(images: Images, labels: Labels, random: np.random.Generator, epochs: int = 40) -> Parameters:
    """The parameters after so many passes over the images, the learning rate falling along half a cosine."""
    steps = epochs * (len(images) // BATCH)
    optimizer = training.adam(training.cosine(2e-3, steps))

    @xmlc.compile(donate=("parameters", "state"))
    def step(parameters: Any, state: Any, images: Any, labels: Any) -> Any:
        value, gradient = xmlc.value_and_grad(loss)(parameters, images, labels)
        parameters, state = optimizer.update(gradient, state, parameters)
        return parameters, state, value

    parameters = initial(random)
    state = optimizer.init(parameters)
    with training.Progress(steps) as progress:
        for batch, digits in training.batches((images, labels), BATCH, shuffle=random, epochs=epochs):
            parameters, state, value = step(parameters, state, moved(batch, random), digits)
            progress.advance(value)
    return parameters


def accuracy(parameters: Parameters, images: Images, labels: Labels) -> float:
    """The share of the images whose highest score is their label's."""
    found = xmlc.compile(scores)(parameters, images)
    return float((found.argmax(1) == labels).mean())


def export(parameters: Parameters, path: Path) -> None:
    """The network as ONNX: images (N, 1, 8, 8) from 0 to 16 to probabilities (N, 10)."""

    def probabilities(image: Any) -> Any:
        return nn.softmax(scores(parameters, image))

    example = np.zeros((2, 1, 8, 8), np.float32)
    xmlc.export_onnx(path, probabilities, example, free={"image": {0: "N"}}, outputs=("probabilities",))


def main() -> None:
    random = np.random.default_rng(0)
    images, labels, test_images, test_labels = data(random)
    parameters = train(images, labels, random)
    right = accuracy(parameters, test_images, test_labels)
    print(f"accuracy on {len(test_labels)} held-out images: {right:.2%}")
    export(parameters, FOLDER / "digits.onnx")
    np.savez_compressed(FOLDER / "digits.npz", image=test_images[:SHOWN].astype(np.uint8), label=test_labels[:SHOWN])


if __name__ == "__main__":
    main()
