"""Each committed study composes to what its header and the notebooks say."""

import re

import pytest

from mnist_bench.config import resource_dir

STUDIES = sorted(resource_dir("experiments").glob("*.yaml"))
HEADER = re.compile(
    r"# Question: .+\n(?:#  .+\n)*"
    r"# Command:  (.+)\n"
    r"# Time:     .+\n(?:#  .+\n)*"
    r"# Expected: .+\n"
)
RUNS = {
    "flatten_1000": 1,
    "functional_64": 1,
    "notebooks": 5,
    "quick": 6,
    "stacked_add": 1,
    "stacked_list": 1,
    "style_grid": 160,
    "subclass_784": 1,
}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_header_has_question_command_time_and_expectation(path):
    text = path.read_text()
    header = HEADER.match(text)
    assert header, "question, command, time and expected result stand on top"
    assert header[1] == f"python -m mnist_bench +experiment={path.stem}"
    assert "@" not in header[0]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_plans_its_runs_without_a_store(path, cli):
    """`-m` makes a sweep of a single run too."""
    done = cli("-m", f"+experiment={path.stem}", "--dry-run")
    assert f"{RUNS[path.stem]} runs: {RUNS[path.stem]} to be run" in done.stdout
    assert not (cli.folder / "mlflow.db").exists()


def test_all_studies_are_known_here():
    assert {path.stem for path in STUDIES} == RUNS.keys()
