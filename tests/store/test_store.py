import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mnist_bench.errors import StoreError
from mnist_bench.store import views
from mnist_bench.store.opening import absolute_uri, open_existing, open_store
from mnist_bench.store.recorders import RunRecorder, thin_losses
from mnist_bench.store.runs import artifacts_of, read_artifact, runs_page

STYLES = ("sequential_add", "sequential_list", "functional", "subclass")
FINAL_METRICS = {
    "test_loss",
    "test_accuracy",
    "best_val_accuracy",
    "best_val_epoch",
    "params_total",
    "params_trainable",
    "params_non_trainable",
    "train_seconds",
    "compile_seconds",
    "eval_seconds",
    "tracking_seconds",
    "figures_seconds",
    "total_seconds",
    "epoch_seconds_median",
    "peak_memory_bytes",
    "width",
    "batch_size",
    "learning_rate",
    *(f"test_recall_{digit}" for digit in range(10)),
}
EPOCH_METRICS = {
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "epoch_seconds",
    "examples_per_second",
    "batch_loss",
}
TAGS = {
    *("kind", "sweep_id", "cell", "cell_fp", "run_fp", "code_fp", "data_fp", "env_fp", "host_fp"),
    *("complete", "foreign_cpu_share", "steal_share", "compiled", "caveats", "python"),
    *("tensorflow", "keras", "numpy", "mlflow", "version", "cpu", "cores", "threads", "device"),
}


@pytest.fixture(scope="module")
def runs(trained):
    return [run for run in trained.runs() if run.tags["kind"] == "run"]


@pytest.fixture(scope="module")
def client(trained):
    return open_existing(f"sqlite:///{trained.folder}/mlflow.db")


def test_a_sweep_leaves_finished_runs_under_one_parent(trained, runs):
    [parent] = [run for run in trained.runs() if run.tags["kind"] == "sweep"]
    assert len(runs) == 8
    assert {run.parent_run_id for run in runs} == {parent.run_id}
    assert {run.status for run in [parent, *runs]} == {"FINISHED"}
    assert all(not run.failure for run in runs)
    assert (parent.metrics["runs_planned"], parent.metrics["runs_finished"]) == (8, 8)


def test_every_metric_and_tag_is_there(runs):
    for run in runs:
        assert set(run.metrics) == FINAL_METRICS | EPOCH_METRICS
        assert all(math.isfinite(value) for value in run.metrics.values())
        assert set(run.tags) >= TAGS
        assert run.tags["caveats"] == "train_limit"
        assert run.tags[f"sweep.{run.tags['sweep_id']}"] == "1"


def test_params_are_the_whole_configuration(runs):
    [run] = [run for run in runs if run.tags["cell"].startswith("functional 16-8 rmsprop b64")]
    params = run.params
    assert params["model.hidden_units"] == "[16,8]"
    assert params["optimizer.rho"] == "0.9"
    assert params["optimizer.weight_decay"] == "null"
    assert params["train.epochs"] == "2"
    assert params["data.validation"] == "holdout"
    assert params["seed"] == "0"
    assert not [key for key in params if "parent_run_id" in key]


def test_metrics_of_an_epoch_stand_at_its_number(client, runs):
    for key in EPOCH_METRICS - {"batch_loss"}:
        history = client.get_metric_history(runs[0].run_id, key)
        assert [metric.step for metric in history] == [1, 2]
    steps = [metric.step for metric in client.get_metric_history(runs[0].run_id, "batch_loss")]
    assert steps == list(range(1, 21))  # 600 rows in batches of 64: 10 steps an epoch


def test_styles_are_equal_to_the_last_bit(client, runs):
    curves = {}
    for run in runs:
        history = client.get_metric_history(run.run_id, "train_loss")
        curve = tuple(metric.value for metric in history)
        curves.setdefault(run.params["optimizer.name"], []).append(curve)
    assert {optimizer: len(found) for optimizer, found in curves.items()} == {
        "adam": 4,
        "rmsprop": 4,
    }
    assert all(len(set(found)) == 1 for found in curves.values())


def test_clocks_add_up(runs):
    for run in runs:
        m = run.metrics
        parts = ("compile", "train", "eval", "tracking", "figures")
        assert sum(m[f"{part}_seconds"] for part in parts) <= m["total_seconds"]
        assert m["epoch_seconds_median"] <= m["train_seconds"]


