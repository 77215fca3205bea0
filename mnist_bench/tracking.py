"""MLflow: where runs are kept. The only module that imports `mlflow`.

Everything goes through `MlflowClient` with explicit run ids, synchronously: MLflow's asynchronous
logging loses data at a crash, and its fluent `start_run` marks a crashed run FINISHED.
"""

import json
import math
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import mlflow
import mlflow.artifacts
from filelock import FileLock, Timeout
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec
from sqlalchemy.exc import SQLAlchemyError

from mnist_bench.environment import process_is_gone, this_process
from mnist_bench.mlflow_view import run_route, runs_route, saved_views

Client = MlflowClient
"""What `open_existing` returns, by a name that needs no import of MLflow elsewhere."""

PREFIX = "mnist_bench."
DEFAULT_URI = "sqlite:///mlflow.db"
HEARTBEAT_SECONDS = 60
"""A run on another host that was silent for longer, and for five epochs, is taken for dead."""
PAGE = 1_000
"""Runs that one search returns."""
BATCH_LOSS_POINTS = 200
"""Most points of `batch_loss` an epoch."""
HELD_BACK_SECONDS = 1.0
"""Epochs that are shorter wait for each other, and go out in one request."""
REQUEST_METRICS = 1_000
"""Most values that MLflow takes at once."""

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
        "The page of a sweep holds its leaderboard; that of a run its result, what is unusual "
        "about it (`caveats`) and its curves, images and predictions. The second button above "
        "the table shows charts in its place. Two runs or more, ticked, can be compared. "
        "Differences between single runs are often chance: `python -m mnist_bench compare` "
        "judges them over seeds."
    ),
    **saved_views(),
}
REQUIRED_METRICS = (
    "total_seconds",
    "test_accuracy",
    "test_loss",
    "train_seconds",
    "epoch_seconds_median",
    "params_total",
)
"""A run without one of these, or with one that is not finite, is not a finished run."""


class TrackingError(RuntimeError):
    """A store that cannot be used; the message is one line with the remedy."""


@dataclass(frozen=True, slots=True)
class Store:
    """An opened MLflow store and the experiment that runs go into.

    Attributes:
        uri: Absolute tracking URI.
        client: MLflow's client for it.
        experiment_id: MLflow's id of the experiment.
        experiment: Its name.
    """

    uri: str
    client: MlflowClient
    experiment_id: str
    experiment: str


def absolute_uri(uri: str | None) -> str:
    """Returns the tracking URI that a setting means, fixed to the current folder.

    An explicit setting wins over the environment variable `MLFLOW_TRACKING_URI`, which wins over
    `sqlite:///mlflow.db`.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    path = _sqlite_path(chosen)
    return chosen if path is None else f"sqlite:///{path}"


def open_store(uri: str | None, experiment: str) -> Store:
    """Returns the store, made if it does not exist, as does the experiment.

    Several processes may do this at once: one makes the store under a lock, since MLflow's own
    creation fails in all but one of them.

    Raises:
        TrackingError: If the store cannot be opened or written.
    """
    absolute = absolute_uri(uri)
    path = _sqlite_path(absolute)
    with _store_errors(absolute):
        if path is None:
            client = MlflowClient(absolute)
            return Store(absolute, client, _experiment_id(client, experiment, None), experiment)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            client = MlflowClient(absolute)  # makes the tables
            experiment_id = _experiment_id(client, experiment, path.parent / "mlruns")
            _use_write_ahead_log(path)
        return Store(absolute, client, experiment_id, experiment)


class Claim:
    """The right to train a run, or to lead a sweep, which one process at a time has.

    Beside a store in a file it is a lock of the operating system, which ends with the process that
    holds it, however that ends. A store behind a server has no place for one: there the run that
    was made first goes on (see `RunRecorder.elder`).
    """

    def __init__(self, store: Store, name: str) -> None:
        path = _sqlite_path(store.uri)
        self._lock = None if path is None else FileLock(f"{path}.claims/{name}.lock")
        if path is not None:
            Path(f"{path}.claims").mkdir(exist_ok=True)

    def take(self, *, wait: bool) -> bool:
        """Returns whether the claim is held now; waits for another process to give it up."""
        if self._lock is None:
            return True
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Gives the claim up."""
        if self._lock is not None:
            self._lock.release()


