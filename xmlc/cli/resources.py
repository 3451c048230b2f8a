"""What each kernel of a GPU takes, as ptxas tells: `xmlc compile --target=cuda --report`."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cuda.compile import Resources, assembled
from xmlc.backends.cuda.target import CudaTarget

COLUMNS = ("registers", "stack B", "spilled B", "shared B", "kernel")


class KernelResources:
    """A stage watcher that asks ptxas about the PTX of a program."""

    def __init__(self, target: CudaTarget):
        self.target = target
        self.found: tuple[Resources, ...] = ()

    def __call__(self, stage: str, made: ModuleOp | str | bytes) -> None:
        if stage == "ptx" and isinstance(made, str):
            self.found = assembled(made, self.target).resources

    def render(self) -> str:
        """A line for each kernel, the one with the most registers first."""
        rows = [
            (each.registers, each.stack_bytes, each.spill_bytes, each.shared_bytes, each.kernel)
            for each in sorted(self.found, key=lambda each: -each.registers)
        ]
        lines = [COLUMNS, *rows]
        return "\n".join("  ".join([*(f"{cell:>9}" for cell in line[:-1]), str(line[-1])]) for line in lines)