def test_artifacts_are_there(client, runs):
    def paths(folder=None):
        for info in client.list_artifacts(runs[0].run_id, folder):
            yield from paths(info.path) if info.is_dir else [info.path]

    assert set(paths()) == {
        "config.yaml",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "curves/accuracy.png",
        "curves/loss.png",
        "history.csv",
        "images/first_test_image.png",
        "images/mistakes.png",
        "images/training_samples.png",
        "model_summary.txt",
        "overrides.yaml",
        "predictions.npz",
    }


def test_stored_predictions_give_the_stored_accuracy(trained, client, runs, tmp_path):
    from mnist_bench.train.data import load_cached
    from tests.settings import config

    labels = load_cached(config().data).test.labels
    path = client.download_artifacts(runs[0].run_id, "predictions.npz", str(tmp_path))
    with np.load(path) as stored:
        assert stored["predicted"].shape == stored["probability"].shape == (10_000,)
        assert np.mean(stored["predicted"] == labels) == runs[0].metrics["test_accuracy"]
        assert 0.09 < stored["probability"].min() <= stored["probability"].max() <= 1
    matrix = np.loadtxt(
        client.download_artifacts(runs[0].run_id, "confusion_matrix.csv", str(tmp_path)),
        delimiter=",",
        skiprows=1,
    )[:, 1:]
    assert matrix.sum() == 10_000
    np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(labels))
    recall = runs[0].metrics["test_recall_3"]
    assert matrix[3, 3] / matrix[3].sum() == pytest.approx(recall)


def test_the_dataset_is_an_input_with_the_digest_of_all_of_it(client, runs):
    [dataset] = client.get_run(runs[0].run_id).inputs.dataset_inputs
    assert dataset.dataset.name == "mnist"
    assert dataset.dataset.digest == runs[0].tags["data_fp"][:32]


def test_the_page_of_a_run_tells_its_result(client, runs):
    page = client.get_run(runs[0].run_id).data.tags["mlflow.note.content"]
    assert f"{runs[0].metrics['test_accuracy']:.4f}" in page
    assert "only the first 600 rows were trained on" in page
    assert f"runs/{runs[0].run_id}/artifacts/curves/accuracy.png" in page


def test_nothing_names_a_folder_a_user_or_a_host(client, runs, trained, tmp_path):
    import socket

    run = client.get_run(runs[0].run_id)
    recorded = [*run.data.tags.values(), *run.data.params.values()]
    for name in ("config.yaml", "overrides.yaml", "model_summary.txt"):
        path = client.download_artifacts(run.info.run_id, name, str(tmp_path))
        recorded.append(Path(path).read_text(encoding="utf-8"))
    private = [str(trained.folder), str(Path.home()), socket.gethostname()]
    assert not [(p, r) for p in private for r in recorded if p in r]
    assert "mlflow.user" not in run.data.tags


class TestThinLosses:
    def test_few_steps_are_each_kept(self):
        losses, sizes = [3.0, 1.0, 2.0], [4, 4, 2]
        means = np.cumsum(np.multiply(losses, sizes)) / np.cumsum(sizes)
        thinned = thin_losses(means.tolist(), np.cumsum(sizes).tolist(), points=200)
        assert [step for step, _ in thinned] == [1, 2, 3]
        np.testing.assert_allclose([loss for _, loss in thinned], losses)

    @pytest.mark.parametrize("steps", [1, 199, 200, 201, 1563])
    def test_many_steps_become_means_that_lose_nothing(self, steps):
        rng = np.random.default_rng(0)
        losses = rng.random(steps)
        examples = np.arange(1, steps + 1) * 32
        means = np.cumsum(losses) / np.arange(1, steps + 1)
        thinned = thin_losses(means.tolist(), examples.tolist(), points=200)
        assert len(thinned) <= 200
        ends = np.array([step for step, _ in thinned])
        assert ends[-1] == steps
        widths = np.diff(ends, prepend=0)
        assert np.dot(widths, [loss for _, loss in thinned]) == pytest.approx(losses.sum())

    def test_ends_where_it_is_not_finite(self):
        assert thin_losses([1.0, math.nan, math.nan], [1, 2, 3], 200) == [(1, 1.0)]
        assert thin_losses([], [1, 2], 200) == []


