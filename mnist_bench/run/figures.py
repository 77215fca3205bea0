"""Figures of one run, drawn with matplotlib from plain arrays.

Every function returns a `matplotlib.figure.Figure` of its own: no pyplot, no global state, no
change of rcParams. Pixels are of any numeric type, 0 for paper; a note is a line under the title.
Pages are laid out in inches, since fixed places are faster and more predictable than a layout
engine. Hues are from the colour-blind-safe palette of Okabe and Ito
(https://jfly.uni-koeln.de/color/), and no statement rests on hue alone.
"""

import textwrap
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Affine2D

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Pixels = npt.NDArray[np.integer[Any] | np.floating[Any]]
DPI = 120
SHOWN = 20  # images on a grid
GRID_COLUMNS = 5
TILE = 28  # rows and columns of one image
PIXEL = 4 / DPI  # inches of one image pixel: whole screen pixels keep the digits crisp
INK, MUTED, FAINT = "#222222", "#595959", "#DDDDDD"
BLUE, VERMILLION = "#0072B2", "#D55E00"
SMALL, TEXT, TITLE = 9.5, 10.5, 13.0  # points
NUMBERS = {"accuracy": ".4f", "loss": ".4g"}

SERIES: dict[str, Any] = {
    "train": {"color": BLUE, "marker": "o"},
    "validation": {"color": VERMILLION, "marker": "s"},
}

# Published marks are wide rings, so that both stay visible where the two curves coincide.
SOURCES: dict[str, Any] = {
    "measured": {"linestyle": "-", "markersize": 4.5},
    "published": {"linestyle": ":", "markersize": 9, "markerfacecolor": "none"},
}

DIGIT_HEIGHT, LINE_HEIGHT = 0.73, 1.2  # of DejaVu Sans, as shares of the size
TRAIN_NOTE = (
    "train: mean over the steps\nof the epoch, while the\nweights change; validation:\nat its end"
)
CROSSES = {"train": 0.04, "validation": 0.09}  # heights of the crosses, as shares of the y axis


def curves(
    title: str,
    metric: str,
    measured: Mapping[str, Sequence[float]],
    published: Mapping[str, Sequence[float]],
    note: str = "",
) -> Figure:
    """Draw one metric over the epochs, the published curve dotted beside the measured one.

    An epoch whose value is NaN or infinite leaves a gap in its curve and a cross at the foot of
    the axes.

    Args:
        title: What the curves belong to, e.g. the name of the run.
        metric: `accuracy` (shares in [0, 1]) or `loss` (nats).
        measured: The values of epochs 1, 2, ... by series, `train` or `validation`; at least one
            series with at least one epoch.
        published: The same for the figures that the run reproduces; empty where there are none.
            They may be shorter or longer than `measured`.
        note: What the reader must know, e.g. a caveat.

    Raises:
        KeyError: If `metric` or the name of a series is none of those above.
    """
    number = NUMBERS[metric]
    figure = _page(8.6, 4.2, f"{metric.capitalize()} by epoch: {title}", note)
    axes = _axes(figure, 0.85, 0.6, 5.3, 3.5)
    drawn = []
    for name in {**measured, **published}:
        for source, series in (("measured", measured), ("published", published)):
            if name in series:
                drawn.append(np.asarray(series[name], dtype=np.float64))
                _line(axes, name, source, drawn[-1], number)
    _set_scale(axes, metric, np.concatenate(drawn))
    axes.set_xlim(0.5, max(map(len, drawn)) + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=12, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    axes.set_xlabel("epoch", fontsize=TEXT)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        frameon=False,
        fontsize=SMALL,
        labelspacing=0.9,
        handlelength=2.8,
    )
    if "train" in {**measured, **published}:
        # Else a validation accuracy above that of training looks like a mistake.
        width, height = figure.get_size_inches()
        figure.text(6.3 / width, 0.62 / height, TRAIN_NOTE, fontsize=SMALL, color=MUTED)
    return figure


def training_samples(images: Pixels, labels: Integers) -> Figure:
    """Draw the first 20 of these training images (n, 28, 28) with their labels (n,)."""
    captions = [f"label {label}" for label in labels[:SHOWN]]
    title = f"The first {len(captions)} training images"
    return _image_grid(title, "", images[:SHOWN], captions, cell=(36, 38))


