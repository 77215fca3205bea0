"""The end of a sweep: its leaderboard, its page in MLflow, and the report."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from mnist_bench.look.terminal import say
from mnist_bench.report.cells import gather
from mnist_bench.report.findings import examine
from mnist_bench.report.leaderboard import leaderboard_csv, rank_cells
from mnist_bench.report.page import file_name, report_page
from mnist_bench.selection.source import Source
from mnist_bench.store.opening import Store
from mnist_bench.store.runs import runs_of
from mnist_bench.sweep.description import SWEEP_FILES, sweep_page
from mnist_bench.sweep.outcomes import Outcomes
from mnist_bench.sweep.progress import show_outcome


def sum_up(store: Store, outcomes: Outcomes, status: str, console: Console, folder: Path) -> None:
    """Ends the sweep's record with a status of MLflow's, and says what became of it.

    A sweep that was cut off is `KILLED`; any other has a report, written to the folder.
    """
    results: dict[str, list[Mapping[str, float]]] = {}
    first_runs: dict[str, str] = {}
    plan, recorder = outcomes.plan, outcomes.recorder
    for run in plan.runs:
        summary = outcomes.summaries.get(run.identity.run_fp)
        of_cell = results.setdefault(run.identity.cell, [])
        if summary is not None and not summary.failure:
            of_cell.append(summary.metrics)
            first_runs.setdefault(run.identity.cell, summary.run_id)
    board = rank_cells(results)
    missing = outcomes.missing()
    outcomes.record_counts()
    recorder.log_text("leaderboard.csv", leaderboard_csv(board))
    links = recorder.links(first_runs, SWEEP_FILES)
    recorder.end(status, sweep_page(board, outcomes.failures(), missing, links))
    show_outcome(console, board, list(outcomes.summaries.values()), missing)
    if status == "KILLED":
        command = f"python -m mnist_bench report sweep:{plan.sweep_id[:12]}"
        say(console, f"Cut off, so no report; {command} writes it")
    else:
        # After all else, so that an interrupt costs nothing but the report.
        _write_report(store, outcomes, console, folder)


def _write_report(store: Store, outcomes: Outcomes, console: Console, folder: Path) -> None:
    """Writes what the sweep showed to a folder and to its record."""
    sweep_id = outcomes.plan.sweep_id
    members = runs_of(store, f"sweep.{sweep_id}", "1")
    if not any(run.tags.get("kind") == "run" and run.params for run in members):
        say(console, "No report: no run was recorded")
        return
    material = gather(Source(store.uri, store.experiment), f"sweep:{sweep_id}")
    page = report_page(examine(material))
    path = folder / file_name(material.label)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    outcomes.recorder.log_text("report.html", page)
    say(console, f"Report: {path}")
