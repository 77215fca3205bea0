"""The parts that charts are drawn of, as SVG; colours come from the page's CSS.

Everything that is written goes through ElementTree, which escapes it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from xml.etree import ElementTree

from matplotlib.ticker import MaxNLocator

Element = ElementTree.Element


class Axis:
    """A linear scale from numbers to pixels, between round numbers."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        """Takes the range that is to be seen, and the pixels at which it begins and ends."""
        self.ticks = [float(tick) for tick in MaxNLocator(nbins=6).tick_values(low, high)]
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        """Returns the pixel of a number; beyond the ends it is the end's."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self._start + share * (self._end - self._start), 1)


def padded(values: Sequence[float]) -> tuple[float, float]:
    """Returns the range of some numbers with a little room at both ends."""
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def canvas(title: str, width: float, height: float) -> Element:
    """Returns an empty drawing, with what it shows in words."""
    size = {"viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}"}
    svg = ElementTree.Element("svg", {**size, "role": "img", "aria-label": title})
    caption(svg, title)
    return svg


def draw_x_axis(svg: Element, axis: Axis, top: float, bottom: float, label: str) -> None:
    """Draws grid lines with their numbers, and what they count."""
    for tick in axis.ticks:
        draw_line(svg, axis(tick), top, axis(tick), bottom, "grid")
        draw_text(svg, axis(tick), bottom + 16, f"{tick:g}", "tick middle")
    draw_text(svg, (axis(axis.low) + axis(axis.high)) / 2, bottom + 36, label, "tick middle")


def draw_dot(svg: Element, x: float, y: float, radius: float, classes: str, said: str) -> None:
    """Draws a dot that says what it is."""
    caption(draw(svg, "circle", f"dot {classes}", cx=x, cy=y, r=radius), said)


def draw_line(svg: Element, x1: float, y1: float, x2: float, y2: float, classes: str) -> None:
    """Draws a straight line."""
    draw(svg, "line", classes, x1=x1, y1=y1, x2=x2, y2=y2)


def draw_text(svg: Element, x: float, y: float, content: str, classes: str) -> Element:
    """Writes a line of text."""
    element = draw(svg, "text", classes, x=x, y=y)
    element.text = content
    return element


def draw_rect(
    svg: Element, x: float, y: float, width: float, height: float, classes: str
) -> Element:
    """Draws a rectangle from its upper left corner."""
    return draw(svg, "rect", classes, x=x, y=y, width=width, height=height)


def draw_name(svg: Element, x: float, y: float, name: str, classes: str, limit: int) -> None:
    """Writes a name that is shortened to this many characters; a pointer sees all of it."""
    shortened = name if len(name) <= limit else f"{name[: limit - 1]}…"
    caption(draw_text(svg, x, y, shortened, classes), name)


def caption(element: Element, said: str) -> None:
    """Says what an element is, to a pointer that rests on it."""
    ElementTree.SubElement(element, "title").text = said


def points(xs: Iterable[float], ys: Iterable[float]) -> str:
    """Returns places as a polygon or a line takes them; those that are not finite are left out."""
    return " ".join(f"{x:g},{y:g}" for x, y in zip(xs, ys, strict=True) if math.isfinite(y))


def draw(svg: Element, tag: str, classes: str = "", **attributes: object) -> Element:
    """Draws an element with these CSS classes and attributes, and returns it."""
    if classes:
        attributes["class"] = classes
    return ElementTree.SubElement(svg, tag, {key: str(value) for key, value in attributes.items()})


def written(svg: Element) -> str:
    """Returns a drawing as text."""
    return ElementTree.tostring(svg, encoding="unicode")


def line_through(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Returns the line through (low, start) and (high, end)."""
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 3)
