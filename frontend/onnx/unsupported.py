"""What stops an import: operators xmlc lacks, and values that are needed before the program runs."""

from __future__ import annotations

from collections.abc import Iterable

from xmlc.dialects.diagnostics import CompileError


class Unsupported(CompileError, NotImplementedError):
    """The model is right but uses what xmlc does not have. Lists everything found, not the first only.

    It is a NotImplementedError too, which is how ONNX's backend interface says "unsupported".
    """


class NeedsValue(Exception):
    """Shapes depend on the values of these graph inputs; import again with `values` giving them.

    Caught by whoever holds the inputs; where nobody does, `as_error` says it to the user.
    """

    def __init__(self, inputs: Iterable[str]):
        self.inputs: tuple[str, ...] = tuple(dict.fromkeys(inputs))
        super().__init__(", ".join(self.inputs))

    def as_error(self) -> CompileError:
        names = ", ".join(repr(name) for name in self.inputs)
        return CompileError(
            f"shapes in the model depend on the value of {names}",
            hint="give the value when compiling, or make it an initializer of the model",
        )
