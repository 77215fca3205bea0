"""A comparison as CSV: a line for each metric in each cell and over all of them."""

from collections.abc import Callable

from mnist_bench.compare.verdicts import Comparison, Judged
from mnist_bench.text import csv_text, csv_value

CSV_FILE = "compare.csv"

CSV_FIELDS: dict[str, Callable[[Judged], object]] = {
    "metric": lambda row: row.metric.name,
    "cell": lambda row: row.cell or "(all cells)",
    "gated": lambda row: row.gated,
    "verdict": lambda row: row.verdict,
    "baseline_seeds": lambda row: len(row.baseline.seeds) if row.baseline else None,
    "candidate_seeds": lambda row: len(row.candidate.seeds) if row.candidate else None,
    "baseline": lambda row: row.baseline.center if row.baseline else None,
    "candidate": lambda row: row.candidate.center if row.candidate else None,
    "change": lambda row: row.change,
    "low": lambda row: row.low,
    "high": lambda row: row.high,
    "p": lambda row: row.p,
    "adjusted_p": lambda row: row.adjusted_p,
    "hedges_g": lambda row: row.hedges_g,
    "probability_better": lambda row: row.probability_better,
    "resampling_p": lambda row: row.resampling_p,
    "seeds_needed": lambda row: row.seeds_needed,
    "note": lambda row: row.note,
}


def as_csv(comparison: Comparison) -> str:
    """Returns a line for each metric in each cell and over all of them."""
    return csv_text(
        ["candidate", *CSV_FIELDS],
        (
            map(csv_value, [pairing.candidate.label, *(f(row) for f in CSV_FIELDS.values())])
            for pairing in comparison.pairings
            for row in pairing.rows()
        ),
    )
