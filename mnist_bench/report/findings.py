"""What a sweep shows, as plain data: cells, effects of the swept settings, curves, mistakes.

Runs without a result are in no mean. Everything over seeds takes the seed as the unit: the seeds
are shared by the cells, so two cells are no two independent samples (see `stats.tests.suite`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from mnist_bench.compare.comparable import obstacle
from mnist_bench.compare.matching import cells_of
from mnist_bench.metrics import METRICS
from mnist_bench.report.cells import Cell, Material, cell_of, shortly_named, swept
from mnist_bench.report.curves import Curve, StyleControl, curves_of, style_control
from mnist_bench.report.effects import Effects, HeatMap, effects, heat_maps
from mnist_bench.report.leaderboard import Standing, rank_cells
from mnist_bench.report.mistakes import Mistakes, find_mistakes
from mnist_bench.selection.samples import Sample, Selection


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a report says.

    Attributes:
        label: Which runs it is about.
        cells: By label.
        samples: The runs that count: one a cell and seed.
        missing: Names of runs that were planned and not begun.
        notices: What a reader has to know, a sentence each.
        time_obstacle: Why the times of these runs do not compare; empty if they do.
        swept: The settings that vary -> their values, in order.
        standings: The leaderboard.
        effects: Of the swept settings.
        heat_maps: One an optimizer.
        curves: The best first.
        style_control: None where only one style was run.
        mistakes: None where the runs do not say, or speak of different images.
    """

    label: str
    cells: tuple[Cell, ...]
    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    notices: tuple[str, ...]
    time_obstacle: str
    swept: Mapping[str, tuple[str, ...]]
    standings: tuple[Standing, ...]
    effects: Effects
    heat_maps: tuple[HeatMap, ...]
    curves: tuple[Curve, ...]
    style_control: StyleControl | None
    mistakes: Mistakes | None

    @property
    def finished(self) -> list[Sample]:
        """The runs with a result."""
        return [run for cell in self.cells for run in cell.runs]

    @property
    def failed(self) -> list[Sample]:
        """The runs without one."""
        return [run for cell in self.cells for run in cell.failed]

    @property
    def seeds(self) -> list[int]:
        """All seeds."""
        return sorted({run.seed for run in self.samples})


def examine(material: Material) -> Findings:
    """Returns everything that a report of these runs says."""
    found, notices = cells_of(Selection(material.label, material.samples), (), material.label)
    cells = shortly_named(sorted(map(cell_of, found.values()), key=lambda cell: cell.label))
    axes = swept(cells)
    return Findings(
        label=material.label,
        cells=tuple(cells),
        samples=tuple(chain(*found.values())),
        missing=material.missing,
        notices=tuple(notices),
        time_obstacle=obstacle(METRICS["epoch_seconds_median"], chain(*(c.runs for c in cells))),
        swept=axes,
        standings=tuple(rank_cells({c.label: [r.metrics for r in c.runs] for c in cells})),
        effects=effects(cells, axes),
        heat_maps=tuple(heat_maps(cells)),
        curves=tuple(curves_of(cells, material.histories)),
        style_control=style_control(cells, material.histories),
        mistakes=find_mistakes(cells, material.answers),
    )
