"""Placed boxes and arrows as SVG that needs nothing else: no script, no style sheet, no font but a common one."""

from __future__ import annotations

from xml.sax.saxutils import escape

from xmlc.picture.layout import CHARACTER, LINE, PADDING, Placed, PlacedArrow, PlacedBox

COLOURS = {
    "product": ("#dbeafe", "#1d4ed8"),
    "reduction": ("#ede9fe", "#6d28d9"),
    "elementwise": ("#dcfce7", "#15803d"),
    "movement": ("#f3f4f6", "#6b7280"),
    "control": ("#ffedd5", "#c2410c"),
    "input": ("#ffffff", "#111827"),
    "output": ("#ffffff", "#111827"),
}
"""Kind of box -> the colour inside, and that of its edge."""


def svg_of(picture: Placed) -> str:
    width, height = round(picture.width), round(picture.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#6b7280"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *map(arrow, picture.arrows),
        *map(box, picture.boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def arrow(placed: PlacedArrow) -> str:
    """Curves that leave and reach each point vertically, straight where points lie above each other."""
    (x, y), *rest = placed.points
    path = f"M{x:.1f},{y:.1f}"
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        path += (
            f" C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}" if x != to_x else f" V{to_y:.1f}"
        )
        x, y = to_x, to_y
    tip = f"<title>{escape(placed.label)}</title>"
    return f'<path d="{path}" fill="none" stroke="#6b7280" marker-end="url(#tip)">{tip}</path>'


def box(placed: PlacedBox) -> str:
    inside, edge = COLOURS[placed.box.kind]
    left, top = placed.x - placed.width / 2, placed.y - placed.height / 2
    rounding = placed.height / 2 if placed.box.kind in ("input", "output") else 4
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{placed.width:.1f}" height="{placed.height:.1f}"'
        f' rx="{rounding:.1f}" fill="{inside}" stroke="{edge}"/>'
    ]
    for index, line in enumerate((placed.box.title, *placed.box.lines)):
        style = f'font-weight="bold" fill="{edge}"' if index == 0 else 'fill="#374151"'
        y = top + PADDING / 2 + LINE * (index + 0.75)
        # the width that the layout reckoned with, whatever font is there
        fitted = f'textLength="{CHARACTER * len(line):.1f}" lengthAdjust="spacingAndGlyphs"'
        parts.append(
            f'<text x="{placed.x:.1f}" y="{y:.1f}" text-anchor="middle" {style} {fitted}>{escape(line)}</text>'
        )
    tip = f"<title>{escape(placed.box.tip)}</title>" if placed.box.tip else ""
    return f"<g>{tip}{''.join(parts)}</g>"
