import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mnist_bench.look.terminal import (
    PLAIN_WIDTH,
    WHERE_TO_LOOK,
    epoch_line,
    leaderboard_table,
    make_console,
    make_progress,
    result_table,
    say,
    show_summary,
)
from mnist_bench.report.leaderboard import Standing, rank_cells
from mnist_bench.run.execute import RunSummary
from mnist_bench.sweep.progress import SweepProgress, show_outcome, show_plan, show_prospects
from mnist_bench.sweep.prospects import assess
from mnist_bench.text import duration
from tests.composed import plan

METRICS = {
    "train_accuracy": 0.98454,
    "val_accuracy": 0.97561,
    "test_accuracy": 0.97641,
    "test_loss": 0.07624,
    "params_total": 1_101_770.0,
    "epoch_seconds_median": 0.38044,
    "compile_seconds": 2.881,
    "total_seconds": 116.14,
    "peak_memory_bytes": 1_450_000_000.0,
}
FIGURES = ["0.9845", "0.9756", "0.9764", "0.0762", "1,101,770", "0.380", "2.88", "116.1", "1.45"]
NAMES = [
    "sequential_list 128 adam b32 s0",
    "sequential_list 65536-65536-65536-65536 adamw b1000000 activation=hard_sigmoid "
    "learning_rate=1e-07 weight_decay=0.123456 beta_1=0.12345 epsilon=1e-08 amsgrad=True "
    "epochs=100000 engine=fit_tuned custom-0123abcd divisor=127.5 validation=train_tail s1",
]
MARKUP = [
    "[red]x[/red]",
    "[/]",
    "[link=http://evil.example]x[/link]",
    ":smile:",
    "\\[x]",
    "[b",
    "*é*",
]


