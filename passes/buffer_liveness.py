"""When a tensor is read: program positions, loops and branches, taken once before a function is rewritten.

Positions number the operations of a function in the order of a walk. A use of a value may run after an operation
when it stands later and in no branch exclusive with it, or when a loop around the operation repeats the use while
the value, defined outside that loop, stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import func, linalg, scf
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Block, Operation, SSAValue


@dataclass(frozen=True)
class Scope:
    """The loops around a block, outermost first, and the branches (an scf.if and its region) it lies in."""

    loops: tuple[Operation, ...] = ()
    branches: tuple[tuple[Operation, int], ...] = ()


@dataclass(frozen=True)
class Use:
    """A position at which a tensor is read, and the scope of that position."""

    position: int
    scope: Scope


class Liveness:
    """Answers, for the function as it was when this was built, whether a tensor is still needed after an op."""

    def __init__(self, function: func.FuncOp):
        self.start: dict[Operation, int] = {}
        self.end: dict[Operation, int] = {}
        self.scope: dict[Block, Scope] = {}
        self.uses: dict[SSAValue, list[Use]] = {}
        self._count = 0
        for block in function.body.blocks:
            self._number(block, Scope())

    def _number(self, block: Block, scope: Scope) -> None:
        self.scope[block] = scope
        for op in block.ops:
            self.start[op] = position = self._count
            self._count += 1
            for operand in op.operands:
                if isinstance(operand.type, TensorType):
                    self.uses.setdefault(operand, []).append(Use(position, scope))
            for index, region in enumerate(op.regions):
                inner = scope
                if isinstance(op, scf.ForOp | scf.WhileOp):
                    inner = Scope((*scope.loops, op), scope.branches)
                elif isinstance(op, scf.IfOp):
                    inner = Scope(scope.loops, (*scope.branches, (op, index)))
                for nested in region.blocks:
                    if isinstance(op, linalg.ops.GenericOp):
                        self._capture(nested, position, scope)
                    else:
                        self._number(nested, inner)
            self.end[op] = self._count
            self._count += 1

    def _capture(self, body: Block, position: int, scope: Scope) -> None:
        """Tensors read inside the body of a linalg op count as read by that op."""
        for op in body.walk():
            for operand in op.operands:
                if isinstance(operand.type, TensorType):
                    self.uses.setdefault(operand, []).append(Use(position, scope))

    def scope_of(self, op: Operation) -> Scope:
        assert op.parent is not None
        return self.scope[op.parent]

    def is_read_after(self, value: SSAValue, position: int, scope: Scope) -> bool:
        """Whether a use of `value` may run after `position`, which lies in `scope`."""
        uses = self.uses.get(value)
        if uses is None:
            return False
        owner = value.owner
        home = owner if isinstance(owner, Block) else owner.parent
        assert home is not None
        own_loops = self.scope[home].loops
        repeating = next((loop for loop in scope.loops if loop not in own_loops), None)
        for use in uses:
            if repeating is not None and repeating in use.scope.loops:
                return True
            if use.position > position and not _exclusive(use.scope, scope):
                return True
        return False


def _exclusive(one: Scope, other: Scope) -> bool:
    """Whether the two scopes lie in different branches of the same scf.if."""
    return any(mine[0] is theirs[0] and mine[1] != theirs[1] for mine in one.branches for theirs in other.branches)
