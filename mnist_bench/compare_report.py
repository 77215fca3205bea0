"""A comparison as text, Markdown, JSON, CSV and JUnit; `compare_page` has the HTML."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any
from xml.etree import ElementTree

import mnist_bench
from mnist_bench.compare import (
    FAILED,
    PASSED,
    REFUSED,
    UNDECIDED,
    Comparison,
    Group,
    Judged,
    Options,
    Pairing,
    Plan,
    Verdict,
    describe,
)
from mnist_bench.config import shown
from mnist_bench.metrics import Kind
from mnist_bench.selection import Sample, Selection
from mnist_bench.stats import MAX_SEEDS

SCHEMA = "mnist_bench.compare/1"
"""What the JSON says it is; `resources/compare.schema.json` describes it."""

MARKDOWN_ROWS = 100
"""Cells in a Markdown report, worst first: a comment on GitHub holds 65,536 characters."""

OUTCOMES = {
    PASSED: "PASS",
    FAILED: "FAIL",
    REFUSED: "NOTHING JUDGED",
    UNDECIDED: "INCONCLUSIVE",
}

BAD = frozenset((Verdict.REGRESSED, Verdict.FAILED))
GOOD = frozenset((Verdict.IMPROVED, Verdict.BETTER))
FINE = frozenset((Verdict.EQUIVALENT, Verdict.NOT_WORSE, Verdict.IDENTICAL))

ORDER = (
    *(Verdict.FAILED, Verdict.REGRESSED, Verdict.CHANGED, Verdict.WORSE, Verdict.IMPROVED),
    *(Verdict.BETTER, Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.NOT_WORSE),
    *(Verdict.EQUIVALENT, Verdict.IDENTICAL),
)
"""What a reader wants to see first."""


class Tone(StrEnum):
    """How a line is meant; a terminal shows it as a colour."""

    plain = "plain"
    strong = "strong"
    bad = "bad"
    good = "good"
    faint = "faint"


Line = tuple[Tone, str]


# Text


def text_lines(comparison: Comparison) -> list[Line]:
    """Returns a report for people, in the manner of benchstat: aligned, a line a cell."""
    lines: list[Line] = [(Tone.strong, f"baseline   {describe_side(comparison.baseline)}")]
    for pairing in comparison.pairings:
        lines += _pairing_lines(pairing, comparison.options)
    lines += [(Tone.plain, "")]
    lines += [(Tone.faint, f"  {note}") for note in footnotes(comparison)]
    lines += [(Tone.plain, "")]
    tone = {PASSED: Tone.good, FAILED: Tone.bad}.get(comparison.exit_code, Tone.strong)
    lines.append((tone, outcome(comparison)))
    lines += [(tone, f"  {reason}") for reason in comparison.reasons]
    return lines


def _pairing_lines(pairing: Pairing, options: Options) -> Iterable[Line]:
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
        cells = [row for row in pairing.cells if row.metric is suite.metric]
        shown_rows = [suite, *cells] if len(cells) > 1 else cells
        yield Tone.plain, ""
        yield Tone.strong, heading(suite, options)
        yield from _table(shown_rows, [row_title(row, len(cells)) for row in shown_rows])
    if informing:
        yield Tone.plain, ""
        yield Tone.strong, "over all cells, informing only"
        yield from _table(informing, [row.metric.name for row in informing])


COLUMNS = ("", "baseline", "candidate", "change", "interval", "p", "verdict")


def _table(rows: Sequence[Judged], titles: Sequence[str]) -> Iterable[Line]:
    table = [COLUMNS, *(figures(row, title) for row, title in zip(rows, titles, strict=True))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    tones = [Tone.faint, *(tone_of(row) for row in rows)]
    for tone, (title, *numbers, verdict) in zip(tones, table, strict=True):
        aligned = "  ".join(map(str.rjust, numbers, widths[1:]))
        yield tone, f"  {title:<{widths[0]}}  {aligned}  {verdict}".rstrip()


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
        _verdict(row),
    )


def _center(row: Judged, group: Group | None) -> str:
    if group is None:
        return "-"
    center = row.metric.show(group.center)
    if group.spread is None or row.metric.kind is Kind.exact:
        return center
    return f"{center} ± {group.spread * row.metric.factor:.{row.metric.digits}f}"


def _verdict(row: Judged) -> str:
    parts = [row.note] if row.note else []
    if row.seeds_needed is not None:
        parts.append(f"needs >= {row.seeds_needed} seeds to see its margin")
    if row.mcnemar is not None:
        test = row.mcnemar
        parts.append(
            f"McNemar p {show_p(test.p)}: {test.lost} images lost, {test.gained} gained, "
            f"churn {test.churn:.2%}"
        )
    return f"{row.verdict} ({'; '.join(parts)})" if parts else str(row.verdict)


def show_p(p: float) -> str:
    """Returns a p that is never shown as 0."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


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
    return f"{OUTCOMES[comparison.exit_code]} (exit {comparison.exit_code}): {summary}"


