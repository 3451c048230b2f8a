"""Where boxes and arrows lie: in layers, so that everything flows downwards (Sugiyama's method, by grandalf)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xmlc.picture.boxes import Box, Boxes

CHARACTER, LINE = 6.7, 15.0
"""Width of a character and height of a line, in the units of the picture."""
PADDING = 9.0
GAP_X, GAP_Y = 26.0, 34.0
"""Between boxes, and between layers: room for the arrows."""
ROUNDS = 4
"""Sweeps that move boxes within their layers so that fewer arrows cross."""

Point = tuple[float, float]


@dataclass
class PlacedBox:
    """A box by its centre."""

    box: Box
    x: float
    y: float
    width: float
    height: float


@dataclass
class PlacedArrow:
    points: list[Point]
    label: str


@dataclass
class Placed:
    """Everything at its place: the picture reaches from 0, 0 to its width and height."""

    boxes: list[PlacedBox]
    arrows: list[PlacedArrow]
    width: float
    height: float


class View:
    """What grandalf asks of a box: its size; and gives: its place."""

    def __init__(self, box: Box):
        longest = max(map(len, (box.title, *box.lines)))
        self.w = CHARACTER * longest + 2 * PADDING
        self.h = LINE * (1 + len(box.lines)) + PADDING
        self.xy: Point = (0.0, 0.0)


class Route:
    """What grandalf gives an arrow: the points that it goes through, between layers too."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def setpath(self, points: list[Point]) -> None:
        self.points = list(points)


def as_they_are(edge: Any, points: Any) -> None:
    """For grandalf, which would bend arrows here."""


def placed(drawn: Boxes) -> Placed:
    """Parts that nothing connects stand side by side."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    views = [View(box) for box in drawn.boxes]
    vertices: list[Any] = [Vertex(number) for number in range(len(views))]
    for vertex, view in zip(vertices, views):
        vertex.view = view
    routes = {ends: Route() for ends in drawn.arrows}
    edges: list[Any] = [Edge(vertices[a], vertices[b]) for a, b in routes]
    for edge, route in zip(edges, routes.values()):
        edge.view = route
    left = 0.0
    parts: list[Any] = Graph(vertices, edges).C  # pyright: ignore[reportUnknownMemberType]
    for part in parts:
        layout: Any = SugiyamaLayout(part)
        layout.xspace, layout.yspace = GAP_X, GAP_Y
        layout.dw, layout.dh = 0.0, 0.0  # what an arrow takes of the layers that it passes
        layout.route_edge = as_they_are
        layout.init_all(roots=[vertex for vertex in part.sV if not vertex.e_in()], optimize=True)
        layout.draw(ROUNDS)
        inside: list[View] = [vertex.view for vertex in part.sV]
        shift = left - min(view.xy[0] - view.w / 2 for view in inside)
        for view in inside:
            view.xy = (view.xy[0] + shift, view.xy[1])
        for edge in part.sE:
            edge.view.points = [(x + shift, y) for x, y in edge.view.points]
        left = max(view.xy[0] + view.w / 2 for view in inside) + GAP_X
    return framed(drawn, views, routes)


def framed(drawn: Boxes, views: list[View], routes: dict[tuple[int, int], Route]) -> Placed:
    """Moved so that the picture begins at 0, 0; arrows begin and end at the edges of boxes."""
    points = [point for route in routes.values() for point in route.points]
    xs = [view.xy[0] + side * view.w / 2 for view in views for side in (-1, 1)] + [x for x, _ in points]
    ys = [view.xy[1] + side * view.h / 2 for view in views for side in (-1, 1)] + [y for _, y in points]
    dx, dy = PADDING - min(xs, default=0.0), PADDING - min(ys, default=0.0)
    boxes = [PlacedBox(box, view.xy[0] + dx, view.xy[1] + dy, view.w, view.h) for box, view in zip(drawn.boxes, views)]
    heights: dict[float, float] = {}
    for each in boxes:
        heights[round(each.y)] = max(each.height, heights.get(round(each.y), 0.0))
    arrows: list[PlacedArrow] = []
    for (start, end), label in drawn.arrows.items():
        one, other = boxes[start], boxes[end]
        path = [(one.x, one.y + one.height / 2), (one.x, one.y + heights[round(one.y)] / 2)]
        for x, y in ((x + dx, y + dy) for x, y in routes[start, end].points[1:-1]):
            half = heights.get(round(y), 0.0) / 2  # straight through the layer: it turns between layers only
            path += [(x, y - half), (x, y + half)]
        path += [(other.x, other.y - heights[round(other.y)] / 2), (other.x, other.y - other.height / 2)]
        # an end that no piece leads up to would have no direction
        turns = [point for point, before in zip(path[1:], path) if abs(point[1] - before[1]) > 0.5]
        arrows.append(PlacedArrow([path[0], *turns], label))
    width, height = max(xs, default=0.0) + dx + PADDING, max(ys, default=0.0) + dy + PADDING
    return Placed(boxes, arrows, width, height)
