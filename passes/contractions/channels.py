"""Padding some channels at a time, of images whose channels come last: what a loop over channels reads is copied, with
zeros around it, inside that loop, and stays in cache.

    alloc, fill with 0, copy the image inside             for each vector of channels:
    for each vector of channels: sums of its pixels  ->     copy its pixels into a small padded buffer; sums of those

Convolutions by a filter for each channel read a pixel a few times only: padding the whole image first costs them as
much as all their sums, and pixels in a small buffer lie side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from xdsl.dialects.builtin import VectorType

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps
from xmlc.passes.contractions.planes import Padding, padding_of_image
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.index_arithmetic import Index

IMAGE, ROW, COLUMN, CHANNEL = range(4)


def channels_of(found: Contraction, outermost: Steps, most: int) -> Padding | None:
    """How the left factor is padded, where a step of the outermost loop, over channels, reads at most `most` elements
    of it; None where that is not a part of its own."""
    padding = padding_of_image(found)
    if padding is None or outermost.size >= outermost.extent:
        return None
    rank = len(padding.shape)
    if (
        rank not in (3, 4)
        or padding.shape[-1] != outermost.extent
        or any(axis in (0, rank - 1) for axis in padding.dimensions)
    ):
        return None
    others = [stride for loop, stride in enumerate(found.lhs.strides) if loop != outermost.loop]
    if found.lhs.strides[outermost.loop] != 1 or any(stride % outermost.extent for stride in others):
        return None
    return padding if prod(padding.padded[:-1]) * outermost.size <= most else None


def padded_channels(
    emitter: Emitter,
    found: Contraction,
    padding: Padding,
    loop: int,
    at: Mapping[int, Index],
    sizes: Mapping[int, int],
    lanes: int,
) -> View:
    """Emit the copy of some channels; the left factor as it is there."""
    batch, *shape, channels = padding.shape
    height, width = shape if len(shape) == 2 else (1, *shape)
    _, *padded, _ = padding.padded
    rows, columns = padded if len(padded) == 2 else (1, *padded)
    top, left = padding.low[1:-1] if len(shape) == 2 else (0, padding.low[1])
    count = sizes[loop]
    deep = -(-count // lanes) * lanes
    # what follows the last row of the last image may be cleared as if there were one more
    flat = View(emitter.buffer(found.element, ((batch * rows * columns + left) * deep,)), (CHANNEL,), (1,))
    strides = (height * width * channels, width * channels, channels, 1)
    image = emitter.view(Operand(padding.image, strides), (batch, height, width, channels))
    zeros = emitter.number(0.0, VectorType(found.element, (lanes,)))
    mask = emitter.mask(count % lanes, lanes) if count % lanes else None

    def clear(start: Index, pixels: int) -> None:
        """Zeros for some pixels from one on."""
        if pixels > 0:
            with emitter.loop(pixels * deep, lanes) as place:
                where = emitter.plus(emitter.times(start, deep), place)
                emitter.store_vector(zeros, flat, (emitter.index(where),))

    with emitter.loop(batch) as number:
        first = emitter.times(number, rows * columns)
        clear(first, top * columns + left)
        with emitter.loop(height) as row:
            begin = emitter.plus(first, emitter.plus(emitter.times(row, columns), top * columns + left))
            with emitter.loop(width) as column:
                target = emitter.times(emitter.plus(begin, column), deep)
                source = {IMAGE: number, ROW: row, COLUMN: column}
                for start in range(0, count, lanes):
                    where = emitter.indices(image, {**source, CHANNEL: emitter.plus(at[loop], start)})
                    value = emitter.load_vector(image, where, lanes, mask if start + lanes > count else None)
                    emitter.store_vector(value, flat, (emitter.index(emitter.plus(target, start)),))
            clear(emitter.plus(begin, width), columns - width)
        end = top * columns + left + height * columns
        clear(emitter.plus(first, end), rows * columns - end)
    moved = tuple(1 if each == loop else stride // channels * deep for each, stride in enumerate(found.lhs.strides))
    extents = tuple(count if each == loop else extent for each, extent in enumerate(found.extents))
    return emitter.view(Operand(flat.value, moved), extents, loop)
