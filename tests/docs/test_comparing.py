import re
import shlex

import pytest
from omegaconf import OmegaConf

from docs import make_comparing
from mnist_bench.commands.compare import compare
from mnist_bench.compare.options import Verdict
from mnist_bench.config.compose import resource_dir

PAGE = make_comparing.PAGE.read_text(encoding="utf-8")


def test_recipe_and_error_rates_are_those_of_the_code():
    assert make_comparing.main(["--check"]) == 0


def test_the_pasted_output_is_of_the_recipe():
    output = make_comparing.part(PAGE, "output").splitlines()
    assert output[1] == f"$ {make_comparing.CHECK[-1]}"
    assert output[2].startswith("baseline   baseline.json: 6 runs, seeds 0-2;")
    assert re.fullmatch(r"PASS \(exit 0\): .*6 IDENTICAL.*", output[-2])


def test_every_verdict_is_explained():
    named = re.findall(r"^\| ([A-Za-z<, ]+) \|", PAGE, flags=re.MULTILINE)
    assert {word for row in named for word in row.split(", ")} >= set(Verdict)


@pytest.mark.parametrize("line", [*make_comparing.RECIPE, *make_comparing.CHECK])
def test_the_commands_are_those_that_the_program_has(line):
    words = shlex.split(line)[3:]
    if words[0] == "compare":
        compare.make_context("compare", words[1:])
    else:
        assert (resource_dir("experiments") / f"{words[0].partition('=')[2]}.yaml").is_file()


def test_the_quick_study_is_what_the_page_says():
    study = OmegaConf.load(resource_dir("experiments") / "quick.yaml")
    axes = study.hydra.sweeper.params
    assert {key: len(str(value).split(",")) for key, value in axes.items()} == {
        "optimizer": 2,
        "seed": 3,
    }
