"""A run's description for its page in MLflow, as Markdown."""

from collections.abc import Mapping, Sequence

from mnist_bench.config.schema import PublishedConfig
from mnist_bench.text import markdown_table, markdown_verbatim

RUN_PAGE_METRICS = {
    "test_accuracy": ("test accuracy", ".4f"),
    "test_loss": ("test loss", ".4f"),
    "train_accuracy": ("train accuracy, last epoch", ".4f"),
    "train_loss": ("train loss, last epoch", ".4f"),
    "val_accuracy": ("validation accuracy, last epoch", ".4f"),
    "val_loss": ("validation loss, last epoch", ".4f"),
    "best_val_accuracy": ("best validation accuracy", ".4f"),
    "best_val_epoch": ("epoch of the best validation accuracy", ".0f"),
    "params_total": ("parameters", ",.0f"),
    "epoch_seconds_median": ("seconds an epoch (median of epochs 2..)", ".3f"),
    "examples_per_second": ("training images a second, last epoch", ",.0f"),
    "compile_seconds": ("seconds to compile", ".2f"),
    "total_seconds": ("seconds in all", ".2f"),
}

HEADLINE = {
    "test_accuracy": "test accuracy",
    "train_accuracy": "train accuracy",
    "epoch_seconds_median": "seconds an epoch",
    "params_total": "parameters",
}


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

    Args:
        cell: Readable name of the cell.
        seed: The run's seed.
        metrics: Final metrics, and those of the last epoch.
        published: Figures that the run reproduces.
        notes: Sentences on what is unusual about it.
        links: Path of an artifact -> its address.
    """
    header = ["", "this run"] + (["published"] if published else [])
    rows = [
        [f"**{cell}**", f"seed {seed}"]
        + ([markdown_verbatim(published.source)] if published else [])
    ]
    rows += [row[: len(header)] for row in result_rows(metrics, published)]
    # MLflow shows the first few lines until the description is unfolded.
    parts = [
        _headline(metrics, _published_metrics(published)),
        *_remarks(notes, links),
        markdown_table(header, rows),
    ]
    return "\n\n".join(parts)


def result_rows(metrics: Mapping[str, float], published: PublishedConfig | None) -> list[list[str]]:
    """Returns what people read of a run's metrics: rows of name, value and published value."""
    theirs = _published_metrics(published)
    return [
        [name, format(metrics[key], form), theirs.get(key, "")]
        for key, (name, form) in RUN_PAGE_METRICS.items()
        if key in metrics
    ]


def failed_run_page(
    *, cell: str, seed: int, failure: str, notes: Sequence[str], links: Mapping[str, str]
) -> str:
    """Returns the description of a run that gave no result, as Markdown.

    Args:
        cell: Readable name of the cell.
        seed: The run's seed.
        failure: Why it gave none, in a line.
        notes: Sentences on what else is unusual about it.
        links: Path of an artifact -> its address.
    """
    rows = [[f"**{cell}**", f"seed {seed}"], ["**failed**", markdown_verbatim(failure)]]
    return "\n\n".join([markdown_table(["", "this run"], rows), *_remarks(notes, links)])


def _headline(metrics: Mapping[str, float], published: Mapping[str, str]) -> str:
    said = []
    for key, name in HEADLINE.items():
        if key in metrics:
            theirs = f" (published: {published[key]})" if key in published else ""
            _, form = RUN_PAGE_METRICS[key]
            said.append(f"{name} **{metrics[key]:{form}}**{theirs}")
    return " · ".join(said)


def _remarks(notes: Sequence[str], links: Mapping[str, str]) -> list[str]:
    files = " · ".join(f"[{path}]({address})" for path, address in links.items())
    return [*(f"**Note:** {note}." for note in notes), f"Artifacts: {files}"]


def _published_metrics(published: PublishedConfig | None) -> dict[str, str]:
    if published is None:
        return {}
    found = {key: f"{values[-1]:.4f}" for key, values in published.curves.items()}
    if published.test_accuracy is not None:
        found["test_accuracy"] = f"{published.test_accuracy:.4f}"
    if published.params_total is not None:
        found["params_total"] = f"{published.params_total:,}"
    if published.epoch_seconds:
        low, high = published.epoch_seconds
        found["epoch_seconds_median"] = f"{low:g} to {high:g}, on another machine"
    return found
