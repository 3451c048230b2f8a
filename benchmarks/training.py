"""How long a step of training takes: forward pass, gradients and Adam, in xmlc, torch.compile and JAX.

    python benchmarks/training.py -o benchmarks/results/training.json

All three train the same network from the same weights on the same batch, in one process on the same cores, step by step
in an order that is drawn anew for each round: who follows another finds what that one left in the caches. Torch's step
is its compiled network and its fused optimiser; JAX's and xmlc's are one compiled function each, to which parameters
and optimiser state are donated; how xmlc's fares without that is measured too, and the memory of both. The time to
prepare is that of the first step, with its compilation: nobody may use what an earlier process compiled. Before steps
are timed, their losses over some steps are compared: who learns something else is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import numpy as np

RATE = 1e-3
CHECKED, TOLERANCE = 5, 2e-3
"""Steps whose losses are compared, and how far apart they may be."""

NO_CACHES = {"XMLC_CACHE": "0", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
"""What makes each compile in this process; JAX has no cache on disk unless it is asked for one."""

Step = Callable[[], float]
"""Takes one step and returns the loss before it."""


@dataclass(frozen=True)
class Gpt:
    """A GPT as in `xmlc.examples.character_gpt`."""

    name: str
    batch: int
    length: int
    width: int
    heads: int
    layers: int
    characters: int = 96

    def initial(self) -> Any:
        from xmlc.examples import character_gpt

        return character_gpt.initial(self.shape(), np.random.default_rng(0))

    def shape(self) -> Any:
        from xmlc.examples.character_gpt import Shape

        return Shape(self.characters, self.length, self.width, self.heads, self.layers)

    def data(self) -> tuple[Any, Any]:
        tokens = np.random.default_rng(1).integers(0, self.characters, (self.batch, self.length + 1))
        return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])


@dataclass(frozen=True)
class Cnn:
    """Convolutions of 3x3 with a maximum over 2x2 after each, then one dense layer."""

    name: str
    batch: int
    size: int
    channels: tuple[int, ...]
    classes: int = 10

    def initial(self) -> Any:
        from xmlc import training

        random = np.random.default_rng(0)
        pairs = list(zip((3, *self.channels), self.channels))
        flat = self.channels[-1] * (self.size >> len(self.channels)) ** 2
        return {
            "convolutions": [
                {"weight": training.he_normal(random, (after, before, 3, 3)), "bias": np.zeros(after, np.float32)}
                for before, after in pairs
            ],
            "dense": {
                "weight": training.he_normal(random, (flat, self.classes)),
                "bias": np.zeros(self.classes, np.float32),
            },
        }

    def data(self) -> tuple[Any, Any]:
        random = np.random.default_rng(1)
        images = random.standard_normal((self.batch, 3, self.size, self.size)).astype(np.float32)
        return images, random.integers(0, self.classes, self.batch)


CASES = {
    case.name: case
    for case in (
        Cnn("cnn", 32, 32, (32, 64, 128)),
        Gpt("gpt-1m", 16, 64, 128, 4, 5),
        Gpt("gpt-10m", 4, 128, 384, 6, 6),
    )
}


# --- xmlc


class XmlcStep:
    """A step that is one program; `donate` has it write parameters and state where they are."""

    def __init__(self, case: Gpt | Cnn, donate: bool):
        from xmlc import training

        self.optimizer = training.adam(RATE)
        self.compiled = xmlc_program(case, self.optimizer, donate)
        self.data = case.data()
        self.parameters = case.initial()
        self.state = self.optimizer.init(self.parameters)

    def __call__(self) -> float:
        self.parameters, self.state, value = self.compiled(self.parameters, self.state, *self.data)
        return float(value)

    @property
    def bytes(self) -> int:
        """The memory of a step: its arguments, the results that have memory of their own, and what it works in."""
        (entry,) = self.compiled.entries.values()
        signature = entry.call.signature
        arrays = (*signature.inputs, *signature.own_outputs)
        return sum(each.dtype.itemsize * int(np.prod(each.shape)) for each in arrays) + entry.call.arena_bytes


def xmlc_program(case: Gpt | Cnn, optimizer: Any, donate: bool) -> Any:
    import xmlc
    from xmlc import nn
    from xmlc.examples import character_gpt

    def gpt_scores(parameters: Any, x: Any) -> Any:
        assert isinstance(case, Gpt)
        return character_gpt.scores(parameters, x, case.heads)

    def cnn_scores(parameters: Any, x: Any) -> Any:
        for layer in parameters["convolutions"]:
            x = nn.max_pool(nn.relu(nn.conv(x, layer["weight"], layer["bias"], padding=1)), (2, 2))
        return x.reshape(x.shape[0], -1) @ parameters["dense"]["weight"] + parameters["dense"]["bias"]

    scores = gpt_scores if isinstance(case, Gpt) else cnn_scores

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(scores(parameters, x), y)

    @xmlc.compile(donate=("parameters", "state") if donate else ())
    def step(parameters: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = xmlc.value_and_grad(loss)(parameters, x, y)
        parameters, state = optimizer.update(gradient, state, parameters)
        return parameters, state, value

    return step


# --- torch


def torch_step(case: Gpt | Cnn) -> Step:
    import torch
    from torch.nn import functional
    from torch.utils import _pytree

    parameters = _pytree.tree_map(lambda x: torch.tensor(x, requires_grad=True), case.initial())
    x, y = map(torch.from_numpy, case.data())

    def norm(x: Any, layer: Any) -> Any:
        return functional.layer_norm(x, x.shape[-1:], layer["scale"], layer["bias"])

    def dense(x: Any, layer: Any) -> Any:
        return x @ layer["weight"] + layer["bias"]

    def gpt_scores(parameters: Any, tokens: Any) -> Any:
        assert isinstance(case, Gpt)
        x = parameters["characters"][tokens] + parameters["positions"]
        batch, length, width = x.shape
        for block in parameters["blocks"]:
            parts = dense(norm(x, block["norm1"]), block["qkv"]).reshape(batch, length, 3, case.heads, -1)
            q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + dense(seen.transpose(1, 2).reshape(batch, length, width), block["projection"])
            x = x + dense(functional.gelu(dense(norm(x, block["norm2"]), block["wide"])), block["narrow"])
        return norm(x, parameters["norm"]) @ parameters["head"]

    def cnn_scores(parameters: Any, x: Any) -> Any:
        for layer in parameters["convolutions"]:
            x = functional.max_pool2d(
                functional.relu(functional.conv2d(x, layer["weight"], layer["bias"], padding=1)), 2
            )
        return dense(x.flatten(1), parameters["dense"])

    scores = gpt_scores if isinstance(case, Gpt) else cnn_scores

    @torch.compile
    def loss(parameters: Any, x: Any, y: Any) -> Any:
        found = scores(parameters, x)
        return functional.cross_entropy(found.reshape(-1, found.shape[-1]), y.reshape(-1))

    optimizer = torch.optim.Adam(_pytree.tree_leaves(parameters), RATE, fused=True)

    def run() -> float:
        optimizer.zero_grad()
        value = loss(parameters, x, y)
        value.backward()
        optimizer.step()
        return value.item()

    return run


# --- JAX


def jax_step(case: Gpt | Cnn) -> Step:
    import functools

    import jax
    from jax import lax
    from jax import numpy as jnp

    def norm(x: Any, layer: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * layer["scale"] + layer["bias"]

    def dense(x: Any, layer: Any) -> Any:
        return x @ layer["weight"] + layer["bias"]

    def gpt_scores(parameters: Any, tokens: Any) -> Any:
        assert isinstance(case, Gpt)
        x = parameters["characters"][tokens] + parameters["positions"]
        batch, length, width = x.shape
        for block in parameters["blocks"]:
            parts = dense(norm(x, block["norm1"]), block["qkv"]).reshape(batch, length, 3, case.heads, -1)
            seen = jax.nn.dot_product_attention(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2], is_causal=True)
            x = x + dense(seen.reshape(batch, length, width), block["projection"])
            wide = jax.nn.gelu(dense(norm(x, block["norm2"]), block["wide"]), approximate=False)
            x = x + dense(wide, block["narrow"])
        return norm(x, parameters["norm"]) @ parameters["head"]

    def cnn_scores(parameters: Any, x: Any) -> Any:
        for layer in parameters["convolutions"]:
            x = lax.conv_general_dilated(x, layer["weight"], (1, 1), "SAME") + layer["bias"][:, None, None]
            x = lax.reduce_window(jnp.maximum(x, 0), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return dense(x.reshape(x.shape[0], -1), parameters["dense"])

    scores = gpt_scores if isinstance(case, Gpt) else cnn_scores

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        rows = jax.nn.log_softmax(scores(parameters, x))
        return -jnp.take_along_axis(rows, y[..., None], -1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(parameters: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(parameters, x, y)
        count, mean, square = state
        count = count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)
        size, root = RATE / (1 - 0.9**count), 1 / jnp.sqrt(1 - 0.999**count)
        parameters = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) * root + 1e-8), parameters, mean, square)
        return parameters, (count, mean, square), value

    x, y = map(jnp.asarray, case.data())
    parameters = jax.tree.map(jnp.asarray, case.initial())
    state = jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters)

    def run() -> float:
        nonlocal parameters, state
        parameters, state, value = step(parameters, state, x, y)
        return float(value)

    return run


CONTESTANTS: dict[str, Callable[[Any], Step]] = {
    "xmlc": lambda case: XmlcStep(case, donate=True),
    "xmlc, nothing donated": lambda case: XmlcStep(case, donate=False),
    "torch.compile": torch_step,
    "jax": jax_step,
}


def measured(case: Gpt | Cnn, seconds: float, contestants: list[str]) -> dict[str, Any]:
    """Milliseconds of a step by contestant: the median and the least."""
    steps: dict[str, Step] = {}
    prepared: dict[str, float] = {}
    losses: dict[str, list[float]] = {}
    for name in contestants:
        started = perf_counter()
        steps[name] = CONTESTANTS[name](case)
        losses[name] = [steps[name]()]
        prepared[name] = perf_counter() - started
        losses[name] += [steps[name]() for _ in range(CHECKED - 1)]
        np.testing.assert_allclose(losses[name], losses[contestants[0]], atol=TOLERANCE, err_msg=name)
    samples: dict[str, list[float]] = {name: [] for name in steps}
    order = Random(0)
    end = perf_counter() + seconds
    while perf_counter() < end:
        for name, step in order.sample(list(steps.items()), len(steps)):
            started = perf_counter()
            step()
            samples[name].append(perf_counter() - started)
    return {
        "losses": losses[contestants[0]],
        "prepare_s": prepared,
        "median_ms": {name: float(np.median(each)) * 1e3 for name, each in samples.items()},
        "least_ms": {name: min(each) * 1e3 for name, each in samples.items()},
        "bytes": {name: step.bytes for name, step in steps.items() if isinstance(step, XmlcStep)},
        "samples": min(map(len, samples.values())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--threads", type=int, default=1, help="how many cores, and threads of each contestant")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure each network")
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--contestants", nargs="*", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    os.environ |= {"OMP_NUM_THREADS": str(arguments.threads), **NO_CACHES}
    made: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": arguments.threads,
        "steps": {},
    }
    for name in arguments.only:
        found = made["steps"][name] = measured(CASES[name], arguments.seconds, arguments.contestants)
        fastest = found["median_ms"]
        mine = fastest[arguments.contestants[0]]
        text = ", ".join(f"{each} {time:.2f} ms ({time / mine:.2f})" for each, time in fastest.items())
        print(f"{name}: {text}", flush=True)
    if arguments.output:
        from xmlc.bench.machine import circumstances
        from xmlc.files import write_whole

        record = {"what": "steps of training", **circumstances(), **made}
        write_whole(arguments.output, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
