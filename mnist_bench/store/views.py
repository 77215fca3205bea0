"""Saved views of MLflow's run table: the columns, the order and the charts that it opens with.

MLflow's UI keeps a view that a person saves as a tag of the experiment, and opens it where the
address names its key; its menu of views lists them. These tags are written in that form. A UI that
does not know them shows its own default table, so nothing here is needed to read the runs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mnist_bench.metrics import Use, used_for

RUNS, CELLS, SWEEPS = (f"mnist_bench_{name}" for name in ("runs", "cells", "sweeps"))
"""The views, by the key that MLflow's address names them with."""

_WORKFLOW = "workflowType=machine_learning"
"""Else MLflow's pages are, at first, about language models."""

WRITTEN_MS = 1_795_305_600_000
"""When these views were written (2026-11-22), since MLflow wants to know."""

AXES = ("model.style", "model.hidden_units", "optimizer.name", "train.batch_size")
"""Settings that sweeps vary most; MLflow's menu of columns adds any other."""

# Columns, as MLflow's UI names them, and their widths in pixels, with room for their titles.
_NAME = "attributes.`Run Name`"
_METRIC_WIDTHS = {
    "test_accuracy": 125,
    "epoch_seconds_median": 170,
    "test_loss": 95,
    "total_seconds": 115,
    "params_total": 110,
}


def _columns_of(use: Use) -> dict[str, int]:
    return {f"metrics.`{name}`": _METRIC_WIDTHS.get(name, 105) for name in used_for(use)}


_SETTINGS = {
    "params.`model.style`": 115,
    "params.`model.hidden_units`": 150,
    "params.`optimizer.name`": 125,
    "params.`train.batch_size`": 130,
    "params.`seed`": 60,
}

_UNUSUAL = {"tags.`mnist_bench.caveats`": 175, "tags.`mnist_bench.failure`": 160}
_OVERVIEW = "Overview"
_TIME = {"key": "epoch_seconds_median", "type": "METRIC"}
_WIDTH = {"key": "width", "type": "METRIC"}
_STYLE = {"key": "model.style", "type": "PARAM"}
_ACCURACY_AXIS = {"key": "test_accuracy", "type": "METRIC"}

_CHARTS = (
    {"type": "SCATTER", "xaxis": _TIME, "yaxis": _ACCURACY_AXIS},
    {"type": "SCATTER", "xaxis": _WIDTH, "yaxis": _ACCURACY_AXIS},
)

# Of settings that are text, which a group of runs does not have.
_CHARTS_OF_RUNS = (
    {"type": "SCATTER", "xaxis": _STYLE, "yaxis": _TIME},
    {
        "type": "PARALLEL",
        "selectedParams": AXES,
        "selectedMetrics": ["test_accuracy"],
        "showAllRuns": True,
    },
)


def runs_route(experiment_id: str) -> str:
    """Returns the address of an experiment's run table in our first view, as `run_route` does."""
    return f"#/experiments/{experiment_id}/runs?{_WORKFLOW}&viewStateShareKey={RUNS}"


def run_route(experiment_id: str, run_id: str, artifact: str | None = None) -> str:
    """Returns the address of a run's page, or of an artifact of it, relative to the UI's root."""
    path = "" if artifact is None else f"/artifacts/{quote(artifact)}"
    return f"#/experiments/{experiment_id}/runs/{run_id}{path}?{_WORKFLOW}"


def saved_views() -> dict[str, str]:
    """Returns the views as tags of an experiment."""
    best_first = {"orderByKey": "metrics.`test_accuracy`", "orderByAsc": False}
    cell = {"mode": "tag", "groupByData": "mnist_bench.cell"}
    by_cell = {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [cell]},
        "searchFilter": "tags.`mnist_bench.kind` = 'run'",
    }
    first, figures = _columns_of(Use.board | Use.lead), _columns_of(Use.board)
    table = first | _SETTINGS | figures | _UNUSUAL
    means = dict.fromkeys(first | figures, 175)
    every = (*_CHARTS, *_CHARTS_OF_RUNS)
    of_sweep = _columns_of(Use.sweep_column)
    views = {
        (RUNS, "Runs, best first"): _ui_state({_NAME: 285} | table, every) | best_first,
        (CELLS, "Cells, mean over seeds"): (
            _ui_state({_NAME: 420} | means, _CHARTS) | best_first | by_cell
        ),
        (SWEEPS, "Sweeps, newest first"): _ui_state({_NAME: 310} | of_sweep | table, every),
    }
    written = {"createdAt": WRITTEN_MS, "updatedAt": WRITTEN_MS}
    return {
        f"mlflow.sharedViewState.{key}": json.dumps(
            {"name": name, **written, "state": json.dumps(state)}
        )
        for (key, name), state in views.items()
    }


def _ui_state(widths: Mapping[str, int], charts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a state of the UI with these columns, in this order, and charts."""
    sections = (_OVERVIEW, "Model metrics", "System metrics")
    card = {"deleted": False, "isGenerated": False, "metricSectionId": _OVERVIEW}
    return {
        "selectedColumns": list(widths),
        "columnOrder": list(widths),
        "columnWidths": dict(widths),
        "runsHiddenMode": "SHOW_ALL",  # in the charts, which by default show the first ten
        "compareRunCharts": [
            {"uuid": f"mnist_bench_{number}", **card, **chart}
            for number, chart in enumerate(charts)
        ],
        # MLflow fills the last two by itself, with a chart a metric: closed, they cost nothing.
        "compareRunSections": [
            {"uuid": name, "name": name, "display": name == _OVERVIEW, "columns": 2}
            for name in sections
        ],
    }


EXPERIMENT_TAGS = {
    # Opens the experiment on its run table; MLflow 3 would show an empty page on language models.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        # MLflow shows the first line until the description is unfolded.
        "MNIST networks by style, width, optimizer and batch size, a row a run; the menu at the "
        "top right changes what the table shows.\n\n"
        "| view | shows |\n| --- | --- |\n"
        "| Runs, best first | every run with its settings, by test accuracy; sweeps stand last |\n"
        "| Cells, mean over seeds | a cell is all settings but the seed: the mean of its runs |\n"
        "| Sweeps, newest first | sweeps, with their runs below them (unfold with the plus) |\n\n"
        "The page of a sweep holds its leaderboard and report; that of a run its result, what is "
        "unusual about it (`caveats`), its curves, images and predictions. The second button above "
        "the table shows charts in its place. Two runs or more, ticked, can be compared. "
        "Differences between single runs are often chance: `python -m mnist_bench compare` "
        "judges them over seeds."
    ),
    **saved_views(),
}
