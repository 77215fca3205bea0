"""Each committed study composes to what its header and the notebooks say."""

import re

import pytest

from mnist_bench.config.compose import resource_dir
from tests.programs import ask

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


def test_every_study_plans_its_runs_without_a_store(tmp_path):
    """`-m` makes a sweep of a single run too."""
    answers = ask([["-m", f"+experiment={path.stem}", "--dry-run"] for path in STUDIES], tmp_path)
    for (_, study, _), answer in answers.items():
        runs = RUNS[study.partition("=")[2]]
        assert (answer.code, answer.err) == (0, ""), study
        assert f"{runs} runs: {runs} to be run" in answer.out, study
    assert not (tmp_path / "mlflow.db").exists()


def test_all_studies_are_known_here():
    assert {path.stem for path in STUDIES} == RUNS.keys()
