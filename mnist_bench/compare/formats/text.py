"""A comparison as text for a terminal, in the manner of benchstat: aligned, a line a cell."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from mnist_bench.compare.options import Options
from mnist_bench.compare.planning import SeedPlan
from mnist_bench.compare.verdicts import Comparison, Judged, Pairing
from mnist_bench.compare.wording import (
    COLUMNS,
    StyledLine,
    Tone,
    describe_seeds,
    describe_side,
    figures,
    footnotes,
    heading,
    outcome,
    row_title,
    tone_of,
)
from mnist_bench.errors import ExitCode
from mnist_bench.selection.samples import Selection
from mnist_bench.stats.power import ASSURANCE
from mnist_bench.text import plural, shown

TEXT_FILE = "compare.txt"

STYLES: dict[Tone, dict[str, Any]] = {
    Tone.plain: {},
    Tone.strong: {"bold": True},
    Tone.bad: {"fg": "red"},
    Tone.good: {"fg": "green"},
    Tone.faint: {"dim": True},
}


def as_text(comparison: Comparison) -> str:
    """Returns the comparison for a terminal; `click.echo` takes out the colours for files."""
    return styled(text_lines(comparison))


def styled(lines: Sequence[StyledLine]) -> str:
    """Returns lines with the colours of a terminal."""
    return "\n".join(click.style(text, **STYLES[tone]) if text else "" for tone, text in lines)


def text_lines(comparison: Comparison) -> list[StyledLine]:
    """Returns the lines of it, with how each is meant."""
    lines: list[StyledLine] = [(Tone.strong, f"baseline   {describe_side(comparison.baseline)}")]
    for pairing in comparison.pairings:
        lines += _pairing_lines(pairing, comparison.options)
    lines += [(Tone.plain, "")]
    lines += [(Tone.faint, f"  {note}") for note in footnotes(comparison)]
    lines += [(Tone.plain, "")]
    tone = {ExitCode.done: Tone.good, ExitCode.failed: Tone.bad}.get(
        comparison.exit_code, Tone.strong
    )
    lines.append((tone, outcome(comparison)))
    lines += [(tone, f"  {reason}") for reason in comparison.reasons]
    return lines


def _pairing_lines(pairing: Pairing, options: Options) -> Iterable[StyledLine]:
    yield Tone.strong, f"candidate  {describe_side(pairing.candidate)}"
    matched = pairing.match
    yield Tone.plain, f"           {plural(len(matched.cells), 'matched cell')}"
    for difference in matched.differences:
        ours, theirs = (
            shown(", ".join(v), 60) for v in (difference.baseline, difference.candidate)
        )
        yield Tone.plain, f"           differs: {difference.fact} {ours} -> {theirs}"
    for notice in matched.notices:
        yield Tone.plain, f"           notice: {notice}"
    yield from ((Tone.bad, f"           MISSING {cell}") for cell in matched.missing)
    yield from ((Tone.plain, f"           NEW {cell}") for cell in matched.new)
    informing = []
    for suite in pairing.suites:
        if suite.metric.name not in options.gates:
            informing.append(suite)
            continue
        rows = pairing.rows_of(suite.metric)
        yield Tone.plain, ""
        yield Tone.strong, heading(suite, options)
        yield from _aligned(rows, [row_title(row, len(matched.cells)) for row in rows])
    if informing:
        yield Tone.plain, ""
        yield Tone.strong, "over all cells, informing only"
        yield from _aligned(informing, [row.metric.name for row in informing])


def _aligned(rows: Sequence[Judged], titles: Sequence[str]) -> Iterable[StyledLine]:
    table = [COLUMNS, *(figures(row, title) for row, title in zip(rows, titles, strict=True))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    tones = [Tone.faint, *(tone_of(row) for row in rows)]
    for tone, (title, *numbers, verdict) in zip(tones, table, strict=True):
        aligned = "  ".join(map(str.rjust, numbers, widths[1:]))
        yield tone, f"  {title:<{widths[0]}}  {aligned}  {verdict}".rstrip()


def plan_lines(
    plans: Sequence[SeedPlan], options: Options, baseline: Selection
) -> list[StyledLine]:
    """Returns the seeds that a comparison with this baseline would need."""
    table = [("metric", "margin", "all cells", "worst cell", "which")]
    for row in plans:
        margin = row.metric.show_margin(row.margin)
        table.append(
            (
                *(row.metric.name, margin, describe_seeds(row.suite), describe_seeds(row.cell)),
                shown(row.widest_cell),
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        (Tone.strong, f"baseline   {describe_side(baseline)}"),
        (Tone.plain, ""),
        *((Tone.plain, "  ".join(map(str.ljust, row, widths)).rstrip()) for row in table),
        (Tone.plain, ""),
        (
            Tone.faint,
            f"Seeds a side that find a change of one margin with power 0.8 at alpha "
            f"{options.alpha:g}: the first number if both sides vary like these {plans[0].seeds} "
            f"seeds, the second is enough in {ASSURANCE:.0%} of all cases.",
        ),
    ]
