"""What docs/reading-results.md shows is there, and of the sweep that it names."""

import re
import shlex

import pytest

from docs import make_reading_results

FOLDER = make_reading_results.IMAGES.parent
PAGE = (FOLDER / "reading-results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_its_links_lead_somewhere_and_its_pictures_are_small(target):
    assert (FOLDER / target).is_file()
    assert not target.endswith(".png") or (FOLDER / target).stat().st_size < 200_000


def test_its_pictures_are_of_the_sweep_that_it_names():
    command = re.search(r"```sh\n(python -m mnist_bench -m .*?)```", PAGE, re.DOTALL)
    typed = command[1].replace("\\\n", " ")
    assert tuple(shlex.split(typed)[3:]) == make_reading_results.SWEEP


def test_it_explains_the_comparison_that_it_shows():
    selection = " ".join(make_reading_results.COMPARE[:4])
    assert f"python -m mnist_bench {selection}\n" in PAGE
