"""What CONTRIBUTING.md tells people to do works, and so do the hooks."""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HOOKS = {
    hook["id"]: hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
}


def test_its_links_targets_and_modules_are_there():
    assert all((ROOT / target).is_file() for target in re.findall(r"\]\(([^)#]+)\)", PAGE))
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", PAGE, re.MULTILINE))
    assert {"setup", "lint", "test"} <= targets
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)
    modules = re.findall(r"python -m\s((?:docs|benchmarks)\.\w+)", PAGE)
    assert modules
    assert all(find_spec(module) for module in modules)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:tests|mnist_bench)/[\w./]+", PAGE))))
def test_its_paths_are_there(path):
    assert "NAME" in path or (ROOT / path.rstrip(".")).exists()


def test_each_test_is_in_its_table_of_times():
    timed = set(re.findall(r"^\| `(tests/[\w./]+)`", PAGE, re.MULTILINE))
    assert timed == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").iterdir()
        if path.name.startswith("test_") or [*path.glob("test_*.py")]
    }


def test_hooks_are_local_and_do_what_lint_does():
    assert {hook["language"] for hook in HOOKS.values()} == {"system"}
    recipe = re.search(r"^lint: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    lint = [line.removeprefix("\t$(BIN)/") for line in recipe.splitlines()]
    assert lint == [  # hooks are given the files, and mend them
        {"ruff check": "ruff check .", "ruff format": "ruff format --check ."}.get(entry, entry)
        for entry in (hook["entry"] for hook in HOOKS.values())
    ]


@pytest.mark.parametrize("hook", HOOKS.values(), ids=lambda hook: hook["id"])
def test_the_tool_of_each_hook_is_installed_with_the_others(hook):
    tool = Path(sys.executable).parent / shlex.split(hook["entry"])[0]
    subprocess.run([tool, "--version"], check=True, capture_output=True)
