"""What `show` prints: one run, or one sweep; and what a model reads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import yaml
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mnist_bench.config.record import caveats
from mnist_bench.config.schema import DataConfig, DataName, PublishedConfig, Validation
from mnist_bench.disturbance import Timing, taken_at_most
from mnist_bench.look.pictures import Digit
from mnist_bench.look.terminal import leaderboard_table, say
from mnist_bench.metrics import CURVES, Use, used_for
from mnist_bench.report.leaderboard import rank_cells
from mnist_bench.run.description import result_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnist_bench.selection.source import Source
    from mnist_bench.store.runs import StoredRun

CURVE_WIDTH, CURVE_HEIGHT = 72, 9
BAR_WIDTH = 40
STATES = {"FINISHED": "finished", "FAILED": "FAILED", "KILLED": "KILLED", "RUNNING": "running"}


def show_run(console: Console, source: "Source", run: "StoredRun") -> None:
    """Prints one run: what it is, its result, and its curves."""
    from mnist_bench.store.runs import load_text

    published = _published(load_text(source.client, run.artifacts, "config.yaml"))
    say(console, run.name, "bold")
    console.print(_fact_grid({**_run_facts(run), **_circumstances(run), **_notes(run, published)}))
    console.print()
    if rows := result_rows(run.metrics, published):
        console.print(_results(rows, published))
        console.print()
    _print_curves(console, source, run)


def show_sweep(console: Console, source: "Source", sweep: "StoredRun") -> None:
    """Prints one sweep: how it went, its leaderboard, and the runs that gave no result."""
    runs = source.members(sweep)
    board: dict[str, list[Mapping[str, float]]] = {}
    for run in runs:
        results = board.setdefault(run.cell, [])
        if not run.failure:
            results.append(run.metrics)
    say(console, sweep.name, "bold")
    counts = ", ".join(
        f"{sweep.metrics[key]:.0f} {metric.title}"
        for key, metric in used_for(Use.sweep).items()
        if sweep.metrics.get(key)
    )
    facts = {
        "sweep": _sweep(sweep),
        "state": STATES.get(sweep.status, sweep.status),
        "runs": counts,
    }
    console.print(_fact_grid({**facts, "when": _when(sweep), "study": sweep.tags.get("study", "")}))
    console.print()
    console.print(leaderboard_table(rank_cells(board)))
    console.print()
    for run in runs:
        if run.failure:
            say(console, f"no result: {run.name}: {run.failure}", "red")
    finished = [run for run in runs if not run.failure]
    if finished:
        best = max(finished, key=lambda run: run.metrics["test_accuracy"])
        # By its id: a name may be that of a newer run too.
        command = f"python -m mnist_bench show {best.run_id[:12]}"
        say(console, f"The best of its runs: {command}")


def show_digit(console: Console, digit: Digit, probabilities: "NDArray[np.float32]") -> None:
    """Prints what a model reads in one picture.

    Args:
        console: Where to print.
        digit: The picture as the model saw it.
        probabilities: (10,) of the digits.
    """
    best = int(probabilities.argmax())
    say(console, f"{digit.name}: {best} ({probabilities[best]:.1%})", "bold")
    say(console, f"  assumed: {', '.join(digit.assumed)}")
    say(console, f"  done: {', '.join(digit.done)}")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(justify="right")
    width = max(8, min(BAR_WIDTH, console.width - 16))
    for number, probability in enumerate(probabilities.tolist()):
        style = "bold" if number == best else ""
        table.add_row(
            Text(f"  {number}", style),
            Text(f"{probability:.1%}", style),
            Bar(1, 0, probability, width=width),
        )
    console.print(table)


def _fact_grid(facts: Mapping[str, str]) -> Table:
    """Returns names and what they are, those without anything left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact:
            table.add_row(name, Text(fact))
    return table


def _run_facts(run: "StoredRun") -> dict[str, str]:
    return {
        "cell": run.tags.get("cell", ""),
        "seed": run.params.get("seed", ""),
        "state": STATES.get(run.status, run.status) + _why(run),
        "when": _when(run),
        "run": run.run_id,
        "sweep": _sweep(run),
        "study": run.tags.get("study", ""),
    }