def footnotes(comparison: Comparison) -> list[str]:
    """Returns what a reader has to know of the figures."""
    options = comparison.options
    names = [row.metric.name for row in comparison.pairings[0].suites]
    test = "paired t" if options.paired else "Welch's t"
    notes = [
        "± standard deviation between seeds; change and interval are of candidate against baseline "
        f"({1 - options.alpha:.0%}, {test}, for the one row alone).",
        f"p is adjusted for the whole comparison (Holm, alpha {options.alpha:g} over suites and "
        "cells) and decides; REGRESSED also needs a change of at least m.",
    ]
    if "test_accuracy" in names:
        centers = [
            group.center
            for row in comparison.pairings[0].cells
            if row.metric.name == "test_accuracy" and (group := row.baseline) is not None
        ]
        if centers:
            share = sum(centers) / len(centers)
            error = 100 * math.sqrt(share * (1 - share) / 10_000)
            notes.append(
                f"The choice of 10,000 test images alone has a standard error of {error:.2f} pp at "
                f"{share:.1%}; it is common to both sides."
            )
    if any(r.p == 0 for p in comparison.pairings for r in p.rows()):
        notes.append(
            "Where nothing varies between seeds, any difference has p 0: the t test needs a spread."
        )
    if options.ignore:
        notes.append(f"Changed on purpose: {', '.join(map(shown, options.ignore))}.")
    return notes


def plan_lines(plans: Sequence[Plan], options: Options, baseline: Selection) -> list[Line]:
    """Returns the seeds that a comparison with this baseline would need."""
    table = [("metric", "margin", "all cells", "worst cell", "which")]
    for row in plans:
        margin = row.metric.show_margin(row.margin)
        table.append(
            (row.metric.name, margin, _seeds(row.suite), _seeds(row.cell), shown(row.widest_cell))
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
            f"{options.alpha:g}, if both sides vary like these {plans[0].seeds} seeds.",
        ),
    ]


def _seeds(number: int | None) -> str:
    return f"> {MAX_SEEDS}" if number is None else str(number)


# Markdown


