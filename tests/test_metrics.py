"""The one table of metrics: it holds all that is recorded, and every place takes its own."""

import csv
import io
import math
from dataclasses import dataclass, replace

import pytest
from rich.console import Console

from mnist_bench.commands.main import run_command
from mnist_bench.errors import ExitCode
from mnist_bench.look.terminal import leaderboard_table, result_table
from mnist_bench.metrics import CURVES, METRICS, Kind, Metric, Scale, Use, has_result, used_for
from mnist_bench.report.leaderboard import leaderboard_csv, rank_cells
from mnist_bench.run.description import result_rows, run_page
from mnist_bench.run.execute import _metrics_in
from mnist_bench.selection.baselines import read_baseline, write_baseline
from mnist_bench.selection.samples import Selection, sample_of
from mnist_bench.selection.source import Source
from mnist_bench.store.runs import StoredRun, load_text
from mnist_bench.store.views import saved_views

NEEDED = {
    "test_accuracy": 0.97,
    "test_loss": 0.1,
    "epoch_seconds_median": 0.5,
    "total_seconds": 5.0,
    "params_total": 10.0,
}
RUN = StoredRun(
    run_id="0" * 32,
    name="a s0",
    status="FINISHED",
    start_ms=0,
    params={"seed": "0"},
    metrics=NEEDED,
    tags={"complete": "1", "cell": "a"},
    parent_run_id="",
    artifacts="",
    experiment_id="1",
)


def printed(table):
    console = Console(file=io.StringIO(), width=300)
    console.print(table)
    return console.file.getvalue()


# The table


def test_the_table_is_what_runs_and_sweeps_record(trained):
    """An entry that nothing records goes, and a metric that is recorded gets one."""
    runs, sweeps = (
        {name for run in trained.runs() if run.tags["kind"] == kind for name in run.metrics}
        for kind in ("run", "sweep")
    )
    assert sweeps == used_for(Use.sweep).keys()
    assert runs == METRICS.keys() - sweeps


def test_the_metrics_of_an_epoch_are_the_columns_of_its_history(trained):
    run = next(run for run in trained.runs() if run.tags["kind"] == "run")
    history = load_text(Source(trained.uri).client, run.artifacts, "history.csv")
    assert history.splitlines()[0] == (
        "epoch,train_loss,train_accuracy,val_loss,val_accuracy,epoch_seconds,examples_per_second"
    )
    columns = csv.DictReader(io.StringIO(history)).fieldnames
    assert {"epoch", *used_for(Use.epoch)} == set(columns)
    assert {name for curves in CURVES.values() for name in curves.values()} <= set(columns)


def test_every_place_shows_its_metrics_in_its_order():
    everything = dict.fromkeys(METRICS, 1.0)
    assert [title for title, *_ in result_rows(everything, None)] == [
        "test accuracy",
        "test loss",
        "train accuracy (mean over the epoch's steps), last epoch",
        "train loss (mean over the epoch's steps), last epoch",
        "validation accuracy, last epoch",
        "validation loss, last epoch",
        "best validation accuracy",
        "epoch of the best validation accuracy",
        "parameters",
        "seconds an epoch (median of epochs 2..)",
        "training images a second, last epoch",
        "seconds to compile",
        "seconds in all",
    ]
    page = run_page(cell="c", seed=0, metrics=everything, published=None, notes=[], links={})
    assert page.splitlines()[0] == (
        "test accuracy **1.0000** · train accuracy **1.0000** · seconds an epoch **1.000** · "
        "parameters **1**"
    )
    assert printed(result_table(everything, 300)).splitlines()[0].split("  ") == [
        *("train acc", "val acc", "test acc", "test loss", "params", "s/epoch", "compile s"),
        *("total s", "peak GB"),
    ]
    assert leaderboard_csv([]).strip() == (
        "cell,seeds,test_accuracy,half_width,test_loss,epoch_seconds_median,total_seconds,"
        "params_total"
    )
    assert list(used_for(Use.compared)) == [
        *("test_accuracy", "test_loss", "epoch_seconds_median", "best_val_accuracy"),
        *("examples_per_second", "compile_seconds", "total_seconds", "peak_memory_bytes"),
        *("params_total", "params_trainable", "params_non_trainable"),
    ]


