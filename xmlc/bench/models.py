"""The suite `models`: ONNX files of a folder, with the inputs that each is given.

`benchmarks/fetch_models.py` and `benchmarks/export_torch_models.py` bring the files named here; any other file takes
random inputs of its declared sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmlc.bench.case import Array, Case
from xmlc.dialects.diagnostics import CompileError

Size = int | str


@dataclass(frozen=True)
class Draw:
    """How an input is drawn. `what`: normal, integers from `low` up to below `high`, zeros, ones."""

    name: str
    what: str
    shape: tuple[Size, ...]
    dtype: str = "float32"
    scale: float = 1.0
    low: int = 0
    high: int = 2


def normal(name: str, *shape: Size, scale: float = 1.0) -> Draw:
    return Draw(name, "normal", shape, scale=scale)


def integers(name: str, low: int, high: int, *shape: Size, dtype: str = "int64") -> Draw:
    return Draw(name, "integers", shape, dtype, low=low, high=high)


def filled(name: str, what: str, *shape: Size, dtype: str = "float32") -> Draw:
    return Draw(name, what, shape, dtype)


@dataclass(frozen=True)
class Model:
    """What a file is given: draws in the order of its inputs, and the values of free sizes, one case each."""

    draws: tuple[Draw, ...]
    sizes: tuple[Mapping[str, int], ...] = ({},)
    tolerance: float = 2e-3


def texts(*names: str, high: int = 30000) -> Model:
    """A network of torch's on tokens: the first input; one more is the mask, which hides nothing."""
    tokens, *masks = names
    draws = (
        integers(tokens, 1000, high, "B", "S"),
        *(filled(mask, "ones", "B", "S", dtype="int64") for mask in masks),
    )
    return Model(draws, ({"B": 1, "S": 32},))


def images(size: int) -> Model:
    """A network of torch's on images of so many pixels a side."""
    return Model((normal("in0", "B", 3, size, size),), ({"B": 1},))


MODELS: dict[str, Model] = {
    "digits": Model((normal("image", "N", 1, 8, 8),), ({"N": 1}, {"N": 64})),
    "silero_vad_16k": Model((normal("input", 1, 576, scale=0.1), filled("state", "zeros", 2, 1, 128))),
    "silero_vad_seq": Model(
        (
            normal("input", "T", 576, scale=0.1),
            filled("h", "zeros", 1, 1, 128),
            filled("c", "zeros", 1, 1, 128),
        ),
        ({"T": 31}, {"T": 100}),
    ),
    "magika": Model((integers("bytes", 0, 257, "B", 2048, dtype="int32"),), ({"B": 1}, {"B": 8})),
    "ppocr4_det": Model(
        (normal("x", 1, 3, "H", "W"),),
        ({"H": 320, "W": 320}, {"H": 224, "W": 352}),
        tolerance=5e-3,  # on noise, onnxruntime is 2.1e-3 away from float64 itself
    ),
    "ppocr4_rec": Model((normal("x", "B", 3, 48, "W"),), ({"B": 1, "W": 320}, {"B": 2, "W": 160})),
    "ppocr_cls": Model((normal("x", "B", 3, 48, 192),), ({"B": 1}, {"B": 6})),
    "centerface": Model((normal("input.1", 10, 3, 32, 32),)),
    "minilm_int8": Model(
        (
            integers("input_ids", 1000, 30000, "B", "S"),
            filled("attention_mask", "ones", "B", "S", dtype="int64"),
            filled("token_type_ids", "zeros", "B", "S", dtype="int64"),
        ),
        ({"B": 1, "S": 16}, {"B": 2, "S": 64}),
    ),
    "dnsmos_v8": Model((normal("input_1", "B", 900, 120),), ({"B": 1}, {"B": 2})),
    "plcmos": Model(
        (normal("degraded_audio", 1, 1, "F", 257), normal("rater_embed", 1, 64)),
        ({"F": 120}, {"F": 333}),
    ),
    "attacut": Model((integers("input", 1, 139, 1, "S"),), ({"S": 40}, {"S": 133})),
    "deepcut": Model(
        (
            integers("input_1", 0, 178, "N", 21, dtype="float32"),
            integers("input_2", 0, 12, "N", 21, dtype="float32"),
        ),
        ({"N": 32}, {"N": 101}),
    ),
    "surrogate_mlp": Model((normal("input", "N", 4),), ({"N": 1}, {"N": 256})),
    # those of benchmarks/export_torch_models.py
    "mlp": Model((normal("in0", "B", 784),), ({"B": 1},)),
    "lstm": Model((integers("in0", 0, 1000, "B", "S"),), ({"B": 1, "S": 32},)),
    "unet": images(128),
    **dict.fromkeys(("resnet18", "resnet50", "mobilenet_v3_large", "vit_b_16"), images(224)),
    **dict.fromkeys(("bert_base", "minilm"), texts("in0", "in1")),
    "gpt2_small": texts("in0"),
}
"""File name without its suffix -> what it is given."""

