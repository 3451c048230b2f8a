"""A folder that receives the program after every stage (XMLC_DUMP)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cpu.target import Target
from xmlc.files import make_folder, write_whole
from xmlc.pipeline import printed

if TYPE_CHECKING:
    from xmlc.driver import Settings

SUFFIXES = {"llvm": ".ll", "asm": ".s", "obj": ".o", "ptx": ".ptx", "cubin": ".cubin"}
"""Stage -> the suffix of its file; that of all others is .mlir."""


class Dump:
    """A stage watcher that writes each stage to a file of its own, numbered in their order: `03-linalg.mlir`."""

    def __init__(self, folder: Path, settings: Settings):
        from xmlc.driver import stages

        self.folder = folder
        self.settings = settings
        self.order = ["source", *(stage.name for stage in stages(settings.target))]
        make_folder(folder)

    def __call__(self, stage: str, made: ModuleOp | str | bytes) -> None:
        text = printed(made) if isinstance(made, ModuleOp) else made
        name = f"{self.order.index(stage):02}-{stage}{SUFFIXES.get(stage, '.mlir')}"
        write_whole(self.folder / name, text)
        if stage == "llvm" and isinstance(
            self.settings.target, Target
        ):  # nobody needs assembly on the way to an object
            from xmlc.backends.cpu.jit import assembly

            assert isinstance(text, str)
            self("asm", assembly(text, self.settings.target, self.settings.opt_level))
