import json
import math

import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from mnist_bench.errors import Refusal, StoreError
from mnist_bench.metrics import Use, used_for
from mnist_bench.selection.baselines import read_baseline, write_baseline
from mnist_bench.selection.samples import Selection, newest_parent, split_by
from mnist_bench.selection.source import Source
from tests.comparisons import FACTS, side

NEEDED = dict.fromkeys(used_for(Use.needed), 1.0) | {"test_accuracy": 0.98}
RESULT = NEEDED | {"train_seconds": 1.0, "batch_loss": 0.1}


class Filler:
    """Writes runs as the program does, without training."""

    def __init__(self, uri):
        self.client = MlflowClient(uri)
        self.experiments = {}

    def sweep(self, sweep_id, experiment="first", study=""):
        tags = {"mnist_bench.kind": "sweep", "mnist_bench.sweep_id": sweep_id}
        if study:
            tags["mnist_bench.study"] = study
        return self._run(experiment, tags, {}, {}, "FINISHED")

    def run(self, seed, *, parent="", sweep="", experiment="first", status="FINISHED", **more):
        tags = {f"mnist_bench.{k}": v for k, v in FACTS.items()}
        tags |= {"mnist_bench.kind": "run", "mnist_bench.complete": "1", "mnist_bench.cell": "a"}
        tags |= {f"mnist_bench.sweep.{sweep}": "1"} if sweep else {}
        tags |= {"mlflow.parentRunId": parent} if parent else {}
        tags |= more.get("tags", {})
        params = {"seed": str(seed), "model.style": more.get("style", "functional")}
        params |= {"train.epochs": "5", "data.path": "null", "tracking.uri": "null"}
        return self._run(experiment, tags, params, more.get("metrics", RESULT), status)

    def killed_before_its_settings(self, *, sweep, tags):
        tags = tags | {"mnist_bench.kind": "run", f"mnist_bench.sweep.{sweep}": "1"}
        return self._run("first", tags, {}, {}, "KILLED")

    def _run(self, experiment, tags, params, metrics, status):
        if experiment not in self.experiments:
            self.experiments[experiment] = self.client.create_experiment(experiment)
        run_id = self.client.create_run(self.experiments[experiment], run_name="run").info.run_id
        self.client.log_batch(
            run_id,
            metrics=[Metric(k, v, 1, 0) for k, v in metrics.items()],
            params=[Param(k, v) for k, v in params.items()],
            tags=[RunTag(k, v) for k, v in tags.items()],
        )
        self.client.set_terminated(run_id, status)
        return run_id


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    filler = Filler(uri)
    old = filler.sweep("aa11", study="mine")
    study = {"mnist_bench.in_study.mine": "1", "team.note": "it's"}
    for seed in (0, 1):
        filler.run(seed, parent=old, sweep="aa11", tags=study)
    filler.killed_before_its_settings(sweep="aa11", tags=study)
    new = filler.sweep("aa22", experiment="second")
    commit = {"mnist_bench.git_commit": "b" * 40}
    single = filler.run(
        2, parent=new, sweep="aa22", experiment="second", tags=commit, style="subclass"
    )
    filler.run(3, experiment="second", status="FAILED", tags={"mnist_bench.failure": "diverged"})
    filler.run(4, experiment="second", status="RUNNING")
    filler.run(5, experiment="second", metrics=RESULT | {"test_loss": math.nan})
    return {"uri": uri, "single": single, "new": new}


@pytest.fixture
def source(store):
    return Source(store["uri"])


def seeds(selection):
    return sorted(sample.seed for sample in selection.samples)


