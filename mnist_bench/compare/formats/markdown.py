"""A comparison as Markdown that fits in a comment on a pull request."""

from collections.abc import Sequence

from mnist_bench.compare.verdicts import Comparison, Judged
from mnist_bench.compare.wording import (
    BAD,
    COLUMNS,
    GOOD,
    ORDER,
    describe_side,
    figures,
    footnotes,
    outcome,
)
from mnist_bench.text import markdown_table, markdown_text, plural

MARKDOWN_FILE = "compare.md"
MARKDOWN_ROWS = 100
"""Cells that are shown, worst first: a comment on GitHub holds 65,536 characters."""


def as_markdown(comparison: Comparison) -> str:
    """Returns the comparison, so short that it fits in a comment on a pull request."""
    parts = [
        f"### {markdown_text(outcome(comparison))}",
        "\n".join(f"- {markdown_text(reason)}" for reason in comparison.reasons[:MARKDOWN_ROWS]),
        f"Baseline: {markdown_text(describe_side(comparison.baseline))}",
    ]
    for pairing in comparison.pairings:
        matched = pairing.match
        facts = [
            f"{d.fact} {', '.join(d.baseline)} → {', '.join(d.candidate)}"
            for d in matched.differences
        ]
        facts += matched.notices
        facts += [f"MISSING {cell}" for cell in matched.missing[:MARKDOWN_ROWS]]
        facts += [f"NEW {cell}" for cell in matched.new[:MARKDOWN_ROWS]]
        parts += [
            f"Candidate: {markdown_text(describe_side(pairing.candidate))}",
            "\n".join(f"- {markdown_text(fact)}" for fact in facts),
            _table_of(pairing.suites, [row.metric.name for row in pairing.suites], "suite"),
        ]
        rows = [row for row in pairing.cells if row.metric.name in comparison.options.gates]
        rows = sorted(rows, key=lambda row: ORDER.index(row.verdict))
        kept = rows[:MARKDOWN_ROWS]
        title = f"{plural(len(rows), 'gated cell')}, the first {len(kept)} by urgency"
        parts.append(
            f"<details><summary>{title}</summary>\n\n"
            + _table_of(kept, [f"{r.metric.name}: {r.cell}" for r in kept], "cell")
            + "\n\n</details>"
        )
    parts.append("\n".join(f"- {markdown_text(note)}" for note in footnotes(comparison)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table_of(rows: Sequence[Judged], titles: Sequence[str], first: str) -> str:
    lines = []
    for row, title in zip(rows, titles, strict=True):
        *numbers, verdict = map(markdown_text, figures(row, title))
        lines.append((*numbers, f"**{verdict}**" if row.verdict in BAD | GOOD else verdict))
    rules = ("---", *["--:"] * (len(COLUMNS) - 2), "---")
    return markdown_table((first, *COLUMNS[1:]), lines, rules)
