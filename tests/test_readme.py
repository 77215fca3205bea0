"""What the README tells people to type works as it stands."""

import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


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


@pytest.mark.parametrize(
    "command", [c for c in commands() if c[:1] != ["compare"]], ids=lambda c: " ".join(c) or "run"
)
def test_its_commands_compose(command, cli):
    if "data.path=kmnist.npz" in command or "--help" in command:
        cli(*command, *(["--cfg", "job"] if "--help" not in command else []))
    elif "-m" in command or any("notebooks" in c or "style_grid" in c for c in command):
        done = cli(*["-m", *(c for c in command if c not in ("-m", "--dry-run"))], "--dry-run")
        assert re.search(r"^\d+ runs: ", done.stdout, re.MULTILINE)
    else:
        cli(*command, "--cfg", "job")


def test_its_compare_commands_are_known(cli):
    help_text = cli("compare", "--help").stdout
    for command in commands():
        if command[:1] == ["compare"]:
            options = [word for word in command if word.startswith("--")]
            assert all(option in help_text for option in options)
