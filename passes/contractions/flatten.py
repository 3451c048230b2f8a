"""Flattening: a factor whose loops are short (small images, a batch of them) is copied so that they become one loop.

For a convolution this is im2col. What remains is a contraction with fewer and longer loops, scheduled like any other;
its result goes through a buffer of its own where `out` does not hold the flattened loops in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.contractions.recognise import Contraction, Operand, simplified
from xmlc.passes.index_arithmetic import Index

PAD = 16
"""Rows of the copy are a multiple of this many elements, so that vectors in it are aligned."""


def flattens(found: Contraction, factor: Operand, loops: Sequence[int]) -> bool:
    """Whether these parallel loops, which move only this factor, can be flattened."""
    other = found.rhs if factor is found.lhs else found.lhs
    if len(loops) < 1 or any(other.strides[loop] for loop in loops):
        return False
    if any(found.lhs.strides[loop] and found.rhs.strides[loop] for loop in found.parallels):
        return False  # a batch: each of its products would need a copy of its own
    if lies_flat(found, loops):
        read = found.epilogue.buffers if found.epilogue is not None else ()
        still = [each for each in read if any(each.strides[loop] for loop in loops)]
        return all(is_flat(found, each, loops) for each in (found.sums, *still))
    if found.epilogue is not None:
        return False  # it is applied by the copy of the result, which is a loop of its own then
    if isinstance(found.start, Operand):
        return not any(found.start.strides[loop] for loop in loops)
    return found.start is not None


def lies_flat(found: Contraction, loops: Sequence[int]) -> bool:
    """Whether `out` holds the loops in one piece; they are given from the outermost."""
    return is_flat(found, found.out, loops)


def is_flat(found: Contraction, operand: Operand, loops: Sequence[int]) -> bool:
    step = 1
    for loop in reversed(loops):
        if operand.strides[loop] != step:
            return False
        step *= found.extents[loop]
    return True


def flattened(found: Contraction, factor: Operand, loops: Sequence[int]) -> tuple[Contraction, Contraction]:
    """The contraction on copies whose buffers are not made yet, as it is and simplified."""
    other = found.rhs if factor is found.lhs else found.lhs
    steps = sorted(found.reductions, key=lambda loop: -abs(other.strides[loop]))
    width = prod(found.extents[loop] for loop in loops)
    padded = -(-width // PAD) * PAD
    strides = row_major(found, loops, 1)
    strides.update(row_major(found, steps, padded))
    copy = Operand(factor.value, tuple(strides.get(loop, 0) for loop in range(len(found.extents))))
    out = found.out
    if not lies_flat(found, loops):
        rest = sorted(
            (loop for loop in found.parallels if loop not in loops), key=lambda loop: -abs(found.out.strides[loop])
        )
        strides = row_major(found, loops, 1)
        strides.update(row_major(found, rest, padded))
        out = Operand(out.value, tuple(strides.get(loop, 0) for loop in range(len(found.extents))))
    inner = replace(
        found, lhs=copy, rhs=other, out=out, sums=out if out is not found.out or found.sums == found.out else found.sums
    )
    return inner, simplified(inner)


def row_major(found: Contraction, loops: Sequence[int], step: int) -> dict[int, int]:
    """The strides of a buffer with these loops from the outermost."""
    strides: dict[int, int] = {}
    for loop in reversed(loops):
        strides[loop] = step
        step *= found.extents[loop]
    return strides


def copied_in(emitter: Emitter, found: Contraction, factor: Operand, loops: Sequence[int]) -> Contraction:
    """Emit the copy, make the buffers; the contraction that is left to do, whose `out` may be a buffer."""
    inner, _ = flattened(found, factor, loops)
    moving = [loop for loop in range(len(found.extents)) if inner.lhs.strides[loop]]
    source = Operand(
        factor.value,
        tuple(stride if loop in moving else 0 for loop, stride in enumerate(factor.strides)),
        factor.offset,
        factor.unsigned,
    )
    size = 1 + sum(stride * (found.extents[loop] - 1) for loop, stride in enumerate(inner.lhs.strides))
    copy = Operand(emitter.buffer(found.element, (-(-size // PAD) * PAD,)), inner.lhs.strides)
    move(emitter, found, source, copy, sorted(moving, key=lambda loop: -inner.lhs.strides[loop]))
    out = inner.out
    if out is not found.out:
        size = 1 + sum(stride * (found.extents[loop] - 1) for loop, stride in enumerate(out.strides))
        out = Operand(emitter.buffer(found.element, (-(-size // PAD) * PAD,)), out.strides)
    return replace(inner, lhs=copy, out=out, sums=out if inner.out is not found.out else inner.sums)


def copied_out(emitter: Emitter, found: Contraction, inner: Contraction) -> None:
    """Emit the copy of the result to where it belongs, if it is not there."""
    if inner.out.value is not found.out.value:
        move(emitter, found, inner.out, found.out, sorted(found.parallels, key=lambda loop: -found.out.strides[loop]))


def move(emitter: Emitter, found: Contraction, source: Operand, target: Operand, loops: Sequence[int]) -> None:
    """target[...] = source[...] over these loops, the first outermost."""
    read = emitter.view(source, found.extents)
    written = emitter.view(target, found.extents)

    def nested(depth: int, at: dict[int, Index]) -> None:
        if depth == len(loops):
            value = emitter.load(read, at)
            emitter.store(emitter.widened(value, target.element, source.unsigned), written, at)
            return
        with emitter.loop(found.extents[loops[depth]], parallel=True) as index:
            nested(depth + 1, {**at, loops[depth]: index})

    nested(0, {})
