"""Which test images all models get wrong."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mnist_bench.report.cells import Cell
from mnist_bench.selection.samples import Sample

if TYPE_CHECKING:
    from mnist_bench.selection.source import Answers


@dataclass(frozen=True, slots=True)
class HardImage:
    """A test image that every run got wrong.

    Attributes:
        index: Its place among the test images, from 0.
        label: The true digit.
        said: What the runs took it for, and how many of them; the most frequent first.
    """

    index: int
    label: int
    said: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Which test images are hard.

    Attributes:
        runs: How many have told what they said.
        distinct: How many different sets of answers these are.
        images: Of the test set.
        by_some: Images that at least one run got wrong.
        by_all: Images that every run got wrong.
        packaged: Whether these are the images of the packaged MNIST.
    """

    runs: int
    distinct: int
    images: int
    by_some: int
    by_all: tuple[HardImage, ...]
    packaged: bool


def find_mistakes(cells: Sequence[Cell], answers: Mapping[str, "Answers"]) -> Mistakes | None:
    """Returns which test images are hard; None if that is not known of the same images."""
    told = [(cell, answers[r.run_id]) for cell in cells for r in cell.runs if r.run_id in answers]
    if not told:
        return None
    labels = told[0][1].labels
    same_data = len({cell.settings.get("data.name") for cell, _ in told}) == 1
    if not same_data or any(not np.array_equal(a.labels, labels) for _, a in told):
        return None
    predicted = np.stack([a.predicted for _, a in told])
    wrong = predicted != labels
    return Mistakes(
        runs=len(told),
        distinct=len(np.unique(predicted, axis=0)),
        images=len(labels),
        by_some=int(wrong.any(axis=0).sum()),
        by_all=tuple(
            HardImage(
                index,
                int(labels[index]),
                tuple(Counter(predicted[:, index].tolist()).most_common()),
            )
            for index in np.flatnonzero(wrong.all(axis=0)).tolist()
        ),
        packaged=all(_is_packaged(cell.runs[0]) for cell, _ in told),
    )


def _is_packaged(run: Sample) -> bool:
    """Returns whether a run's test images are those of the package.

    The name of a cell whose data came from a file says so (see `identity.cell_label`).
    """
    from_file = f"mnist-{run.facts.get('data_fp', '')[:8]}"
    return run.settings.get("data.name") == "mnist" and from_file not in run.cell.split(" ")
