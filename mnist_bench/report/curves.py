"""Accuracy by epoch of each cell, and whether the styles of one network coincide."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_bench.metrics import Use, used_for
from mnist_bench.report.cells import STYLE, Cell, all_else
from mnist_bench.selection.samples import Sample
from mnist_bench.text import ordered, shown

if TYPE_CHECKING:
    from mnist_bench.selection.source import History

CURVE_KEYS = {"validation": "val_accuracy", "training": "train_accuracy"}
MOST_POINTS = 200
"""Epochs that are drawn of a curve; of more, as many at even distances."""


class Band(NamedTuple):
    """A curve over several runs: shares by epoch.

    Attributes:
        epochs: (n,) where it has points.
        mean: (n,) over the runs; NaN where one has no value.
        low: (n,) least of the runs.
        high: (n,) greatest.
    """

    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """The accuracy by epoch of a cell, or of cells that coincide.

    Attributes:
        label: Of the cell; without its style where several styles coincide.
        styles: Of the cells.
        seeds: How many.
        test_accuracy: Mean over the seeds.
        bands: Over the seeds, by the names of `CURVE_KEYS`.
    """

    label: str
    styles: tuple[str, ...]
    seeds: int
    test_accuracy: float
    bands: Mapping[str, Band]


@dataclass(frozen=True, slots=True)
class StyleControl:
    """Whether the styles of one network give one result.

    A point is a setting of everything else, and a seed.

    Attributes:
        styles: All that were run.
        points: Points with two styles or more.
        equal: Points at which every loss and accuracy of every epoch is equal to the last bit.
        unknown: Points whose runs do not say what they gave in each epoch.
        differing: Names of the other points.
        largest_gap: Largest difference of the test loss inside one point.
    """

    styles: tuple[str, ...]
    points: int
    equal: int
    unknown: int
    differing: tuple[str, ...]
    largest_gap: float


def curves_of(cells: Sequence[Cell], histories: Mapping[str, "History"]) -> list[Curve]:
    """Returns the curves of the cells of which they are kept, one for styles that coincide."""
    alike: dict[object, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.runs and all(run.run_id in histories for run in cell.runs):
            outcomes = tuple((run.seed, _outcome(run, histories)) for run in cell.runs)
            alike[all_else(cell, STYLE, {}), outcomes].append(cell)
    found = [_curve(same, histories) for same in alike.values()]
    return sorted(found, key=lambda curve: (-curve.test_accuracy, curve.label))


def _curve(cells: Sequence[Cell], histories: Mapping[str, "History"]) -> Curve:
    first = cells[0]
    style = first.settings.get(STYLE, "")
    bands = {
        name: _band([histories[run.run_id][key] for run in first.runs])
        for name, key in CURVE_KEYS.items()
        if all(key in histories[run.run_id] for run in first.runs)
    }
    return Curve(
        label=first.label.removeprefix(f"{style} ") if len(cells) > 1 else first.label,
        styles=tuple(cell.settings.get(STYLE, "") for cell in cells),
        seeds=len(first.runs),
        test_accuracy=first.mean("test_accuracy"),
        bands=bands,
    )


def _band(curves: Sequence[Sequence[float]]) -> Band:
    epochs = min(map(len, curves))
    places = np.unique(np.linspace(0, epochs - 1, min(epochs, MOST_POINTS)).round().astype(int))
    values = np.array([curve[:epochs] for curve in curves], dtype=np.float64)[:, places]
    return Band(places + 1, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _outcome(run: Sample, histories: Mapping[str, "History"]) -> tuple[object, ...]:
    """Returns everything that is known of what a run gave, apart from its times.

    Two runs must have it in common, to the last bit, to be called the same.
    """
    history = histories[run.run_id]
    return (
        *(history.get(key) for key, metric in used_for(Use.epoch).items() if not metric.is_cost),
        run.metrics["test_loss"],
        run.metrics["test_accuracy"],
    )


def style_control(cells: Sequence[Cell], histories: Mapping[str, "History"]) -> StyleControl | None:
    """Returns whether the styles give the same to the last bit; None with one style."""
    styles = ordered({cell.settings[STYLE] for cell in cells if STYLE in cell.settings})
    if len(styles) < 2:
        return None
    points: dict[object, list[Sample]] = defaultdict(list)
    for cell in cells:
        for run in cell.runs:
            points[all_else(cell, STYLE, {}), run.seed].append(run)
    groups = [runs for runs in points.values() if len(runs) > 1]
    known = [runs for runs in groups if all(run.run_id in histories for run in runs)]
    differing = [runs for runs in known if len({_outcome(run, histories) for run in runs}) > 1]
    losses = [[run.metrics["test_loss"] for run in runs] for runs in groups]
    return StyleControl(
        styles=tuple(styles),
        points=len(groups),
        equal=len(known) - len(differing),
        unknown=len(groups) - len(known),
        differing=tuple(shown(runs[0].name) for runs in differing),
        largest_gap=max((max(found) - min(found) for found in losses), default=math.nan),
    )
