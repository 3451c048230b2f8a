"""Verification of a whole module: every op's own rules, and that every value is defined before it is used.

xDSL's `verify` stops at the first op that is wrong and does not check dominance; this finds everything.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.sizes import assuming, assumptions_of
from xmlc.wording import in_our_words


def verify(module: ModuleOp) -> None:
    """Raise CompileError with a diagnostic for every op that is wrong."""
    if found := verification_errors(module):
        raise CompileError.of(found)


def verification_errors(module: ModuleOp) -> list[Diagnostic]:
    """Everything that is wrong in `module`, in the order of the text."""
    found: list[Diagnostic] = []
    assumptions = assumptions_of(module)
    for op in module.walk():
        try:
            with assuming(assumptions):
                op.verify(verify_nested_ops=False)
            for region in op.regions:
                for block in region.blocks:
                    if block.is_empty:
                        block.verify()
        except VerifyException as error:
            found.append(about(op, str(error)))
    return found + dominance_errors(module)


def about(op: Operation, message: str) -> Diagnostic:
    """A message about an op, at its place."""
    return Diagnostic(f"'{op.name}': {in_our_words(message)}", place_of(op.location))


def dominance_errors(module: ModuleOp) -> list[Diagnostic]:
    """The uses of values that are not defined on every way to the use."""
    order = {op: number for number, op in enumerate(module.walk())}
    dominators: dict[Region, dict[Block, set[Block]]] = {}

    def dominates(value: SSAValue, user: Operation) -> bool:
        owner = value.owner
        block = owner if isinstance(owner, Block) else owner.parent
        ancestor = user
        while ancestor.parent is not block and ancestor.parent_region() is not (block and block.parent):
            if (parent := ancestor.parent_op()) is None:
                return False
            ancestor = parent
        if block is None or ancestor.parent is None:
            return False
        if isinstance(block.parent_op(), ModuleOp):  # a module is a graph: the order of its ops has no meaning
            return ancestor is not owner
        if ancestor.parent is block:
            return isinstance(owner, Block) or order.get(owner, -1) < order[ancestor]
        region = block.parent
        assert region is not None
        if region not in dominators:
            dominators[region] = dominating_blocks(region)
        return block in dominators[region][ancestor.parent]

    return [
        about(op, f"operand {index} is used before it is defined, or where it may not be defined")
        for op in order
        for index, operand in enumerate(op.operands)
        if not dominates(operand, op)
    ]


def dominating_blocks(region: Region) -> dict[Block, set[Block]]:
    """Block -> the blocks that every way from the region's entry to it passes; an unreachable block has them all."""
    blocks = list(region.blocks)
    predecessors: dict[Block, list[Block]] = {block: [] for block in blocks}
    for block in blocks:
        for successor in block.last_op.successors if block.last_op else ():
            predecessors[successor].append(block)
    found = {block: set(blocks) for block in blocks}
    found[blocks[0]] = {blocks[0]}
    changed = True
    while changed:
        changed = False
        for block in blocks[1:]:
            new = set(blocks).intersection(*(found[before] for before in predecessors[block])) | {block}
            changed = changed or new != found[block]
            found[block] = new
    return found
