"""Runs for the tests of `compare`, made without training."""

from mnist_bench.selection.samples import Sample, Selection

FACTS = {
    "code_fp": "c0de",
    "data_fp": "da7a",
    "host_fp": "4057",
    "git_commit": "a" * 40,
    "tensorflow": "2.21.0",
    "keras": "3.15.1",
    "threads": "2",
    "machine": "3a1b",
    "timing": "alone",
    "compiled": "fresh",
}


def sample(cell="small", seed=0, *, failure="", facts=None, settings=None, **metrics):
    values = {"test_accuracy": 0.98, "test_loss": 0.07, "epoch_seconds_median": 0.5} | metrics
    return Sample(
        run_id=f"{cell}-{seed}-{sorted(values.items())}",
        name=f"{cell} s{seed}",
        cell=cell,
        seed=seed,
        start_ms=20_000 * seed,
        failure=failure,
        settings={"model.cell": cell, "train.epochs": "5", "optimizer.learning_rate": "0.001"}
        | (settings or {}),
        facts=FACTS | (facts or {}),
        metrics={} if failure else {k: v for k, v in values.items() if v is not None},
        parent_run_id="",
    )


def side(label, cells, start=0, **changes):
    """Returns a selection: of each cell a list of accuracies, one a seed."""
    return Selection(
        label,
        tuple(
            sample(cell, start + i, test_accuracy=accuracy, **changes)
            for cell, accuracies in cells.items()
            for i, accuracy in enumerate(accuracies)
        ),
    )
