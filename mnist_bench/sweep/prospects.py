"""What the store says of a planned run, and so what a sweep does about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean
from typing import TYPE_CHECKING

from mnist_bench.config.schema import Resume
from mnist_bench.identity import changes_since, matching_key, wanted_key
from mnist_bench.sweep.plan import Plan, PlannedRun

if TYPE_CHECKING:
    from mnist_bench.store.runs import StoredRun


class State(Enum):
    """What the store says of a planned run, and so what a sweep does about it."""

    done = "finished before"
    retry = "to be run again"
    new = "to be run"
    left = "never started, left out"


@dataclass(frozen=True, slots=True)
class Prospect:
    """A planned run in the light of the store.

    Attributes:
        run: What is planned.
        state: What is to be done about it.
        stored: The finished run that is taken instead, if there is one.
        seconds: Estimate from earlier runs; None where there are none.
        changed: What keeps an earlier run of the same cell, data and seed from being taken.
    """

    run: PlannedRun
    state: State
    stored: "StoredRun | None"
    seconds: float | None
    changed: tuple[str, ...] = ()


def assess(plan: Plan, stored: Sequence["StoredRun"]) -> list[Prospect]:
    """Returns what is to be done about each run of a plan, in its order.

    `stored` are all runs of the MLflow experiment, newest first.
    """
    finished: dict[tuple[str, ...], StoredRun] = {}
    outdated: dict[tuple[str, ...], StoredRun] = {}
    tried: set[tuple[str, ...]] = set()
    seconds: dict[tuple[str, str], list[float]] = {}
    match = plan.runs[0].config.sweep.match
    for old in stored:
        if old.tags.get("kind") != "run":
            continue
        # A run that died before its parameters were written has no seed.
        seed = old.params.get("seed", "")
        key = matching_key(old.tags, seed, match)
        if not old.failure:
            finished.setdefault(key, old)
            outdated.setdefault((old.tags["cell_fp"], old.tags["data_fp"], seed), old)
            kind = old.tags["cell_fp"], old.tags.get("compiled", "fresh")
            seconds.setdefault(kind, []).append(old.metrics["total_seconds"])
        else:
            tried.add(key)
    anyhow = [value for values in seconds.values() for value in values]

    prospects = []
    compiled: set[str] = set()
    for run in plan.runs:
        key = wanted_key(run.config, run.identity)
        resume = run.config.sweep.resume
        done = finished.get(key) if resume is not Resume.off else None
        if done:
            state = State.done
        elif key in tried:
            state = State.retry
        else:
            state = State.left if resume is Resume.failed else State.new
        # Only the first run of a cell compiles its program.
        cell = run.identity.cell_fp
        kinds = ("reused", "fresh") if cell in compiled else ("fresh", "reused")
        known = next((seconds[cell, kind] for kind in kinds if (cell, kind) in seconds), anyhow)
        if state in (State.new, State.retry):
            compiled.add(cell)
        before = outdated.get((cell, run.identity.data_fp, str(run.config.seed)))
        changed = changes_since(before.tags, run.identity) if before and not done else ()
        prospects.append(
            Prospect(run, state, done, fmean(known) if known else None, tuple(changed))
        )
    return prospects
