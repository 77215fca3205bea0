"""One run: load the data, train, record. Here TensorFlow and MLflow meet."""

import gc
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from mnist_bench import environment
from mnist_bench.config.record import as_plain, caveats, flatten
from mnist_bench.config.schema import MatchOn, Resume, RunConfig
from mnist_bench.disturbance import Watch
from mnist_bench.identity import Identity, identify, matching_key, wanted_key
from mnist_bench.metrics import METRICS
from mnist_bench.run import artifacts
from mnist_bench.run.description import failed_run_page, run_page
from mnist_bench.run.predictions import Predictions
from mnist_bench.text import shown
from mnist_bench.train.data import Dataset, load_cached
from mnist_bench.train.startup import without_startup_noise

if TYPE_CHECKING:
    from mnist_bench.store.opening import Store
    from mnist_bench.store.recorders import RunRecorder
    from mnist_bench.store.runs import StoredRun
    from mnist_bench.train.training import Epoch, RunResult


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which sweep a run is started by; nothing here changes what it is.

    Attributes:
        parent_run_id: MLflow's id of the record of the sweep that starts it.
        sweep_id: Identity of that sweep.
        shares_machine: Whether other runs go on beside it; then its times are never judged.
    """

    parent_run_id: str
    sweep_id: str
    shares_machine: bool


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What the sweep and the terminal want to know of a run that ended.

    Attributes:
        run_id: MLflow's.
        name: Readable: the cell and the seed.
        metrics: Final metrics, and those of the last epoch; only the latter if it failed.
        failure: Empty, or why it failed, in a line.
        stored: Whether it had been finished before, and was not trained again.
        other_versions: Whether that was under other versions (`sweep.match=code`).
    """

    run_id: str
    name: str
    metrics: dict[str, float]
    failure: str = ""
    stored: bool = False
    other_versions: bool = False


def execute(
    config: RunConfig,
    overrides: Sequence[str],
    on_epoch: Callable[["Epoch"], None] = lambda epoch: None,
    lineage: Lineage | None = None,
) -> RunSummary:
    """Trains one cell with one seed and records it, unless that was done before.

    One process at a time trains a run; the others wait for it and take its result. A run that
    diverges or raises is recorded as FAILED and comes back as a summary that says why;
    one that is interrupted is recorded as KILLED, and the interrupt goes on. The overrides are kept
    with it as they were typed.

    Raises:
        Refusal: Before anything is recorded.
        StoreError: Likewise.
    """
    dataset = load_cached(config.data)
    identity = identify(config, dataset.digest)
    from mnist_bench.store.claims import Claim, end_stale, wait_for_end
    from mnist_bench.store.opening import open_store
    from mnist_bench.store.recorders import RunRecorder
    from mnist_bench.store.runs import PREFIX

    store = open_store(config.tracking.uri, config.tracking.experiment)
    if lineage is None:
        end_stale(store)  # a sweep has done that for all its runs
    claim = Claim(store, identity.run_fp)
    claim.take(wait=True)
    try:
        before = _runs_before(store, config, identity)
        finished = next((run for run in before if not run.failure), None)
        if finished is not None and config.sweep.resume is not Resume.off:
            sweep_id = None if lineage is None else lineage.sweep_id
            other_versions = finished.tags["run_fp"] != identity.run_fp
            summary = take_stored(store, finished, sweep_id=sweep_id, study=config.study)
            return replace(summary, other_versions=other_versions)
        tags = _tags(config, identity, before, lineage)
        recorder = RunRecorder(store, identity.name, tags, _params(config), _numbers(config))
        elder = recorder.elder(identity.run_fp)
        if elder is None:
            record = _Record(config, overrides, identity, dataset, recorder, lineage)
            return _train(record, on_epoch)
        recorder.end("killed", {f"{PREFIX}duplicate_of": elder.run_id})
    finally:
        claim.release()
    wait_for_end(store, elder.run_id)
    return execute(config, overrides, on_epoch, lineage)


def take_stored(
    store: "Store", run: "StoredRun", *, sweep_id: str | None, study: str | None
) -> RunSummary:
    """Returns a finished run as the result of a wanted one, whose sweep and study it joins."""
    from mnist_bench.store.recorders import take_into

    take_into(store, run, sweep_id=sweep_id, study=study)
    return RunSummary(run.run_id, run.name, run.metrics, stored=True)


def _runs_before(store: "Store", config: RunConfig, identity: Identity) -> list["StoredRun"]:
    """Returns the runs that were made of this one before, newest first."""
    from mnist_bench.store.runs import runs_of

    if config.sweep.match is MatchOn.all:
        # A cell may have hundreds of seeds, and each run that a search returns costs milliseconds.
        return runs_of(store, "run_fp", identity.run_fp)
    wanted = wanted_key(config, identity)
    return [
        run
        for run in runs_of(store, "cell_fp", identity.cell_fp)
        if matching_key(run.tags, run.params.get("seed", ""), config.sweep.match) == wanted
    ]