def markdown(comparison: Comparison) -> str:
    """Returns a report that fits in a comment on a pull request."""
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
            _markdown_table(pairing.suites, [row.metric.name for row in pairing.suites], "suite"),
        ]
        rows = [row for row in pairing.cells if row.metric.name in comparison.options.gates]
        rows = sorted(rows, key=lambda row: ORDER.index(row.verdict))
        kept = rows[:MARKDOWN_ROWS]
        title = f"{plural(len(rows), 'gated cell')}, the first {len(kept)} by urgency"
        parts.append(
            f"<details><summary>{title}</summary>\n\n"
            + _markdown_table(kept, [f"{r.metric.name}: {r.cell}" for r in kept], "cell")
            + "\n\n</details>"
        )
    parts.append("\n".join(f"- {markdown_text(note)}" for note in footnotes(comparison)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(rows: Sequence[Judged], titles: Sequence[str], first: str) -> str:
    lines = [(first, *COLUMNS[1:]), ("---", *["--:"] * (len(COLUMNS) - 2), "---")]
    for row, title in zip(rows, titles, strict=True):
        *numbers, verdict = map(markdown_text, figures(row, title))
        strong = row.verdict in BAD | GOOD
        lines.append((*numbers, f"**{verdict}**" if strong else verdict))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Returns text that Markdown shows as it is: no markup, HTML, links, mentions or new cells."""
    escaped = "".join(f"\\{c}" if c in "\\`*_{}[]()#|~!" else c for c in shown(text, 2_000))
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;")):
        escaped = escaped.replace(character, entity)
    return escaped


# Formats for programs


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Returns everything, as JSON types; `resources/compare.schema.json` describes it."""
    options = comparison.options
    return {
        "schema": SCHEMA,
        "version": mnist_bench.__version__,
        "exit_code": comparison.exit_code,
        "outcome": OUTCOMES[comparison.exit_code],
        "reasons": list(comparison.reasons),
        "options": {
            "gates": list(options.gates),
            "margins": {
                row.metric.name: options.margin(row.metric)
                for pairing in comparison.pairings
                for row in pairing.suites
            },
            "alpha": options.alpha,
            "paired": options.paired,
            "gate": str(options.gate),
            "fail_on": sorted(map(str, options.fail_on)),
            "expect_same": options.expect_same,
            "ignore": list(options.ignore),
        },
        "baseline": _side_json(comparison.baseline),
        "candidates": [
            {
                **_side_json(pairing.candidate),
                "matched": [cell.label for cell in pairing.match.cells],
                "missing": list(pairing.match.missing),
                "new": list(pairing.match.new),
                "differences": [asdict(d) for d in pairing.match.differences],
                "notices": list(pairing.match.notices),
                "suites": [_row_json(row) for row in pairing.suites],
                "cells": [_row_json(row) for row in pairing.cells],
            }
            for pairing in comparison.pairings
        ],
    }


def _side_json(side: Selection) -> dict[str, Any]:
    return {"selector": side.label, "samples": [_sample_json(sample) for sample in side.samples]}


def _sample_json(sample: Sample) -> dict[str, Any]:
    return {
        "run_id": sample.run_id,
        "name": sample.name,
        "cell": sample.cell,
        "seed": sample.seed,
        "failure": sample.failure,
        "facts": sample.facts,
        "metrics": sample.metrics,
    }


def _row_json(row: Judged) -> dict[str, Any]:
    return {
        **_finite(asdict(row)),
        "metric": row.metric.name,
        "kind": str(row.metric.kind),
        "scale": "log" if row.metric.scale.log else "difference",
        "verdict": str(row.verdict),
    }


def _finite(value: Any) -> Any:
    """Returns a value without what JSON cannot say: an infinite effect size becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["candidate", *CSV_FIELDS])
    for pairing in comparison.pairings:
        for row in pairing.rows():
            values = (read(row) for read in CSV_FIELDS.values())
            writer.writerow(map(_csv_value, [pairing.candidate.label, *values]))
    return text.getvalue()


def _csv_value(value: object) -> object:
    """Returns a value that no spreadsheet takes for a formula, nor for a number that it is not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else ""
    if isinstance(value, str):
        # OWASP, "CSV Injection": these start a formula.
        line = shown(value, 2_000)
        return f"'{line}" if line.lstrip()[:1] in ("=", "+", "-", "@") else line
    return "" if value is None else value


def as_junit(comparison: Comparison) -> str:
    """Returns a test case for each gated metric in each cell and over all of them, as JUnit XML."""
    root = ElementTree.Element("testsuites", name="mnist_bench compare")
    for pairing in comparison.pairings:
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(pairing.candidate.label))
        for row in pairing.rows():
            if row.gated:
                _junit_case(suite, row, comparison)
        for cell in pairing.match.missing:
            case = ElementTree.SubElement(suite, "testcase", classname="cells", name=_xml(cell))
            if any(f"MISSING {cell}" in reason for reason in comparison.reasons):
                ElementTree.SubElement(case, "failure", message="MISSING", type="MISSING")
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _junit_case(suite: ElementTree.Element, row: Judged, comparison: Comparison) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=row.metric.name, name=_xml(row.cell or "(all cells)")
    )
    said = describe(row)
    if any(reason.endswith(said) for reason in comparison.reasons):
        ElementTree.SubElement(case, "failure", message=_xml(said), type=str(row.verdict))
    elif row.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.FAILED):
        ElementTree.SubElement(case, "skipped", message=_xml(said))
    ElementTree.SubElement(case, "system-out").text = _xml(" ".join(figures(row, said)))


def _xml(text: str) -> str:
    """Returns text without the characters that XML 1.0 cannot hold, even escaped."""
    return "".join(c for c in shown(text, 2_000) if c not in "\ufffe\uffff")


def _short(samples: Sequence[Sample], fact: str) -> list[str]:
    values = {sample.facts[fact] for sample in samples if fact in sample.facts}
    return sorted(shown(value[:10]) for value in values)


def ranges(numbers: Sequence[int]) -> str:
    """Returns `0-4,7` for 0, 1, 2, 3, 4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return shown(",".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs), 60)


def plural(number: int, noun: str) -> str:
    """Returns a number with its noun: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
