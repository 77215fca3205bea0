"""One run, recorded in a real store."""

import copy
import csv
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from mnist_bench import environment, identity
from mnist_bench.config.schema import MatchOn, PublishedConfig, Validation
from mnist_bench.errors import Refusal
from mnist_bench.identity import identify
from mnist_bench.metrics import Use, used_for
from mnist_bench.run import execute
from mnist_bench.store.opening import open_existing, open_store
from mnist_bench.store.recorders import RunRecorder
from mnist_bench.store.runs import find_runs, stored_run
from mnist_bench.train import startup
from mnist_bench.train.data import load_cached
from mnist_bench.train.training import Epoch
from tests.settings import config, optimizer


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def settings(uri):
    made = config(validation=Validation.train_tail)
    made.tracking.uri = uri
    made.study = "a_study"
    made.published = PublishedConfig(
        source="somewhere",
        curves={"train_accuracy": [0.5, 0.6123], "val_accuracy": [0.4, 0.5]},
        test_accuracy=0.7654,
        params_total=None,
        epoch_seconds=[1.0, 2.0],
    )
    return made


@pytest.fixture(scope="module")
def single(settings):
    return execute.execute(settings, ["seed=0"])


@pytest.fixture(scope="module")
def client(uri, single):
    return open_existing(uri)


def stored(client, run_id):
    return stored_run(client.get_run(run_id))


def artifact(client, run_id, path, folder):
    return Path(client.download_artifacts(run_id, path, str(folder)))


def test_a_single_run_is_complete_and_tagged(client, single):
    found = stored(client, single.run_id)
    assert not found.failure
    assert found.parent_run_id == ""
    assert found.tags["in_study.a_study"] == "1"
    assert found.tags["caveats"] == "validation_leak,train_limit"
    assert {key: single.metrics[key] for key in found.metrics.keys() & single.metrics} == (
        pytest.approx({key: found.metrics[key] for key in found.metrics.keys() & single.metrics})
    )
    assert single.metrics.keys() >= {*used_for(Use.needed), "train_seconds"}


def test_the_page_shows_the_published_figures_and_says_what_is_unusual(client, single):
    page = client.get_run(single.run_id).data.tags["mlflow.note.content"]
    assert "| test accuracy | " in page
    assert "| 0.7654 |" in page
    assert "| 0.6123 |" in page  # the last epoch's
    assert "the validation rows were also trained on" in page


def test_the_logged_model_loads_and_predicts_the_same(client, single, settings, uri):
    import mlflow

    [model] = mlflow.search_logged_models(experiment_ids=["1"], output_format="list")
    loaded = mlflow.keras.load_model(model.model_uri)
    test = load_cached(settings.data).test
    accuracy = np.mean(loaded.predict(test.images, verbose=0).argmax(axis=1) == test.labels)
    assert accuracy == single.metrics["test_accuracy"]
    requirements = Path(mlflow.artifacts.download_artifacts(model.model_uri)) / "requirements.txt"
    pins = requirements.read_text().split()
    assert all("==" in pin for pin in pins)
    assert {pin.split("==")[0] for pin in pins} >= {"tensorflow", "keras", "numpy"}


def test_a_run_under_other_versions_counts_if_the_code_alone_is_to_match(
    settings, single, client, monkeypatch
):
    here = environment.describe().versions
    other = identity.env_fp({**here, "keras": "3.0"}, {}, "CPU")
    monkeypatch.setattr(identity, "env_fp", lambda *arguments: other)
    by_code = copy.deepcopy(settings)
    by_code.sweep.match = MatchOn.code
    summary = execute.execute(by_code, [])
    assert (summary.run_id, summary.stored, summary.other_versions) == (single.run_id, True, True)
    store = open_store(settings.tracking.uri, settings.tracking.experiment)
    wanted = identity.identify(settings, load_cached(settings.data).digest)
    assert execute._runs_before(store, settings, wanted) == []
    by_code.seed += 1
    assert execute._runs_before(store, by_code, wanted) == []
    monkeypatch.setattr(identity, "code_fp", lambda package: "of another engine")
    by_code.seed -= 1
    edited = identity.identify(by_code, wanted.data_fp)
    assert execute._runs_before(store, by_code, edited) == []


def test_the_same_run_is_not_trained_again(settings, single):
    summary = execute.execute(settings, [])
    assert (summary.run_id, summary.stored, summary.other_versions) == (single.run_id, True, False)


def test_every_command_ends_the_runs_that_nobody_runs(settings, single, client):
    """Fault 1: of whatever identity they are."""
    store = open_store(settings.tracking.uri, settings.tracking.experiment)
    tags = {"mnist_bench.kind": "run", "mnist_bench.run_fp": "of another cell"}
    stale = RunRecorder(store, "stale", tags, {}, {})
    execute.execute(settings, [])
    found = stored(client, stale.run_id)
    assert (found.status, found.tags["failure"]) == ("KILLED", "killed")


