"""A run's description for its page in MLflow, as Markdown."""

from collections.abc import Mapping, Sequence

from mnist_bench.config.schema import PublishedConfig
from mnist_bench.metrics import METRICS, Use, used_for
from mnist_bench.text import markdown_table, markdown_verbatim


def run_page(
    *,
    cell: str,
    seed: int,
    metrics: Mapping[str, float],
    published: PublishedConfig | None,
    notes: Sequence[str],
    links: Mapping[str, str],
) -> str:
    """Returns a run's description for its page in MLflow, as Markdown.

    The metrics are the final ones and those of the last epoch, the notes sentences on what is
    unusual about the run, and the links the addresses of its artifacts by path.
    """
    header = ["", "this run"]
    row = [f"**{cell}**", f"seed {seed}"]
    if published:
        header.append("published")
        row.append(markdown_verbatim(published.source))
    rows = [row, *(cells[: len(row)] for cells in result_rows(metrics, published))]
    # MLflow shows the first few lines until the description is unfolded.
    parts = [
        _headline(metrics, _published_metrics(published)),
        *_remarks(notes, links),
        markdown_table(header, rows),
    ]
    return "\n\n".join(parts)


def result_rows(metrics: Mapping[str, float], published: PublishedConfig | None) -> list[list[str]]:
    """Returns what people read of a run's metrics: rows of title, value and published value.

    What it gave comes first, then what it took.
    """
    theirs = _published_metrics(published)
    return [
        [metric.row_title, metric.figure(metrics[metric.name]), theirs.get(metric.name, "")]
        for metric in sorted(used_for(Use.page).values(), key=lambda metric: metric.is_cost)
        if metric.name in metrics
    ]


def failed_run_page(
    *, cell: str, seed: int, failure: str, notes: Sequence[str], links: Mapping[str, str]
) -> str:
    """Returns the description of a run that gave no result, for a reason in a line, as Markdown."""
    rows = [[f"**{cell}**", f"seed {seed}"], ["**failed**", markdown_verbatim(failure)]]
    return "\n\n".join([markdown_table(["", "this run"], rows), *_remarks(notes, links)])


def _headline(metrics: Mapping[str, float], published: Mapping[str, str]) -> str:
    said = []
    for key, metric in used_for(Use.headline).items():
        if key in metrics:
            theirs = f" (published: {published[key]})" if key in published else ""
            said.append(f"{metric.title} **{metric.figure(metrics[key])}**{theirs}")
    return " · ".join(said)


def _remarks(notes: Sequence[str], links: Mapping[str, str]) -> list[str]:
    files = " · ".join(f"[{path}]({address})" for path, address in links.items())
    return [*(f"**Note:** {note}." for note in notes), f"Artifacts: {files}"]


def _published_metrics(published: PublishedConfig | None) -> dict[str, str]:
    if published is None:
        return {}
    found = {key: f"{values[-1]:.4f}" for key, values in published.curves.items()}
    if published.test_accuracy is not None:
        found["test_accuracy"] = METRICS["test_accuracy"].figure(published.test_accuracy)
    if published.params_total is not None:
        found["params_total"] = METRICS["params_total"].figure(published.params_total)
    if published.epoch_seconds:
        low, high = published.epoch_seconds
        found["epoch_seconds_median"] = f"{low:g} to {high:g}, on another machine"
    return found
