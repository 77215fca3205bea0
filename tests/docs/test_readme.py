"""What the README tells people to type works as it stands."""

import re
import shlex
from pathlib import Path

import pytest

from mnist_bench.commands.main import COMMANDS
from tests.programs import ask

README = Path(__file__).parents[2] / "README.md"


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    typed = [shlex.split(line, comments=True) for line in lines]
    return [c[3:] for c in typed if c[:3] == ["python", "-m", "mnist_bench"]]


def test_it_is_short_and_its_links_lead_somewhere():
    text = README.read_text()
    assert len(text.splitlines()) < 200
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / target).is_file(), target


def test_its_targets_are_in_the_makefile():
    makefile = (README.parent / "Makefile").read_text()
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", README.read_text(), re.MULTILINE))
    assert {"sweep", "test", "ui", "setup"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


TYPED = [c for c in commands() if c[:1] != ["compare"]]


def harmless(command):
    """The same as far as it goes without training."""
    if "--help" in command:
        return command
    if command and command[0] in COMMANDS:
        return [command[0], "--help"]
    if "-m" in command or any("notebooks" in c or "style_grid" in c for c in command):
        return ["-m", *(c for c in command if c not in ("-m", "--dry-run")), "--dry-run"]
    return [*command, "--cfg", "job"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    asked = [*map(harmless, TYPED), ["compare", "--help"]]
    return ask(asked, tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("command", TYPED, ids=lambda c: " ".join(c) or "run")
def test_its_commands_compose(command, answers):
    asked = harmless(command)
    answer = answers[tuple(asked)]
    assert (answer.code, answer.err) == (0, "")
    if "--dry-run" in asked:
        assert re.search(r"^\d+ runs: ", answer.out, re.MULTILINE)


def test_its_compare_commands_are_known(answers):
    help_text = answers["compare", "--help"].out
    for command in commands():
        if command[:1] == ["compare"]:
            options = [word for word in command if word.startswith("--")]
            assert all(option in help_text for option in options)