def on_a_terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def epoch(**changes: float | None) -> Any:
    """Stands for a `training.Epoch`, which would bring TensorFlow."""
    known = {
        "number": 3,
        "train_loss": 0.123456,
        "train_accuracy": 0.98765,
        "val_loss": 0.2,
        "val_accuracy": 0.96,
        "epoch_seconds": 1.239,
    }
    return SimpleNamespace(**{**known, **changes})


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_without_a_terminal_there_are_plain_lines_only(
    forced: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in forced.items():
        monkeypatch.setenv(name, value)
    console = make_console()
    made = plan("grid=none", "seed=0,0,1", "sweep.exclude=[{seed:1}]")
    prospects = assess(made, [])
    with make_progress(console) as progress:
        bar = progress.add_task("epochs", total=3)
        say(console, epoch_line(epoch(), 3), "red")
        progress.advance(bar)
    show_plan(console, made, prospects, workers=1, stale=2)
    show_prospects(console, prospects)
    (planned,) = made.runs
    failed = RunSummary("id", NAMES[1], {}, "diverged: the loss became nan in epoch 1, step 3")
    finished = RunSummary("id", planned.identity.name, METRICS, "")
    with SweepProgress(console, 0, made.runs, {}, 1) as shown:
        shown.show(planned.identity.run_fp, finished)
    show_summary(console, finished)
    show_summary(console, failed)
    show_outcome(console, rank_cells({"a": [METRICS] * 2}), [finished, failed], ["x s0"])
    output = capsys.readouterr().out
    assert all(line.isprintable() for line in output.split("\n"))
    for part in (
        "epoch 3/3  loss 0.1235  acc 0.9877  val loss 0.2000  val acc 0.9600  1.24 s",
        "asked for more than once, run once: sequential_list 128 adam b32 s0",
        "excluded: sequential_list 128 adam b32 s1",
        "[1/1] sequential_list 128 adam b32 s0  test acc 0.9764  0.380 s/epoch  116.1 s",
        f"FAILED {NAMES[1]}: diverged: the loss became nan in epoch 1, step 3",
        "3 runs: 1 finished, 1 failed, 1 missing",
        "0.9764 ± 0.0000",
    ):
        assert part in output.splitlines() or any(part in line for line in output.splitlines())
    assert "━" not in output


def test_on_a_terminal_there_is_a_bar_that_leaves_nothing_behind() -> None:
    console = on_a_terminal(100)
    with make_progress(console) as progress:
        bar = progress.add_task("epochs", total=2)
        say(console, "epoch 1/2")
        progress.advance(bar)
    output = printed(console)
    assert "━" in output
    assert "1/2" in output
    assert output.endswith("\x1b[2K")


@pytest.mark.parametrize("text", MARKUP)
def test_nothing_is_taken_for_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = make_console()
    say(console, text)
    console.print(leaderboard_table(rank_cells({text: []})))
    first, _, _, last = capsys.readouterr().out.splitlines()
    assert first == text
    assert last.split()[0] == text


def test_a_line_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    line = "a word " * 100
    say(make_console(), line)
    assert capsys.readouterr().out == line + "\n"


@pytest.mark.parametrize("width", [80, 100, None])
def test_no_figure_and_no_name_is_cut_off(width: int | None) -> None:
    plain = Console(file=io.StringIO(), width=PLAIN_WIDTH)
    console = on_a_terminal(width) if width else plain
    console.print(result_table(METRICS, console.width))
    lines = printed(console).splitlines()
    assert lines[-1].split() == FIGURES
    assert all(len(line.rstrip()) <= console.width for line in lines)

    standings = [
        Standing(
            cell=name.removesuffix(f" s{index}"),
            seeds=5,
            means=METRICS | {"total_seconds": 16.1},
            half_width=0.00123,
        )
        for index, name in enumerate(NAMES)
    ]
    console.print(leaderboard_table(standings))
    board = printed(console).splitlines()[len(lines) :]
    assert "…" not in "".join(board)
    figures = ["5", "0.9764", "±", "0.0012", "0.0762", "0.380", "16.1", "1,101,770"]
    assert sum(line.split()[-len(figures) :] == figures for line in board) == 2
    # Whatever it is wrapped to, every word of a name is there, in its order.
    words = " ".join(word for line in board for word in line.split() if word not in figures)
    words = words.replace(" ", "")
    for standing in standings:
        assert standing.cell.replace(" ", "") in words


def test_a_result_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    without = {key: value for key, value in METRICS.items() if key != "val_accuracy"}
    show_summary(make_console(), RunSummary("id", NAMES[0], without, ""))
    output = capsys.readouterr().out
    assert "val acc" not in output
    assert "train acc" in output
    assert NAMES[0] in output
    assert "trained again" not in output
    stored = RunSummary("id", NAMES[0], METRICS, "", stored=True)
    show_summary(make_console(), stored)
    assert "not trained again (sweep.resume=off does)" in capsys.readouterr().out


def test_lines_of_epochs() -> None:
    assert epoch_line(epoch(), 10) == (
        "epoch  3/10  loss 0.1235  acc 0.9877  val loss 0.2000  val acc 0.9600  1.24 s"
    )
    assert epoch_line(epoch(val_loss=None, val_accuracy=None, train_loss=float("nan")), 5) == (
        "epoch 3/5  loss nan  acc 0.9877  1.24 s"
    )


def test_a_sweep_shows_each_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    made = plan("grid=none", "seed=range(0,10)")
    console = make_console()
    with SweepProgress(console, 3, made.runs, {}, 2) as shown:
        for run in made.runs:
            failure = "error: boom" if run.config.seed == 4 else ""
            summary = RunSummary("id", run.identity.name, METRICS, failure)
            shown.show(run.identity.run_fp, summary)
            shown.show(run.identity.run_fp, summary)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines] == [f"[{number:>2}/10]" for number in range(1, 11)]
    assert "to go" in lines[0]
    assert "to go" not in lines[-1]
    assert lines[4].startswith("[ 5/10] sequential_list 128 adam b32 s4  FAILED error: boom")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (150.1, "3 min"),
        (5_340, "89 min"),
        (5_400, "1 h 30 min"),
        (7_200, "2 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_where_to_look_names_what_exists() -> None:
    makefile = Path(__file__).parents[2] / "Makefile"
    if not makefile.exists():
        pytest.skip("not a checkout")
    assert "make ui" in WHERE_TO_LOOK
    assert "\nui:" in makefile.read_text()
