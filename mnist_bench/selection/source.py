"""Selectors: which runs of a store a person means, and what is kept of them."""

import csv
import io
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mnist_bench.errors import Refusal, StoreError
from mnist_bench.selection.baselines import read_baseline
from mnist_bench.selection.samples import Sample, Selection, is_known, sample_of
from mnist_bench.text import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnist_bench.store.opening import Client
    from mnist_bench.store.runs import StoredRun


SELECTORS = (
    "sweep:ID, latest, experiment:NAME, study:NAME, tag:KEY=VALUE, git:COMMIT, run:ID[,ID], "
    'filter:"...", FILE.json'
)

History: TypeAlias = Mapping[str, tuple[float, ...]]
"""A metric's values of epoch 1, 2, ... by its key; NaN where an epoch has none."""

MOST_CHOICES = 8
"""How many names a refusal lists."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a run said of the test images.

    Attributes:
        predicted: (n,) uint8, the most probable digit.
        labels: (n,) uint8, the true one.
    """

    predicted: "NDArray[np.uint8]"
    labels: "NDArray[np.uint8]"


class Source:
    """Where selectors look: a store that is opened when the first of them needs it.

    Args:
        tracking_uri: As `tracking.uri` of a run.
        experiment: The only one to look in; None for all.
    """

    def __init__(self, tracking_uri: str | None, experiment: str | None = None) -> None:
        self._uri = tracking_uri
        self._experiment_name = experiment
        self._artifacts: dict[str, str] = {}  # run id -> where they lie

    def select(self, selector: str) -> Selection:
        """Returns the runs that a selector means.

        Raises:
            Refusal: If it means nothing, or more than one thing.
            StoreError: If the store cannot be read.
        """
        word, colon, value = selector.partition(":")
        by_word: dict[str, Callable[[str], list[StoredRun]]] = {
            "sweep": self._sweep,
            "experiment": self._experiment,
            "study": self._study,
            "tag": self._tag,
            "git": self._git,
            "run": self._run_ids,
            "filter": self._filter,
        }
        if selector == "latest":
            runs = self._sweep("")
        elif colon and word in by_word and value.strip():
            runs = by_word[word](value.strip())
        elif selector.endswith(".json") or Path(selector).is_file():
            return read_baseline(Path(selector))
        else:
            raise Refusal(f"{shown(selector)}: no such selector; there are: {SELECTORS}")
        runs = list(filter(is_known, runs))
        if not runs:
            raise Refusal(f"{shown(selector)}: no run matches; {self._what_there_is()}")
        self._artifacts |= {run.run_id: run.artifacts for run in runs}
        return Selection(shown(selector), tuple(map(sample_of, runs)))

    def sweep(self, selector: str) -> "StoredRun | None":
        """Returns the record of the sweep that a selector means; None if it means other runs.

        Raises:
            Refusal: If there is no such sweep, or more than one.
            StoreError: If the store cannot be read.
        """
        word, _, start = selector.partition(":")
        if selector != "latest" and word != "sweep":
            return None
        return self._sweep_record("" if selector == "latest" else start.strip())

    def keeps(self, selection: Selection) -> bool:
        """Returns whether a selection came from the store: a baseline file has numbers alone."""
        return all(sample.run_id in self._artifacts for sample in selection.samples)

    def planned(self, sweep: "StoredRun") -> list[str]:
        """Returns the names of all runs that a sweep planned; none if it was cut off before."""
        from mnist_bench.store.runs import read_artifact

        plan = read_artifact(self.client, sweep.artifacts, "plan.csv") or b""
        return [row["name"] for row in csv.DictReader(io.StringIO(plan.decode()))]

    def history(self, sample: Sample) -> History:
        """Returns the metrics of a run by epoch; none if they are not kept, or cannot be read."""
        try:
            return columns_of((self._file(sample, "history.csv") or b"").decode())
        except ValueError:
            return {}

    def answers(self, sample: Sample) -> Answers | None:
        """Returns what a run said of the test images; None if it is not kept, or cannot be read."""
        import numpy as np

        content = self._file(sample, "predictions.npz")
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return Answers(arrays["predicted"], arrays["label"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def _file(self, sample: Sample, path: str) -> bytes | None:
        from mnist_bench.store.runs import artifacts_of, read_artifact

        if sample.run_id not in self._artifacts:  # of a baseline file
            self._artifacts[sample.run_id] = artifacts_of(self.client, sample.run_id)
        return read_artifact(self.client, self._artifacts[sample.run_id], path)

    def named(self, name: str) -> "list[StoredRun]":
        """Returns the runs and sweeps that a person calls so, newest first; at least one.

        Args:
            name: `latest` (run), `sweep:ID`, an id or the beginning of one, or the name of a run.

        Raises:
            Refusal: If there is none, or the beginning of an id is one of several.
            StoreError: If the store cannot be read.
        """
        if name == "latest":
            found = self._search("", most=1)
        elif name.startswith("sweep:"):
            if not name[6:].isalnum():
                raise Refusal(f"{shown(name)}: the id of a sweep is letters and digits")
            key = _tag_key("mnist_bench.sweep_id")
            found = self._search(f"{key} LIKE '{name[6:]}%'", kind="sweep")
        else:
            found = self._search(f"attributes.run_name = {_filter_literal(name)}", kind="%")
            if not found and name.isalnum():
                found = self._search(f"attributes.run_id LIKE '{name}%'", kind="%")
                if len(found) > 1:
                    raise Refusal(
                        f"{shown(name)}: is the beginning of {len(found)} runs; "
                        f"{_choices(f'{run.run_id[:12]} ({run.name})' for run in found)}"
                    )
        if not found:
            newest = dict.fromkeys(run.name for run in self._search("", kind="%", most=50))
            choices = _choices(["latest", *newest] if newest else [])
            raise Refusal(f"{shown(name)}: there is no such run; {choices}")
        return found

    def members(self, sweep: "StoredRun") -> list[Sample]:
        """Returns the newest run with a result, or else the newest, of each cell and seed.

        Args:
            sweep: Its record; the runs come in the order in which they were begun.
        """
        kept: dict[tuple[str, int], Sample] = {}
        for sample in map(sample_of, filter(is_known, reversed(self._members(sweep)))):
            key = (sample.cell, sample.seed)
            if not sample.failure or kept.get(key, sample).failure:
                kept[key] = sample
        return list(kept.values())

    def correct_predictions(self, sample: Sample) -> "NDArray[np.bool_] | None":
        """Returns for each test image whether a run classified it correctly; None if unknown.

        A baseline file can be compared where there is no store, and has no predictions.
        """
        import numpy as np

        try:
            answers = self.answers(sample)
        except StoreError:
            if sample.run_id in self._artifacts:
                raise
            return None
        return None if answers is None else np.asarray(answers.predicted == answers.labels)

    def attach(self, run_id: str, texts: Mapping[str, str]) -> None:
        """Keeps texts as artifacts of a run, by path."""
        from mnist_bench.store.recorders import log_texts

        log_texts(self.client, run_id, texts)

    @cached_property
    def client(self) -> "Client":
        """MLflow's client for the store, which has to exist."""
        from mnist_bench.store.opening import open_existing

        return open_existing(self._uri)

    @cached_property
    def _experiments(self) -> dict[str, str]:
        """Id by name."""
        from mnist_bench.store.opening import experiment_ids

        ids = experiment_ids(self.client)
        only = self._experiment_name
        return ids if only is None else {name: id_ for name, id_ in ids.items() if name == only}

    def _search(
        self, condition: str, kind: str = "run", most: int | None = None
    ) -> "list[StoredRun]":
        from mnist_bench.store.runs import find_runs

        condition = f"{condition} and " if condition else ""
        return find_runs(
            self.client,
            list(self._experiments.values()),
            f"{condition}tags.`mnist_bench.kind` LIKE '{kind}'",
            most,
        )

    def _filter(self, condition: str) -> "list[StoredRun]":

        try:
            return self._search(condition)
        except StoreError as error:
            reason = shown(error.__cause__, limit=400)
            raise Refusal(f"filter:{shown(condition)}: MLflow says: {reason}") from error

    def _sweep(self, start: str) -> "list[StoredRun]":
        """Returns the runs of the sweep whose id starts like this; of the newest, if empty."""
        return self._members(self._sweep_record(start))

    def _sweep_record(self, start: str) -> "StoredRun":
        """Returns the newest record of the sweep whose id starts like this; of any, if empty."""
        sweeps = self._search("", kind="sweep")
        found = list(dict.fromkeys(_sweep_ids(sweeps, start)))
        if not found:
            wanted = f"sweep:{shown(start)}" if start else "latest"
            newest = [f"sweep:{i[:12]}" for i in dict.fromkeys(_sweep_ids(sweeps, ""))]
            raise Refusal(f"{wanted}: there is no such sweep; {_choices(newest)}")
        if start and len(found) > 1:
            raise Refusal(
                f"sweep:{shown(start)}: is the beginning of {len(found)} sweeps; "
                f"{_choices(f'sweep:{i[:12]}' for i in found)}"
            )
        return next(sweep for sweep in sweeps if sweep.tags.get("sweep_id") == found[0])

    def _members(self, sweep: "StoredRun") -> "list[StoredRun]":
        from mnist_bench.store.runs import find_runs

        # The same sweep has the same id in every experiment.
        key = _tag_key(f"mnist_bench.sweep.{sweep.tags['sweep_id']}")
        condition = f"{key} = '1' and tags.`mnist_bench.kind` = 'run'"
        return find_runs(self.client, [sweep.experiment_id], condition)

    def _experiment(self, name: str) -> "list[StoredRun]":
        from mnist_bench.store.runs import find_runs

        if name not in self._experiments:
            names = [f"experiment:{other}" for other in self._experiments]
            raise Refusal(
                f"experiment:{shown(name)}: there is no such experiment; {_choices(names)}"
            )
        return find_runs(self.client, [self._experiments[name]], "tags.`mnist_bench.kind` = 'run'")

    def _study(self, name: str) -> "list[StoredRun]":
        return self._search(f"{_tag_key(f'mnist_bench.in_study.{name}')} = '1'")

    def _tag(self, pair: str) -> "list[StoredRun]":
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise Refusal(f"tag:{shown(pair)}: needs a key and a value, tag:KEY=VALUE")
        if not key.startswith("mnist_bench."):
            found = self._search(f"{_tag_key(key)} = {_filter_literal(value)}")
            if found:
                return found
            key = f"mnist_bench.{key}"
        return self._search(f"{_tag_key(key)} = {_filter_literal(value)}")

    def _git(self, commit: str) -> "list[StoredRun]":
        if not commit.isalnum():
            raise Refusal(f"git:{shown(commit)}: a commit is letters and digits")
        runs = self._search(f"{_tag_key('mnist_bench.git_commit')} LIKE '{commit}%'")
        commits = {run.tags["git_commit"] for run in runs}
        if len(commits) > 1:
            names = _choices(f"git:{name[:12]}" for name in sorted(commits))
            raise Refusal(
                f"git:{shown(commit)}: is the beginning of {len(commits)} commits; {names}"
            )
        return runs

    def _run_ids(self, value: str) -> "list[StoredRun]":
        wanted = [run_id.strip() for run_id in value.split(",") if run_id.strip()]
        bad = [run_id for run_id in wanted if not run_id.isalnum()]
        if bad:
            raise Refusal(f"run:{shown(bad[0])}: an id of a run is letters and digits")
        listed = ",".join(f"'{run_id}'" for run_id in wanted)
        runs = self._search(f"attributes.run_id IN ({listed})")
        unknown = sorted(set(wanted) - {run.run_id for run in runs})
        if unknown:
            raise Refusal(
                f"run:{shown(unknown[0])}: there is no such run (a sweep is chosen by sweep:ID); "
                f"{self._what_there_is()}"
            )
        return runs

    def _what_there_is(self) -> str:
        """Returns what one could choose instead, for a refusal."""
        sweeps = self._search("", kind="sweep")
        studies = {f"study:{run.tags['study']}" for run in sweeps if "study" in run.tags}
        experiments = [f"experiment:{name}" for name in self._experiments]
        newest = [f"sweep:{i[:12]}" for i in dict.fromkeys(_sweep_ids(sweeps, ""))]
        return _choices([*sorted(studies), *experiments, *newest])


def _sweep_ids(sweeps: "Iterable[StoredRun]", start: str) -> list[str]:
    ids = (run.tags.get("sweep_id", "") for run in sweeps)
    return [sweep_id for sweep_id in ids if sweep_id and sweep_id.startswith(start)]


def _choices(names: Iterable[str]) -> str:
    listed = [shown(name) for name in names]
    if not listed:
        return "the store has no runs yet"
    more = f" and {len(listed) - MOST_CHOICES} more" if len(listed) > MOST_CHOICES else ""
    return f"choose from: {', '.join(listed[:MOST_CHOICES])}{more}"


def _tag_key(key: str) -> str:
    if "`" in key:
        raise Refusal(f"{shown(key)}: MLflow cannot search for a tag with ` in its name")
    return f"tags.`{key}`"


def _filter_literal(value: str) -> str:
    for quote in "'\"":
        if quote not in value:
            return f"{quote}{value}{quote}"
    raise Refusal(f"{shown(value)}: MLflow cannot search for both kinds of quotes")


def columns_of(text: str) -> History:
    """Returns a table of numbers by column, NaN where there is none."""
    reader = csv.DictReader(io.StringIO(text))
    rows = list(reader)
    columns = {
        key: tuple(float(row[key]) if row[key] else math.nan for row in rows)
        for key in reader.fieldnames or ()
    }
    return {key: values for key, values in columns.items() if not all(map(math.isnan, values))}
