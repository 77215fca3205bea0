"""Opens MLflow stores: which one a setting means, made where it does not exist, or only read."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from mnist_bench.errors import StoreError
from mnist_bench.store.views import EXPERIMENT_TAGS, saved_views

Client = MlflowClient
"""What `open_existing` returns, by a name that needs no import of MLflow elsewhere."""

DEFAULT_URI = "sqlite:///mlflow.db"
PAGE = 1_000
"""Runs that one search returns."""


@dataclass(frozen=True, slots=True)
class Store:
    """An opened MLflow store, by its absolute URI, and the experiment that runs go into."""

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
    path = sqlite_path(chosen)
    return chosen if path is None else f"sqlite:///{path}"


def open_store(uri: str | None, experiment: str) -> Store:
    """Returns the store, made if it does not exist, as does the experiment.

    Several processes may do this at once: one makes the store under a lock, since MLflow's own
    creation fails in all but one of them.

    Raises:
        StoreError: If the store cannot be opened or written.
    """
    absolute = absolute_uri(uri)
    path = sqlite_path(absolute)
    with store_errors(absolute):
        if path is None:
            client = MlflowClient(absolute)
            return Store(absolute, client, _experiment_id(client, experiment, None), experiment)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            client = MlflowClient(absolute)  # makes the tables
            experiment_id = _experiment_id(client, experiment, path.parent / "mlruns")
            # Readers and writers then do not wait for each other; the setting stays in the file.
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        return Store(absolute, client, experiment_id, experiment)


def open_existing(uri: str | None) -> MlflowClient:
    """Returns a client for a store that is only read; it is not made if it does not exist.

    Raises:
        StoreError: If it does not exist or cannot be opened.
    """
    absolute = absolute_uri(uri)
    path = sqlite_path(absolute)
    if path is not None and not path.is_file():
        raise StoreError(
            f"tracking.uri: there is no store {path.name} here; run something first, or go to the "
            "folder that has it, or name it"
        )
    with store_errors(absolute):
        # Another process may just be making it; where nothing can be written, nobody is.
        writable = path is not None and os.access(path.parent, os.W_OK)
        with FileLock(f"{path}.lock") if writable else nullcontext():
            client = MlflowClient(absolute)
            client.search_experiments(max_results=1)
        return client


def experiment_ids(client: MlflowClient) -> dict[str, str]:
    """Returns the id of each experiment by its name.

    Raises:
        StoreError: If the store cannot be read.
    """
    found: dict[str, str] = {}
    token = None
    with store_errors("the store"):
        while True:
            page = client.search_experiments(max_results=PAGE, page_token=token)
            found |= {experiment.name: experiment.experiment_id for experiment in page}
            token = page.token
            if not token:
                return found


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turns whatever MLflow and its database raise in a block into one line."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, ImportError, OSError, sqlite3.Error) as error:
        message = re.sub(r"\s+", " ", str(error))[:300]
        raise StoreError(
            f"tracking.uri: cannot use {described(uri)}: {message}; "
            f"give another one, e.g. tracking.uri={DEFAULT_URI}"
        ) from error


def _experiment_id(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            raise StoreError(
                f"tracking.experiment: '{name}' was deleted in this store; restore it with "
                f"`mlflow experiments restore -x {found.experiment_id}` or choose another name"
            )
        add_views(client, found)
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


def add_views(client: MlflowClient, experiment: Experiment) -> None:
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


def sqlite_path(uri: str) -> Path | None:
    """Returns the file of a SQLite URI; None for any other store."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).resolve() if uri.startswith(prefix) else None


def described(uri: str) -> str:
    """Returns a tracking URI without the credentials in it."""
    return re.sub(r"//[^/@]*@", "//", uri)