def _train(record: "_Record", on_epoch: Callable[["Epoch"], None]) -> RunSummary:
    def after_epoch(epoch: "Epoch") -> None:
        record.epoch(epoch)
        on_epoch(epoch)

    try:
        with without_startup_noise():
            from mnist_bench.train.training import (
                Diverged,
                forget_models,
                kept_programs,
                start_device,
                train,
            )

            record.device = start_device()
        _set_aside_what_stays(kept_programs().count())
        # Imports are paid once a process; no run's total may depend on whether it was the first.
        watch = Watch()
        try:
            record.start()
            result = train(record.config, record.dataset, after_epoch, kept_programs())
            return record.result(result, watch)
        except Diverged as error:
            return record.failure("diverged", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded and reported
            return record.failure("error", error)
        finally:
            # The weights of a run hang in reference cycles, up to hundreds of megabytes.
            forget_models()
            gc.collect()
    except BaseException:
        record.recorder.end("killed", {})
        raise


@cache
def _set_aside_what_stays(programs: int) -> None:
    """Lets the garbage collector leave out what is there for good, once for each kept program.

    TensorFlow and MLflow are a million objects and a compiled program many thousands; to go through
    them takes longer than a small epoch, and longer with each program. Nothing of the last run is
    alive between two, so no weights are set aside.
    """
    gc.collect()
    gc.freeze()


@dataclass(slots=True)
class _Record:
    """What becomes of one run: its metrics, files and tags, in the order of their coming."""

    config: RunConfig
    overrides: Sequence[str]
    identity: Identity
    dataset: Dataset
    recorder: "RunRecorder"
    lineage: Lineage | None
    epochs: list[dict[str, Any]] = field(default_factory=list)
    device: str = ""

    def start(self) -> None:
        """Records the data that the run works on, and checks the device that its identity says."""
        expected = environment.describe().device
        if self.device != expected:
            raise RuntimeError(
                f"TensorFlow trains on a {self.device} where a {expected} was expected, so the "
                "run's identity is wrong; CUDA_VISIBLE_DEVICES=-1 makes it a CPU for certain"
            )
        self.recorder.log_dataset(self.dataset.name, self.dataset.digest, _shapes(self.dataset))

    def epoch(self, epoch: "Epoch") -> None:
        """Records one epoch."""
        metrics = _metrics_in(epoch)
        self.epochs.append({"epoch": epoch.number, **metrics})
        self.recorder.log_epoch(
            epoch.number, metrics, epoch.step_losses.tolist(), epoch.examples.tolist()
        )

    def result(self, result: "RunResult", watch: Watch) -> RunSummary:
        """Records a training that went to its end, and last of all that the run is complete."""
        train, test = self.dataset.train, self.dataset.test
        predictions = Predictions.of(result.probabilities, test.labels)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            start = time.perf_counter()
            self._write_settings_and_curves(folder)
            artifacts.write_training_samples(folder, train.images, train.labels)
            artifacts.write_predictions(
                folder, self.identity.name, test.images, result.probabilities, predictions
            )
            artifacts.write_summary(folder, result.model, _shapes(self.dataset))
            figures_seconds = time.perf_counter() - start
            links = self.recorder.log_artifacts(folder)
        wanted = self.config.tracking.log_model
        if wanted or (wanted is None and self.lineage is None):
            from mnist_bench.train.models import portable

            versions = environment.describe().versions
            pinned = [f"{name}=={versions[name]}" for name in ("tensorflow", "keras", "numpy")]
            self.recorder.log_model(portable(result.model), pinned)
        last = {key: value for key, value in self.epochs[-1].items() if value is not None}
        disturbance = watch.stop()
        shares_machine = self.lineage is not None and self.lineage.shares_machine
        metrics = {
            **{key: float(value) for key, value in _metrics_in(result).items()},
            **self._best_validation(),
            **predictions.recalls(),
            "epoch_seconds_median": median(
                epoch["epoch_seconds"] for epoch in self.epochs[1:] or self.epochs
            ),
            "figures_seconds": figures_seconds,
            "total_seconds": disturbance.wall_seconds,
        }
        page = run_page(
            cell=self.identity.cell,
            seed=self.config.seed,
            metrics={**last, **metrics},
            published=self.config.published,
            notes=list(caveats(self.config.data).values()),
            links=links,
        )
        tags = {
            "mlflow.note.content": page,
            "mnist_bench.device": self.device,
            "mnist_bench.test_images": str(len(test.images)),
            "mnist_bench.majority_share": f"{_majority_share(test.labels.tolist()):.4f}",
            "mnist_bench.compiled": "reused" if result.is_reused else "fresh",
            **{
                f"mnist_bench.{key}": value
                for key, value in disturbance.tags(shares_machine=shares_machine).items()
            },
        }
        self.recorder.finish(metrics, tags)
        return RunSummary(self.recorder.run_id, self.identity.name, {**last, **metrics})

    def failure(self, reason: str, error: Exception) -> RunSummary:
        """Records why a run gave no result, with its curves up to there."""
        message = shown(error) or type(error).__name__
        said = f"{reason}: {message}"
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self._write_settings_and_curves(folder)
            (folder / "traceback.txt").write_text(_traceback(error), encoding="utf-8")
            links = self.recorder.log_artifacts(folder)
        page = failed_run_page(
            cell=self.identity.cell,
            seed=self.config.seed,
            failure=said,
            notes=list(caveats(self.config.data).values()),
            links=links,
        )
        tags = {
            "mlflow.note.content": page,
            "mnist_bench.device": self.device,
            "mnist_bench.failure_message": message,
        }
        self.recorder.end(reason, tags)
        return RunSummary(self.recorder.run_id, self.identity.name, {}, said)

    def _write_settings_and_curves(self, folder: Path) -> None:
        artifacts.write_settings(folder, as_plain(self.config), self.overrides)
        artifacts.write_history(folder, self.epochs)
        if self.epochs:
            note = "; ".join(caveats(self.config.data).values())
            artifacts.write_curves(
                folder, self.identity.name, self.epochs, self.config.published, note
            )

    def _best_validation(self) -> dict[str, float]:
        if self.epochs[0]["val_accuracy"] is None:
            return {}
        best = max(self.epochs, key=lambda epoch: float(epoch["val_accuracy"]))
        return {"best_val_accuracy": best["val_accuracy"], "best_val_epoch": best["epoch"]}


def _tags(
    config: RunConfig,
    identity: Identity,
    before: Sequence["StoredRun"],
    lineage: Lineage | None,
) -> dict[str, str]:
    """Returns the tags of a run that starts; `before` are those it repeats, newest first."""
    here = environment.describe()
    finished = any(not run.failure for run in before)
    facts = {
        "kind": "run",
        **identity.tags(),
        "study": config.study or "",
        "caveats": ",".join(caveats(config.data)),
        **here.versions,
        "cpu": here.cpu,
        "cores": str(here.cores),
        "threads": str(here.threads),
        "git_commit": here.git_commit,
        "git_dirty": str(here.git_dirty).lower() if here.git_commit else "",
        f"in_study.{config.study}": "1" if config.study else "",
    }
    if before:
        facts |= {"replicate": "1"} if finished else {"retry_of": before[0].run_id}
    if lineage is not None:
        facts |= {
            "sweep_id": lineage.sweep_id,
            f"sweep.{lineage.sweep_id}": "1",
        }
    tags = {f"mnist_bench.{key}": value for key, value in facts.items() if value}
    return tags if lineage is None else {**tags, "mlflow.parentRunId": lineage.parent_run_id}


def _majority_share(labels: Iterable[int]) -> float:
    """Returns the share of the most frequent class."""
    counts = Counter(labels)
    return max(counts.values()) / counts.total()


def _params(config: RunConfig) -> dict[str, Any]:
    plain = as_plain(config)
    # Figures of others are kept in config.yaml; a parameter is what the run itself went by.
    del plain["published"]
    return flatten(plain)


def _metrics_in(measured: "Epoch | RunResult") -> dict[str, Any]:
    """Returns what was measured by the names of the metrics; what is no metric is not recorded."""
    names = [field.name for field in fields(measured) if field.name in METRICS]
    return {name: getattr(measured, name) for name in names}


def _numbers(config: RunConfig) -> dict[str, float]:
    """Returns settings that people sort by as metrics, since MLflow sorts params as text."""
    return {
        "width": max(config.model.hidden_units),
        "batch_size": config.train.batch_size,
        "learning_rate": config.optimizer.learning_rate,
    }


def _shapes(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {name: split.images.shape for name, split in splits.items() if split is not None}


def _traceback(error: Exception) -> str:
    """Returns the traceback without the folders that the program happens to lie in."""
    text = "".join(traceback.format_exception(error))
    folders = sorted({*sys.path, str(Path.home()), str(Path.cwd())}, key=len, reverse=True)
    for folder in folders:
        if len(folder) > 1:
            text = text.replace(folder, "...")
    return text