def is_claimed(store: Store, name: str) -> bool:
    """Returns whether another process holds a claim at this moment."""
    claim = Claim(store, name)
    if not claim.take(wait=False):
        return True
    claim.release()
    return False


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the store holds it.

    Attributes:
        run_id: MLflow's id.
        name: Readable.
        status: MLflow's: `RUNNING`, `FINISHED`, `FAILED`, `KILLED`.
        start_ms: When it started, in milliseconds since 1970.
        params: As text, by configuration key.
        metrics: The last value of each.
        tags: Those of this program, without their prefix.
        parent_run_id: Of the sweep that it was started by; empty for none.
        artifacts: Where its artifacts lie, as a URI.
        experiment_id: MLflow's id of its experiment.
    """

    run_id: str
    name: str
    status: str
    start_ms: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    parent_run_id: str
    artifacts: str
    experiment_id: str

    def is_reusable(self) -> bool:
        """Returns whether the run has a result: it ended well, completely, with finite figures.

        The status alone says little: MLflow marks some crashed runs FINISHED.
        """
        return (
            self.status == "FINISHED"
            and self.tags.get("complete") == "1"
            and all(math.isfinite(self.metrics.get(key, math.nan)) for key in REQUIRED_METRICS)
        )


def open_existing(uri: str | None) -> MlflowClient:
    """Returns a client for a store that is only read; it is not made if it does not exist.

    Raises:
        TrackingError: If it does not exist or cannot be opened.
    """
    absolute = absolute_uri(uri)
    path = _sqlite_path(absolute)
    if path is not None and not path.is_file():
        raise TrackingError(
            f"tracking.uri: there is no store {path.name} here; run something first, or go to the "
            "folder that has it, or name it"
        )
    with _store_errors(absolute):
        # Another process may just be making it; where nothing can be written, nobody is.
        writable = path is not None and os.access(path.parent, os.W_OK)
        with FileLock(f"{path}.lock") if writable else nullcontext():
            client = MlflowClient(absolute)
            client.search_experiments(max_results=1)
        return client


def runs_if_any(uri: str | None, experiment: str) -> list[StoredRun]:
    """Returns all runs of an experiment; none if it, or the store, does not exist.

    Raises:
        TrackingError: If the store is there and cannot be read.
    """
    path = _sqlite_path(absolute_uri(uri))
    if path is not None and not path.is_file():
        return []
    client = open_existing(uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else find_runs(client, [found.experiment_id])


def find_runs(
    client: MlflowClient,
    experiment_ids: Sequence[str],
    filter_string: str = "",
    most: int | None = None,
) -> list[StoredRun]:
    """Returns all runs of some experiments that a filter of MLflow's lets through, newest first.

    Args:
        client: For the store.
        experiment_ids: Where to look.
        filter_string: In MLflow's language, e.g. `tags."mnist_bench.kind" = 'run'`.
        most: How many to return, at least 1 and at most `PAGE`; all, if None.

    Raises:
        TrackingError: If MLflow refuses the filter or the store cannot be read.
    """
    found: list[StoredRun] = []
    token = None
    with _store_errors("the store"):
        while True:
            page = client.search_runs(
                list(experiment_ids), filter_string, max_results=most or PAGE, page_token=token
            )
            found += map(_stored_run, page)
            token = page.token
            if not token or most is not None:
                return found


def newest_experiment(client: MlflowClient) -> str:
    """Returns the name of the experiment of this program's newest run or sweep; empty for none.

    Raises:
        TrackingError: If the store cannot be read.
    """
    names = {id_: name for name, id_ in experiment_ids(client).items()}
    with _store_errors("the store"):
        newest = client.search_runs(list(names), f"tags.`{PREFIX}kind` LIKE '%'", max_results=1)
    return names[newest[0].info.experiment_id] if newest else ""


def experiment_ids(client: MlflowClient) -> dict[str, str]:
    """Returns the id of each experiment by its name.

    Raises:
        TrackingError: If the store cannot be read.
    """
    found: dict[str, str] = {}
    token = None
    with _store_errors("the store"):
        while True:
            page = client.search_experiments(max_results=PAGE, page_token=token)
            found |= {experiment.name: experiment.experiment_id for experiment in page}
            token = page.token
            if not token:
                return found


def runs_page(client: MlflowClient, experiment: str) -> str:
    """Returns the address of an experiment's run table, relative to the root of MLflow's UI.

    The table opens in one of our views, which an experiment gets here if it has none yet; without
    such an experiment it is the list of all.

    Raises:
        TrackingError: If the store cannot be read.
    """
    with _store_errors("the store"):
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return "#/experiments"
        _add_views(client, found)
        return runs_route(found.experiment_id)


def artifacts_of(client: MlflowClient, run_id: str) -> str:
    """Returns where the artifacts of a run lie; empty if there is no such run.

    It takes longer than to read them: of a run that was found it is known (`StoredRun`).

    Raises:
        TrackingError: If the store cannot be read.
    """
    with _store_errors("the store"):
        try:
            return str(client.get_run(run_id).info.artifact_uri)
        except MlflowException as error:
            # The second is what no id can look like; a baseline file may hold anything.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return ""
            raise


def read_artifact(client: MlflowClient, artifacts: str, path: str) -> bytes | None:
    """Returns an artifact; None if there is no such file.

    Args:
        client: For the store.
        artifacts: Where the artifacts of the run lie; empty for nowhere.
        path: Inside of that, in no folder.

    Raises:
        TrackingError: If it is there and cannot be read, or the store cannot.
    """
    if not artifacts:  # to MLflow that is the current folder
        return None
    with tempfile.TemporaryDirectory() as folder, _store_errors("the store"):
        repository: Any = get_artifact_repository(artifacts, tracking_uri=client.tracking_uri)
        try:
            return Path(repository.download_artifacts(path, folder)).read_bytes()
        except MlflowException:
            # A server's 404 comes without a code of MLflow's, so the listing is what tells.
            if path in {file.path for file in repository.list_artifacts(None)}:
                raise
            return None


def load_text(client: MlflowClient, artifacts: str, path: str) -> str:
    """Returns a text artifact; an empty one if there is no such file.

    Args:
        client: For the store.
        artifacts: Where the artifacts of the run lie.
        path: Inside of that.

    Raises:
        TrackingError: If it is there and cannot be read, or the store cannot.
    """
    return (read_artifact(client, artifacts, path) or b"").decode(errors="replace")


def load_curve(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    """Returns the values of a metric of a run as pairs of epoch and value, in order.

    Raises:
        TrackingError: If the store cannot be read.
    """
    with _store_errors("the store"):
        return sorted((m.step, m.value) for m in client.get_metric_history(run_id, key))


@contextmanager
def logged_model(client: MlflowClient, run_id: str) -> Iterator[Path | None]:
    """Lends a copy of the `.keras` file that a run logged as its model; None if it logged none.

    Raises:
        TrackingError: If the store cannot be read, or has lost the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        with _store_errors("the store"):
            experiment_id = client.get_run(run_id).info.experiment_id
            models = client.search_logged_models(
                [experiment_id], f"source_run_id = '{run_id}'", max_results=1
            )
            file = models and mlflow.artifacts.download_artifacts(
                artifact_uri=f"{models[0].artifact_location}/data/model.keras",
                dst_path=folder,
                tracking_uri=client.tracking_uri,
            )
        yield Path(file) if file else None


