"""The door: each command answers for itself, and imports no more than it needs."""

import subprocess
import sys

import pytest

from mnist_bench.commands.main import COMMANDS, run_command
from mnist_bench.errors import ExitCode

HEAVY = {"tensorflow", "keras", "mlflow", "scipy", "matplotlib", "jinja2", "pandas"}


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_help_imports_nothing_heavy(command, tmp_path):
    arguments = [*([command] if command else []), "--help"]
    program = f"""
import sys
from mnist_bench.commands.main import main
sys.argv = ["mnist_bench", *{arguments!r}]
assert main() == 0
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    said, loaded = done.stdout.rstrip().rpartition("\n")[::2]
    assert loaded == "[]"
    assert f"mnist_bench {command}".rstrip() in said
    assert "Exit codes: 0 " in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_refused_in_a_line(command, capfd):
    assert run_command([command, "--no-such-option"]) == ExitCode.refused
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("refused: No such option")


def test_every_command_is_a_module_with_a_function_of_its_name(capfd):
    for command in COMMANDS:
        assert run_command([command, "-h"]) == ExitCode.done
        assert capfd.readouterr().out.startswith(f"Usage: mnist_bench {command} ")