def test_what_is_asked_of_a_sample_is_what_a_sample_holds():
    """A sample of a baseline file has the metrics that are compared, and all that are needed."""
    compared, needed = (used_for(use).keys() for use in (Use.compared, Use.needed))
    assert used_for(Use.gate).keys() | used_for(Use.board).keys() | needed <= compared
    assert used_for(Use.lead).keys() <= needed
    assert next(iter(used_for(Use.board))) == "test_accuracy"  # what its interval is of
    assert all(metric.name == name for name, metric in METRICS.items())


# A new metric


@pytest.fixture
def sharpness(monkeypatch):
    made = Metric(
        "sharpness",
        "sharpness of the minimum",
        Use.compared | Use.page | Use.headline | Use.terminal | Use.board,
        kind=Kind.quality,
        scale=Scale(log=True, higher_is_better=False),
        margin=0.05,
        form=".1f",
        column="sharp",
    )
    monkeypatch.setitem(METRICS, made.name, made)
    return made


def test_an_entry_is_all_that_shows_a_metric(sharpness, tmp_path, monkeypatch, capfd):
    metrics = NEEDED | {"sharpness": 12.34}
    page = run_page(cell="c", seed=0, metrics=metrics, published=None, notes=[], links={})
    assert "sharpness of the minimum **12.3**" in page
    assert "| sharpness of the minimum | 12.3 |" in page
    for table in (result_table(metrics, 300), leaderboard_table(rank_cells({"a": [metrics]}))):
        lines = printed(table).splitlines()
        assert "sharp" in lines[-2].split()
        assert "12.3" in lines[-1].split()
    assert "metrics.`sharpness`" in "".join(saved_views().values())
    runs = [
        replace(
            RUN,
            run_id=f"{n:032x}",
            params={"seed": str(n)},
            metrics=metrics | {"total_seconds": n + 5.0},
        )
        for n in range(2)
    ]
    write_baseline(tmp_path / "x.json", Selection("x", tuple(map(sample_of, runs))))
    monkeypatch.chdir(tmp_path)
    asked = ("--metric", "sharpness", "--margin", "sharpness=1%")
    assert run_command(["compare", "x.json", "x.json", *asked]) == ExitCode.done
    assert "sharpness (gated, margin m = 1 %)" in capfd.readouterr().out


def test_a_field_that_is_measured_is_recorded_if_the_table_has_it(sharpness):
    @dataclass
    class Measured:
        number: int
        train_loss: float
        sharpness: float

    assert _metrics_in(Measured(3, 0.5, 12.34)) == {"train_loss": 0.5, "sharpness": 12.34}


def test_a_cell_with_a_run_that_lacks_a_metric_has_no_mean_of_it(sharpness):
    board = rank_cells({"a": [NEEDED, NEEDED | {"sharpness": 1.0}]})
    assert leaderboard_csv(board).splitlines()[1].endswith(",10.0,")
    assert printed(leaderboard_table(board)).split()[-1] == "-"


# Having a result


def test_all_that_is_needed_makes_a_result():
    assert list(used_for(Use.needed)) == list(NEEDED)
    assert has_result(NEEDED)
    for name in NEEDED:
        assert not has_result({key: value for key, value in NEEDED.items() if key != name})
        assert not has_result(NEEDED | {name: math.nan})
        assert not has_result(NEEDED | {name: math.inf})


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({}, ""),
        ({"tags": {"cell": "a"}}, "incomplete"),
        ({"metrics": NEEDED | {"test_loss": math.nan}}, "incomplete"),
        ({"status": "RUNNING"}, "running"),
        ({"status": "FAILED", "tags": {"failure": "diverged"}}, "diverged"),
        ({"status": "FAILED", "tags": {"failure": "error", "failure_message": "x"}}, "error: x"),
    ],
)
def test_a_stored_run_says_why_it_has_no_result(changes, failure):
    assert replace(RUN, **changes).failure == failure
    assert sample_of(replace(RUN, **changes)).failure == failure


@pytest.mark.parametrize(("failure", "becomes"), [("", "incomplete"), ("killed", "killed")])
@pytest.mark.parametrize("name", NEEDED)
def test_a_file_with_less_than_a_result_holds_none(name, failure, becomes, tmp_path):
    metrics = {key: value for key, value in NEEDED.items() if key != name}
    sample = replace(sample_of(replace(RUN, metrics=metrics)), failure=failure)
    write_baseline(tmp_path / "x.json", Selection("x", (sample,)))
    assert read_baseline(tmp_path / "x.json").samples == (replace(sample, failure=becomes),)