def log_texts(client: MlflowClient, run_id: str, texts: Mapping[str, str]) -> None:
    """Keeps texts as artifacts of a run, by path.

    Raises:
        TrackingError: If the store cannot be written.
    """
    with _store_errors("the store"):
        for path, text in texts.items():
            client.log_text(run_id, text, path)


def runs_of(store: Store, key: str, value: str) -> list[StoredRun]:
    """Returns the runs with this tag of this program's, newest first."""
    return find_runs(store.client, [store.experiment_id], f"tags.`{PREFIX}{key}` = '{value}'")


def take_into(store: Store, run: StoredRun, *, sweep_id: str | None, study: str | None) -> None:
    """Tags a finished run as a member of a sweep and of a study that found it there already.

    Membership adds up: the run stays in whatever it was in before.
    """
    wanted = {f"sweep.{sweep_id}": sweep_id, f"in_study.{study}": study}
    tags = [
        RunTag(f"{PREFIX}{tag}", "1")
        for tag, member in wanted.items()
        if member and tag not in run.tags
    ]
    if tags:
        store.client.log_batch(run.run_id, tags=tags)


def end_stale(store: Store) -> list[StoredRun]:
    """Ends all runs and sweeps that the store holds for running and that nobody runs any more.

    They become KILLED; MLflow itself would leave them RUNNING for ever. Several processes may do
    this at once.

    Returns:
        What was ended.
    """
    running = find_runs(store.client, [store.experiment_id], "attributes.status = 'RUNNING'")
    return [run for run in running if _end_if_stale(store, run)]


