"""What is written to a store: runs and sweeps, from their start to their end."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
import mlflow.artifacts
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec

from mnist_bench.environment import this_process
from mnist_bench.store.claims import Claim, is_gone
from mnist_bench.store.opening import Store, sqlite_path, store_errors
from mnist_bench.store.runs import PREFIX, StoredRun, find_runs
from mnist_bench.store.views import run_route

BATCH_LOSS_POINTS = 200
"""Most points of `batch_loss` an epoch."""

HELD_BACK_SECONDS = 1.0
"""Epochs that are shorter wait for each other, and go out in one request."""

REQUEST_METRICS = 1_000
"""Most values that MLflow takes at once."""


class RunRecorder:
    """Records one run, from its start to its end.

    A run is FINISHED only after everything else of it was written, and the tag
    `mnist_bench.complete` is the last of that; whatever was interrupted before lacks it.

    Attributes:
        run_id: MLflow's id.
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
        self._tracking_seconds = 0.0
        with self._timed():
            self.run_id = _create_run(store, name, tags, tags[f"{PREFIX}run_fp"])
            self._log(params=params, metrics=metrics)

    def log_dataset(self, name: str, digest: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Records which data was used, with the shape of the images of each split.

        The digest is SHA-256 over all arrays and their scaling; MLflow's own covers 10,000 rows.
        """
        with self._timed():
            dataset = Dataset(
                name=name,
                digest=digest[:32],  # MLflow's column holds 36 characters
                source_type="code",
                source=json.dumps({"tags": {"mnist_bench.data": name}}),
                profile=json.dumps({f"{split}_images": shape for split, shape in shapes.items()}),
            )
            inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
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

        Its number, 1-based, is the step of its metrics, of which those that are None or not finite
        are left out. `step_losses` and `examples` are what `thin_losses` takes.
        """
        now = _milliseconds()
        self._waiting += [
            Metric(key, value, now, number)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]
        self._waiting += [
            Metric("batch_loss", loss, now, (number - 1) * len(examples) + step)
            for step, loss in thin_losses(step_losses, examples, BATCH_LOSS_POINTS)
        ]
        # Room is left for another epoch and the final metrics.
        full = len(self._waiting) > REQUEST_METRICS - 2 * BATCH_LOSS_POINTS
        if full or time.perf_counter() - self._sent > HELD_BACK_SECONDS:
            with self._timed():
                self._log(tags={f"{PREFIX}heartbeat": str(now)})

    def elder(self, run_fp: str) -> StoredRun | None:
        """Returns a living run of the same identity that was made before this one, if there is one.

        Where there are no locks, two processes may have begun one run at the same time; then the
        first goes on, by time and, within a millisecond, by id.
        """
        if sqlite_path(self._store.uri) is not None:
            return None
        same = find_runs(
            self._store.client,
            [self._store.experiment_id],
            f"attributes.status = 'RUNNING' and tags.`{PREFIX}run_fp` = '{run_fp}'",
        )
        same.sort(key=lambda run: (run.start_ms, run.run_id))
        elders = takewhile(lambda run: run.run_id != self.run_id, same)
        return next((run for run in elders if not is_gone(self._store, run)), None)

    def log_artifacts(self, folder: Path) -> dict[str, str]:
        """Copies a folder's content to the run's artifacts.

        Returns:
            Path of each file -> its address inside the MLflow UI, relative to its root.
        """
        with self._timed():
            self._store.client.log_artifacts(self.run_id, str(folder))
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = [str(path.relative_to(folder)) for path in paths]
        return {file: run_route(self._store.experiment_id, self.run_id, file) for file in files}

    def log_model(self, model: Any, requirements: Sequence[str]) -> None:
        """Logs a Keras model, from images (n, 28, 28) float32 to probabilities (n, 10) float32.

        Without pinned requirements MLflow spends seconds on guessing them.
        """
        import numpy as np
        from mlflow import keras as mlflow_keras

        float32 = np.dtype(np.float32)
        signature = ModelSignature(
            inputs=Schema([TensorSpec(float32, (-1, 28, 28))]),
            outputs=Schema([TensorSpec(float32, (-1, 10))]),
        )
        with self._timed():
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
        self._log(
            metrics={**metrics, "tracking_seconds": self._tracking_seconds},
            tags={**tags, f"{PREFIX}complete": "1"},
        )
        self._store.client.set_terminated(self.run_id, "FINISHED")

    def end(self, reason: str, tags: Mapping[str, str]) -> None:
        """Ends a run without a result: KILLED for the reason `killed`, FAILED for any other."""
        self._log(tags={**tags, f"{PREFIX}failure": reason})
        status = "KILLED" if reason == "killed" else "FAILED"
        self._store.client.set_terminated(self.run_id, status)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Adds the time of a block to `tracking_seconds`."""
        start = time.perf_counter()
        yield
        self._tracking_seconds += time.perf_counter() - start

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
            params=[Param(key, _as_typed(value)) for key, value in (params or {}).items()],
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
        """Returns addresses inside the MLflow UI, relative to its root, by name.

        They are those of runs (name -> run id) and of artifacts of the sweep.
        """
        experiment_id = self._store.experiment_id
        pages = {name: run_route(experiment_id, run_id) for name, run_id in runs.items()}
        return pages | {file: run_route(experiment_id, self.run_id, file) for file in files}

    def log_progress(self, counts: Mapping[str, float]) -> None:
        """Records how far the sweep is."""
        now = _milliseconds()
        rows = [Metric(key, value, now, 0) for key, value in counts.items()]
        self._store.client.log_batch(self.run_id, metrics=rows)

    def end(self, status: str, page: str) -> None:
        """Ends the sweep as `FINISHED`, `FAILED` or `KILLED`, with its description as Markdown."""
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


def log_texts(client: MlflowClient, run_id: str, texts: Mapping[str, str]) -> None:
    """Keeps texts as artifacts of a run, by path.

    Raises:
        StoreError: If the store cannot be written.
    """
    with store_errors("the store"):
        for path, text in texts.items():
            client.log_text(run_id, text, path)


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


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _as_typed(value: Any) -> str:
    """Returns a setting as a person types it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
