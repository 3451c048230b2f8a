"""The pass `assign-layouts`: which images of a program have their channels last, such that it is quickest as a whole.

    conv -> relu -> conv -> add -> max_pool            transpose -> the same with channels last -> transpose

Convolutions are often quicker on images whose channels lie side by side (docs/convolutions.md), and images must be
moved between one that has them so and one that does not. Ops that do not care take what their neighbours have. The
cheapest assignment is a minimum cut of the graph of ops; what is moved twice, or is made of weights, costs once, or
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import contraction, winograd
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.channels_last import to_channels_first, to_channels_last
from xmlc.dialects.ml.shaping import TransposeOp
from xmlc.dialects.ml.types import has_static_shape, rank_of, shape_of
from xmlc.passes import remarks
from xmlc.passes.assign_layouts.costs import COSTS, Costs, move_cost
from xmlc.passes.assign_layouts.minimum_cut import INFINITE, SINK, SOURCE, Graph
from xmlc.passes.assign_layouts.rules import RULES
from xmlc.passes.building import building
from xmlc.passes.functions import defined_functions
from xmlc.passes.hoist_weights import sources_in_weights
from xmlc.passes.machine import Machine

IMAGE_RANKS = (3, 4, 5)
SEEDS = (contraction.ConvOp, winograd.WinogradConvOp)
"""What makes it worth looking at a program."""


@dataclass(frozen=True)
class AssignLayouts(ModulePass):
    """Give images their channels last where the program is quicker with it as a whole, as the cost model finds."""

    name = "assign-layouts"
    channels: str | None = None
    """Where the channels go of all convolutions that may have them either way: `first` or `last`."""
    vector_bits: int = Machine.vector_bits

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.channels not in (None, "first", "last"):
            raise CompileError(f"channels go first or last, found '{self.channels}'")
        if self.channels == "first":
            return
        for function in defined_functions(op):
            weights = frozenset(sources_in_weights(function))
            free = [each for each in function.body.block.ops if is_free(each, weights)]
            if any(isinstance(each, SEEDS) for each in free):
                move(free, self.chosen(free, weights))

    def chosen(self, free: Sequence[Operation], weights: frozenset[SSAValue]) -> frozenset[Operation]:
        """The ops that are to have their channels last."""
        costs = {op: cost_of(op, self.vector_bits // 32) for op in free}
        forced = {op: replace(each, first=float(INFINITE)) for op, each in costs.items() if isinstance(op, SEEDS)}
        last = cheapest(costs if self.channels is None else {**costs, **forced}, weights)
        for op in free:
            if isinstance(op, SEEDS):
                say(op, costs[op], op in last)
        return last


def say(op: Operation, costs: Costs, last: bool) -> None:
    estimate = f"{costs.last:,.0f} cycles with channels last, {costs.first:,.0f} with channels first"
    if last:
        remarks.passed(op, lambda: f"channels last: {estimate}")
    elif costs.last < costs.first:
        remarks.missed(op, lambda: f"channels first, since images would have to be moved: {estimate}")
    else:
        remarks.missed(op, lambda: f"channels first: {estimate}")


def is_free(op: Operation, weights: frozenset[SSAValue]) -> bool:
    """Whether an op may have its channels last."""
    rule = RULES.get(type(op))
    if rule is None or op.results[0] in weights:
        return False
    if not all(has_static_shape(value) and 0 not in shape_of(value) for value in (*op.operands, *op.results)):
        return False
    if isinstance(op, contraction.ConvOp) and op.weight not in weights:
        return False  # its filters would be laid out anew in every call
    return rank_of_images(op) in IMAGE_RANKS and rule.holds(op)


def rank_of_images(op: Operation) -> int:
    return max(map(rank_of, (*RULES[type(op)].images(op), op.results[0])))


def cost_of(op: Operation, lanes: int) -> Costs:
    row = COSTS.get(type(op))
    return Costs(0.0, 0.0) if row is None else row(op, lanes)


def cheapest(costs: Mapping[Operation, Costs], weights: frozenset[SSAValue]) -> frozenset[Operation]:
    """The ops that have their channels last in the cheapest assignment; those on the side of the source have not."""
    graph = Graph()
    nodes = {op: graph.node() for op in costs}
    for op, node in nodes.items():
        graph.edge(node, SINK, round(costs[op].first))
        graph.edge(SOURCE, node, round(costs[op].last))
    images = [value for op in costs for value in (*RULES[type(op)].images(op), op.results[0])]
    for value in dict.fromkeys(images):
        if value not in weights and rank_of(value) > 0:
            add_value(graph, nodes, value)
    side = graph.source_side()
    return frozenset(op for op, node in nodes.items() if node not in side)


def add_value(graph: Graph, nodes: Mapping[Operation, int], value: SSAValue) -> None:
    """What it costs to move a value, once for all that want it in the other layout."""
    owner = value.owner
    made = nodes[owner] if isinstance(owner, Operation) and owner in nodes and is_image(owner, value) else SOURCE
    moves = round(move_cost(value))
    wanted_last, wanted_first = graph.node(), graph.node()
    graph.edge(made, wanted_last, moves)
    graph.edge(wanted_first, made, moves)
    for user in dict.fromkeys(use.operation for use in value.uses):
        if user in nodes and is_image(user, value):
            graph.edge(wanted_last, nodes[user], INFINITE)
            graph.edge(nodes[user], wanted_first, INFINITE)
        elif user in nodes and value in RULES[type(user)].images(user):  # broadcast to an image
            graph.edge(SOURCE, nodes[user], moves)
            graph.edge(SOURCE, wanted_first, INFINITE)
        elif not isinstance(user, TransposeOp):  # which takes either as well
            graph.edge(SOURCE, wanted_first, INFINITE)


def is_image(op: Operation, value: SSAValue) -> bool:
    """Whether a value that an op makes or reads is an image of it: not a row that broadcasts, or what is left of it."""
    images = (*RULES[type(op)].images(op), *op.results)
    return value in images and rank_of(value) == rank_of_images(op)


# Moving


def move(free: Sequence[Operation], chosen: frozenset[Operation]) -> None:
    """Build the chosen ops with channels last, between transposes of what goes in and comes out."""
    last: dict[tuple[SSAValue, int], SSAValue] = {}
    """What images of a rank, and what broadcasts to them, are with channels last."""
    for op in [each for each in free if each in chosen]:
        rank = rank_of_images(op)
        values = RULES[type(op)].images(op)
        with building(InsertPoint.before(op), op.location):
            images = [last.get((value, rank)) or aligned(value, rank) for value in values]
            made = RULES[type(op)].build(op, images)
            result = F.transpose(made, to_channels_first(range(rank))) if is_image(op, op.results[0]) else made
        made.name_hint = op.results[0].name_hint
        last.update(((value, rank), image) for value, image in zip(values, images))
        last[result, rank] = made
        op.results[0].replace_all_uses_with(result)
        Rewriter.erase_op(op)
    for op in [value.owner for value, _ in last if isinstance(value.owner, TransposeOp)]:
        if not op.out.uses:
            Rewriter.erase_op(op)


def aligned(value: SSAValue, rank: int) -> SSAValue:
    """An image, or what broadcasts to one, for images with channels last."""
    shape = shape_of(value)
    if len(shape) == 0:
        return value
    whole = F.reshape(value, (*[1] * (rank - len(shape)), *shape)) if len(shape) < rank else value
    return F.transpose(whole, to_channels_last(range(rank)))
