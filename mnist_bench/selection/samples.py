"""Runs as they are compared: one number a metric; and baseline files that need no store."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnist_bench.config.schema import SEMANTIC
from mnist_bench.environment import machine_of
from mnist_bench.errors import Refusal
from mnist_bench.metrics import Use, used_for
from mnist_bench.text import ordered, shown

if TYPE_CHECKING:
    from mnist_bench.store.runs import StoredRun


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
