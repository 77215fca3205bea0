"""Which runs a command is about: selectors of a store, and baseline files that need none."""

import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mnist_bench.config import SEMANTIC, shown
from mnist_bench.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnist_bench.tracking import Client, StoredRun

BASELINE_SCHEMA = "mnist_bench.baseline/1"
"""What a baseline file says it is; a change of its form raises the number."""

SELECTORS = (
    "sweep:ID, latest, experiment:NAME, study:NAME, tag:KEY=VALUE, git:COMMIT, run:ID[,ID], "
    'filter:"...", FILE.json'
)
History: TypeAlias = Mapping[str, tuple[float, ...]]
"""A metric's values of epoch 1, 2, ... by its key; NaN where an epoch has none."""
MOST_CHOICES = 8
"""How many names a refusal lists."""

FACTS = (
    *("code_fp", "data_fp", "env_fp", "host_fp", "git_commit", "git_dirty"),
    *("version", "python", "tensorflow", "keras", "numpy", "mlflow"),
    *("device", "cpu", "cores", "threads", "timing", "compiled", "caveats"),
)
"""The tags of a run that say under which circumstances it ran."""


class ComparisonError(ValueError):
    """What is refused, of runs that were asked for; one line that says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run, of a store or of a baseline file: one number a metric.

    Attributes:
        run_id: MLflow's.
        name: Readable.
        cell: Readable name of its cell.
        seed: The run's.
        start_ms: When it started, in milliseconds since 1970.
        failure: Empty if the run has a result, otherwise why it has none.
        settings: What decides the result apart from seed and data, by configuration key.
        facts: Under which circumstances it ran, of `FACTS`.
        metrics: Those of `METRICS` that it has, finite.
        parent_run_id: Of its sweep; empty for none.
    """

    run_id: str
    name: str
    cell: str
    seed: int
    start_ms: int
    failure: str
    settings: dict[str, str]
    facts: dict[str, str]
    metrics: dict[str, float]
    parent_run_id: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Runs that were chosen together.

    Attributes:
        label: How they were chosen, as one printable line.
        samples: At least one.
    """

    label: str
    samples: tuple[Sample, ...]


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
            ComparisonError: If it means nothing, or more than one thing.
            tracking.TrackingError: If the store cannot be read.
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
            raise ComparisonError(f"{shown(selector)}: no such selector; there are: {SELECTORS}")
        runs = list(filter(_is_known, runs))
        if not runs:
            raise ComparisonError(f"{shown(selector)}: no run matches; {self._what_there_is()}")
        self._artifacts |= {run.run_id: run.artifacts for run in runs}
        return Selection(shown(selector), tuple(map(_sample, runs)))

    def sweep(self, selector: str) -> "StoredRun | None":
        """Returns the record of the sweep that a selector means; None if it means other runs.

        Raises:
            ComparisonError: If there is no such sweep, or more than one.
            tracking.TrackingError: If the store cannot be read.
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
        from mnist_bench import tracking

        plan = tracking.read_artifact(self.client, sweep.artifacts, "plan.csv") or b""
        return [row["name"] for row in csv.DictReader(io.StringIO(plan.decode()))]

    def history(self, sample: Sample) -> History:
        """Returns the metrics of a run by epoch; none if they are not kept, or cannot be read."""
        try:
            return _columns((self._file(sample, "history.csv") or b"").decode())
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
        from mnist_bench import tracking

        if sample.run_id not in self._artifacts:  # of a baseline file
            self._artifacts[sample.run_id] = tracking.artifacts_of(self.client, sample.run_id)
        return tracking.read_artifact(self.client, self._artifacts[sample.run_id], path)

    def named(self, name: str) -> "list[StoredRun]":
        """Returns the runs and sweeps that a person calls so, newest first; at least one.

        Args:
            name: `latest` (run), `sweep:ID`, an id or the beginning of one, or the name of a run.

        Raises:
            ComparisonError: If there is none, or the beginning of an id is one of several.
            tracking.TrackingError: If the store cannot be read.
        """
        if name == "latest":
            found = self._search("", most=1)
        elif name.startswith("sweep:"):
            if not name[6:].isalnum():
                raise ComparisonError(f"{shown(name)}: the id of a sweep is letters and digits")
            key = _tag_key("mnist_bench.sweep_id")
            found = self._search(f"{key} LIKE '{name[6:]}%'", kind="sweep")
        else:
            found = self._search(f"attributes.run_name = {_quoted(name)}", kind="%")
            if not found and name.isalnum():
                found = self._search(f"attributes.run_id LIKE '{name}%'", kind="%")
                if len(found) > 1:
                    raise ComparisonError(
                        f"{shown(name)}: is the beginning of {len(found)} runs; "
                        f"{_choices(f'{run.run_id[:12]} ({run.name})' for run in found)}"
                    )
        if not found:
            newest = dict.fromkeys(run.name for run in self._search("", kind="%", most=50))
            choices = _choices(["latest", *newest] if newest else [])
            raise ComparisonError(f"{shown(name)}: there is no such run; {choices}")
        return found

    def members(self, sweep: "StoredRun") -> list[Sample]:
        """Returns the newest run with a result, or else the newest, of each cell and seed.

        Args:
            sweep: Its record; the runs come in the order in which they were begun.
        """
        kept: dict[tuple[str, int], Sample] = {}
        for sample in map(_sample, filter(_is_known, reversed(self._members(sweep)))):
            key = (sample.cell, sample.seed)
            if not sample.failure or kept.get(key, sample).failure:
                kept[key] = sample
        return list(kept.values())

    def correct_predictions(self, sample: Sample) -> "NDArray[np.bool_] | None":
        """Returns for each test image whether a run classified it correctly; None if unknown."""
        import numpy as np

        answers = self.answers(sample)
        return None if answers is None else np.asarray(answers.predicted == answers.labels)

    def attach(self, run_id: str, texts: Mapping[str, str]) -> None:
        """Keeps texts as artifacts of a run, by path."""
        from mnist_bench import tracking

        tracking.log_texts(self.client, run_id, texts)

    @cached_property
    def client(self) -> "Client":
        """MLflow's client for the store, which has to exist."""
        from mnist_bench import tracking

        return tracking.open_existing(self._uri)

    @cached_property
    def _experiments(self) -> dict[str, str]:
        """Id by name."""
        from mnist_bench import tracking

        ids = tracking.experiment_ids(self.client)
        only = self._experiment_name
        return ids if only is None else {name: id_ for name, id_ in ids.items() if name == only}

    def _search(
        self, condition: str, kind: str = "run", most: int | None = None
    ) -> "list[StoredRun]":
        from mnist_bench import tracking

        condition = f"{condition} and " if condition else ""
        return tracking.find_runs(
            self.client,
            list(self._experiments.values()),
            f"{condition}tags.`mnist_bench.kind` LIKE '{kind}'",
            most,
        )

    def _filter(self, condition: str) -> "list[StoredRun]":
        from mnist_bench import tracking

        try:
            return self._search(condition)
        except tracking.TrackingError as error:
            reason = shown(error.__cause__, limit=400)
            raise ComparisonError(f"filter:{shown(condition)}: MLflow says: {reason}") from error

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
            raise ComparisonError(f"{wanted}: there is no such sweep; {_choices(newest)}")
        if start and len(found) > 1:
            raise ComparisonError(
                f"sweep:{shown(start)}: is the beginning of {len(found)} sweeps; "
                f"{_choices(f'sweep:{i[:12]}' for i in found)}"
            )
        return next(sweep for sweep in sweeps if sweep.tags.get("sweep_id") == found[0])

    def _members(self, sweep: "StoredRun") -> "list[StoredRun]":
        from mnist_bench import tracking

        # The same sweep has the same id in every experiment.
        key = _tag_key(f"mnist_bench.sweep.{sweep.tags['sweep_id']}")
        condition = f"{key} = '1' and tags.`mnist_bench.kind` = 'run'"
        return tracking.find_runs(self.client, [sweep.experiment_id], condition)

    def _experiment(self, name: str) -> "list[StoredRun]":
        from mnist_bench import tracking

        if name not in self._experiments:
            names = [f"experiment:{other}" for other in self._experiments]
            raise ComparisonError(
                f"experiment:{shown(name)}: there is no such experiment; {_choices(names)}"
            )
        return tracking.find_runs(
            self.client, [self._experiments[name]], "tags.`mnist_bench.kind` = 'run'"
        )

    def _study(self, name: str) -> "list[StoredRun]":
        return self._search(f"{_tag_key(f'mnist_bench.in_study.{name}')} = '1'")

    def _tag(self, pair: str) -> "list[StoredRun]":
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ComparisonError(f"tag:{shown(pair)}: needs a key and a value, tag:KEY=VALUE")
        if not key.startswith("mnist_bench."):
            found = self._search(f"{_tag_key(key)} = {_quoted(value)}")
            if found:
                return found
            key = f"mnist_bench.{key}"
        return self._search(f"{_tag_key(key)} = {_quoted(value)}")

    def _git(self, commit: str) -> "list[StoredRun]":
        if not commit.isalnum():
            raise ComparisonError(f"git:{shown(commit)}: a commit is letters and digits")
        runs = self._search(f"{_tag_key('mnist_bench.git_commit')} LIKE '{commit}%'")
        commits = {run.tags["git_commit"] for run in runs}
        if len(commits) > 1:
            names = _choices(f"git:{name[:12]}" for name in sorted(commits))
            raise ComparisonError(
                f"git:{shown(commit)}: is the beginning of {len(commits)} commits; {names}"
            )
        return runs

    def _run_ids(self, value: str) -> "list[StoredRun]":
        wanted = [run_id.strip() for run_id in value.split(",") if run_id.strip()]
        bad = [run_id for run_id in wanted if not run_id.isalnum()]
        if bad:
            raise ComparisonError(f"run:{shown(bad[0])}: an id of a run is letters and digits")
        listed = ",".join(f"'{run_id}'" for run_id in wanted)
        runs = self._search(f"attributes.run_id IN ({listed})")
        unknown = sorted(set(wanted) - {run.run_id for run in runs})
        if unknown:
            raise ComparisonError(
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


def split_by(selection: Selection, key: str) -> list[Selection]:
    """Returns a selection split by a setting or a fact, in the order of its values.

    Raises:
        ComparisonError: If the runs do not have the key, or all have one value of it.
    """
    parts: dict[str, list[Sample]] = {}
    for sample in selection.samples:
        value = sample.settings.get(key, sample.facts.get(key))
        if value is None:
            names = sorted({*selection.samples[0].settings, *selection.samples[0].facts})
            raise ComparisonError(
                f"--by {shown(key)}: {shown(sample.name)} has no such key; there are: "
                f"{', '.join(names)}"
            )
        parts.setdefault(value, []).append(sample)
    if len(parts) == 1:
        raise ComparisonError(
            f"--by {shown(key)}: all runs have {shown(next(iter(parts)))}; there is nothing to "
            "compare it with"
        )
    return [Selection(shown(f"{key}={value}"), tuple(parts[value])) for value in ordered(parts)]


def write_baseline(path: Path, selection: Selection) -> None:
    """Writes the raw samples, so that they can be compared with where there is no store.

    Raises:
        ComparisonError: If the file cannot be written.
    """
    content = {
        "schema": BASELINE_SCHEMA,
        "selector": selection.label,
        "samples": [
            asdict(sample)
            for sample in sorted(selection.samples, key=lambda s: (s.cell, s.seed, s.run_id))
        ],
    }
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ComparisonError(f"{shown(path)}: cannot write it: {error.strerror}") from error


def read_baseline(path: Path) -> Selection:
    """Returns the samples of a baseline file.

    Raises:
        ComparisonError: If it cannot be read, or is not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise ComparisonError(f"{shown(path)}: cannot read it: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = shown(error)
        raise ComparisonError(f"{shown(path)}: is not a baseline file: {reason}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != BASELINE_SCHEMA:
        raise ComparisonError(
            f"{shown(path)}: is not a baseline file of this version (its schema is "
            f"{shown(schema)}, not {BASELINE_SCHEMA}); write it again with --export"
        )
    rows = content.get("samples")
    if not isinstance(rows, list) or not rows:
        raise ComparisonError(f"{shown(path)}: holds no samples; write it again with --export")
    return Selection(
        shown(path.name), tuple(_parse(path, number, row) for number, row in enumerate(rows))
    )


def _parse(path: Path, number: int, row: Any) -> Sample:
    """Returns one sample of a file, nothing of which is trusted."""
    types: dict[str, Callable[[Any], bool]] = {
        "seed": _is_whole,
        "start_ms": _is_whole,
        "settings": lambda value: _is_table(value, str),
        "facts": lambda value: _is_table(value, str),
        "metrics": lambda value: (
            _is_table(value, int | float) and all(map(_is_finite, value.values()))
        ),
    }
    names = [field.name for field in fields(Sample)]
    if not isinstance(row, dict) or row.keys() != set(names):
        raise ComparisonError(
            f"{shown(path)}: sample {number} must have exactly {', '.join(names)}"
        )
    for name in names:
        if not types.get(name, lambda value: isinstance(value, str))(row[name]):
            raise ComparisonError(f"{shown(path)}: sample {number}: {name} is not of its type")
    return Sample(**row)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_table(value: Any, of: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, of) for item in value.values())


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value) and not isinstance(value, bool)
    except OverflowError:
        return False


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _is_known(run: "StoredRun") -> bool:
    """Returns False for a run that was killed between its creation and its settings.

    It trained nothing, and nothing tells which cell it is of; the next command runs it again.
    """
    return bool(run.params) or run.status not in ("RUNNING", "KILLED")


def _sample(run: "StoredRun") -> Sample:
    seed = run.params.get("seed", "")
    if not seed.isdecimal():
        raise ComparisonError(f"run:{run.run_id}: has no seed, so it is no run of this program")
    return Sample(
        run_id=run.run_id,
        name=run.name or run.run_id,
        cell=run.tags.get("cell", "") or run.run_id,
        seed=int(seed),
        start_ms=run.start_ms,
        failure=failure_of(run),
        settings={
            key: value
            for key, value in run.params.items()
            if key.partition(".")[0] in SEMANTIC and key != "data.path"
        },
        facts={key: run.tags[key] for key in FACTS if key in run.tags},
        metrics={
            key: run.metrics[key]
            for key in METRICS
            if key in run.metrics and math.isfinite(run.metrics[key])
        },
        parent_run_id=run.parent_run_id,
    )


def failure_of(run: "StoredRun") -> str:
    """Returns why a run has no result, in a line; empty if it has one."""
    if run.is_reusable():
        return ""
    if run.status == "FINISHED":
        return "incomplete"
    reason = shown(run.tags.get("failure") or run.status.lower())
    message = run.tags.get("failure_message")
    return f"{reason}: {shown(message)}" if message else reason


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
        raise ComparisonError(f"{shown(key)}: MLflow cannot search for a tag with ` in its name")
    return f"tags.`{key}`"


def _quoted(value: str) -> str:
    for quote in "'\"":
        if quote not in value:
            return f"{quote}{value}{quote}"
    raise ComparisonError(f"{shown(value)}: MLflow cannot search for both kinds of quotes")


def _columns(text: str) -> History:
    """Returns a table of numbers by column, NaN where there is none."""
    reader = csv.DictReader(io.StringIO(text))
    rows = list(reader)
    columns = {
        key: tuple(float(row[key]) if row[key] else math.nan for row in rows)
        for key in reader.fieldnames or ()
    }
    return {key: values for key, values in columns.items() if not all(map(math.isnan, values))}


def ordered(values: Iterable[str]) -> list[str]:
    """Returns numbers by size, lists of numbers likewise, and other text by the numbers in it.

    So 3.9 comes before 3.15, and [64] before [64,32] and that before [128].
    """
    values = list(values)
    try:
        return sorted(values, key=float)
    except ValueError:
        pass
    try:
        return sorted(values, key=json.loads)
    except (ValueError, TypeError):
        return sorted(values, key=_by_text_and_number)


def _by_text_and_number(text: str) -> list[str | int]:
    parts = re.split(r"(\d+)", text)  # text and digits take turns
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def newest_parent(samples: Sequence[Sample]) -> str:
    """Returns the id of the sweep of the newest of some runs that has one; empty for none."""
    return max(
        ((s.start_ms, s.parent_run_id) for s in samples if s.parent_run_id), default=(0, "")
    )[1]
