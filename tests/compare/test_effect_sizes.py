"""What only JSON and CSV show: Hedges' g, the chance to be better, resampling p."""

import csv
import io
import json

import numpy as np
import pytest

from mnist_bench.compare.formats.csv import as_csv
from mnist_bench.compare.formats.json import as_json
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options
from mnist_bench.metrics import METRICS
from mnist_bench.selection.samples import Selection
from mnist_bench.stats.effect_sizes import hedges_g, permutation_p, probability_better, sign_flip_p
from mnist_bench.stats.tests import cell_weights, seed_means, spread_of
from tests.comparisons import sample, side

GOOD = [0.980, 0.981, 0.979]
NAMES = ("hedges_g", "probability_better", "resampling_p")


def measured(cells, **metrics):
    """Returns a selection: of each cell its accuracies, and metrics that follow from them."""
    return Selection(
        "runs",
        tuple(
            sample(cell, seed, test_accuracy=accuracy, test_loss=1 - accuracy, **metrics)
            for cell, accuracies in cells.items()
            for seed, accuracy in enumerate(accuracies)
        ),
    )


def normal(seeds, mean):
    return np.random.default_rng(seeds).normal(mean, 0.001, seeds).tolist()


SIDES = {
    "worse": ({"a": GOOD, "b": GOOD}, {"a": [0.96, 0.961, 0.959], "b": GOOD}),
    "ties": ({"a": [0.98, 0.981, 0.98], "b": [0.9812] * 3}, {"a": [0.981, 0.98, 0.981], "b": GOOD}),
    "ties on paper": ({"a": [0.9812, 0.9813, 0.981]}, {"a": [0.9811, 0.9812, 0.9813]}),
    "identical": ({"a": GOOD, "b": GOOD}, {"a": GOOD, "b": GOOD}),
    "without spread": ({"a": [0.75] * 3}, {"a": [0.5] * 3}),
    "uneven": ({"a": GOOD, "b": GOOD[:2]}, {"a": GOOD[:2], "b": GOOD}),
    "too many to try all": ({"a": normal(8, 0.98)}, {"a": normal(9, 0.9805)}),
    "too many pairs to try all": ({"a": normal(14, 0.98)}, {"a": normal(14, 0.9805)[::-1]}),
}


def as_before(pairing, row, paired):
    """Returns the sizes of a row alone, of the scores of its runs, as `compare` once took them."""
    if row["p"] is None or not row["baseline"]["seeds"]:
        return None, None, None
    metric = METRICS[row["metric"]]
    cells = [
        [
            metric.scale.scores([run.metrics[metric.name] for run in runs])
            for runs in (cell.baseline, cell.candidate)
        ]
        for cell in pairing.match.cells
        if row["cell"] in ("", cell.label)
    ]
    weights = cell_weights([spread_of(*sides, is_paired=paired) for sides in cells])
    sides = [seed_means(side, weights) for side in zip(*cells, strict=True)]
    resampled = sign_flip_p if paired else permutation_p
    return tuple(float(size(*sides)) for size in (hedges_g, probability_better, resampled))


@pytest.mark.parametrize(
    ("name", "paired"),
    [(name, False) for name in SIDES]
    + [(name, True) for name in SIDES if name not in ("uneven", "too many to try all")],
)
def test_they_are_those_of_the_scores_of_each_row(name, paired):
    before, after = map(measured, SIDES[name])
    comparison = compare_selections(before, [after], Options(paired=paired))
    content = json.loads(as_json(comparison))["candidates"][0]
    tested = 0
    for row in content["suites"] + content["cells"]:
        expected = as_before(comparison.pairings[0], row, paired)
        tested += expected[2] is not None
        for key, number in zip(NAMES, expected, strict=True):
            finite = None if number is None or not np.isfinite(number) else number
            assert row[key] == (finite if finite is None else pytest.approx(finite, abs=1e-9))
    assert tested >= 3
    lines = csv.DictReader(io.StringIO(as_csv(comparison)))
    of_cells = {(line["metric"], line["cell"]): line for line in lines}
    for row in content["cells"]:
        said = ["" if row[key] is None else str(row[key]) for key in NAMES]
        assert [of_cells[row["metric"], row["cell"]][key] for key in NAMES] == said


def test_one_seed_and_runs_without_a_result_have_none():
    failed = Selection("c", tuple(sample("a", i, failure="diverged") for i in range(3)))
    for after in (side("c", {"a": GOOD[:1]}), failed):
        content = json.loads(
            as_json(compare_selections(side("b", {"a": GOOD}), [after], Options()))
        )
        for row in content["candidates"][0]["suites"] + content["candidates"][0]["cells"]:
            assert [row[key] for key in NAMES] == [None] * 3
