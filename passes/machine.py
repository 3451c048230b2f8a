"""What cost models know of the processor: vector registers and caches. The defaults are a current x86 server core."""

from __future__ import annotations

from dataclasses import dataclass, fields

from xdsl.passes import ModulePass


@dataclass(frozen=True)
class Machine:
    """One core, and how many such there are. Sizes are in bits for vectors, in bytes for caches."""

    vector_bits: int = 512
    vector_registers: int = 32
    first_cache: int = 32 * 1024
    second_cache: int = 1024 * 1024
    third_cache: int = 32 * 1024 * 1024
    """Shared by cores, maybe also by those of others: count on a part of it."""
    dots: tuple[str, ...] = ()
    """Element types that one instruction multiplies and sums in groups of neighbours (see `grouped.dot`)."""

    tiles: tuple[str, ...] = ()
    """Element types whose tiles a matrix unit multiplies (see `amx`)."""
    threads: int = 1
    """How many cores share a program's loops."""

    def lanes(self, bits: int) -> int:
        """How many elements of `bits` bits a vector register holds."""
        return max(1, self.vector_bits // bits)


def machine_of(options: ModulePass) -> Machine:
    """The machine that the options of a pass describe: those of its fields that are called like one of `Machine`'s."""
    stated = {each.name for each in fields(options)}
    return Machine(**{each.name: getattr(options, each.name) for each in fields(Machine) if each.name in stated})