def surest_mistakes(
    images: Pixels, labels: Integers, predictions: Integers, confidences: Floats, note: str
) -> Figure:
    """Draw the 20 wrong answers that the model was surest of, the surest first.

    Equal probabilities stay in the order of the images, NaN comes last. With fewer than 20 wrong
    answers all are drawn, with none the figure says so.

    Args:
        images: (n, 28, 28).
        labels: (n,), the true classes.
        predictions: (n,), the predicted classes.
        confidences: (n,) floats in [0, 1], the probability given to the predicted class.
        note: What the images belong to, e.g. the name of the run; a line under the title.
    """
    wrong = np.flatnonzero(predictions != labels)
    surest = wrong[np.argsort(-confidences[wrong], kind="stable")][:SHOWN]
    captions = [
        f"predicted {predictions[i]}, true {labels[i]}\n{_probability(confidences[i])}"
        for i in surest
    ]
    if len(surest) < len(wrong):
        extent = f"the {len(surest)} most confident of {len(wrong):,}"
    else:
        extent = f"all {len(wrong)}" if len(wrong) else "none"
    scope = f"{len(labels):,} test images; p: probability of the prediction"
    return _image_grid(
        f"Wrong answers: {extent}", f"{note}; {scope}", images[surest], captions, cell=(46, 43)
    )


def first_test_image(image: Pixels, label: int, probabilities: Floats, note: str = "") -> Figure:
    """Draw a test image (28, 28) beside the probability of each class; say the answer in words.

    Any NaN among the probabilities (10,), as of a diverged model, is no prediction.
    """
    answer = int(probabilities.argmax()) if np.isfinite(probabilities).all() else None
    verdict = (
        f"predicted {answer}, true {label}: {'right' if answer == label else 'wrong'}"
        if answer is not None
        else f"no prediction (probabilities not finite), true {label}"
    )
    figure = _page(8.6, 3.9, f"First test image: {verdict}", note)
    _ink(_axes(figure, 0.2, 0.8, 3 * TILE * PIXEL, 3 * TILE * PIXEL), image)
    axes = _axes(figure, 3.7, 0.6, 2.5, 3.2)
    classes = range(len(probabilities))
    lengths = np.where(np.isfinite(probabilities), probabilities, 0)
    axes.barh(classes, lengths, color=[BLUE if i == answer else MUTED for i in classes])
    for i in classes:
        roles = [role for role, it in (("predicted", answer), ("true", label)) if it == i]
        text = f"{_probability(probabilities[i])}  {', '.join(roles)}"
        weight = "bold" if roles else "normal"
        _label(axes, lengths[i] + 0.02, i, text, fontsize=SMALL, weight=weight, va="center")
        _label(axes, -0.03, i, str(i), fontsize=SMALL, ha="right", va="center")
    axes.set(xlim=(0, 1), yticks=[])
    axes.invert_yaxis()
    axes.set_xlabel("probability p", fontsize=TEXT)
    axes.set_ylabel("class", fontsize=TEXT, labelpad=18)
    return figure


