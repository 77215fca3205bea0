"""Runs as they are compared: one number a metric; and baseline files that need no store."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_bench.config.schema import SEMANTIC
from mnist_bench.environment import machine_of
from mnist_bench.errors import Refusal
from mnist_bench.metrics import INCOMPLETE, METRICS, Use, has_result, used_for
from mnist_bench.text import ordered, shown

if TYPE_CHECKING:
    from mnist_bench.store.runs import StoredRun


BASELINE_SCHEMA = "mnist_bench.baseline/1"
"""What a baseline file says it is; a change of its form raises the number."""

FACTS = (
    *("code_fp", "data_fp", "env_fp", "host_fp", "git_commit", "git_dirty"),
    *("version", "python", "tensorflow", "keras", "numpy", "mlflow"),
    *("device", "cpu", "cores", "threads", "compiled", "caveats"),
    *("timing", "foreign_cpu_share", "steal_share", "test_images", "majority_share"),
)
"""The tags of a run that say under which circumstances it ran; `machine` is a fact besides."""


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
        facts: Under which circumstances it ran: `FACTS`, and as `machine` on which one.
        metrics: Those that are compared and that it has, finite.
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

    def number(self, fact: str) -> float | None:
        """Returns a fact that is a positive number; None where it is not known, or is none."""
        try:
            number = float(self.facts.get(fact, ""))
        except ValueError:
            return None
        return number if 0 < number < math.inf else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Runs that were chosen together.

    Attributes:
        label: How they were chosen, as one printable line.
        samples: At least one.
    """

    label: str
    samples: tuple[Sample, ...]


def split_by(selection: Selection, key: str) -> list[Selection]:
    """Returns a selection split by a setting or a fact, in the order of its values.

    Raises:
        Refusal: If the runs do not have the key, or all have one value of it.
    """
    parts: dict[str, list[Sample]] = {}
    for sample in selection.samples:
        value = sample.settings.get(key, sample.facts.get(key))
        if value is None:
            names = sorted({*selection.samples[0].settings, *selection.samples[0].facts})
            raise Refusal(
                f"--by {shown(key)}: {shown(sample.name)} has no such key; there are: "
                f"{', '.join(names)}"
            )
        parts.setdefault(value, []).append(sample)
    if len(parts) == 1:
        raise Refusal(
            f"--by {shown(key)}: all runs have {shown(next(iter(parts)))}; there is nothing to "
            "compare it with"
        )
    return [Selection(shown(f"{key}={value}"), tuple(parts[value])) for value in ordered(parts)]


def write_baseline(path: Path, selection: Selection) -> None:
    """Writes the raw samples, so that they can be compared with where there is no store.

    Raises:
        Refusal: If the file cannot be written.
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
        raise Refusal(f"{shown(path)}: cannot write it: {error.strerror}") from error


def read_baseline(path: Path) -> Selection:
    """Returns the samples of a baseline file.

    Raises:
        Refusal: If it cannot be read, is not such a file, or has a number that no run gives.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise Refusal(f"{shown(path)}: cannot read it: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = shown(error)
        raise Refusal(f"{shown(path)}: is not a baseline file: {reason}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != BASELINE_SCHEMA:
        raise Refusal(
            f"{shown(path)}: is not a baseline file of this version (its schema is "
            f"{shown(schema)}, not {BASELINE_SCHEMA}); write it again with --export"
        )
    rows = content.get("samples")
    if not isinstance(rows, list) or not rows:
        raise Refusal(f"{shown(path)}: holds no samples; write it again with --export")
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
        raise Refusal(f"{shown(path)}: sample {number} must have exactly {', '.join(names)}")
    for name in names:
        if not types.get(name, lambda value: isinstance(value, str))(row[name]):
            raise Refusal(f"{shown(path)}: sample {number}: {name} is not of its type")
    sample = Sample(**row)
    for name, value in sample.metrics.items():
        metric = METRICS.get(name)
        if metric is not None and not metric.least <= value <= metric.most:
            raise Refusal(
                f"{shown(path)}: sample {number}: metrics.{name} must be from {metric.least:g} to "
                f"{metric.most:g}, got {shown(value)}; write the file again with --export"
            )
    whole = sample.failure or has_result(sample.metrics)
    return sample if whole else replace(sample, failure=INCOMPLETE)


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


def is_known(run: "StoredRun") -> bool:
    """Returns False for a run that was killed between its creation and its settings.

    It trained nothing, and nothing tells which cell it is of; the next command runs it again.
    """
    return bool(run.params) or run.status not in ("RUNNING", "KILLED")


def sample_of(run: "StoredRun") -> Sample:
    """Returns a stored run as a sample."""
    seed = run.params.get("seed", "")
    if not seed.isdecimal():
        raise Refusal(f"run:{run.run_id}: has no seed, so it is no run of this program")
    return Sample(
        run_id=run.run_id,
        name=run.name or run.run_id,
        cell=run.tags.get("cell", "") or run.run_id,
        seed=int(seed),
        start_ms=run.start_ms,
        failure=run.failure,
        settings={
            key: value
            for key, value in run.params.items()
            if key.partition(".")[0] in SEMANTIC and key != "data.path"
        },
        facts={key: run.tags[key] for key in FACTS if key in run.tags}
        | ({"machine": machine} if (machine := machine_of(run.tags.get("process", ""))) else {}),
        metrics={
            key: run.metrics[key]
            for key in used_for(Use.compared)
            if key in run.metrics and math.isfinite(run.metrics[key])
        },
        parent_run_id=run.parent_run_id,
    )


def newest_parent(samples: Sequence[Sample]) -> str:
    """Returns the id of the sweep of the newest of some runs that has one; empty for none."""
    return max(
        ((s.start_ms, s.parent_run_id) for s in samples if s.parent_run_id), default=(0, "")
    )[1]
