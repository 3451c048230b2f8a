"""A minimum cut of a graph: the cheapest way to give each of its nodes one of two labels.

What a node costs with a label is an edge from or to a terminal, what two nodes cost with different labels an edge
between them; the edges from the side of the source to that of the sink are what a labelling pays (Greig, Porteous and
Seheult, Exact maximum a posteriori estimation for binary images, 1989). The cut is found as a maximum flow, by
blocking flows in graphs of levels (Dinic, 1970).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SOURCE, SINK = 0, 1
INFINITE = 1 << 60


@dataclass
class Graph:
    """A directed graph with capacities; nodes are numbers, of which the first two are the terminals."""

    edges: list[list[int]] = field(default_factory=lambda: [[], []])
    """For each node the numbers of the edges that leave it; edge i ^ 1 runs back along edge i."""
    heads: list[int] = field(default_factory=list[int])
    capacities: list[int] = field(default_factory=list[int])

    def node(self) -> int:
        self.edges.append([])
        return len(self.edges) - 1

    def edge(self, tail: int, head: int, capacity: int, back: int = 0) -> None:
        """An edge, and one of capacity `back` in the other direction."""
        for start, end, most in ((tail, head, capacity), (head, tail, back)):
            self.edges[start].append(len(self.heads))
            self.heads.append(end)
            self.capacities.append(most)

    def source_side(self) -> frozenset[int]:
        """The nodes on the side of the source in a minimum cut. Uses up the capacities."""
        while (levels := self.levels())[SINK] >= 0:
            left = [0] * len(self.edges)
            while self.push(levels, left):
                pass
        return frozenset(node for node, level in enumerate(levels) if level >= 0)

    def levels(self) -> list[int]:
        """How many edges with capacity left each node is from the source; -1 where there is no way."""
        levels = [-1] * len(self.edges)
        levels[SOURCE] = 0
        waiting = deque([SOURCE])
        while waiting:
            node = waiting.popleft()
            for edge in self.edges[node]:
                head = self.heads[edge]
                if self.capacities[edge] and levels[head] < 0:
                    levels[head] = levels[node] + 1
                    waiting.append(head)
        return levels

    def push(self, levels: list[int], tried: list[int]) -> bool:
        """Send flow along one way to the sink, a level at a time; whether there was one.

        `tried` is how many edges of each node lead nowhere any more.
        """
        way: list[int] = []
        node = SOURCE
        while node != SINK:
            if tried[node] < len(self.edges[node]):
                edge = self.edges[node][tried[node]]
                head = self.heads[edge]
                if self.capacities[edge] and levels[head] == levels[node] + 1:
                    way.append(edge)
                    node = head
                else:
                    tried[node] += 1
            elif way:
                node = self.heads[way.pop() ^ 1]
                tried[node] += 1
            else:
                return False
        flow = min(self.capacities[edge] for edge in way)
        for edge in way:
            self.capacities[edge] -= flow
            self.capacities[edge ^ 1] += flow
        return True