def confusion_matrix(matrix: Integers, title: str) -> Figure:
    """Draw the counts of every true and predicted class, with the recall of each true class.

    Only wrong answers are shaded, by the root of their count: on one scale with the diagonal all
    of them would look white.

    Args:
        matrix: (10, 10) integers >= 0, `matrix[true, predicted]`, with at least one image in all.
        title: What the matrix belongs to, e.g. the name of the run.
    """
    count = len(matrix)
    right, rows = matrix.diagonal(), matrix.sum(axis=1)
    summary = f"{right.sum():,} of {rows.sum():,} right: accuracy {right.sum() / rows.sum():.4f}"
    figure = _page(8.4, 6.9, f"Confusion matrix: {title}", summary)
    axes = _axes(figure, 0.75, 1.0, 6.0, 5.6)
    errors = np.where(np.eye(count, dtype=bool), 0, matrix)
    # The full hue stands for at least 10, so that single mistakes look harmless in a good run too.
    shade = np.sqrt(errors / max(errors.max(), 10))
    colours = 1 - shade[..., np.newaxis] * (1 - np.array(to_rgb(VERMILLION)))
    colours[np.eye(count, dtype=bool)] = to_rgb(FAINT)
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    lines = np.arange(count + 1) - 0.5
    axes.hlines(lines, -0.5, count - 0.5, color=FAINT, linewidth=0.6)
    axes.vlines(lines, -0.5, count - 0.5, color=FAINT, linewidth=0.6)

    def write(x: float, y: float, text: str, weight: str = "normal") -> None:
        _label(axes, x, y, text, fontsize=TEXT, weight=weight, ha="center", va="center")

    for true, predicted in zip(*matrix.nonzero(), strict=True):
        weight = "bold" if true == predicted else "normal"
        write(predicted, true, f"{matrix[true, predicted]}", weight)
    for column, heading in ((count, "recall"), (count + 1, "images")):
        write(column + 0.1, -0.8, heading)
    for true in range(count):
        write(count + 0.1, true, f"{right[true] / rows[true]:.4f}" if rows[true] else "none")
        write(count + 1.1, true, f"{rows[true]}")
        write(-0.7, true, str(true))
        write(true, count - 0.3, str(true))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class", fontsize=TEXT, labelpad=21)
    axes.set_ylabel("true class", fontsize=TEXT, labelpad=20)
    figure.text(
        0.75 / 8.4,
        0.15 / figure.get_figheight(),
        "Grey: right answers. Orange: wrong answers, the darker the more. Empty: none.\n"
        "Recall: right answers as a share of the images of the row.",
        fontsize=SMALL,
        color=MUTED,
    )
    return figure


def save(figure: Figure, file: Path | IO[bytes]) -> None:
    """Write the figure as a PNG; equal figures give equal bytes with equal matplotlib and zlib.

    The folder must exist.
    """
    figure.savefig(
        file,
        format="png",
        dpi=DPI,
        facecolor="white",
        metadata={"Software": None},  # the one entry that matplotlib adds: its version
        pil_kwargs={"compress_level": 1},  # a quarter less time to encode for a tenth more bytes
    )


