"""Writes the figures of docs/performance.md and README.md from benchmarks/results/*.json.

    python -m docs.make_performance            fill tables, draw plots
    python -m docs.make_performance --check    only see that they are those of the files

Only what stands between markers, `<!-- name -->` to `<!-- end of name -->`, is changed. What was
not measured says so.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from docs.make_comparing import paste

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
IMAGES = HERE / "images"
PAGES = (HERE / "performance.md", HERE.parent / "README.md")

BLUE, VERMILLION, FAINT = "#0072B2", "#D55E00", "#DDDDDD"
"""Of the palette of the suite's own figures."""

OURS = "ours"
NOT_MEASURED = "Not measured."
APART = "†: more than 10 % apart"
Record = Mapping[str, Any]
"""What a file of results, or a part of it, holds."""

SPENT_ON = {
    "imports": "imports",
    "data": "reading and checking the data",
    "store": "opening the store",
    "plan": "the plan",
    "compile": "compilation",
    "train": "**training**",
    "eval": "evaluation",
    "tracking": "MLflow",
    "figures": "figures and files",
    "other": "other: Python, Hydra, the start of TensorFlow's devices",
}


def read() -> dict[str, dict[str, Any]]:
    """Returns all results that there are."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")
    }


def epochs(record: Record) -> str:
    """Returns our steady epochs, and how many times as long others take, as a table."""
    peers = list(dict.fromkeys(name for found in record["networks"].values() for name in found))
    peers.remove(OURS)
    rows = []
    for network, found in record["networks"].items():
        ratios = [_summary(found[name]["ratio"], 1) if name in found else "" for name in peers]
        rows.append([network, _summary(found[OURS]["steady_epoch_seconds"], 3), *ratios])
    header = ["network", "ours, s/epoch", *(f"{name} / ours" for name in peers)]
    n = next(iter(record["networks"].values()))[OURS]["ratio"]["n"]
    return "\n\n".join([_table(header, rows), f"n = {n} rounds; {APART}. {_where(record)}"])


def peers(record: Record) -> str:
    """Returns an epoch of everyone, with the targets."""
    rows = []
    for network, found in record["networks"].items():
        fastest = found[OURS]["steady_epoch_seconds"]["min"]
        for name, figures in found.items():
            target = figures["target"]
            ratio = figures["ratio"]
            best = figures["steady_epoch_seconds"]["min"] / fastest
            rows.append(
                [
                    network,
                    name,
                    _summary(figures["steady_epoch_seconds"], 3),
                    "" if name == OURS else _summary(ratio, 2),
                    "" if target is None else _judged(target, ratio["median"]),
                    "" if name == OURS else f"{best:.2f}",
                    _summary(figures["first_epoch_seconds"], 2),
                    f"{figures['test_accuracy']:.4f}",
                ]
            )
    header = ["network", "by", "s/epoch", "/ ours", "target", "fastest / our fastest"]
    header += ["compilation and epoch 1, s"]
    n = next(iter(record["networks"].values()))[OURS]["ratio"]["n"]
    said = f"n = {n} rounds. {_where(record)}"
    if record["skipped"]:
        said += f" Skipped, since not installed: {', '.join(record['skipped'])}."
    return "\n\n".join([_table([*header, "test accuracy"], rows), said])


def roofline(record: Record) -> str:
    """Returns the bounds of this machine and the share of them that is attained."""
    columns = {
        "products_seconds": "products, s",
        "update_seconds": "updates, s",
        "serial_bound_seconds": "one after the other, s",
        "overlapped_bound_seconds": "at once, s",
        "steady_epoch_seconds": "measured epoch, s",
        "attained_share": "attained share",
    }
    rows = []
    for network, found in record["networks"].items():
        digits = [2 if key == "attained_share" else 3 for key in columns]
        figures = [_summary(found[key], d) for key, d in zip(columns, digits, strict=True)]
        target = found["target"]
        judged = "" if target is None else _judged(target, found["attained_share"]["median"])
        best = found["serial_bound_seconds"]["min"] / found["steady_epoch_seconds"]["min"]
        rows.append([network, *figures, judged, f"{best:.2f}"])
    n = next(iter(record["networks"].values()))["attained_share"]["n"]
    header = ["network", *columns.values(), "target", "share of the fastest"]
    return "\n\n".join([_table(header, rows), f"n = {n} rounds. {_where(record)}"])


def end_to_end(record: Record) -> str:
    """Returns whole jobs against plain scripts."""
    names = {"studies": "five notebook studies", "sweep": "default sweep, 32 runs"}
    found = {name: record[part] for part, name in names.items() if part in record}
    rows = [
        [
            name,
            _summary(part["ours_seconds"], 0),
            _summary(part["plain_seconds"], 0),
            _summary(part["ratio"], 1),
            _judged(part["target"], part["ratio"]["median"]),
        ]
        for name, part in found.items()
    ]
    header = ["job", "ours, s", "plain scripts, s", "plain / ours", "target"]
    said = [_table(header, rows)]
    if "sweep" in record:
        said.append(
            "The sweep's {scripts_timed} scripts were timed, one for each width, optimizer and "
            "batch size, and their time taken times {scaled_by}, since the styles are one "
            "network.".format(**record["sweep"])
        )
    said += [
        f"{name.capitalize()}: n = {part['ratio']['n']}. {_where(part)}"
        for name, part in found.items()
    ]
    return "\n\n".join(said)


def costs(record: Record) -> str:
    """Returns what the time of a run goes to, by itself and in a sweep."""
    parts = {"a single run": "single", "a run of the default sweep": "sweep"}
    columns = {
        title: {
            # Means, since means add up.
            name: statistics.fmean(one["seconds_of_a_run"][name] for one in record[part]["rounds"])
            for name in SPENT_ON
        }
        for title, part in parts.items()
        if part in record
    }
    rows = []
    for name, title in SPENT_ON.items():
        cells = [_seconds_and_share(column[name], column) for column in columns.values()]
        rows.append([title, *cells])
    totals = [column.values() for column in columns.values()]
    rows.append(["all", *(f"{sum(total):.2f} s" for total in totals)])
    rows.append(
        [
            "all but training",
            *(
                _seconds_and_share(sum(column.values()) - column["train"], column)
                for column in columns.values()
            ),
        ]
    )
    used = ", ".join(
        f"{title}: n = {len(record[part]['rounds'])}"
        for title, part in parts.items()
        if part in record
    )
    measured = next(record[part] for part in parts.values() if part in record)
    return "\n\n".join(
        [_table(["seconds of wall time", *columns], rows), f"Means; {used}. {_where(measured)}"]
    )


def _seconds_and_share(seconds: float, column: Mapping[str, float]) -> str:
    return f"{seconds:.2f} s, {seconds / sum(column.values()):.0%}"


def seeds(record: Record) -> str:
    """Returns what a further seed of a compiled cell takes beside its training."""
    columns = {
        "train_seconds": "training, s",
        "beside_training_seconds": "beside it, s",
        "eval_seconds": "evaluation",
        "figures_seconds": "figures and files",
        "tracking_seconds": "MLflow",
        "rest_seconds": "the rest",
    }
    rows = []
    for cell, found in record["cells"].items():
        figures = [_summary(found[key], 2) for key in columns]
        beside = found["beside_training_seconds"]["median"]
        kept = "met" if beside <= record["limit"] else "**not met**"
        rows.append([cell, *figures, f"at most {record['limit']:g}: {kept}"])
    n = next(iter(record["cells"].values()))["train_seconds"]["n"]
    header = ["cell", *columns.values(), "target"]
    return "\n\n".join([_table(header, rows), f"n = {n} seeds; {APART}. {_where(record)}"])


def width(record: Record) -> str:
    """Returns time and memory by width."""
    return _one_by_one(record, "width", "hidden units")


def batch(record: Record) -> str:
    """Returns time and memory by batch size."""
    return _one_by_one(record, "batch", "batch size")


def _one_by_one(record: Record, part: str, title: str) -> str:
    rows = [
        [
            f"{row['value']:,}",
            f"{row['params_total']['median']:,.0f}",
            _summary(row["epoch_seconds_median"], 3),
            f"{row['examples_per_second']['median']:,.0f}",
            _summary(row["compile_seconds"], 2),
            f"{row['peak_memory_bytes']['median'] / 1e9:.2f}",
        ]
        for row in record["rows"]
    ]
    header = [title, "parameters", "s/epoch", "examples/s", "compilation, s", "peak memory, GB"]
    settings = ", ".join(f"`{setting}`" for setting in record["settings"])
    n = record["rows"][0]["epoch_seconds_median"]["n"]
    return "\n\n".join(
        [
            _table(header, rows),
            f"{settings}; n = {n} each, in processes of their own. {_where(record)}",
            _picture(part, f"Seconds of an epoch and peak memory by {title}"),
        ]
    )


def runs(record: Record) -> str:
    """Returns seconds and memory along a sweep of tiny runs."""
    seconds, memory = record["seconds"], record["peak_memory_bytes"]
    count = len(memory)
    rows = []
    for at in [place for place in (10, 20, 100, 200, 300, 1_000) if place < count] + [count]:
        rows.append(
            [
                f"{at:,}",
                f"{statistics.median(seconds[max(0, at - 10) : at]):.2f}",
                f"{statistics.median(memory[max(0, at - 10) : at]) / 1e9:.3f}",
            ]
        )
    verdict = "within" if record["memory_growth"] <= record["memory_growth_limit"] else "**beyond**"
    said = (
        f"{count} runs took {record['process_seconds']:.0f} s. Memory at the end is "
        f"{record['memory_growth']:+.1%} of that after run 20, {verdict} the limit of "
        f"{record['memory_growth_limit']:.0%}. n = 1 sweep. {_where(record)}"
    )
    header = ["after run", "seconds a run", "peak memory of a run, GB"]
    return "\n\n".join(
        [_table(header, rows), said, _picture("runs", "Seconds and memory of each tiny run")]
    )


def store(record: Record) -> str:
    """Returns what the plan and `compare` take by number of runs in the store."""
    rows = []
    for row in record["rows"]:
        cells = [f"{row['value']:,}"]
        for what in ("plan", "compare"):
            found = row.get(what)
            cells.append(_limited(found) if found else "")
            cells.append(f"{found['peak_memory_bytes'] / 1e6:.0f}" if found else "")
        rows.append(cells)
    header = ["runs in the store", f"plan of {record['planned']:,} cells, s", "peak, MB"]
    header += ["`compare`, s", "peak, MB"]
    said = f"Limits in brackets; n = 1 process each. {_where(record)}"
    return "\n\n".join(
        [
            _table(header, rows),
            said,
            _picture("store", "Seconds of the plan and of compare by runs in the store"),
        ]
    )


def _limited(found: Record) -> str:
    if found["limit"] is None:
        return f"{found['seconds']:.1f}"
    sign = "<" if found["seconds"] < found["limit"] else "**over**"
    return f"{found['seconds']:.1f} ({sign} {found['limit']:g})"


PARTS: dict[str, tuple[tuple[str, ...], Callable[[Record], str]]] = {
    "epochs": (("peers",), epochs),
    "peers": (("peers",), peers),
    "roofline": (("roofline",), roofline),
    "end_to_end": (("end_to_end",), end_to_end),
    "costs": (("end_to_end",), costs),
    "seeds": (("end_to_end", "seeds"), seeds),
    "width": (("scaling", "width"), width),
    "batch": (("scaling", "batch"), batch),
    "runs": (("scaling", "runs"), runs),
    "store": (("scaling", "store"), store),
}
"""Marker -> file of results, and part of it, and what to make of them."""


def fill(page: str, results: Record) -> str:
    """Returns a page with each part that it has filled from the results."""
    for name, (place, make) in PARTS.items():
        if f"<!-- {name} -->" in page:
            found = _find(results, place)
            page = paste(page, name, make(found) if found else NOT_MEASURED)
    return page


def _find(results: Record, place: Sequence[str]) -> Any:
    found: Any = results
    for name in place:
        found = found.get(name)
        if found is None:
            return None
    return found


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (header, *rows)]
    return "\n".join([lines[0], f"|---|{'--:|' * (len(header) - 1)}", *lines[1:]])


def _summary(found: Mapping[str, Any], digits: int) -> str:
    text = f"{found['median']:.{digits}f}"
    if found["n"] > 1:
        text += f" ({found['min']:.{digits}f} to {found['max']:.{digits}f})"
    return text + " †" * found["noisy"]


def _judged(target: float, median: float) -> str:
    return f"{target:g}: {'met' if median >= target else '**not met**'}"


def _where(record: Record) -> str:
    machine = record["machine"]
    versions = machine["versions"]
    names = {"python": "Python", "tensorflow": "TensorFlow", "keras": "Keras", "mlflow": "MLflow"}
    said = [f"{machine['cores']} cores of {machine['cpu'].partition(' (')[0]}"]
    said += [f"{title} {versions[name]}" for name, title in names.items() if name in versions]
    said.append(f"commit {machine['git_commit'][:10]}{' and changes' * machine['git_dirty']}")
    first = record if "load_average" in record else record["rounds"][0]
    said.append(f"load {first['load_average']:.1f} when it began")
    return f"{', '.join(said)}; {machine['time']}."


def _picture(part: str, title: str) -> str:
    return f"![{title}](images/perf_{part}.svg)"


def plot_width(record: Record) -> Figure:
    """Draws time and memory by width."""
    return _plot_one_by_one(record, "hidden units")


def plot_batch(record: Record) -> Figure:
    """Draws time and memory by batch size."""
    return _plot_one_by_one(record, "batch size")


def _plot_one_by_one(record: Record, title: str) -> Figure:
    figure, (left, right) = _two_axes()
    values = [row["value"] for row in record["rows"]]
    epochs = [row["epoch_seconds_median"] for row in record["rows"]]
    memory = [row["peak_memory_bytes"]["median"] / 1e9 for row in record["rows"]]
    middles = [epoch["median"] for epoch in epochs]
    below = [epoch["median"] - epoch["min"] for epoch in epochs]
    above = [epoch["max"] - epoch["median"] for epoch in epochs]
    left.errorbar(values, middles, yerr=[below, above], color=BLUE, marker="o", capsize=3)
    _use_log_scale(left)
    left.set_ylabel("seconds of an epoch")
    right.plot(values, memory, color=BLUE, marker="o")
    right.set_ylim(0, 1.1 * max(memory))
    right.set_ylabel("peak memory, GB")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(values, [f"{value}" for value in values])
        axes.set_xlabel(title)
    return figure


def plot_runs(record: Record) -> Figure:
    """Draws seconds and memory of each run of a sweep."""
    figure, (left, right) = _two_axes()
    seconds = record["seconds"]
    memory = [size / 1e9 for size in record["peak_memory_bytes"]]
    left.plot(range(1, len(seconds) + 1), seconds, ".", color=BLUE, markersize=3)
    left.set_ylabel("seconds a run")
    right.plot(range(1, len(memory) + 1), memory, color=BLUE)
    right.set_ylabel("peak memory of a run, GB")
    for axes, values in ((left, seconds), (right, memory)):
        axes.set_ylim(0, 1.1 * max(values))
        axes.set_xlabel("run of the sweep")
    return figure


def plot_store(record: Record) -> Figure:
    """Draws seconds and memory of plan and `compare` by runs in the store."""
    figure, (left, right) = _two_axes()
    highest = 0.0
    for what, look in (
        ("plan", {"color": BLUE, "marker": "o"}),
        ("compare", {"color": VERMILLION, "marker": "s", "linestyle": "--"}),
    ):
        rows = [row for row in record["rows"] if row["value"] and what in row]
        counts = [row["value"] for row in rows]
        title = f"plan of {record['planned']:,} cells" if what == "plan" else what
        left.plot(counts, [row[what]["seconds"] for row in rows], label=title, **look)
        memory = [row[what]["peak_memory_bytes"] / 1e6 for row in rows]
        right.plot(counts, memory, label=title, **look)
        highest = max(highest, *memory)
    _use_log_scale(left)
    left.set_ylabel("seconds of the process")
    left.legend(frameon=False)
    right.set_ylim(0, 1.1 * highest)
    right.set_ylabel("peak memory, MB")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
        axes.set_xlabel("runs in the store")
    return figure


def _two_axes() -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(8.6, 3.0), layout="constrained")
    axes = figure.subplots(1, 2)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(color=FAINT, linewidth=0.6)
    return figure, axes


def _use_log_scale(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


PLOTS: dict[str, Callable[[Record], Figure]] = {
    "width": plot_width,
    "batch": plot_batch,
    "runs": plot_runs,
    "store": plot_store,
}
"""Part of the scaling -> its plot."""


def digest(record: Record) -> str:
    """Returns what a plot carries to tell which record it was drawn from."""
    return f"record {sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}"


def image(part: str) -> Path:
    """Returns the file of a plot."""
    return IMAGES / f"perf_{part}.svg"


def draw(part: str, record: Record) -> None:
    """Draws a plot into its file; the same record gives the same bytes."""
    with rc_context({"svg.hashsalt": part}):
        metadata = {"Date": None, "Description": digest(record)}
        PLOTS[part](record).savefig(image(part), metadata=metadata)


def is_drawn(part: str, record: Record) -> bool:
    """Returns whether a plot is there, and of this record."""
    path = image(part)
    return path.exists() and digest(record) in path.read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it differs")
    options = parser.parse_args(arguments)

    results = read()
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    made = {path: fill(page, results) for path, page in pages.items()}
    plotted = {part: results.get("scaling", {}).get(part) for part in PLOTS}
    records = {part: record for part, record in plotted.items() if record}
    if options.check:
        return int(made != pages or not all(is_drawn(*item) for item in records.items()))
    for path, page in made.items():
        path.write_text(page, encoding="utf-8")
    for part, record in records.items():
        draw(part, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
