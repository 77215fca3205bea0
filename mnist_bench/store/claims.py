"""Who may train a run, and which runs nobody trains any more."""

import time
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.entities import RunTag

from mnist_bench.environment import process_is_gone
from mnist_bench.store.opening import Store, sqlite_path
from mnist_bench.store.runs import PREFIX, StoredRun, find_runs

HEARTBEAT_SECONDS = 60
"""A run on another host that was silent for longer, and for five epochs, is taken for dead."""


class Claim:
    """The right to train a run, or to lead a sweep, which one process at a time has.

    Beside a store in a file it is a lock of the operating system, which ends with the process that
    holds it, however that ends. A store behind a server has no place for one: there the run that
    was made first goes on (see `RunRecorder.elder`).
    """

    def __init__(self, store: Store, name: str) -> None:
        path = sqlite_path(store.uri)
        self._lock = None if path is None else FileLock(f"{path}.claims/{name}.lock")
        if path is not None:
            Path(f"{path}.claims").mkdir(exist_ok=True)

    def take(self, *, wait: bool) -> bool:
        """Returns whether the claim is held now; waits for another process to give it up."""
        if self._lock is None:
            return True
        try:
            self._lock.acquire(blocking=wait)
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


def end_stale(store: Store) -> list[StoredRun]:
    """Ends and returns all runs and sweeps that the store holds for running and nobody runs.

    They become KILLED; MLflow itself would leave them RUNNING for ever. Several processes may do
    this at once.
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
        if store.client.get_run(run.run_id).info.status != "RUNNING" or not is_gone(store, run):
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


def is_gone(store: Store, run: StoredRun) -> bool:
    """Returns whether nobody runs a run any more that the store holds for running."""
    if sqlite_path(store.uri) is not None:
        return True  # its claim was free
    gone = process_is_gone(run.tags["process"])
    if gone is not None:
        return gone
    seconds = time.time() - int(run.tags["heartbeat"]) / 1000
    return seconds > max(HEARTBEAT_SECONDS, 5 * run.metrics.get("epoch_seconds", 0.0))
