"""Programs as pictures: `xmlc compile model.onnx -o graph.svg`, and `.graph()` of a lowered function in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.driver import entry_of
from xmlc.files import write_whole
from xmlc.picture.boxes import boxes_of
from xmlc.picture.layout import placed
from xmlc.picture.svg import svg_of

DRAWN = ("source", "toy", "ml", "kernels", "linalg")
"""The stages at which values flow from op to op; after them they pass through memory."""


@dataclass(frozen=True)
class Picture:
    """A graph as SVG, which notebooks show."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        write_whole(Path(path), self.svg)


def drawn(module: ModuleOp, stage: str) -> Picture:
    """The ops of the module's entry function, and what flows between them; kernels and regions are a box each.

    Raises CompileError where there is no function to draw, or the stage that the module is at has no graph.
    """
    if stage not in DRAWN:
        raise CompileError(
            f"the graph at stage '{stage}' cannot be drawn",
            place=place_of(module.location),
            hint=f"{', '.join(DRAWN[:-1])} and {DRAWN[-1]} can",
        )
    return Picture(svg_of(placed(boxes_of(entry_of(module)))))
