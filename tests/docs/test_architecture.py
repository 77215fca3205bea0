"""What docs/architecture.md names is there."""

import ast
import re

import pytest

from docs import make_architecture
from docs.make_comparing import part, paste
from tests.test_house import PACKAGE, ROOT, read_package

PAGE = make_architecture.PAGE.read_text(encoding="utf-8")
PROSE = PAGE.replace(part(PAGE, "tree"), "")
MODULES = read_package(PACKAGE)
NAMED = sorted(set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", PROSE)) - {"metrics.py", "pyproject.toml"})
PATHS = sorted(set(re.findall(r"`([\w/]+(?:/|\.\w+))`", PROSE)))


def names_of(module):
    """What is defined at its top, and in its classes."""
    found = set()
    for node in MODULES[module].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            inside = (part for part in node.body if isinstance(part, ast.FunctionDef))
            found |= {f"{node.name}.{method.name}" for method in inside}
    return found


def is_there(name):
    parts = name.split(".")
    modules = [".".join([PACKAGE.name, *parts[:end]]) for end in range(len(parts), 0, -1)]
    module = next((module for module in modules if module in MODULES), None)
    rest = name.removeprefix((module or "").partition(".")[2]).removeprefix(".")
    return module is not None and (not rest or rest in names_of(module))


def test_the_tree_is_that_of_the_code():
    assert make_architecture.main(["--check"]) == 0


def test_a_tree_that_is_not_is_found(tmp_path, monkeypatch):
    page = tmp_path / "architecture.md"
    page.write_text(paste(PAGE, "tree", "```text\n```"), encoding="utf-8")
    monkeypatch.setattr(make_architecture, "PAGE", page)
    assert make_architecture.main(["--check"]) == 1
    assert make_architecture.main([]) == 0
    assert page.read_text(encoding="utf-8") == PAGE


@pytest.mark.parametrize("name", NAMED)
def test_what_the_walk_names_is_there(name):
    assert is_there(name)


def test_what_is_not_there_is_found():
    assert not is_there("run.execute.exceute")
    assert not is_there("run.walk")
    assert not is_there("store.recorders.RunRecorder.finnish")


@pytest.mark.parametrize("path", [path for path in PATHS if path not in NAMED])
def test_its_files_and_folders_are_there(path):
    optional = {"conf/hydra/launcher/"}  # the first packaged launcher makes it
    assert path in optional or (ROOT / path).exists() or (PACKAGE / path).exists()


def test_it_is_short_and_its_links_lead_somewhere():
    assert len(PROSE.splitlines()) < 200
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (make_architecture.PAGE.parent / target).is_file(), target
