"""What a sweep makes of runs that a store holds."""

from dataclasses import replace
from typing import Any

from rich.console import Console

from mnist_bench import environment
from mnist_bench.look.terminal import PLAIN_WIDTH
from mnist_bench.metrics import Use, used_for
from mnist_bench.store.runs import StoredRun
from mnist_bench.sweep.plan import PlannedRun
from mnist_bench.sweep.progress import show_plan
from mnist_bench.sweep.prospects import State, assess
from tests.composed import plan


def finished(run: PlannedRun, **changes: str) -> StoredRun:
    """A run of this environment with a result."""
    tags = {**environment.describe().versions, **run.identity.tags(), **changes}
    return StoredRun(
        run_id="f" * 32,
        name=run.identity.name,
        status="FINISHED",
        start_ms=0,
        params={"seed": str(run.config.seed)},
        metrics=dict.fromkeys(used_for(Use.needed), 0.5),
        tags={**tags, "kind": "run", "complete": "1"},
        parent_run_id="",
        artifacts="",
        experiment_id="",
    )


def said(*arguments: str, **changes: str) -> tuple[State, str]:
    made = plan("grid=none", *arguments)
    [run] = made.runs
    prospects = assess(made, [finished(run, **changes)])
    console = Console(width=PLAIN_WIDTH, record=True)
    show_plan(console, made, prospects, 0)
    return prospects[0].state, console.export_text()


def test_a_finished_run_of_the_same_identity_is_taken() -> None:
    state, text = said()
    assert state is State.done
    assert text == "1 runs: 1 finished before\n"


def test_the_plan_says_why_a_finished_run_is_run_again() -> None:
    other, now = {"run_fp": "0" * 64}, environment.describe().versions
    for changes, why in (
        ({"code_fp": "0" * 64}, "the code that decides results"),
        ({"keras": "3.0", "env_fp": "0"}, f"keras 3.0 -> {now['keras']}"),
        ({"env_fp": "0"}, "the device, or flags of TensorFlow"),
        (
            {"code_fp": "0", "version": "0.0.1"},
            "the code that decides results, mnist_bench 0.0.1 -> 0.1.0",
        ),
    ):  # fmt: skip
        state, text = said(**other, **changes)
        assert state is State.new
        assert f"1 of them finished before, and are run again, since this changed: {why}\n" in text


def test_it_says_so_too_where_versions_need_not_match() -> None:
    state, text = said("sweep.match=code", run_fp="0", keras="3.0", env_fp="0")
    assert state is State.done
    assert "sweep.match=code: 1 of them ran under other versions" in text
    state, text = said("sweep.match=code", run_fp="0", code_fp="0")
    assert state is State.new
    assert "since this changed: the code that decides results" in text


def test_another_cell_or_seed_or_data_is_no_reason() -> None:
    for changes in ({"cell_fp": "0"}, {"data_fp": "0"}):
        state, text = said(run_fp="0", **changes)
        assert state is State.new
        assert "changed" not in text
    made = plan("grid=none", "seed=0,1")
    first, second = made.runs
    old = replace(finished(first), tags={**finished(first).tags, "run_fp": "0", "code_fp": "0"})
    changed: dict[Any, Any] = {p.run.config.seed: p.changed for p in assess(made, [old])}
    assert bool(changed[first.config.seed])
    assert not changed[second.config.seed]