WHOLE = "model"


def models(folder: Path, every_shape: bool = False) -> list[Case]:
    """A case for each ONNX file in the folder, at the first of its sizes or at all of them.

    Raises CompileError for a folder without models, and for a file that is not in MODELS and has free sizes.
    """
    files = sorted(folder.glob("*.onnx"))
    if not files:
        hint = "`python benchmarks/fetch_models.py --dir FOLDER` fetches some"
        raise CompileError(f"there are no ONNX files in '{folder}'", hint=hint)
    made: list[Case] = []
    for file in files:
        model = MODELS[file.stem] if file.stem in MODELS else declared(file)
        for sizes in model.sizes if every_shape else model.sizes[:1]:
            made.append(case_of(file, model, sizes))
    return made


def case_of(file: Path, model: Model, sizes: Mapping[str, int]) -> Case:
    shapes = tuple(tuple(sizes[size] if isinstance(size, str) else size for size in draw.shape) for draw in model.draws)
    suffix = ",".join(f"{name}={size}" for name, size in sizes.items())
    return Case(
        f"model/{file.stem}" + (f"/{suffix}" if suffix else ""),
        "models",
        WHOLE,
        "f32",
        shapes,
        quick=True,
        tolerance=model.tolerance,
        file=str(file.resolve()),
        draws=tuple((each.what, each.dtype, each.scale, each.low, each.high) for each in model.draws),
    )


def declared(file: Path) -> Model:
    """What a file's own declaration of its inputs asks for."""
    from xmlc.sources import open_source

    draws: list[Draw] = []
    for port in open_source(str(file)).inputs:
        sizes = port.sizes
        if sizes is None or not all(isinstance(size, int) for size in sizes):
            message = f"the input '{port}' of '{file}' has free sizes"
            raise CompileError(message, hint="fix them in the file, or add it to the table in xmlc/bench/models.py")
        shape = tuple(size for size in sizes if size is not None)
        is_float = port.dtype.kind == "f"
        draws.append(Draw(port.name, "normal" if is_float else "integers", shape, port.dtype.name))
    return Model(tuple(draws))


def model_inputs(case: Case, seed: int = 0) -> list[Array]:
    """The inputs of a case of this suite."""
    generator = np.random.default_rng(seed)
    return [drawn(generator, shape, *row) for shape, row in zip(case.shapes, case.draws)]


def drawn(
    generator: np.random.Generator, shape: tuple[int, ...], what: str, dtype: str, scale: float, low: int, high: int
) -> Array:
    types: dict[str, Any] = {"dtype": np.dtype(dtype)}
    match what:
        case "normal":
            return (generator.standard_normal(shape) * scale).astype(**types)
        case "integers":
            return generator.integers(low, high, shape).astype(**types)
        case "zeros":
            return np.zeros(shape, **types)
        case _:
            return np.ones(shape, **types)