def test_an_explicit_uri_wins_over_the_environment_variable(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert absolute_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert absolute_uri(None) == f"sqlite:///{tmp_path}/other.db"
    assert absolute_uri("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_a_store_that_is_read_is_not_made(tmp_path):
    with pytest.raises(StoreError, match=r"there is no store mlflow\.db"):
        open_existing(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_no_store_is_refused_in_a_line(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=r"tracking\.uri") as caught:
        open_store(f"sqlite:///{tmp_path}/mlflow.db", "mnist_bench")
    assert "\n" not in str(caught.value)


EIGHT = """
import os, sys
from mnist_bench.store.opening import open_store

# Forked after the imports, so that all of them come to the store at the same moment.
children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        print(open_store(sys.argv[1], "mnist_bench").experiment_id, flush=True)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def test_eight_processes_may_make_the_store_together(tmp_path):
    """Fault 12: MLflow alone loses all but one of them."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EIGHT, f"sqlite:///{tmp_path}/mlflow.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1"] * 8, done.stderr


def test_an_experiment_that_has_no_view_of_the_table_gets_ours(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = open_store(uri, "mnist_bench")
    saved = sorted(views.saved_views())
    kept = {f"mlflow.sharedViewState.{key}": "mine" for key in ("theirs", views.CELLS)}

    def tags():
        found = store.client.get_experiment(store.experiment_id).tags
        return {key: found[key] for key in found if key.startswith("mlflow.sharedViewState.")}

    assert sorted(tags()) == saved
    for key in saved:
        store.client.delete_experiment_tag(store.experiment_id, key)
    for key, value in kept.items():
        store.client.set_experiment_tag(store.experiment_id, key, value)
    open_store(uri, "mnist_bench")
    assert tags() == kept  # somebody edited one and deleted the others
    [ours] = kept.keys() & set(saved)
    store.client.delete_experiment_tag(store.experiment_id, ours)
    assert runs_page(store.client) == "#/experiments"  # there is no run yet
    store.client.create_run(store.experiment_id, tags={"mnist_bench.kind": "run"})
    assert runs_page(store.client).endswith(views.RUNS)
    assert sorted(tags()) == sorted({*saved, *kept})


@pytest.mark.parametrize("name", ["../../out", "a/b", "x" * 250, "<script>", "名前", "=cmd()"])
def test_artifacts_stay_in_the_store_whatever_the_experiment_is_called(name, tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/mlflow.db", name)
    location = store.client.get_experiment(store.experiment_id).artifact_location
    folder = tmp_path / "mlruns"
    assert location.startswith(folder.as_uri() + "/")
    assert "/" not in location.removeprefix(folder.as_uri() + "/")
    assert ".." not in location


def test_runs_may_enter_the_same_dataset_at_the_same_moment(tmp_path):
    """MLflow looks for it and then inserts it, so that of two processes one finds it too late."""
    store = open_store(f"sqlite:///{tmp_path}/mlflow.db", "mnist_bench")
    tags = {"mnist_bench.run_fp": "0"}
    recorders = [RunRecorder(store, "a run", tags, {}, {}) for _ in range(8)]
    start = threading.Barrier(8)

    def enter(recorder, digest):
        start.wait()
        recorder.log_dataset("mnist", digest, {"train": (1, 28, 28)})

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            list(pool.map(enter, recorders, [f"{number:032x}"] * 8))
    for recorder in recorders:
        assert len(store.client.get_run(recorder.run_id).inputs.dataset_inputs) == 10


def test_an_artifact_of_nowhere_is_no_file_of_the_current_folder(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    for unknown in ("0" * 32, "no id at all"):
        assert artifacts_of(client, unknown) == ""
    assert read_artifact(client, "", "history.csv") is None


def test_only_an_absent_artifact_is_none(client, tmp_path):
    (tmp_path / "history.csv").mkdir()  # there, and cannot be read
    (tmp_path / "history.csv" / "x").touch()
    assert read_artifact(client, tmp_path.as_uri(), "plan.csv") is None
    with pytest.raises(StoreError):
        read_artifact(client, tmp_path.as_uri(), "history.csv")
