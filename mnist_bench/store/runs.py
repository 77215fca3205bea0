"""What is read of a store: its runs, their curves and files.

Every function raises a `StoreError` where the store cannot be read. Artifacts are asked for by
where those of their run lie, which is known of a run that was found (`StoredRun`); to ask for that
takes longer than to read them.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from mnist_bench.metrics import INCOMPLETE, has_result
from mnist_bench.store.opening import (
    PAGE,
    Store,
    absolute_uri,
    add_views,
    experiment_ids,
    open_existing,
    sqlite_path,
    store_errors,
)
from mnist_bench.store.views import runs_route
from mnist_bench.text import shown

PREFIX = "mnist_bench."


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the store holds it.

    Attributes:
        run_id: MLflow's id.
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

    @property
    def failure(self) -> str:
        """Why the run has no result, in a line; empty if it has one.

        The status alone says little: MLflow marks some crashed runs FINISHED.
        """
        if self.status == "FINISHED":
            whole = self.tags.get("complete") == "1" and has_result(self.metrics)
            return "" if whole else INCOMPLETE
        reason = shown(self.tags.get("failure") or self.status.lower())
        message = self.tags.get("failure_message")
        return f"{reason}: {shown(message)}" if message else reason


def find_runs(
    client: MlflowClient,
    experiment_ids: Sequence[str],
    filter_string: str = "",
    most: int | None = None,
) -> list[StoredRun]:
    """Returns all runs of some experiments that a filter of MLflow's lets through, newest first.

    If `most` is given, from 1 to `PAGE`, no more than so many are returned.

    Raises:
        StoreError: Also if MLflow refuses the filter.
    """
    found: list[StoredRun] = []
    token = None
    with store_errors("the store"):
        while True:
            page = client.search_runs(
                list(experiment_ids), filter_string, max_results=most or PAGE, page_token=token
            )
            found += map(stored_run, page)
            token = page.token
            if not token or most is not None:
                return found


def runs_of(store: Store, key: str, value: str) -> list[StoredRun]:
    """Returns the runs with this tag of this program's, newest first."""
    return find_runs(store.client, [store.experiment_id], f"tags.`{PREFIX}{key}` = '{value}'")


def runs_if_any(uri: str | None, experiment: str) -> list[StoredRun]:
    """Returns all runs of an experiment; none if it, or the store, does not exist."""
    path = sqlite_path(absolute_uri(uri))
    if path is not None and not path.is_file():
        return []
    client = open_existing(uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else find_runs(client, [found.experiment_id])


def runs_page(client: MlflowClient) -> str:
    """Returns the address of the table that holds the newest run, relative to the UI's root.

    The table opens in one of our views, which an experiment gets here if it has none yet. Without a
    run or sweep of this program it is the list of all experiments.
    """
    ids = list(experiment_ids(client).values())
    newest = find_runs(client, ids, f"tags.`{PREFIX}kind` LIKE '%'", most=1)
    if not newest:
        return "#/experiments"
    with store_errors("the store"):
        experiment = client.get_experiment(newest[0].experiment_id)
        add_views(client, experiment)
        return runs_route(experiment.experiment_id)


def artifacts_of(client: MlflowClient, run_id: str) -> str:
    """Returns where the artifacts of a run lie; empty if there is no such run."""
    with store_errors("the store"):
        try:
            return str(client.get_run(run_id).info.artifact_uri)
        except MlflowException as error:
            # The second is what no id can look like; a baseline file may hold anything.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return ""
            raise


def read_artifact(client: MlflowClient, artifacts: str, path: str) -> bytes | None:
    """Returns the artifact of this path, which is in no folder; None if there is no such file."""
    if not artifacts:  # to MLflow that is the current folder
        return None
    with tempfile.TemporaryDirectory() as folder, store_errors("the store"):
        repository: Any = get_artifact_repository(artifacts, tracking_uri=client.tracking_uri)
        try:
            return Path(repository.download_artifacts(path, folder)).read_bytes()
        except MlflowException:
            # A server's 404 comes without a code of MLflow's, so the listing is what tells.
            if path in {file.path for file in repository.list_artifacts(None)}:
                raise
            return None


def load_text(client: MlflowClient, artifacts: str, path: str) -> str:
    """Returns `read_artifact` as text; an empty one if there is no such file."""
    return (read_artifact(client, artifacts, path) or b"").decode(errors="replace")


def load_curve(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    """Returns the values of a metric of a run as pairs of epoch and value, in order."""
    with store_errors("the store"):
        return sorted((m.step, m.value) for m in client.get_metric_history(run_id, key))


@contextmanager
def logged_model(client: MlflowClient, run_id: str) -> Iterator[Path | None]:
    """Lends a copy of the `.keras` file that a run logged as its model; None if it logged none."""
    with tempfile.TemporaryDirectory() as folder:
        with store_errors("the store"):
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


def stored_run(run: Run) -> StoredRun:
    """Returns a run of MLflow as this program sees it."""
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