def test_a_sweep_is_that_of_one_experiment(tmp_path):
    """The same sweep has the same id in every experiment."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    filler = Filler(uri)
    for seed, experiment in ((6, "first"), (7, "second")):
        parent = filler.sweep("cc", experiment=experiment)
        filler.run(seed, parent=parent, sweep="cc", experiment=experiment)
    assert seeds(Source(uri).select("latest")) == [7]
    assert seeds(Source(uri).select("sweep:cc")) == [7]
    assert seeds(Source(uri, "first").select("sweep:cc")) == [6]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("sweep:aa11", [0, 1]),
        ("sweep:aa1", [0, 1]),
        ("latest", [2]),
        ("experiment:first", [0, 1]),
        ("experiment:second", [2, 3, 4, 5]),
        ("study:mine", [0, 1]),
        ("tag:team.note=it's", [0, 1]),
        ("tag:tensorflow=2.21.0", [0, 1, 2, 3, 4, 5]),
        ("tag:mnist_bench.failure=diverged", [3]),
        ("git:bbbb", [2]),
        ("git:aaaaaaa", [0, 1, 3, 4, 5]),
        ("filter:params.seed = '1'", [1]),
    ],
)
def test_each_selector(source, selector, expected):
    selected = source.select(selector)
    assert (selected.label, seeds(selected)) == (selector, expected)


def test_runs_by_id(source, store):
    selected = source.select(f"run:{store['single']}")
    (sample,) = selected.samples
    assert (sample.seed, sample.parent_run_id, sample.failure) == (2, store["new"], "")
    assert sample.settings == {"model.style": "subclass", "train.epochs": "5"}
    known = {key: value for key, value in FACTS.items() if key != "machine"}
    assert sample.facts == known | {"git_commit": "b" * 40}
    assert sample.metrics == {
        k: v for k, v in RESULT.items() if k not in ("train_seconds", "batch_loss")
    }
    assert newest_parent(selected.samples) == store["new"]
    assert newest_parent(source.select("tag:failure=diverged").samples) == ""


def test_a_run_without_a_result_says_why(source):
    failures = {s.seed: s.failure for s in source.select("experiment:second").samples}
    assert failures == {2: "", 3: "diverged", 4: "running", 5: "incomplete"}


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("sweep:aa", "beginning of 2 sweeps; choose from: sweep:aa22, sweep:aa11"),
        ("sweep:ff", "no such sweep; choose from: sweep:aa22, sweep:aa11"),
        ("experiment:none", "choose from: .*experiment:first"),
        ("study:none", "no run matches; choose from: study:mine, experiment:"),
        ("tag:team.note=none", "no run matches"),
        ("tag:nothing", "tag:KEY=VALUE"),
        ("tag:a`b=c", "` in its name"),
        ("tag:a='\"", "both kinds of quotes"),
        ("git:c0ffee", "no run matches"),
        ("git:'", "letters and digits"),
        ("run:ffff", "no such run"),
        ("run:' or 1", "letters and digits"),
        ("filter:metrics.", "MLflow says"),
        ("filter:nonsense = 'x'", "MLflow says"),
        ("nonsense", "no such selector; there are: sweep:ID"),
        ("sweep:", "no such selector"),
        ("none.json", "cannot read it: No such file"),
    ],
)
def test_what_selects_nothing_says_what_there_is(source, selector, said):
    with pytest.raises(Refusal, match=said) as refusal:
        source.select(selector)
    assert "\n" not in str(refusal.value)


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        Source(f"sqlite:///{tmp_path}/none.db").select("latest")
    assert not list(tmp_path.iterdir())


def test_an_empty_store_has_nothing_to_choose(tmp_path):
    uri = f"sqlite:///{tmp_path}/empty.db"
    MlflowClient(uri).create_experiment("x")
    with pytest.raises(Refusal, match="the store has no runs yet"):
        Source(uri).select("latest")


def test_the_beginning_of_several_ids_is_refused(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    filler = Filler(uri)
    # One more than an id has first characters, so that two begin alike.
    starts = [filler.run(seed)[0] for seed in range(17)]
    start = max(starts, key=starts.count)
    with pytest.raises(Refusal, match=f"{start}: is the beginning of .* choose from: ") as e:
        Source(uri).named(start)
    assert "(run)" in str(e.value)


def test_predictions_are_none_where_there_are_none(source, store):
    (sample,) = source.select(f"run:{store['single']}").samples
    assert source.correct_predictions(sample) is None


# Splitting


def test_split_by_orders_numbers_as_numbers():
    slow, fast, fastest = (
        side("", {"a": [0.98]}, settings={"train.rate": rate}).samples
        for rate in ("2", "10", "1e3")
    )
    parts = split_by(Selection("s", (*fastest, *fast, *slow)), "train.rate")
    assert [part.label for part in parts] == ["train.rate=2", "train.rate=10", "train.rate=1e3"]
    by_fact = split_by(
        Selection("s", (*slow, *side("", {"a": [1.0]}, facts={"keras": "3.16"}).samples)), "keras"
    )
    assert [part.label for part in by_fact] == ["keras=3.15.1", "keras=3.16"]


def test_split_by_refuses_what_cannot_be_split():
    selection = side("s", {"a": [0.98, 0.97]})
    with pytest.raises(Refusal, match="all runs have 5"):
        split_by(selection, "train.epochs")
    with pytest.raises(Refusal, match=r"no such key; there are: .*train\.epochs"):
        split_by(selection, "train.epoch")


# Baseline files


def test_a_baseline_file_comes_back_as_it_was(tmp_path):
    more = {"total_seconds": 3.0, "params_total": 10.0}
    selection = side("label", {"a": [0.98, 0.97], "b": [0.96]}, **more)
    path = tmp_path / "baseline.json"
    write_baseline(path, selection)
    read = read_baseline(path)
    assert read.label == "baseline.json"
    assert sorted(read.samples, key=repr) == sorted(selection.samples, key=repr)
    again = tmp_path / "again.json"
    write_baseline(again, Selection("label", selection.samples[::-1]))
    assert again.read_bytes() == path.read_bytes()
    assert Source("sqlite:////nowhere/none.db").select(str(path)).samples == read.samples


def tampered(**changes):
    row = {
        "run_id": "r",
        "name": "n",
        "cell": "a",
        "seed": 0,
        "start_ms": 0,
        "failure": "",
        "settings": {},
        "facts": {},
        "metrics": {"test_accuracy": 0.5},
        "parent_run_id": "",
    }
    return json.dumps({"schema": "mnist_bench.baseline/1", "samples": [row | changes]})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "{}",
        "[" * 100_000,
        '{"schema": "mnist_bench.baseline/2", "samples": []}',
        '{"schema": "mnist_bench.baseline/1", "samples": []}',
        '{"schema": "mnist_bench.baseline/1", "samples": [1]}',
        tampered(seed="0"),
        tampered(seed=True),
        tampered(metrics={"test_accuracy": math.nan}),
        tampered(metrics={"test_accuracy": "0.98"}),
        tampered(metrics={"test_accuracy": True}),
        tampered(metrics={"test_accuracy": 10**400}),
        tampered(settings={"a": 1}),
        tampered(facts=[]),
        tampered(unknown=1),
        "\ud800",
    ],
)
def test_a_file_that_is_no_baseline_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(Refusal, match=r"x\.json") as refusal:
        read_baseline(path)
    assert "\n" not in str(refusal.value)


def test_a_folder_is_no_baseline_and_takes_none(tmp_path):
    folder = tmp_path / "x.json"
    folder.mkdir()
    with pytest.raises(Refusal, match="cannot read it"):
        read_baseline(folder)
    with pytest.raises(Refusal, match="cannot write it"):
        write_baseline(folder, side("s", {"a": [1.0]}))
