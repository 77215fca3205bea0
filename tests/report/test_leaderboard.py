import csv
import io
import math
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from mnist_bench.config.schema import PublishedConfig
from mnist_bench.report.leaderboard import Standing, leaderboard_csv, rank_cells, standing_cells
from mnist_bench.run.description import failed_run_page, run_page
from mnist_bench.sweep.description import plan_csv, sweep_page
from mnist_bench.sweep.prospects import assess
from tests.composed import plan

HOSTILE = [
    "a|b",
    "a\\|b",
    "a\\\\|b",
    "ends in \\",
    "a\nb\r\nc\vd\u2028e",
    "x |\n| --- |\n| y | z |",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></tr></table><h1>x",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "[x]: http://evil.example",
    "<http://evil.example>",
    "`code` and ``| more``",
    "*it* **bold** _it_ __bold__ ~~gone~~",
    "&lt;b&gt; &amp; &#60;",
    "# head",
    "=cmd()",
    "cannot open '/a_b/c_d.npz' (errno 2)",
]


class Tables(HTMLParser):
    """Collects the text of each table cell, and all other tags and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.others: list[str] = []
        self.outside = ""
        self._inside = False
        # As a careless reader would: with HTML passed through.
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(page))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True
        elif tag not in ("table", "thead", "tbody", "p"):
            self.others.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data
        else:
            self.outside += data


def metrics(accuracy: float, loss: float = 0.5, seconds: float = 2.0) -> dict[str, float]:
    return {
        "test_accuracy": accuracy,
        "test_loss": loss,
        "epoch_seconds_median": seconds,
        "total_seconds": 10 * seconds,
        "params_total": 101_770.0,
        "something_else": math.nan,
    }


# --- the leaderboard against numbers computed by hand --------------------------------------------


@pytest.mark.parametrize(
    ("accuracies", "mean", "half_width"),
    [
        # half width = t(0.975, n - 1) * s / sqrt(n), t from a printed table
        ([0.97, 0.98], 0.975, 12.7062047 * 0.00707106781 / math.sqrt(2)),
        ([0.1, 0.2, 0.3], 0.2, 4.30265273 * 0.1 / math.sqrt(3)),
        ([0.01, 0.02, 0.03, 0.04, 0.05], 0.03, 2.77644511 * 0.0158113883 / math.sqrt(5)),
        ([0.9] * 4, 0.9, 0.0),
        ([0.9], 0.9, None),
    ],
)
def test_mean_and_interval(accuracies: list[float], mean: float, half_width: float | None) -> None:
    runs = [metrics(value, loss=1 + i, seconds=3.0 * i) for i, value in enumerate(accuracies)]
    (standing,) = rank_cells({"cell": runs})
    n = len(accuracies)
    assert standing.seeds == n
    assert standing.test_accuracy == pytest.approx(mean, abs=1e-12)
    assert standing.half_width == (
        None if half_width is None else pytest.approx(half_width, rel=1e-7, abs=1e-12)
    )
    assert standing.means["test_loss"] == pytest.approx(1 + (n - 1) / 2)
    assert standing.means["epoch_seconds_median"] == pytest.approx(3 * (n - 1) / 2)
    assert standing.means["total_seconds"] == pytest.approx(30 * (n - 1) / 2)
    assert standing.means["params_total"] == 101_770


def test_the_best_mean_comes_first_and_cells_without_a_result_last() -> None:
    board = rank_cells(
        {
            "none": [],
            "worst": [metrics(0.0)],
            "best single run": [metrics(0.99), metrics(0.5)],
            "best mean": [metrics(0.9), metrics(0.91)],
            "no run either": [],
        }
    )
    names = [standing.cell for standing in board]
    assert names == ["best mean", "best single run", "worst", "none", "no run either"]
    assert board[-1] == Standing(cell="no run either", seeds=0, means={}, half_width=None)
    assert standing_cells(board[-1]) == ["-"] * 5
    assert standing_cells(board[2]) == ["0.0000", "0.5000", "2.000", "20.0", "101,770"]
    assert standing_cells(board[0])[0] == "0.9050 ± 0.0635"


# --- CSV -----------------------------------------------------------------------------------------


def test_the_leaderboard_as_csv_keeps_every_digit_and_any_text() -> None:
    cell = 'a "b", c\nd;e\tf'
    board = rank_cells({cell: [metrics(1 / 3), metrics(2 / 3)], "none": []})
    header, first, last = csv.reader(io.StringIO(leaderboard_csv(board), newline=""))
    row = dict(zip(header, first, strict=True))
    assert (row["cell"], row["seeds"]) == (cell, "2")
    assert float(row["test_accuracy"]) == board[0].test_accuracy
    assert float(row["half_width"]) == board[0].half_width
    assert last == ["none", "0", "", "", "", "", "", ""]


def test_the_plan_as_csv_holds_nothing_that_a_spreadsheet_would_run() -> None:
    made = plan(
        "grid=none",
        "seed=0,1",
        "model.hidden_units=[64,64],[8]",
        "study=-x",
        "tracking.experiment='=cmd()'",
        "data.path='=cmd(),+a,@b.npz'",
    )
    header, *rows = csv.reader(io.StringIO(plan_csv(assess(made, []))))
    assert header == ["name", "cell", "state", "run_fp"]
    assert [row[0] for row in rows] == [run.identity.name for run in made.runs]
    assert [row[3] for row in rows] == [run.identity.run_fp for run in made.runs]
    assert {row[2] for row in rows} == {"to be run"}
    assert all(re.match(r"[A-Za-z0-9]", cell) for row in rows for cell in row)


# --- Markdown ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_any_failure_is_shown_as_it_is(text: str) -> None:
    shown = " ".join(text.split())
    failed = failed_run_page(
        cell="a_b 1-2", seed=3, failure=text, notes=["it was odd"], links={"traceback.txt": "#/x"}
    )
    page = Tables(failed)
    assert page.rows == [["", "this run"], ["a_b 1-2", "seed 3"], ["failed", shown]]
    assert page.others == ["strong", "strong", "strong", "a"]
    assert page.outside.split() == ["Note:", "it", "was", "odd.", "Artifacts:", "traceback.txt"]
    sweep = Tables(sweep_page(rank_cells({"c": [metrics(0.5)]}), {"run s0": text}, ["run s1"], {}))
    assert sweep.rows[2:] == [["failed", "why"], ["run s0", shown], ["missing"], ["run s1"]]
    assert sweep.others == []


@pytest.mark.parametrize("text", HOSTILE)
def test_any_source_is_shown_as_it_is(text: str) -> None:
    published = PublishedConfig(
        source=text, curves={}, test_accuracy=None, params_total=None, epoch_seconds=None
    )
    page = run_page(cell="c", seed=0, metrics={}, published=published, notes=[], links={})
    assert Tables(page).rows[1:] == [["c", "seed 0", " ".join(text.split())]]


def test_the_page_of_a_run() -> None:
    published = PublishedConfig(
        source="MNIST notebook 1",
        curves={"train_accuracy": [0.5, 0.99604], "val_loss": [0.3, 0.1023]},
        test_accuracy=0.9801,
        params_total=795010,
        epoch_seconds=[11.0, 12.5],
    )
    measured = {
        "test_accuracy": 0.98124,
        "train_accuracy": 0.99554,
        "params_total": 795010.0,
        "epoch_seconds_median": 1.23456,
        "test_recall_0": 0.5,
    }
    text = run_page(
        cell="sequential_list 1000 adam b32",
        seed=7,
        metrics=measured,
        published=published,
        notes=["the test set served as validation set", "pixels end in [0, 1.133]"],
        links={"curves/loss.png": "#/x/y"},
    )
    page = Tables(text)
    assert page.rows == [
        ["", "this run", "published"],
        ["sequential_list 1000 adam b32", "seed 7", "MNIST notebook 1"],
        ["test accuracy", "0.9812", "0.9801"],
        ["train accuracy (mean over the epoch's steps), last epoch", "0.9955", "0.9960"],
        ["parameters", "795,010", "795,010"],
        ["seconds an epoch (median of epochs 2..)", "1.235", "11 to 12.5, on another machine"],
    ]
    headline = (
        "test accuracy 0.9812 (published: 0.9801) · train accuracy 0.9955 (published: 0.9960)"
    )
    assert page.outside.startswith(headline)
    assert "Note: the test set served as validation set." in page.outside
    assert "Note: pixels end in [0, 1.133]." in page.outside
    assert "[curves/loss.png](#/x/y)" in text
    alone = run_page(cell="c", seed=0, metrics=measured, published=None, notes=[], links={})
    assert Tables(alone).rows[:3] == [
        ["", "this run"],
        ["c", "seed 0"],
        ["test accuracy", "0.9812"],
    ]


def test_the_page_of_a_sweep() -> None:
    board = rank_cells({"one": [metrics(0.97), metrics(0.98)], "two": []})
    page = Tables(sweep_page(board, {}, [], {}))
    assert page.rows == [
        ["cell", "seeds", "test accuracy", "test loss", "s/epoch", "total s", "params"],
        ["one", "2", "0.9750 ± 0.0635", "0.5000", "2.000", "20.0", "101,770"],
        ["two", "0", "-", "-", "-", "-", "-"],
    ]
    assert "half width of its 95 % interval" in page.outside
