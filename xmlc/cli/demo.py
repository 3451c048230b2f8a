"""`xmlc demo`: compile a small network that came with xmlc, classify handwritten digits, and show how it was done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from xdsl.dialects.builtin import ModuleOp

import xmlc
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings
from xmlc.inputs import Array, load_arrays
from xmlc.logs import log_to_standard_error
from xmlc.meaning import Difference, Outcome, differences
from xmlc.running import compile_source, interpreted
from xmlc.sources import open_source

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

SHADES = " .:-=+*#%@"
"""Pixels from background to ink, where there is no colour."""
PAPER, INK = (18, 22, 33), (255, 214, 138)
"""Colours of a pixel of 0 and of 16."""


@dataclass
class Row:
    """One stage: its name, what came out of it, and the milliseconds it took."""

    stage: str
    made: str
    milliseconds: float


@dataclass
class Demonstration:
    """What the demo found."""

    images: Array
    labels: Array
    probabilities: Array
    rows: list[Row]
    errors: list[Difference]
    largest_difference: float
    microseconds: float
    """For one image."""
    weights: int


@click.command()
@click.option("--count", default=8, show_default=True, type=click.IntRange(1, 40), help="how many digits to draw")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def demo(count: int, as_json: bool) -> int:
    """Compile a small network and classify handwritten digits with it. Needs no connection."""
    log_to_standard_error()
    done = demonstrate()
    if as_json:
        click.echo(json.dumps(record(done)))
    else:
        from rich.console import Console

        show(Console(highlight=False), done, count)
    return 1 if done.errors else 0


def example(name: str) -> Path:
    """A file of `examples`: inside the package where xmlc is installed, beside it in a checkout."""
    package = Path(str(xmlc.__file__)).parent
    for folder in (package / "examples", package.parent / "examples"):
        if (folder / name).exists():
            return folder / name
    raise CompileError(f"the example '{name}' is missing", hint="install xmlc again, or run it from its repository")


def demonstrate() -> Demonstration:
    """Compile the digit classifier, not from the cache, run it on held-out images, and interpret it on them too."""
    made: list[tuple[str, str]] = []
    settings = Settings(stage_watchers=[lambda stage, what: made.append((stage, size_of(what)))])
    source = open_source(str(example("digits.onnx")))
    held_out = load_arrays(example("digits.npz"))
    inputs = {"image": held_out["image"].astype(np.float32)}
    compiled = compile_source(source, {}, inputs, settings)
    outputs = compiled(inputs["image"])
    expected = interpreted(source.make({}, inputs), inputs)
    times = {name.removeprefix("stage "): seconds * 1e3 for _, name, seconds in settings.timer.rows}
    times["source"] = times["import"]
    started = time.perf_counter()
    for _ in range(20):
        compiled(inputs["image"])
    each = (time.perf_counter() - started) / 20 / len(inputs["image"])
    return Demonstration(
        held_out["image"],
        held_out["label"],
        outputs[0],
        [Row(stage, what, times[stage]) for stage, what in made],
        differences(expected, Outcome(outputs, "")),
        float(np.abs(outputs[0] - expected.results[0]).max()),
        each * 1e6,
        sum(weight.size for weight in compiled.weights),
    )


def size_of(made: ModuleOp | str | bytes) -> str:
    """How much a stage gave: ops, lines, or bytes."""
    match made:
        case ModuleOp():
            return f"{sum(1 for _ in made.walk()):,} ops"
        case str():
            return f"{made.count(chr(10)):,} lines"
        case bytes():
            return f"{len(made):,} bytes"


# --- what is shown


def record(done: Demonstration) -> dict[str, Any]:
    predicted = done.probabilities.argmax(1)
    return {
        "stages": [{"stage": row.stage, "made": row.made, "ms": row.milliseconds} for row in done.rows],
        "labels": done.labels.tolist(),
        "predicted": predicted.tolist(),
        "right": int((predicted == done.labels).sum()),
        "agrees": not done.errors,
        "largest_difference": done.largest_difference,
        "microseconds_per_image": done.microseconds,
    }


def show(console: Console, done: Demonstration, count: int) -> None:
    """Draw the digits with what the network says, then the stages, then how the results compare."""
    from rich.text import Text

    console.print()
    console.print(Text(" Handwritten digits, classified by machine code made just now", style="bold"))
    console.print()
    per_row = max(1, min(count, (console.width - 1) // CELL))
    chosen = varied(done.labels)[:count]
    for start in range(0, count, per_row):
        for line in band(console, done, chosen[start : start + per_row]):
            console.print(line)
        console.print()
    console.print(table(done))
    console.print()
    right = int((done.probabilities.argmax(1) == done.labels).sum())
    tick = Text("  ✓ " if console.encoding.startswith("utf") else "  + ", style="green")
    facts = [f"{right} of {len(done.labels)} held-out digits are classified right, {done.microseconds:.1f} µs each"]
    if not done.errors:
        facts.append(f"the probabilities agree with the reference interpreter, to within {done.largest_difference:.1e}")
    for fact in facts:
        console.print(tick + Text(fact, style="default"))
    for each in done.errors:
        console.print(Text(f"  differs from the reference interpreter: {each}", style="bold red"))
    console.print()
    console.print(Text("  Next: xmlc run model.onnx --random 0 · xmlc compile model.onnx --emit linalg", style="dim"))


def varied(labels: Array) -> list[int]:
    """The positions of all images, in an order in which no digit comes again before all others have come."""
    before = [int((labels[:i] == label).sum()) for i, label in enumerate(labels)]
    return sorted(range(len(labels)), key=lambda i: (before[i], i))


CELL = 18
"""Columns for each digit."""


def band(console: Console, done: Demonstration, positions: Sequence[int]) -> Iterator[Text]:
    """The lines of several digits side by side: images, what the network says and how sure it is, what is true."""
    from rich.text import Text

    coloured = console.color_system is not None
    pictures = [list(picture(done.images[i, 0], coloured)) for i in positions]
    for lines in zip(*pictures):
        yield Text(" ").append_text(Text("").join(pad(line) for line in lines))
    says, true = Text(" "), Text(" ")
    for i in positions:
        digit, label = int(done.probabilities[i].argmax()), int(done.labels[i])
        style = "green" if digit == label else "red"
        says.append_text(pad(Text.assemble(f"says {digit} ", (f"{done.probabilities[i, digit]:6.1%}", style))))
        true.append_text(pad(Text.assemble(f"true {label} ", ("right" if digit == label else "wrong", style))))
    yield says
    yield true


def pad(text: Text) -> Text:
    """The text with blanks up to the width of a cell."""
    text = text.copy()
    text.pad_right(CELL - text.cell_len)
    return text


def picture(image: Array, coloured: bool) -> Iterator[Text]:
    """An image as 8 lines of 16 columns: shades, or twice the resolution, each character two pixels of two colours."""
    from rich.text import Text

    if not coloured:
        for row in image:
            yield Text("".join(SHADES[int(value) * (len(SHADES) - 1) // 16] * 2 for value in row))
        return
    fine = enlarged(image.astype(np.float64))
    for upper, lower in zip(fine[::2], fine[1::2]):
        line = Text()
        for above, below in zip(upper, lower):
            line.append("▀", style=f"{colour(above)} on {colour(below)}")
        yield line


def enlarged(image: Array) -> Array:
    """Twice as many pixels each way, interpolated linearly: (8, 8) -> (16, 16)."""
    at = (np.arange(16) - 0.5) / 2
    weights = np.maximum(0, 1 - np.abs(np.clip(at, 0, 7)[:, None] - np.arange(8)))  # 16 x 8
    return weights @ image @ weights.T


def colour(value: float) -> str:
    share = float(value) / 16
    return "rgb({},{},{})".format(*(round(a + (b - a) * share) for a, b in zip(PAPER, INK)))


def table(done: Demonstration) -> Table:
    """Stages with what each gave and its time."""
    from rich.table import Table

    made = Table(
        title=f"digits.onnx, {done.weights:,} weights, for {len(done.labels)} images at once",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=True,
        padding=(0, 2),
    )
    made.add_column("stage", style="cyan")
    made.add_column("gives", justify="right")
    made.add_column("ms", justify="right")
    made.add_column("")
    longest = max(row.milliseconds for row in done.rows)
    for row in done.rows:
        bar = "█" * max(1, round(24 * row.milliseconds / longest))
        made.add_row(row.stage, row.made, f"{row.milliseconds:.1f}", f"[dim]{bar}[/]")
    total = sum(row.milliseconds for row in done.rows)
    made.add_row("[bold]in all[/]", "", f"[bold]{total:.1f}[/]", "")
    return made