def _sweep(run: "StoredRun") -> str:
    """Returns the sweep that a run is of or is, as a selector; empty for none."""
    return f"sweep:{run.tags['sweep_id'][:12]}" if "sweep_id" in run.tags else ""


def _why(run: "StoredRun") -> str:
    """Returns why a run has no result, behind its state; nothing if it has one or is under way."""
    return f": {run.failure}" if run.failure and run.status != "RUNNING" else ""


def _when(run: "StoredRun") -> str:
    began = datetime.fromtimestamp(run.start_ms / 1000, UTC).astimezone()
    return f"{began:%Y-%m-%d %H:%M}"


def _circumstances(run: "StoredRun") -> dict[str, str]:
    tags = run.tags
    versions = {
        "Python": "python",
        "TensorFlow": "tensorflow",
        "Keras": "keras",
        "NumPy": "numpy",
        "MLflow": "mlflow",
        "mnist_bench": "version",
    }
    counts = {"cores": "cores", "threads": "threads"}
    machine = [tags.get("cpu", ""), *(f"{tags[k]} {n}" for n, k in counts.items() if k in tags)]
    dirty = " with changes that were not committed" if tags.get("git_dirty") == "true" else ""
    return {
        "machine": ", ".join(part for part in (*machine, tags.get("device", "")) if part),
        "versions": ", ".join(f"{n} {tags[k]}" for n, k in versions.items() if k in tags),
        "commit": tags["git_commit"][:12] + dirty if "git_commit" in tags else "",
    }


def _notes(run: "StoredRun", published: PublishedConfig | None) -> dict[str, str]:
    """Returns what has to be known to read the figures."""
    # A run that was killed before its settings were recorded has none.
    notes = list(caveats(_data_config(run.params)).values()) if run.params else []
    timing = run.tags.get("timing")
    if timing == Timing.shared:
        notes.append("other runs shared the machine, so its times say little")
    elif timing == Timing.disturbed:
        notes.append(f"{taken_at_most([run.tags])} meanwhile, so its times say little")
    elif timing != Timing.alone and not run.failure:
        notes.append("it was not measured whether it had the machine to itself")
    return {
        "note": "; ".join(notes),
        "published": published.source if published else "",
    }


def _data_config(params: Mapping[str, str]) -> DataConfig:
    path, limit = params["data.path"], params["data.train_limit"]
    return DataConfig(
        name=DataName(params["data.name"]),
        path=None if path == "null" else path,
        divisor=float(params["data.divisor"]),
        validation=Validation(params["data.validation"]),
        train_limit=None if limit == "null" else int(limit),
    )


def _published(config: str) -> PublishedConfig | None:
    """Returns the published figures in the text of a run's `config.yaml`."""
    plain = (yaml.safe_load(config) or {}).get("published")
    return PublishedConfig(**plain) if plain else None


def _results(rows: Sequence[Sequence[str]], published: PublishedConfig | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    table.add_column("this run", justify="right", no_wrap=True)
    if published:
        table.add_column("published", justify="right", overflow="fold")
    for row in rows:
        table.add_row(*(row if published else row[:2]))
    return table


def _print_curves(console: Console, source: "Source", run: "StoredRun") -> None:
    from mnist_bench.look import sketch
    from mnist_bench.store.runs import load_curve

    if not console.encoding.startswith("utf"):
        say(console, "No curves: they need a terminal with UTF-8.")
        return
    width = min(CURVE_WIDTH, console.width)
    for title, keys in CURVES.items():
        curves = {name: load_curve(source.client, run.run_id, key) for name, key in keys.items()}
        known = {name: curve for name, curve in curves.items() if curve}
        if not known:
            say(console, f"No curve of {title}: no epoch gave a number.")
            continue
        console.print(Text.from_ansi(sketch.sketch_curves(title, known, width, CURVE_HEIGHT)))
        console.print()
