"""A sweep's description for its page in MLflow, as Markdown, and its plan as a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mnist_bench.report.leaderboard import Standing, standing_cells, standing_titles
from mnist_bench.text import csv_text, markdown_table, markdown_verbatim

if TYPE_CHECKING:
    from mnist_bench.sweep.prospects import Prospect

SWEEP_FILES = ("report.html", "leaderboard.csv", "plan.csv")
SHOWN_ROWS = 16
"""Rows of a table of a sweep's page: a description holds 8,000 characters."""


def plan_csv(prospects: Sequence["Prospect"]) -> str:
    """Returns the runs of a plan, in their order, as CSV."""
    rows = (
        [p.run.identity.name, p.run.identity.cell, p.state.value, p.run.identity.run_fp]
        for p in prospects
    )
    return csv_text(["name", "cell", "state", "run_fp"], rows)


def sweep_page(
    standings: Sequence[Standing],
    failures: Mapping[str, str],
    missing: Sequence[str],
    links: Mapping[str, str],
) -> str:
    """Returns a sweep's description for its page in MLflow, as Markdown.

    `failures` are the names of runs with the reason, `links` the addresses of cells and artifacts.
    """
    rows = [[_linked(s.cell, links), str(s.seeds), *standing_cells(s)] for s in standings]
    files = " · ".join(_linked(path, links) for path in SWEEP_FILES)
    best = [f"Best cell: {standings[0].cell}"] if standings[0].seeds else []
    parts = [
        *best,
        markdown_table(["cell", "seeds", *standing_titles()], _first(rows)),
        "Test accuracy: mean over seeds, with the half width of its 95 % interval where there are "
        "two seeds or more. The runs of this sweep stand below it in the run table; a cell links "
        f"to its first run. All of it: {files}.",
    ]
    if failures:
        reasons = [[name, markdown_verbatim(why)] for name, why in failures.items()]
        parts.append(markdown_table(["failed", "why"], _first(reasons)))
    if missing:
        parts.append(markdown_table(["missing"], _first([[name] for name in missing])))
    return "\n\n".join(parts)


def _linked(name: str, links: Mapping[str, str]) -> str:
    return f"[{name}]({links[name]})" if name in links else name


def _first(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Returns as many rows as a description, which MLflow bounds, has room for."""
    more = len(rows) - SHOWN_ROWS
    rest = [[f"... and {more} more", *[""] * (len(rows[0]) - 1)]] if more > 0 else []
    return [*rows[:SHOWN_ROWS], *rest]
