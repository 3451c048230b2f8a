"""A variational autoencoder of digits: images to a few numbers and back, and new images from random numbers.

    pip install 'xmlc[examples]'
    python -m xmlc.examples.digits_autoencoder

Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114. Noise is an argument of the step: a program
draws no random numbers of its own, so that it gives the same for the same arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xmlc
from xmlc import nn, training
from xmlc import numpy as xnp
from xmlc.examples.digits_cnn import WHITE, Images, data

Parameters = dict[str, Any]

PIXELS, HIDDEN, LATENT = 64, 128, 8
BATCH = 64
LAYERS = {
    "encoder": (PIXELS, HIDDEN),
    "mean": (HIDDEN, LATENT),
    "spread": (HIDDEN, LATENT),
    "decoder": (LATENT, HIDDEN),
    "image": (HIDDEN, PIXELS),
}


def initial(random: np.random.Generator) -> Parameters:
    return {
        name: {"weight": training.glorot_uniform(random, sizes), "bias": np.zeros(sizes[1], np.float32)}
        for name, sizes in LAYERS.items()
    }


def dense(layer: dict[str, Any], x: Any) -> Any:
    return x @ layer["weight"] + layer["bias"]


def decoded(parameters: Parameters, latent: Any) -> Any:
    """Latent numbers (n, LATENT) to the log odds of every pixel, (n, PIXELS)."""
    return dense(parameters["image"], nn.relu(dense(parameters["decoder"], latent)))


def loss(parameters: Parameters, images: Any, noise: Any) -> Any:
    """What an image costs to write down: its pixels given the latent numbers, and these given that they are normal."""
    pixels = images.reshape(images.shape[0], PIXELS) / WHITE
    hidden = nn.relu(dense(parameters["encoder"], pixels))
    mean, spread = dense(parameters["mean"], hidden), dense(parameters["spread"], hidden)
    odds = decoded(parameters, mean + xnp.exp(0.5 * spread) * noise)
    of_pixels = (nn.softplus(odds) - pixels * odds).sum(axis=1)
    of_latent = 0.5 * (mean * mean + xnp.exp(spread) - spread - 1).sum(axis=1)
    return (of_pixels + of_latent).mean()


def train(images: Images, random: np.random.Generator, epochs: int) -> tuple[Parameters, list[float]]:
    """The parameters, and the loss of every step."""
    optimizer = training.adam(2e-3)

    @xmlc.compile(donate=("parameters", "state"))
    def step(parameters: Any, state: Any, images: Any, noise: Any) -> Any:
        value, gradient = xmlc.value_and_grad(loss)(parameters, images, noise)
        parameters, state = optimizer.update(gradient, state, parameters)
        return parameters, state, value

    parameters = initial(random)
    state = optimizer.init(parameters)
    with training.Progress(epochs * (len(images) // BATCH)) as progress:
        for (batch,) in training.batches((images,), BATCH, shuffle=random, epochs=epochs):
            noise = random.standard_normal((BATCH, LATENT)).astype(np.float32)
            parameters, state, value = step(parameters, state, batch, noise)
            progress.advance(value)
    return parameters, progress.losses


@xmlc.compile
def drawn(parameters: Parameters, latent: Any) -> Any:
    """Images (n, PIXELS) from 0 to 1."""
    return nn.sigmoid(decoded(parameters, latent))


def main() -> None:
    random = np.random.default_rng(0)
    images, *_ = data(random)
    parameters, losses = train(images, random, epochs=60)
    print(f"loss {np.mean(losses[:20]):.2f} at first, {np.mean(losses[-20:]):.2f} at last")
    for image in drawn(parameters, random.standard_normal((3, LATENT)).astype(np.float32)).reshape(3, 8, 8):
        print("\n".join("".join(" .:-=+*#%@"[int(9.99 * pixel)] * 2 for pixel in row) for row in image), end="\n\n")


if __name__ == "__main__":
    main()