def _end_if_stale(store: Store, run: StoredRun) -> bool:
    if "claim" not in run.tags:
        return False  # not one of this program's
    claim = Claim(store, run.tags["claim"])
    if not claim.take(wait=False):
        return False
    try:
        # Read again: it may have ended, by itself or by another process, before the claim was had.
        if store.client.get_run(run.run_id).info.status != "RUNNING" or not _is_gone(store, run):
            return False
        store.client.log_batch(run.run_id, tags=[RunTag(f"{PREFIX}failure", "killed")])
        store.client.set_terminated(run.run_id, "KILLED")
        return True
    finally:
        claim.release()


def wait_for_end(store: Store, run_id: str) -> None:
    """Returns when a run that another process trains has ended, or that process has."""
    while store.client.get_run(run_id).info.status == "RUNNING":
        end_stale(store)
        time.sleep(2)


def _is_gone(store: Store, run: StoredRun) -> bool:
    if _sqlite_path(store.uri) is not None:
        return True  # its claim was free
    gone = process_is_gone(run.tags["process"])
    if gone is not None:
        return gone
    seconds = time.time() - int(run.tags["heartbeat"]) / 1000
    return seconds > max(HEARTBEAT_SECONDS, 5 * run.metrics.get("epoch_seconds", 0.0))


def _stored_run(run: Run) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        start_ms=run.info.start_time,
        params=run.data.params,
        metrics=run.data.metrics,
        tags={
            key.removeprefix(PREFIX): value
            for key, value in run.data.tags.items()
            if key.startswith(PREFIX)
        },
        parent_run_id=run.data.tags.get("mlflow.parentRunId", ""),
        artifacts=run.info.artifact_uri,
        experiment_id=run.info.experiment_id,
    )


@contextmanager
def _store_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, SQLAlchemyError, ImportError, OSError, sqlite3.Error) as error:
        message = re.sub(r"\s+", " ", str(error))[:300]
        raise TrackingError(
            f"tracking.uri: cannot use {described(uri)}: {message}; "
            f"give another one, e.g. tracking.uri={DEFAULT_URI}"
        ) from error