def _page(width: float, height: float, title: str, note: str) -> Figure:
    """Return an empty figure of this width whose lowest `height` inches are free for axes."""
    # Characters of the average width of DejaVu Sans that fit on a line of an inch.
    title_lines = textwrap.wrap(title, int(width * 8.8))
    note_lines = textwrap.wrap(note, int(width * 12))
    head = 0.2 + 0.24 * len(title_lines) + 0.19 * len(note_lines)
    total = height + head
    figure = Figure(figsize=(width, total), facecolor="white")
    FigureCanvasAgg(figure)
    # Names come from users: a `$` in them is no mathematics.
    write = partial(figure.text, 0.2 / width, verticalalignment="top", parse_math=False)
    write(1 - 0.12 / total, "\n".join(title_lines), fontsize=TITLE, fontweight="bold", color=INK)
    down = 0.12 + 0.24 * len(title_lines)
    write(1 - down / total, "\n".join(note_lines), fontsize=TEXT, color=MUTED)
    return figure


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return new axes at this place, in inches from the lower left corner of the figure."""
    page_width, page_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / page_width, bottom / page_height, width / page_width, height / page_height)
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    return axes


def _label(axes: Axes, x: float, y: float, text: str, **properties: Any) -> None:
    """Write a short text at a place in data coordinates; it may lie outside the axes."""
    # Of the figure, since axes give each of their artists a clip path of its own, which takes time.
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.add_artist(Label(x, y, text, color=INK, transform=axes.transData, **properties))


class Label(Text):
    """Text whose lines are turned into outlines once a process, and drawn as filled shapes.

    `Text` lays out and rasterises its string at each drawing, which is most of the time of a figure
    with a hundred short ones; and numbers come again in run after run.
    """

    def draw(self, renderer: Any) -> None:
        """Draw the lines; called by the figure. Vertically, `center` is for a single line."""
        x, y = self.get_transform().transform(self.get_position())
        size, points = float(self.get_fontsize()), renderer.points_to_pixels(1.0)
        left = {"left": 0.0, "center": 0.5, "right": 1.0}[self.get_horizontalalignment()]
        up = -DIGIT_HEIGHT / 2 if self.get_verticalalignment() == "center" else 0.0
        context = renderer.new_gc()
        context.set_linewidth(0)
        for line in reversed(self.get_text().split("\n")):
            outline, width = _outline(line, size, self.get_fontweight())
            placed = Affine2D().translate(-left * width, up * size).scale(points).translate(x, y)
            renderer.draw_path(context, outline, placed, to_rgba(self.get_color()))
            up += LINE_HEIGHT
        context.restore()


@lru_cache(maxsize=4096)
def _outline(line: str, size: float, weight: str) -> tuple[TextPath, float]:
    """Return the shape of a line of text that stands on (0, 0), and its width, in points."""
    outline = TextPath((0, 0), line, prop=FontProperties(weight=weight, size=size))
    return outline, float(outline.vertices[:, 0].max(initial=0))


def _line(axes: Axes, name: str, source: str, values: Floats, number: str) -> None:
    """Draw one series over the epochs 1, 2, ..., and a cross at each epoch without a value."""
    epochs = np.arange(1, len(values) + 1)
    finite = np.isfinite(values)
    axes.plot(
        epochs,
        np.where(finite, values, np.nan),
        label=f"{name}, {source}\n{values[-1]:{number}} at epoch {len(values)}",
        markevery=max(1, len(values) // 25),
        clip_on=False,
        **SERIES[name],
        **SOURCES[source],
    )
    if not finite.all():
        lost = epochs[~finite]
        axes.plot(
            lost,
            np.full(len(lost), CROSSES[name]),
            label=f"{name}, {source}\nnot finite: {len(lost)} of {len(values)} epochs",
            color=SERIES[name]["color"],
            linestyle="none",
            marker="x",
            markersize=7,
            markeredgewidth=2,
            transform=axes.get_xaxis_transform(),
        )


def _set_scale(axes: Axes, metric: str, values: Floats) -> None:
    """Choose the limits and the scale of the y axis for all the values that are drawn on it."""
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    if metric == "accuracy":
        axes.set_ylabel("accuracy (share of images right)", fontsize=TEXT)
        room = max(0.05 * (1 - low), 0.002)
        axes.set_ylim(max(low - room, 0), 1 + room / 2)
    elif 0 < 5 * low < high:  # a smaller range has too few round numbers for a log scale
        axes.set_ylabel("loss (mean cross-entropy, nats; log scale)", fontsize=TEXT)
        axes.set_yscale("log")
        room = (high / low) ** 0.06
        axes.set_ylim(low / room, high * room)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylabel("loss (mean cross-entropy, nats)", fontsize=TEXT)
        axes.set_ylim(0, 1.05 * high or 1)


def _image_grid(
    title: str, note: str, images: Pixels, captions: Sequence[str], cell: tuple[int, int]
) -> Figure:
    """Draw images, each under its caption, in cells of this width and height in image pixels.

    All are one picture on one pair of axes: 20 axes take several times as long.
    """
    rows = -(-len(images) // GRID_COLUMNS)
    width, height = GRID_COLUMNS * cell[0], rows * cell[1]
    figure = _page(width * PIXEL + 0.2, height * PIXEL + 0.2, title, note)
    if not rows:
        return figure
    axes = _axes(figure, 0.2, 0.2, width * PIXEL, height * PIXEL)
    canvas = np.full((height, width), np.nan)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, bottom = i % GRID_COLUMNS * cell[0], (i // GRID_COLUMNS + 1) * cell[1]
        canvas[bottom - TILE : bottom, left : left + TILE] = image
        _label(axes, left - 0.5, bottom - TILE - 2, caption, fontsize=SMALL)
    _ink(axes, canvas)
    return figure


def _ink(axes: Axes, pixels: Pixels) -> None:
    """Draw pixels as dark ink on a faint grey ground; NaN stays white."""
    peak = float(np.nanmax(pixels))
    axes.imshow(
        pixels, cmap="gray_r", vmin=-0.06 * peak, vmax=peak, interpolation="nearest", aspect="auto"
    )
    axes.set_axis_off()


def _probability(p: float) -> str:
    """Return `p = 0.987`; never a 0 or 1 that only rounding made."""
    if 0.9995 <= p < 1:
        return "p > 0.999"
    if 0 < p < 0.0005:
        return "p < 0.001"
    return f"p = {p:.3f}"
