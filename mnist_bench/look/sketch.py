"""Curves drawn with characters, for terminals."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from plotille import Canvas

Points = Sequence[tuple[int, float]]
"""Pairs of epoch and value, in the order of epochs."""

COLORS = ("cyan", "yellow")


def sketch_curves(title: str, curves: Mapping[str, Points], width: int, height: int) -> str:
    """Returns curves over epochs as lines of text, with ANSI colours.

    Each line bears the first letter of its name at its epochs, so that no colour is needed.

    Args:
        title: On top.
        curves: Name -> its points, at least one in all; at most two curves.
        width: Columns of the whole.
        height: Lines of the canvas alone.
    """
    epochs = [epoch for curve in curves.values() for epoch, _ in curve]
    values = [value for curve in curves.values() for _, value in curve]
    low, high = min(values), max(values)
    first, last = min(epochs), max(epochs)
    labels = [f"{high:.4f}", f"{(low + high) / 2:.4f}", f"{low:.4f}"]
    margin = max(map(len, labels))
    columns = max(10, width - margin - 2)
    # A curve of one point, or a flat one, still needs a canvas of some extent.
    spread = (high - low) or 1.0
    canvas = Canvas(
        columns,
        height,
        xmin=first - 0.5,
        xmax=last + 0.5,
        ymin=low - 0.5 * spread / height,
        ymax=high + 0.5 * spread / height,
        mode="names",
    )
    for (name, curve), color in zip(curves.items(), COLORS, strict=False):
        for (x0, y0), (x1, y1) in pairwise(curve):
            canvas.line(x0, y0, x1, y1, color=color)
        for epoch, value in curve:
            canvas.point(epoch, value, color=color, marker=name[0])
    # Some fonts show the dots of an empty character of Braille.
    lines = [line.replace("\u2800", " ").rstrip() for line in canvas.plot().splitlines()]
    at = {0: labels[0], height // 2: labels[1], height - 1: labels[2]}
    rows = [
        f"{at.get(number, ''):>{margin}} ┤{row}" if number in at else f"{'':>{margin}} │{row}"
        for number, row in enumerate(lines)
    ]
    legend = ", ".join(f"{name[0]} {name}" for name in curves)
    ends = f"epoch {first}" if first == last else f"epoch {first}{last:>{columns - 7}}"
    return "\n".join([f"{title}: {legend}", *rows, f"{'':>{margin}}  {ends}"])
