"""What a picture of a function shows: a box for each op, and an arrow for each value that flows to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from xdsl.dialects import func
from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.traits import SymbolTable

from xmlc.dialects.diagnostics import place_of
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml.types import element_of, has_static_shape, shape_of, size_text

FAMILIES: dict[str, tuple[str, ...]] = {
    "product": ("matmul", "conv", "einsum", "attention", "winograd"),
    "reduction": ("softmax", "norm", "reduce", "arg_", "cumulative", "sort", "top_k", "max_pool", "avg_pool"),
    "control": ("if", "while", "scan", "lstm", "gru", "rnn"),
    "movement": (
        "reshape", "transpose", "concat", "slice", "pad", "gather", "scatter", "broadcast", "tile", "reverse", "split",
    ),
}  # fmt: skip
"""Kind of box -> what the names of its ops begin with; in a kernel the first kind that occurs decides."""
PLAIN = "elementwise"
NOTHING: Mapping[str, Attribute] = {}
MOST_NAMES = 4
"""Ops of a kernel that its box names, the rest is counted."""


@dataclass
class Box:
    """An op, an input or a result of the function: its kind, its text, and where it comes from."""

    kind: str
    title: str
    lines: list[str] = field(default_factory=list[str])
    tip: str = ""


@dataclass
class Boxes:
    """The boxes by number, and arrows from a box to another with the types of what flows."""

    boxes: list[Box] = field(default_factory=list[Box])
    arrows: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])

    def add(self, box: Box) -> int:
        self.boxes.append(box)
        return len(self.boxes) - 1


def boxes_of(function: func.FuncOp) -> Boxes:
    """Constants and weights are not drawn: a box says how much of them its op takes."""
    found = Boxes()
    makers: dict[SSAValue, int] = {}
    for index, argument in enumerate(function.body.block.args):
        known = function.arg_attrs.data[index].data if function.arg_attrs is not None else NOTHING
        if "ml.weight" in known:
            continue
        name = known.get("ml.name")
        title = name.data if isinstance(name, StringAttr) else f"input {index}"
        makers[argument] = found.add(Box("input", title, [described(argument.type)]))
    for op in function.body.block.ops:
        if isinstance(op, func.ReturnOp):
            for index, value in enumerate(op.operands):
                title = "result" if len(op.operands) == 1 else f"result {index}"
                connect(found, makers, [value], found.add(Box("output", title, [described(value.type)])))
        elif op.operands or op.regions:
            number = found.add(box_of(op))
            connect(found, makers, taken(op), number)
            makers.update(dict.fromkeys(op.results, number))
    return found


def connect(found: Boxes, makers: dict[SSAValue, int], values: Iterable[SSAValue], to: int) -> None:
    unseen = 0
    for value in dict.fromkeys(values):
        if value in makers:
            found.arrows[makers[value], to] = described(value.type)
        else:
            unseen += bytes_of(value.type)
    if unseen >= 1024:
        found.boxes[to].lines.append(f"weights {amount(unseen)}")


def taken(op: Operation) -> Iterator[SSAValue]:
    """What an op uses, inside its regions too, from outside it."""
    for inner in op.walk():
        for value in inner.operands:
            owner = value.owner if isinstance(value.owner, Operation) else value.owner.parent_op()
            if inner is op or owner is None or not op.is_ancestor(owner):
                yield value


def box_of(op: Operation) -> Box:
    inside = [each for each in body_of(op) if each.results and each.operands]
    names = Counter(short_name(each) for each in inside)
    title = op.callee.string_value() if isinstance(op, func.CallOp) else short_name(op)
    lines = [", ".join(described(each) for each in op.result_types[:2]) + (", …" if len(op.results) > 2 else "")]
    if names and (isinstance(op, func.CallOp) or op.regions):
        said = [name if count == 1 else f"{name} ×{count}" for name, count in names.most_common(MOST_NAMES)]
        rest = len(names) - len(said)
        lines.insert(0, ", ".join(said) + (f" and {rest} more" if rest > 0 else ""))
    return Box(kind_of([short_name(op), *names]), title, lines, str(place_of(op.location) or ""))


def body_of(op: Operation) -> Iterator[Operation]:
    """The ops inside an op, those of the function that it calls included."""
    callee = SymbolTable.lookup_symbol(op, op.callee) if isinstance(op, func.CallOp) else None
    for root in (op, callee):
        if root is not None:
            yield from (each for each in root.walk() if each is not root)


def kind_of(names: Iterable[str]) -> str:
    names = [name.removeprefix("packed_").removeprefix("channels_last_").removeprefix("depthwise_") for name in names]
    for kind, starts in FAMILIES.items():
        if any(name.startswith(starts) or (name.endswith("norm") and kind == "reduction") for name in names):
            if kind == "movement" and any(not name.startswith(starts) for name in names[1:]):
                return PLAIN
            return kind
    return PLAIN


def short_name(op: Operation) -> str:
    return op.name.removeprefix("ml.")


def described(type: Attribute) -> str:
    """`f32 1×3×224×224`"""
    if type.name != TensorType.name:
        return str(type)
    return f"{element_of(type)} {'×'.join(map(size_text, shape_of(type)))}".rstrip()


def bytes_of(type: Attribute) -> int:
    return (
        prod(shape_of(type)) * TO_NUMPY[element_of(type)].itemsize
        if type.name == TensorType.name and has_static_shape(type)
        else 0
    )


def amount(count: int) -> str:
    """`4.7 MB`"""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
