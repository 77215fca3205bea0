"""The report of a sweep as one HTML file that needs no network."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from mnist_bench.disturbance import Timing, taken_at_most
from mnist_bench.html.page import render_page
from mnist_bench.report.cells import STYLE
from mnist_bench.report.effects import SECONDS, Effects
from mnist_bench.report.findings import Findings
from mnist_bench.report.leaderboard import Standing, standing_titles
from mnist_bench.report.sections import (
    accuracy_text,
    crossing_sentence,
    crossings_section,
    curves_section,
    effect_sentence,
    effects_section,
    heat_maps_section,
    leaderboard_section,
    mistakes_section,
    setting_title,
    settings_alone,
    style_sentence,
    together_sentence,
    tradeoff_section,
)
from mnist_bench.selection.samples import Sample
from mnist_bench.text import plural, ranges, shown

MOST_NAMES = 100
"""How many names of runs a list of the page shows; it says what it leaves out."""


def file_name(label: str) -> str:
    """Returns the name of a report's file, of whatever its runs are called."""
    harmless = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.")
    return f"report-{harmless[:80] or 'runs'}.html"


def report_page(report: Findings) -> str:
    """Returns the report as HTML; everything that came from a run is escaped."""
    return render_page(
        "sweep.html.j2",
        title=_title(report),
        passed=not report.failed and not report.missing,
        summary=[sentence[0].upper() + sentence[1:] for sentence in _summary(report)],
        facts=_facts(report),
        notices=report.notices,
        most_names=MOST_NAMES,
        failures=[(shown(run.name), shown(run.failure, 400)) for run in report.failed],
        missing=report.missing,
        columns=standing_titles()[1:],
        standings=leaderboard_section(report.standings),
        one_seed=len(report.seeds) == 1,
        heat_maps=heat_maps_section(report.heat_maps),
        effects=effects_section(report),
        together=together_sentence(report.effects),
        crossings=crossings_section(report),
        alone=settings_alone(report),
        tradeoff=tradeoff_section(report),
        curves=curves_section(report.curves),
        style_control=style_sentence(report.style_control),
        mistakes=report.mistakes,
        tiles=mistakes_section(report.mistakes),
    )


def _title(report: Findings) -> str:
    name = shown(re.sub("^sweep:", "Sweep ", report.label))
    total, finished = len(report.samples) + len(report.missing), len(report.finished)
    said = "all" if finished == total else f"{finished} of"
    return f"{name}: {said} {plural(total, 'run')} finished, {plural(len(report.cells), 'cell')}"


def _summary(report: Findings) -> Iterable[str]:
    """Returns what a reader should take home, a sentence each."""
    ranked = [standing for standing in report.standings if standing.seeds]
    if not ranked:
        yield "No run has a result, so there is nothing to rank."
        return
    best = ranked[0]
    ties = sum(standing.test_accuracy == best.test_accuracy for standing in ranked) - 1
    equal = f" ({plural(ties, 'other cell')} just as good)" if ties else ""
    yield f"Best test accuracy: {accuracy_text(best)}, {best.cell}{equal}."
    fastest = min(ranked, key=lambda s: s.means.get(SECONDS.name, math.inf))
    if fastest is not best and not report.time_obstacle:
        yield (
            f"Fastest: {_seconds(fastest)} an epoch with {accuracy_text(fastest)}, {fastest.cell}; "
            f"the best one takes {_seconds(best)}."
        )
    for key in report.swept:
        if key != STYLE:
            yield from _effect_summary(report.effects, key)
    if report.style_control is not None:
        yield style_sentence(report.style_control)
    if report.mistakes is not None:
        hard = report.mistakes
        wrong = f"{len(hard.by_all):,} of {hard.images:,} test images are wrong"
        several = f" in all {hard.runs} runs, {hard.by_some:,} in at least one"
        yield f"{wrong}{several if hard.runs > 1 else ''}."
    if len(report.seeds) == 1:
        yield "All of this is from one seed, so how much of it is chance is not known."
    lost = len(report.failed) + len(report.missing)
    if lost:
        verb = "is" if lost == 1 else "are"
        yield f"{plural(lost, 'run')} without a result {verb} listed below and in no mean."


