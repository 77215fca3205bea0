"""The command `compare` as its users run it, on runs that were really trained."""

import contextlib
import io
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from mnist_bench.commands.main import run_command

ALL_FORMATS = ("text", "markdown", "json", "csv", "junit", "html")
RATES = ("--ignore", "optimizer.learning_rate")


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "mnist_bench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def only(folder, *arguments, code):
    """Returns what `compare` printed, after its exit code was checked.

    In this process, since loading MLflow anew each time would take a minute in all.
    """
    out, error = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        returned = run_command(["compare", *arguments])
    assert returned == code, out.getvalue() + error.getvalue()
    return error.getvalue() if code == 2 else out.getvalue()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Two learning rates x three seeds of a tiny network, then two styles of it."""
    folder = tmp_path_factory.mktemp("compare")
    tiny = ("-m", "grid=none", "data.train_limit=1000", "train.epochs=2", "model.hidden_units=[8]")
    for axes in (
        ("study=rates", "seed=0,1,2", "optimizer.learning_rate=0.0001,0.03"),
        ("study=styles", "model.style=functional,subclass"),
    ):
        done = run(folder, *tiny, *axes)
        assert done.returncode == 0, done.stdout + done.stderr
    only(folder, rate("0.03"), "--export", "good.json", code=0)
    only(folder, rate("0.0001"), "--export", "bad.json", code=0)
    return folder


def rate(value, *more):
    conditions = [f"params.`optimizer.learning_rate` = '{value}'", *more]
    return f"filter:{' and '.join(conditions)}"


def test_a_regression_fails_and_its_reverse_passes(trained):
    gate = ("--metric", "test_accuracy", *RATES)
    done = run(trained, "compare", "good.json", rate("0.0001"), *gate)
    assert done.returncode == 1, done.stderr
    assert "REGRESSED" in done.stdout
    assert "FAIL (exit 1)" in done.stdout
    assert "\x1b" not in done.stdout
    out = only(trained, rate("0.0001"), "good.json", *gate, code=0)
    assert "IMPROVED" in out
    assert "PASS (exit 0)" in out


def test_without_ignore_it_is_refused_and_proposed(trained):
    said = only(trained, "good.json", "bad.json", code=2)
    assert said.startswith("refused: ")
    assert said.count("\n") == 1
    assert "add --ignore optimizer.learning_rate" in said


def test_the_styles_are_one_network(trained):
    control = ("--expect-same", "--metric", "test_accuracy", "--metric", "test_loss")
    out = only(trained, "latest", "--by", "model.style", *control, "--format", "json", code=0)
    (candidate,) = json.loads(out)["candidates"]
    gated = [r for r in candidate["cells"] if r["metric"] in ("test_accuracy", "test_loss")]
    assert len(gated) == 2
    assert {row["verdict"] for row in gated} == {"IDENTICAL"}
    (time,) = (r for r in candidate["suites"] if r["metric"] == "epoch_seconds_median")
    assert time["verdict"] == "NOT COMPARABLE"
    # The machine that tests may be shared with others, which is said before that.
    assert re.match(
        "times inform only: |some of the runs were not alone: |it was not", time["note"]
    )
    only(trained, "study:rates", "--by", "optimizer.learning_rate", *control, code=1)


def test_one_seed_a_side_is_mcnemar_and_never_a_p_over_seeds(trained):
    one, other = (
        rate("0.03", f"params.seed = '{seed}'", "tags.`mnist_bench.in_study.rates` = '1'")
        for seed in (0, 1)
    )
    out = only(trained, one, other, "--format", "json", code=0)
    rows = json.loads(out)["candidates"][0]["cells"]
    row = next(r for r in rows if r["metric"] == "test_accuracy")
    assert (row["verdict"], row["p"], row["adjusted_p"]) == ("INCONCLUSIVE", None, None)
    assert row["mcnemar"]["lost"] - row["mcnemar"]["gained"] == round(-10_000 * row["change"])
    strict = only(trained, one, other, "--fail-on", "inconclusive", code=3)
    assert "McNemar p " in strict


def test_one_seed_that_is_far_below_is_no_pass(trained):
    one = ("params.seed = '0'", "tags.`mnist_bench.in_study.rates` = '1'")
    out = only(trained, rate("0.03", *one), rate("0.0001", *one), *RATES, code=3)
    assert re.search(r"INCONCLUSIVE \(seed 0 \([0-9.]+ %\) far below the baseline", out)


def test_every_format_and_the_report_in_mlflow(trained, tmp_path):
    formats = [word for name in ALL_FORMATS for word in ("--format", name)]
    arguments = ("good.json", rate("0.0001"), *RATES, *formats, "--output", str(tmp_path / "out"))
    only(trained, *arguments, "--log-to-mlflow", code=1)
    written = {path.suffix: path for path in (tmp_path / "out").iterdir()}
    assert set(written) == {".txt", ".md", ".json", ".csv", ".xml", ".html"}
    assert "\x1b" not in written[".txt"].read_text()
    assert json.loads(written[".json"].read_text())["exit_code"] == 1
    assert ElementTree.parse(written[".xml"]).getroot().findall(".//failure")
    kept = list((trained / "mlruns").rglob("compare/compare.html"))
    assert [path.read_text() for path in kept] == [written[".html"].read_text()]


def test_plan_says_how_many_seeds_it_takes(trained):
    out = only(trained, rate("0.03"), "--plan", code=0)
    assert "test_accuracy" in out
    assert "Seeds a side that find a change of one margin with power 0.8" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'BASELINE'"),
        (("good.json",), "nothing to compare with"),
        (("good.json", "none.json"), "none.json: cannot read it"),
        (("good.json", "mlflow.db"), "mlflow.db: is not a baseline file"),
        (("good.json", "study:none"), "no run matches; choose from: study:rates"),
        (("good.json", "bad.json", "--metric", "accuracy"), "no such metric; there are: test_acc"),
        (("good.json", "bad.json", "--metric", "test_loss:x"), "followed by :gate or :info"),
        (("good.json", "bad.json", "--margin", "test_loss"), "takes NAME=MARGIN"),
        (("good.json", "bad.json", "--margin", "test_loss=5pp"), "a margin of test_loss is 0%"),
        (("good.json", "bad.json", "--margin", "test_loss=nan%"), "a margin of test_loss is 0%"),
        (("good.json", "bad.json", "--alpha", "nan"), "--alpha must be above 0"),
        (("good.json", "bad.json", "--alpha", "1"), "--alpha must be above 0"),
        (("good.json", "bad.json", "--fail-on", "all"), "takes words of regression, missing"),
        (("good.json", "bad.json", "--ignore", "train.epochs"), "other data or epochs"),
        (("good.json", "bad.json", "--by", "seed"), "takes one selection only"),
        (("good.json", "--by", "nonsense"), "has no such key"),
        (("good.json", "--plan", "--by", "model.style"), "--plan: cannot be used with --by"),
        (("good.json", "--plan", "--format", "json"), "need a comparison"),
        (("good.json", "bad.json", "--format", "json", "--format", "csv"), "need --output DIR"),
        (("good.json", "bad.json", "--nonsense"), "No such option"),
        (("latest", "bad.json", "--tracking-uri", "sqlite:///none.db"), "there is no store"),
    ],
)
def test_what_is_refused_is_one_line_and_exit_2(trained, monkeypatch, capfd, arguments, said):
    monkeypatch.chdir(trained)
    assert run_command(["compare", *arguments]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith("refused: ")
    assert error.count("\n") == 1
    assert said in error


def test_info_takes_a_metric_from_the_gates(trained, monkeypatch, capfd):
    monkeypatch.chdir(trained)
    arguments = ["good.json", "bad.json", *RATES, "--format", "json"]
    run_command(["compare", *arguments, "--metric", "test_loss:info"])
    assert json.loads(capfd.readouterr().out)["options"]["gates"] == ["test_accuracy"]


def test_tensorflow_is_never_loaded(trained):
    code = (
        "import sys; from mnist_bench.commands.main import run_command;"
        "code = run_command(['compare', 'latest', '--by', 'model.style', '--format', 'html']);"
        "sys.exit(code or bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=trained, capture_output=True, check=True)


def test_an_interrupted_reader_is_no_traceback(trained):
    done = subprocess.run(
        f"{sys.executable} -m mnist_bench compare good.json bad.json {' '.join(RATES)} | head -1",
        cwd=trained,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
