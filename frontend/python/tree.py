"""Trees of arrays: nested tuples, named tuples, lists, dicts and dataclasses, with anything else as leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, cast


@dataclass(frozen=True)
class Tree:
    """The structure of a tree: how to build it from its leaves again. Equal structures are equal, and hash alike.

    Those that `flatten` gives are shared, and know their hash: they are keys in every call of a compiled function.
    """

    kind: type[Any] | None
    """What the node is; None for a leaf."""
    keys: tuple[Any, ...] = ()
    """The keys of a dict, in sorted order if they can be sorted, or the fields of a dataclass."""
    children: tuple[Tree, ...] = ()
    known_hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known_hash", hash((self.kind, self.keys, self.children)))

    def __hash__(self) -> int:
        return self.known_hash

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.kind is None else sum(child.leaves for child in self.children)

    def build(self, leaves: Sequence[Any]) -> Any:
        """The tree with these leaves, in the order in which `flatten` gave them."""
        waiting = iter(leaves)
        made = self._build(waiting.__next__)
        assert next(waiting, self) is self, "more leaves than the tree has"
        return made

    def _build(self, take: Callable[[], Any]) -> Any:
        if self.kind is None:
            return take()
        if self.kind is type(None):
            return None
        parts = [child._build(take) for child in self.children]
        if self.kind is dict:
            return dict(zip(self.keys, parts))
        if self.kind is list:
            return parts
        if self.kind is tuple:
            return tuple(parts)
        return self.kind(**dict(zip(self.keys, parts))) if self.keys else self.kind(*parts)

    def paths(self, name: str) -> list[str]:
        """What the user would call each leaf: `x`, `x[0]`, `x['w']`, `x.bias`."""
        if self.kind is None:
            return [name]
        keys = self.keys or range(len(self.children))
        pattern = "[{!r}]" if self.kind in (dict, list, tuple) else ".{}"
        spelled = [name + pattern.format(key) for key in keys]
        return [path for each, child in zip(spelled, self.children) for path in child.paths(each)]


LEAF = Tree(None)


@lru_cache(maxsize=4096)
def shared(kind: type[Any], keys: tuple[str, ...] = (), children: tuple[Tree, ...] = ()) -> Tree:
    """The one structure of its kind. Keys are text: 1 and True would be the same here."""
    return Tree(kind, keys, children)


def flatten(tree: Any) -> tuple[list[Any], Tree]:
    """The leaves of a tree from left to right, and its structure. None is a tree without leaves."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Tree:
    kind = cast("type[Any]", type(tree))
    if tree is None:
        return shared(kind)
    if kind is dict:
        keys = tuple(sorted(tree, key=str))
        children = tuple([_flatten(tree[key], leaves) for key in keys])
        return shared(kind, keys, children) if {*map(type, keys)} <= {str} else Tree(kind, keys, children)
    if kind is list or kind is tuple:
        return shared(kind, (), tuple([_flatten(each, leaves) for each in tree]))
    names = fields_of(kind)
    if names is not None:
        return shared(kind, names, tuple([_flatten(getattr(tree, each), leaves) for each in names]))
    leaves.append(tree)
    return LEAF


@lru_cache(maxsize=4096)
def fields_of(kind: type[Any]) -> tuple[str, ...] | None:
    """The fields of a class of named tuples or dataclasses; None for any other."""
    if issubclass(kind, tuple):
        return getattr(cast(Any, kind), "_fields", None)
    if is_dataclass(kind):
        return tuple([each.name for each in fields(kind) if each.init])
    return None


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The tree with each leaf replaced by what the function makes of it and of the same leaf of the others.

    Raises ValueError where structures differ.
    """
    leaves, structure = flatten(tree)
    columns = [leaves]
    for other in others:
        found, shape = flatten(other)
        if shape != structure:
            raise ValueError("the trees have different structures")
        columns.append(found)
    return structure.build([function(*row) for row in zip(*columns)])