def _effect_summary(effects: Effects, key: str) -> Iterable[str]:
    """Returns what a setting does on the mean, and what the mean hides."""
    if found := effects.headline(key):
        yield effect_sentence(found)
    for crossing in effects.crossings:
        if crossing.mean.key == key:
            yield crossing_sentence(crossing)


def _seconds(standing: Standing) -> str:
    return SECONDS.show(standing.means[SECONDS.name])


def _facts(report: Findings) -> list[tuple[str, str]]:
    """Returns what was run, where and when: name and text."""
    runs = report.samples
    swept = [
        f"{setting_title(key)} {', '.join(map(shown, values))}"
        for key, values in report.swept.items()
    ]
    same = {
        key: value
        for key, value in (report.cells[0].settings if report.cells else {}).items()
        if key not in report.swept
        and value != "null"
        and all(cell.settings.get(key) == value for cell in report.cells)
    }
    facts = [
        ("cells", f"{len(report.cells)}: {'; '.join(swept) or 'one configuration'}"),
        ("seeds", f"{len(report.seeds)}: {ranges(report.seeds)}"),
        ("same in all runs", ", ".join(f"{key}={value}" for key, value in sorted(same.items()))),
        ("machine", f"{_values(runs, 'cpu')}{_machines(runs)}"),
        ("cores, threads", f"{_values(runs, 'cores')}, {_values(runs, 'threads')}"),
        ("device", _values(runs, "device")),
        ("timing", _timing(report.finished)),
        (
            "versions",
            ", ".join(
                f"{'mnist_bench' if name == 'version' else name} {_values(runs, name)}"
                for name in ("version", "python", "tensorflow", "keras", "numpy", "mlflow")
            ),
        ),
        ("commit", f"{_values(runs, 'git_commit', 12)}{_dirty(runs)}"),
        ("time", _times(report)),
    ]
    return [(name, shown(text, 2_000)) for name, text in facts if text]


def _values(runs: Sequence[Sample], fact: str, limit: int = 80) -> str:
    """Returns the values of a fact; where they vary, with the number of runs that have each."""
    counts = Counter(run.facts.get(fact, "unknown") for run in runs)
    if len(counts) == 1:
        return next(iter(counts))[:limit]
    return " or ".join(f"{value[:limit]} ({n} runs)" for value, n in counts.most_common())


def _machines(runs: Sequence[Sample]) -> str:
    number = len({run.facts["machine"] for run in runs if "machine" in run.facts})
    return f" ({number} machines)" if number > 1 else ""


def _timing(runs: Sequence[Sample]) -> str:
    """Returns whether runs were alone on their machine, as far as that was measured."""
    groups: dict[str, list[Mapping[str, str]]] = {}
    for run in runs:
        groups.setdefault(run.facts.get("timing", ""), []).append(run.facts)
    if set(groups) == {Timing.alone}:
        return f"each run alone on the machine ({taken_at_most(groups[Timing.alone])})"
    said = {
        Timing.alone: "alone on the machine",
        Timing.disturbed: "not alone",
        Timing.shared: "beside other runs of the sweep",
    }
    return "; ".join(
        f"{plural(len(group), 'run')} {said[Timing(timing)]} ({taken_at_most(group)})"
        if timing in said
        else f"{plural(len(group), 'run')} of which it was not measured who else used the machine"
        for timing, group in sorted(groups.items())
    )


def _dirty(runs: Sequence[Sample]) -> str:
    changed = sum(run.facts.get("git_dirty") == "true" for run in runs)
    if not changed:
        return ""
    return " with uncommitted changes" if changed == len(runs) else f"; {changed} with changes"


def _times(report: Findings) -> str:
    ends = [r.start_ms + 1_000 * r.metrics["total_seconds"] for r in report.finished]
    starts = [run.start_ms for run in report.samples]
    if not ends:
        return f"{_date(min(starts))} UTC" if starts else ""
    spent = sum(run.metrics["total_seconds"] for run in report.finished)
    begun, ended = _date(min(starts)), _date(max(ends))
    if begun[:10] == ended[:10]:
        ended = ended[11:]
    return f"{begun} to {ended} UTC; {spent / 60:.1f} minutes inside the finished runs"


def _date(milliseconds: float) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1_000, UTC):%Y-%m-%d %H:%M}"
