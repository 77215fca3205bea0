"""The runs of a sweep by cell, and the settings that vary between them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mnist_bench.selection.samples import Sample
from mnist_bench.text import ordered, shown

if TYPE_CHECKING:
    from mnist_bench.selection.source import Answers, History, Source

STYLE, WIDTH = "model.style", "model.hidden_units"
OPTIMIZER, BATCH = "optimizer.name", "train.batch_size"


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is made from.

    Attributes:
        samples: All runs, also those that failed or were run again.
        missing: Names of the runs that were planned and not begun.
        histories: Run id -> its metrics by epoch, where they are kept.
        answers: Run id -> what it said of the test images, where that is kept.
    """

    label: str
    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    histories: Mapping[str, "History"]
    answers: Mapping[str, "Answers"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A configuration without its seed, and its runs.

    Attributes:
        label: Readable, of what not all cells have in common; no other cell has it.
        settings: What decides the result, by configuration key.
        data_fp: Digest of the data.
        runs: Those with a result, one a seed, by seed.
        failed: Those without.
    """

    label: str
    settings: Mapping[str, str]
    data_fp: str
    runs: tuple[Sample, ...]
    failed: tuple[Sample, ...]

    def mean(self, metric: str) -> float:
        """Returns the mean of a metric over the runs, of which there must be one."""
        return float(np.mean([run.metrics[metric] for run in self.runs]))


def gather(source: "Source", selector: str) -> Material:
    """Returns what the store knows of the runs that a selector means.

    Raises:
        Refusal: If it means nothing, or more than one thing.
        StoreError: If the store cannot be read.
    """
    selection = source.select(selector)
    sweep = source.sweep(selector)
    names = {sample.name for sample in selection.samples}
    planned = () if sweep is None else source.planned(sweep)
    label = selection.label if sweep is None else f"sweep:{sweep.tags['sweep_id'][:12]}"
    if not source.keeps(selection):
        return Material(label, selection.samples, missing=(), histories={}, answers={})
    with_result = [sample for sample in selection.samples if not sample.failure]
    return Material(
        label=label,
        samples=selection.samples,
        missing=tuple(shown(name) for name in planned if name not in names),
        histories={s.run_id: h for s in with_result if (h := source.history(s))},
        answers={s.run_id: a for s in with_result if (a := source.answers(s)) is not None},
    )


def cell_of(samples: Sequence[Sample]) -> Cell:
    """Returns the samples of one cell as a cell."""
    first = samples[0]
    return Cell(
        label=shown(first.cell),
        settings=first.settings,
        data_fp=first.facts.get("data_fp", ""),
        runs=tuple(sample for sample in samples if not sample.failure),
        failed=tuple(sample for sample in samples if sample.failure),
    )


def shortly_named(cells: Sequence[Cell]) -> list[Cell]:
    """Returns the cells under names without the words that all of them share."""
    words = [cell.label.split(" ") for cell in cells]
    shared = set(words[0]).intersection(*words) if len(words) > 1 else set()
    seen = Counter[str]()
    named = []
    for cell, own in zip(cells, words, strict=True):
        label = " ".join(word for word in own if word not in shared) or cell.label
        seen[label] += 1
        again = f" ({seen[label]})" if seen[label] > 1 else ""
        named.append(replace(cell, label=f"{label}{again}"))
    return named


def swept(cells: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    """Returns the settings that vary with their values in order, the usual four first.

    The settings of an optimizer differ from those of another one anyway: they vary if they do so
    for one optimizer.
    """
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for cell in cells:
        for key, value in cell.settings.items():
            own = key.startswith("optimizer.") and key != OPTIMIZER
            values[key, cell.settings.get(OPTIMIZER, "") if own else ""].add(value)
    varying = {key for (key, _), found in values.items() if len(found) > 1}
    usual = [key for key in (WIDTH, OPTIMIZER, BATCH, STYLE) if key in varying]
    return {
        key: tuple(ordered(set().union(*(v for (k, _), v in values.items() if k == key))))
        for key in [*usual, *sorted(varying - set(usual))]
    }


def all_else(
    cell: Cell, key: str, axes: Mapping[str, tuple[str, ...]]
) -> tuple[frozenset[tuple[str, str]], str]:
    """Returns all that two cells have in common if they differ in one setting alone.

    With the name of an optimizer its own settings change, but for those that were swept.
    """
    kept = {
        (name, value)
        for name, value in cell.settings.items()
        if name != key
        and not (key == OPTIMIZER and name.startswith("optimizer.") and name not in axes)
    }
    return frozenset(kept), "" if key.startswith("data.") else cell.data_fp
