"""A comparison as CSV: a line for each metric in each cell and over all of them."""

from dataclasses import asdict

from mnist_bench.compare.verdicts import Comparison, Judged, sizes_of
from mnist_bench.stats.effect_sizes import EffectSizes
from mnist_bench.text import csv_text, csv_value

CSV_FILE = "compare.csv"


def as_csv(comparison: Comparison) -> str:
    """Returns a line for each metric in each cell and over all of them."""
    lines = [
        (pairing.candidate.label, _csv_line(row, sizes))
        for pairing in comparison.pairings
        for row, sizes in zip(
            pairing.rows(), sizes_of(pairing.rows(), comparison.options.paired), strict=True
        )
    ]
    # The first column is who the candidate is; a later one of this name is its value.
    return csv_text(
        ["candidate", *lines[0][1]],
        (map(csv_value, [label, *line.values()]) for label, line in lines),
    )


def _csv_line(row: Judged, sizes: EffectSizes) -> dict[str, object]:
    before, after = row.baseline, row.candidate
    return {
        "metric": row.metric.name,
        "cell": row.cell or "(all cells)",
        "gated": row.gated,
        "verdict": row.verdict,
        "baseline_seeds": len(before.seeds) if before else None,
        "candidate_seeds": len(after.seeds) if after else None,
        "baseline": before.center if before else None,
        "candidate": after.center if after else None,
        "change": row.change,
        "low": row.low,
        "high": row.high,
        "p": row.p,
        "adjusted_p": row.adjusted_p,
        **asdict(sizes),
        "seeds_needed": row.seeds_needed and row.seeds_needed.likely,
        "seeds_assured": row.seeds_needed and row.seeds_needed.assured,
        "note": row.note,
    }