@contextmanager
def stopwatch(clock: "Clock") -> Iterator[None]:
    """Adds the time of a block to a clock."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock.seconds += time.perf_counter() - start


@dataclass(slots=True)
class Clock:
    """Seconds of `time.perf_counter` that were spent on one thing."""

    seconds: float = 0.0


class RunRecorder:
    """Records one run, from its start to its end.

    A run is FINISHED only after everything else of it was written, and the tag
    `mnist_bench.complete` is the last of that; whatever was interrupted before lacks it.

    Attributes:
        run_id: MLflow's id.
        clock: Time spent in MLflow so far.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
    ) -> None:
        # Whoever makes a recorder holds the claim on the run's identity.
        self._store = store
        self._waiting: list[Metric] = []
        self._sent = time.perf_counter()
        self.clock = Clock()
        with stopwatch(self.clock):
            self.run_id = _create_run(store, name, tags, tags[f"{PREFIX}run_fp"])
            self._log(params=params, metrics=metrics)

    def log_dataset(self, name: str, digest: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Records which data was used, with a digest of all of it.

        Args:
            name: Of the data set.
            digest: SHA-256 over all arrays and their scaling (MLflow's own covers 10,000 rows).
            shapes: Split -> shape of its images.
        """
        with stopwatch(self.clock):
            dataset = Dataset(
                name=name,
                digest=digest[:32],  # MLflow's column holds 36 characters
                source_type="code",
                source=json.dumps({"tags": {"mnist_bench.data": name}}),
                profile=json.dumps({f"{split}_images": shape for split, shape in shapes.items()}),
            )
            context = InputTag("mlflow.data.context", "training")
            inputs = [DatasetInput(dataset, [context])]
            try:
                self._store.client.log_inputs(self.run_id, inputs)
            except MlflowException:
                # MLflow looks for the dataset before it inserts it: of two processes that begin at
                # the same moment one finds it too late, with nothing written, and there now.
                self._store.client.log_inputs(self.run_id, inputs)

    def log_epoch(
        self,
        number: int,
        metrics: Mapping[str, float | None],
        step_losses: Sequence[float],
        examples: Sequence[int],
    ) -> None:
        """Records one epoch, at once or with the next ones that end within a second.

        Args:
            number: The epoch, 1-based: the step of its metrics.
            metrics: Key -> value; what is None or not finite is left out.
            step_losses: Mean loss of the epoch's examples up to each of its steps; may be empty.
            examples: Examples of the epoch up to each of its steps.
        """
        now = _milliseconds()
        rows = [
            Metric(key, value, now, number)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]
        rows += [
            Metric("batch_loss", loss, now, (number - 1) * len(examples) + step)
            for step, loss in thin_losses(step_losses, examples, BATCH_LOSS_POINTS)
        ]
        self._waiting += rows
        # Room is left for another epoch and the final metrics.
        full = len(self._waiting) > REQUEST_METRICS - 2 * BATCH_LOSS_POINTS
        if full or time.perf_counter() - self._sent > HELD_BACK_SECONDS:
            with stopwatch(self.clock):
                self._log(tags={f"{PREFIX}heartbeat": str(now)})

    def elder(self, run_fp: str) -> StoredRun | None:
        """Returns a living run of the same identity that was made before this one, if there is one.

        Where there are no locks, two processes may have begun one run at the same time; then the
        first goes on, by time and, within a millisecond, by id.
        """
        if _sqlite_path(self._store.uri) is not None:
            return None
        same = find_runs(
            self._store.client,
            [self._store.experiment_id],
            f"attributes.status = 'RUNNING' and tags.`{PREFIX}run_fp` = '{run_fp}'",
        )
        [mine] = [run for run in same if run.run_id == self.run_id]
        elders = [
            run
            for run in same
            if (run.start_ms, run.run_id) < (mine.start_ms, mine.run_id)
            and not _is_gone(self._store, run)
        ]
        return min(elders, key=lambda run: (run.start_ms, run.run_id), default=None)

    def log_artifacts(self, folder: Path) -> None:
        """Copies a folder's content to the run's artifacts."""
        with stopwatch(self.clock):
            self._store.client.log_artifacts(self.run_id, str(folder))

    def log_model(self, model: Any, requirements: Sequence[str]) -> None:
        """Logs a Keras model with signature and pinned requirements.

        Args:
            model: From images (n, 28, 28) float32 to probabilities (n, 10) float32.
            requirements: Pinned; without them MLflow spends seconds on guessing.
        """
        import numpy as np
        from mlflow import keras as mlflow_keras

        float32 = np.dtype(np.float32)
        signature = ModelSignature(
            inputs=Schema([TensorSpec(float32, (-1, 28, 28))]),
            outputs=Schema([TensorSpec(float32, (-1, 10))]),
        )
        with stopwatch(self.clock):
            mlflow.set_tracking_uri(self._store.uri)  # `Model.log` asks nothing else
            # Made by hand, since MLflow itself would put it into its default experiment.
            logged = self._store.client.create_logged_model(
                self._store.experiment_id, name="model", source_run_id=self.run_id
            )
            Model.log(
                artifact_path=None,
                model_id=logged.model_id,
                flavor=mlflow_keras,
                run_id=self.run_id,
                model=model,
                signature=signature,
                pip_requirements=list(requirements),
            )

    def finish(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Records the final metrics and tags, then that the run is complete."""
        with stopwatch(self.clock):
            clocks = {"tracking_seconds": self.clock.seconds}
            self._log(metrics={**metrics, **clocks}, tags={**tags, f"{PREFIX}complete": "1"})
            self._end(RunStatus.FINISHED)

    def end(self, reason: str, tags: Mapping[str, str]) -> None:
        """Ends a run without a result: KILLED for the reason `killed`, FAILED for any other."""
        self._log(tags={**tags, f"{PREFIX}failure": reason})
        self._end(RunStatus.KILLED if reason == "killed" else RunStatus.FAILED)

    def artifact_link(self, path: str) -> str:
        """Returns the address of an artifact inside the MLflow UI, relative to its root."""
        return run_route(self._store.experiment_id, self.run_id, path)

    def _end(self, status: int) -> None:
        self._store.client.set_terminated(self.run_id, RunStatus.to_string(status))

    def _log(
        self,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        now = _milliseconds()
        rows = [
            Metric(key, value, now, 0)
            for key, value in (metrics or {}).items()
            if math.isfinite(value)
        ]
        self._store.client.log_batch(
            self.run_id,
            metrics=self._waiting + rows,
            params=[Param(key, _as_text(value)) for key, value in (params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )
        self._waiting, self._sent = [], time.perf_counter()


class SweepRecorder:
    """Records a sweep: the parent of its runs.

    Attributes:
        run_id: MLflow's id of the parent run.
    """

    def __init__(self, store: Store, name: str, tags: Mapping[str, str]) -> None:
        self._store = store
        name_of_claim = f"sweep-{uuid4().hex}"
        self._claim = Claim(store, name_of_claim)
        self._claim.take(wait=False)
        self.run_id = _create_run(store, name, tags, name_of_claim)

    def log_text(self, path: str, text: str) -> None:
        """Keeps a text as an artifact."""
        self._store.client.log_text(self.run_id, text, path)

    def links(self, runs: Mapping[str, str], files: Sequence[str]) -> dict[str, str]:
        """Returns addresses inside the MLflow UI, relative to its root.

        Args:
            runs: Name -> run id.
            files: Paths of artifacts of the sweep.
        """
        experiment_id = self._store.experiment_id
        return {name: run_route(experiment_id, run_id) for name, run_id in runs.items()} | {
            file: run_route(experiment_id, self.run_id, file) for file in files
        }

    def log_progress(self, counts: Mapping[str, float]) -> None:
        """Records how far the sweep is."""
        now = _milliseconds()
        rows = [Metric(key, value, now, 0) for key, value in counts.items()]
        self._store.client.log_batch(self.run_id, metrics=rows)

    def end(self, status: str, page: str) -> None:
        """Ends the sweep.

        Args:
            status: `FINISHED`, `FAILED` or `KILLED`.
            page: Its description, as Markdown.
        """
        self._store.client.set_tag(self.run_id, "mlflow.note.content", page)
        self._store.client.set_terminated(self.run_id, status)
        self._claim.release()


def _create_run(store: Store, name: str, tags: Mapping[str, str], claim: str) -> str:
    signs_of_life = {
        f"{PREFIX}claim": claim,
        f"{PREFIX}process": this_process(),
        f"{PREFIX}heartbeat": str(_milliseconds()),
        "mlflow.source.name": "mnist_bench",
    }
    run = store.client.create_run(
        store.experiment_id, run_name=name, tags={**tags, **signs_of_life}
    )
    return str(run.info.run_id)


def thin_losses(
    running_means: Sequence[float], examples: Sequence[int], points: int
) -> list[tuple[int, float]]:
    """Returns at most `points` pairs of step and mean loss over the examples since the pair before.

    Args:
        running_means: (steps,) the mean over all examples up to each step, as Keras reports it.
        examples: (steps,) how many examples that is.
        points: At least 1.

    Returns:
        (step, loss), 1-based, in order, up to the first that is not finite.
    """
    steps = len(running_means)
    stride = max(1, math.ceil(steps / points))
    thinned = []
    seen, total = 0, 0.0
    for step in sorted({*range(stride, steps + 1, stride), steps} - {0}):
        now_seen, now_total = examples[step - 1], running_means[step - 1] * examples[step - 1]
        if not math.isfinite(now_total):
            break
        thinned.append((step, (now_total - total) / (now_seen - seen)))
        seen, total = now_seen, now_total
    return thinned


def _experiment_id(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"tracking.experiment: '{name}' was deleted in this store; restore it with "
                f"`mlflow experiments restore -x {found.experiment_id}` or choose another name"
            )
        _add_views(client, found)
        return str(found.experiment_id)
    location = None if artifacts is None else (artifacts / _folder_name(name)).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
    except MlflowException:
        # On a server, another process may have made it since; there is no lock to take there.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _add_views(client: MlflowClient, experiment: Experiment) -> None:
    """Gives our views of the run table to an experiment that was made without them."""
    views = saved_views()
    if not views.keys() & experiment.tags.keys():  # else somebody deleted the others
        for key, value in views.items():
            client.set_experiment_tag(experiment.experiment_id, key, value)


def _folder_name(experiment: str) -> str:
    """Returns a folder name for any experiment name, equal to it where it is harmless."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", experiment):
        return experiment
    harmless = re.sub(r"[^A-Za-z0-9_]+", "_", experiment)[:40]
    return f"{harmless}-{sha256(experiment.encode()).hexdigest()[:12]}"


def _sqlite_path(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).resolve() if uri.startswith(prefix) else None


def _use_write_ahead_log(path: Path) -> None:
    # Readers (the UI) and writers then do not wait for each other; the setting stays in the file.
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def described(uri: str) -> str:
    """Returns a tracking URI without the credentials in it."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _as_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(map(_as_text, value)) + "]"
    return str(value)