def test_a_process_without_this_package_loads_a_subclassed_model(tmp_path):
    """Keras refuses to import a class that a file names."""
    from mnist_bench.config.schema import Style

    subclassed = config(style=Style.subclass, epochs=1)
    subclassed.tracking.uri = f"sqlite:///{tmp_path}/mlflow.db"
    summary = execute.execute(subclassed, [])
    program = (
        "import mlflow, numpy as np;"
        f"mlflow.set_tracking_uri({subclassed.tracking.uri!r});"
        f"model = mlflow.keras.load_model('runs:/{summary.run_id}/model');"
        "print(model.count_params(), model.predict(np.zeros((1, 28, 28)), verbose=0).sum())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    count, total = done.stdout.split()
    assert int(count) == summary.metrics["params_total"], done.stderr
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_a_run_that_diverges_is_failed_with_its_curve(client, uri, tmp_path):
    diverging = config(optimizer_config=optimizer("sgd", learning_rate=1e30))
    diverging.tracking.uri = uri
    summary = execute.execute(diverging, [])
    found = stored(client, summary.run_id)
    assert found.status == "FAILED"
    assert found.tags["failure"] == "diverged"
    assert found.failure
    assert summary.failure.startswith("diverged: ")
    assert not [key for key, value in found.metrics.items() if not np.isfinite(value)]
    traced = artifact(client, summary.run_id, "traceback.txt", tmp_path).read_text()
    assert "Diverged" in traced
    assert str(Path(execute.__file__).parents[2]) not in traced
    history = artifact(client, summary.run_id, "history.csv", tmp_path)
    with history.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["epoch"] == "1"
    assert row["train_loss"] == ""
    assert [m.step for m in client.get_metric_history(summary.run_id, "batch_loss")] == [1]
    assert artifact(client, summary.run_id, "curves/loss.png", tmp_path).stat().st_size > 1_000


def test_an_error_in_a_run_is_recorded_and_comes_back(client, uri):
    def fails(epoch: Epoch) -> None:
        raise RuntimeError("<b>no|space\nleft</b>")

    failing = config()
    failing.tracking.uri = uri
    summary = execute.execute(failing, [], fails)
    found = stored(client, summary.run_id)
    assert (found.status, found.tags["failure"]) == ("FAILED", "error")
    assert summary.failure == "error: <b>no|space\\nleft</b>"
    page = client.get_run(summary.run_id).data.tags["mlflow.note.content"]
    assert "<b>" not in page


def test_an_interrupt_leaves_the_run_killed_and_goes_on(client, uri):
    def interrupt(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    interrupted = config(seed=77)
    interrupted.tracking.uri = uri
    with pytest.raises(KeyboardInterrupt):
        execute.execute(interrupted, [], interrupt)
    [found] = find_runs(client, ["1"], "params.seed = '77'")
    assert (found.status, found.tags["failure"]) == ("KILLED", "killed")
    assert found.failure
    assert [m.step for m in client.get_metric_history(found.run_id, "train_loss")] == [1]


def test_a_further_seed_runs_the_program_of_the_one_before(client, uri):
    """Which its tags say, and which changes nothing in what it is."""
    found = []
    for seed in (11, 12):
        settings = config(seed=seed, hidden_units=(12,))
        settings.tracking.uri = uri
        settings.tracking.log_model = False
        summary = execute.execute(settings, [])
        found.append(stored(client, summary.run_id))
        identity = identify(settings, load_cached(settings.data).digest)
        assert found[-1].tags.items() >= identity.tags().items()
    assert [each.tags["compiled"] for each in found] == ["fresh", "reused"]
    assert all(not each.failure for each in found)


def test_bad_data_leaves_no_trace(tmp_path):

    bad = config()
    bad.tracking.uri = f"sqlite:///{tmp_path}/mlflow.db"
    bad.data.path = str(tmp_path / "missing.npz")
    with pytest.raises(Refusal):
        execute.execute(bad, [])
    assert not list(tmp_path.iterdir())


def test_startup_noise_is_dropped_and_everything_else_kept(capfd):
    noise = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.\n"
        "E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: INTERNAL\n"
    )
    substance = "W0000 00:00:1.2 3 cpu_allocator.cc:83] Allocation exceeds 10% of free memory\n"
    with startup.without_startup_noise():
        os.write(2, (noise + substance).encode())
    assert capfd.readouterr().err == substance


def test_what_is_set_aside_from_the_garbage_collector_holds_no_model(settings, monkeypatch):
    """Each run compiles a program, and the next one sets that aside; its model must be gone."""
    from mnist_bench.train import training

    models, counts = [], []
    train = training.train

    def noted(*arguments):
        counts.append(gc.get_freeze_count())
        result = train(*arguments)
        models.append(weakref.ref(result.model))
        return result

    monkeypatch.setattr(training, "train", noted)
    for width in (5, 6, 7):
        one = copy.deepcopy(settings)
        one.model.hidden_units = [width]
        one.tracking.log_model = False
        assert not execute.execute(one, []).failure
    gc.collect()
    assert counts[0] < counts[1] < counts[2]
    assert [model() for model in models] == [None, None, None]
