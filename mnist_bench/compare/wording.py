"""How a comparison is said, whatever the format: titles, rows, footnotes."""

import math
from collections.abc import Sequence
from enum import StrEnum

from mnist_bench.compare.options import Options, Verdict
from mnist_bench.compare.verdicts import Comparison, Group, Judged
from mnist_bench.errors import ExitCode
from mnist_bench.metrics import Kind
from mnist_bench.selection.samples import Sample, Selection
from mnist_bench.stats.power import ASSURANCE, MAX_SEEDS, SeedRange
from mnist_bench.text import plural, ranges, show_p, shown

OUTCOMES = {
    ExitCode.done: "PASS",
    ExitCode.failed: "FAIL",
    ExitCode.refused: "NOTHING JUDGED",
    ExitCode.undecided: "INCONCLUSIVE",
}

BAD = frozenset((Verdict.REGRESSED, Verdict.OUTLIERS, Verdict.FAILED))
GOOD = frozenset((Verdict.IMPROVED, Verdict.BETTER))

ORDER = (
    *(Verdict.FAILED, Verdict.REGRESSED, Verdict.OUTLIERS, Verdict.CHANGED, Verdict.WORSE),
    *(Verdict.IMPROVED, Verdict.BETTER, Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE),
    *(Verdict.NOT_WORSE, Verdict.EQUIVALENT, Verdict.IDENTICAL),
)
"""What a reader wants to see first."""


class Tone(StrEnum):
    """How a line is meant; a terminal shows it as a colour."""

    plain = "plain"
    strong = "strong"
    bad = "bad"
    good = "good"
    faint = "faint"


StyledLine = tuple[Tone, str]
COLUMNS = ("", "baseline", "candidate", "change", "interval", "p", "verdict")


def figures(row: Judged, title: str) -> tuple[str, ...]:
    """Returns a row of a table, in the order of `COLUMNS`."""
    metric = row.metric
    interval = ""
    if row.low is not None and row.high is not None:
        interval = f"[{metric.show_change(row.low)}, {metric.show_change(row.high)}]"
    return (
        title,
        _center(row, row.baseline),
        _center(row, row.candidate),
        "" if row.change is None else metric.show_change(row.change),
        interval,
        "" if row.adjusted_p is None else show_p(row.adjusted_p),
        _verdict_text(row),
    )


def _center(row: Judged, group: Group | None) -> str:
    if group is None:
        return "-"
    center = row.metric.show(group.center)
    if group.spread is None or row.metric.kind is Kind.exact:
        return center
    return f"{center} ± {group.spread * row.metric.factor:.{row.metric.digits}f}"


def _verdict_text(row: Judged) -> str:
    parts = [row.note] if row.note else []
    if row.seeds_needed is not None:
        parts.append(f"needs {describe_seeds(row.seeds_needed)} seeds to see its margin")
    if row.mcnemar is not None:
        test = row.mcnemar
        parts.append(
            f"McNemar p {show_p(test.p)}: {test.lost} images lost, {test.gained} gained, "
            f"churn {test.churn:.2%}"
        )
    return f"{row.verdict} ({'; '.join(parts)})" if parts else str(row.verdict)


def describe_seeds(needed: SeedRange) -> str:
    """Returns a number of seeds as the range that it is."""
    likely, assured = (
        f"> {MAX_SEEDS}" if n is None else str(n) for n in (needed.likely, needed.assured)
    )
    return likely if likely == assured else f"{likely} to {assured}"


def tone_of(row: Judged) -> Tone:
    """Returns how a verdict is meant."""
    if row.verdict in BAD:
        return Tone.bad
    return Tone.good if row.verdict in GOOD else Tone.plain


def row_title(row: Judged, cells: int) -> str:
    """Returns the name of a row of a metric's table."""
    return row.cell or f"suite of {plural(cells, 'cell')}"


def heading(suite: Judged, options: Options) -> str:
    """Returns the title of a metric's table."""
    metric = suite.metric
    return f"{metric.name} (gated, margin m = {metric.show_margin(options.margin(metric))})"


def describe_side(side: Selection) -> str:
    """Returns who is compared: runs, seeds, commits and versions."""
    seeds = sorted({sample.seed for sample in side.samples})
    parts = [
        f"{side.label}: {plural(len(side.samples), 'run')}, seeds {ranges(seeds)}",
        *(
            f"{name} {', '.join(values)}"
            for name, values in (
                ("commit", _short(side.samples, "git_commit")),
                ("tensorflow", _short(side.samples, "tensorflow")),
                ("keras", _short(side.samples, "keras")),
            )
            if values
        ),
    ]
    return "; ".join(parts)


def outcome(comparison: Comparison) -> str:
    """Returns what became of the gate, in one line."""
    verdicts = [
        row.verdict
        for pairing in comparison.pairings
        for row in pairing.rows()
        if row.metric.name in comparison.options.gates
    ]
    counted = {verdict: verdicts.count(verdict) for verdict in ORDER if verdict in verdicts}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counted.items())
    parts = [summary, *(pairing.match.same_runs for pairing in comparison.pairings)]
    said = "; ".join(dict.fromkeys(filter(None, parts)))
    return f"{OUTCOMES[comparison.exit_code]} (exit {comparison.exit_code}): {said}"


def footnotes(comparison: Comparison) -> list[str]:
    """Returns what a reader has to know of the figures."""
    options = comparison.options
    test = "paired t" if options.paired else "Welch's t, with no less than Student's error"
    notes = [
        "± standard deviation between seeds; change and interval are of candidate against baseline "
        f"({1 - options.alpha:.0%}, {test}, for the one row alone).",
        f"p is adjusted for the whole comparison (Holm, alpha {options.alpha:g} over suites and "
        "cells) and decides; REGRESSED also needs a change of at least m.",
    ]
    rows = [row for pairing in comparison.pairings for row in pairing.rows()]
    if any(row.seeds_needed for row in rows):
        notes.append(
            "Seeds needed: the first number if all runs vary as these do, the second is enough in "
            f"{ASSURANCE:.0%} of all cases. Run that many anew and look once: each look at more "
            "seeds of the same runs is another chance of a false alarm, unless they share alpha "
            f"(two looks: --alpha {options.alpha / 2:g} each)."
        )
    notes += _error_of_images(comparison)
    if any(row.p == 0 for row in rows):
        notes.append(
            "Where nothing varies between seeds, any difference has p 0: the t test needs a spread."
        )
    if options.ignore:
        notes.append(f"Changed on purpose: {', '.join(map(shown, options.ignore))}.")
    return notes


def _error_of_images(comparison: Comparison) -> list[str]:
    """Returns what the choice of test images makes uncertain, where their number is known."""
    groups = [
        row.baseline
        for row in comparison.pairings[0].cells
        if row.metric.name == "test_accuracy" and row.baseline is not None
    ]
    numbers = {sample.number("test_images") for sample in comparison.baseline.samples}
    number = numbers.pop() if len(numbers) == 1 else None
    if not groups or number is None:
        return []
    share = sum(group.center for group in groups) / len(groups)
    error = 100 * math.sqrt(share * (1 - share) / number)
    return [
        f"The choice of {number:,.0f} test images alone has a standard error of {error:.2f} pp "
        f"at {share:.1%}; it is common to both sides."
    ]


def _short(samples: Sequence[Sample], fact: str) -> list[str]:
    values = {sample.facts[fact] for sample in samples if fact in sample.facts}
    return sorted(shown(value[:10]) for value in values)
