"""What holds the house together: who imports whom, and how large a room may be.

Everything is read from the text of the modules, whatever they import where: imports inside of
functions count, and those for types alone count for the order of the rooms. A module that is looked
up by a name which is put together (a command, a format) is not seen.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from sys import stdlib_module_names
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mnist_bench"

HOUSE = """
    # Rooms in order: each imports those above it, never those below.
    # A row names the outside libraries that are imported there; `room/module` is one module alone.
    __init__
    errors
    text
    metrics                numpy
    stats                  numpy scipy           # on plain arrays: SciPy is found here
    environment            psutil
    disturbance            psutil
    config                 hydra omegaconf
    train                  keras numpy tensorflow
    identity
    store                  filelock mlflow numpy sqlalchemy
    selection              numpy
    run/artifacts          numpy yaml
    run/figures            matplotlib numpy
    run/predictions        numpy
    html/page              jinja2 markupsafe
    html/svg               matplotlib            # its rule for round ticks alone
    html/intervals         numpy
    html/curves            numpy
    compare                numpy
    compare/formats/html   markupsafe
    compare/formats/text   click                 # colours
    report                 numpy
    report/sections        PIL markupsafe
    look/pictures          PIL numpy
    look/predict           numpy
    look/mlflow_server     psutil
    look/show              rich yaml
    look/sketch            plotille
    look/terminal          rich
    sweep                  hydra omegaconf rich
    sweep/launching        psutil
    commands               click
    commands/train         hydra omegaconf       # starts Hydra, and explains its errors
    __main__
"""

TALKATIVE = {
    "mnist_bench": "the version",
    "mnist_bench.store": "what MLflow reads while it is imported",
    "mnist_bench.compare.formats": "finds the modules beside it",
}
"""Folders whose `__init__` is more than a docstring, and what else it is."""

MOST_MODULES = 8
MOST_LINES = 450
VAGUE_MODULES = {"util", "utils", "helper", "helpers", "common", "misc", "shared"}
VAGUE_CLASS = r"Base[A-Z]|.*Manager$"


class Import(NamedTuple):
    """One import.

    Attributes:
        by: The module that imports.
        of: What is imported: a module, or a library by its first name.
        is_real: Whether it happens when the program runs.
    """

    by: str
    of: str
    is_real: bool


@cache
def read_package(folder: Path) -> dict[str, ast.Module]:
    """Returns the modules of a package by their full names; a folder stands for its `__init__`."""
    trees = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


@cache
def imports_of(folder: Path) -> list[Import]:
    """Returns all imports of a package, but those of Python's own modules."""
    trees = read_package(folder)
    found = []
    for by, tree in trees.items():
        context = by if (folder.parent / by.replace(".", "/")).is_dir() else by.rpartition(".")[0]
        for node, is_real in _walk(tree):
            for name in _imported(node, context):
                of = name if name in trees else name.rpartition(".")[0]
                top = name.partition(".")[0]
                if top == folder.name:
                    found.append(Import(by, of or name, is_real))
                elif top not in stdlib_module_names:
                    found.append(Import(by, top, is_real))
    return found


def _walk(node: ast.AST, is_real: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    yield node, is_real
    of_types = set()
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        of_types = set(node.body)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, is_real and child not in of_types)


def _imported(node: ast.AST, context: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        origin = resolve_name("." * node.level + (node.module or ""), context)
        return [f"{origin}.{alias.name}" for alias in node.names]
    return []


def read_table(table: str) -> dict[str, set[str]]:
    """Returns place -> libraries, of a table like `HOUSE`."""
    rows = (line.partition("#")[0].split() for line in table.splitlines())
    return {row[0]: set(row[1:]) for row in rows if row}


def _place(module: str) -> str:
    """Returns where a module stands, as the table says it: `store/runs`, `__init__` for the top."""
    return "/".join(module.split(".")[1:]) or "__init__"


def _rows_of(module: str, table: Mapping[str, set[str]]) -> list[str]:
    place = _place(module)
    return [row for row in table if place == row or place.startswith(f"{row}/")]


def upward_imports(folder: Path, table: str) -> set[str]:
    """Returns the imports of a room that does not stand above the one that imports."""
    order = list(dict.fromkeys(row.partition("/")[0] for row in read_table(table)))
    found = set()
    for by, of, _ in imports_of(folder):
        above, below = (_place(module).partition("/")[0] for module in (of, by))
        if of.partition(".")[0] == folder.name and order.index(above) > order.index(below):
            found.add(f"{by} imports {of}")
    return found


def rooms_without_a_row(folder: Path, table: str) -> set[str]:
    """Returns the rooms that the table does not have, and those that only the table has."""
    rows = {row.partition("/")[0] for row in read_table(table)}
    return rows ^ {_place(module).partition("/")[0] for module in read_package(folder)}


def foreign_libraries(folder: Path, table: str) -> set[str]:
    """Returns the libraries that are imported where the table does not have them."""
    rows = read_table(table)
    found = set()
    for by, of, is_real in imports_of(folder):
        allowed = set().union(*(rows[row] for row in _rows_of(by, rows)))
        if is_real and of.partition(".")[0] != folder.name and of not in allowed:
            found.add(f"{by} imports {of}")
    return found


def unused_permissions(folder: Path, table: str) -> set[str]:
    """Returns what the table allows and nobody does."""
    rows = read_table(table)
    used = defaultdict(set)
    for by, of, is_real in imports_of(folder):
        for row in _rows_of(by, rows):
            used[row] |= {of} if is_real else set()
    return {f"{row} {library}" for row in rows for library in rows[row] - used[row]}


def circles(folder: Path) -> set[str]:
    """Returns the modules of a circle in which each imports the next, if there is one."""
    graph = defaultdict(set)
    for by, of, _ in imports_of(folder):
        if of != by:
            graph[by].add(of)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return set(error.args[1])
    return set()


def names_with_two_homes(folder: Path) -> set[str]:
    """Returns the names that are given at the top of more than one module."""
    homes = Counter()
    for tree in read_package(folder).values():
        names = set()
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                parts = (part for target in targets for part in ast.walk(target))
                names |= {part.id for part in parts if isinstance(part, ast.Name)}
        homes.update(names)
    return {name for name, count in homes.items() if count > 1}


def crowded_folders(folder: Path) -> set[str]:
    """Returns the folders of more than `MOST_MODULES`, without their `__init__`."""
    modules = (path for path in folder.rglob("*.py") if path.name != "__init__.py")
    count = Counter(path.parent for path in modules)
    return {parent.name for parent, number in count.items() if number > MOST_MODULES}


def long_files(folder: Path) -> set[str]:
    """Returns the modules of more than `MOST_LINES`."""
    lines = {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    return {name for name, text in lines.items() if len(text.splitlines()) > MOST_LINES}


def silent_modules(folder: Path) -> set[str]:
    """Returns the modules that do not say what they are."""
    return {name for name, tree in read_package(folder).items() if not ast.get_docstring(tree)}


def talkative_folders(folder: Path) -> set[str]:
    """Returns the folders whose `__init__` is more than a docstring."""
    folders = {
        name: tree
        for name, tree in read_package(folder).items()
        if (folder.parent / name.replace(".", "/")).is_dir()
    }
    return {name for name, tree in folders.items() if len(tree.body) > 1}


def borrowed_privates(folder: Path) -> set[str]:
    """Returns the private names that a module imports from another one."""
    return {
        f"{name} imports {alias.name}"
        for name, tree in read_package(folder).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    }


def vague_names(folder: Path) -> set[str]:
    """Returns the modules and classes whose name says nothing of what is in them."""
    trees = read_package(folder)
    classes = {
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and re.match(VAGUE_CLASS, node.name)
    }
    return classes | {name for name in trees if name.rpartition(".")[2] in VAGUE_MODULES}


BY_TABLE = [upward_imports, rooms_without_a_row, foreign_libraries, unused_permissions]
BY_ITSELF = [
    *(circles, names_with_two_homes, borrowed_privates, crowded_folders, long_files),
    *(silent_modules, vague_names),
]


@pytest.mark.parametrize("check", BY_TABLE)
def test_the_package_is_as_the_table_says(check):
    assert check(PACKAGE, HOUSE) == set()


@pytest.mark.parametrize("check", BY_ITSELF)
def test_the_package_keeps_the_rules_of_the_house(check):
    assert check(PACKAGE) == set()


def test_an_init_is_a_docstring():
    assert talkative_folders(PACKAGE) == set(TALKATIVE)


def test_hydras_plugin_is_a_door_to_the_sweeper_alone():
    plugins = ROOT / "hydra_plugins"
    assert {of for _, of, _ in imports_of(plugins)} == {"hydra", "omegaconf", "mnist_bench"}
    [ours] = re.findall(r"from (mnist_bench\S*)", (plugins / "mnist_bench/sweeper.py").read_text())
    assert ours == "mnist_bench.sweep.sweeper"


# That each of these checks can fail, on small houses that are made up.

TABLE = """
    __init__
    low
    high         numpy
    high/door    click
"""
SOUND = {
    "__init__.py": "",
    "low.py": '"""Low."""\nimport json\nif TYPE_CHECKING:\n    import rich',
    "high/__init__.py": '"""High."""',
    "high/room.py": '"""Room."""\ndef f():\n    import numpy.linalg\nfrom house import low',
    "high/door.py": '"""Door."""\nimport click, house.low\nfrom house.high.room import f\nX = 1',
}


def build(folder, changes):
    house = folder / "house"
    for name, text in {**SOUND, **changes}.items():
        path = house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return house


def check_made_up(check, house):
    return check(house, TABLE) if check in BY_TABLE else check(house)


@pytest.mark.parametrize("check", [*BY_TABLE, *BY_ITSELF, talkative_folders])
def test_a_sound_house_passes(check, tmp_path):
    house = build(tmp_path, {"__init__.py": '"""House."""'})
    assert check_made_up(check, house) == set()


@pytest.mark.parametrize(
    ("check", "changes", "found"),
    [
        (upward_imports, {"low.py": "import house.high.room"}, "house.low imports house.high.room"),
        (upward_imports, {"low.py": "from house import high"}, "house.low imports house.high"),
        (upward_imports, {"low.py": "from .high import room"}, "house.low imports house.high.room"),
        (
            upward_imports,
            {"low.py": "def f():\n  if 1:\n    from house.high.room import f"},
            "house.low imports house.high.room",
        ),
        (
            upward_imports,
            {"low.py": "if TYPE_CHECKING:\n  from house.high.room import f"},
            "house.low imports house.high.room",
        ),
        (rooms_without_a_row, {"shed.py": ""}, "shed"),
        (rooms_without_a_row, {"shed/__init__.py": ""}, "shed"),
        (foreign_libraries, {"low.py": "import numpy as np"}, "house.low imports numpy"),
        (foreign_libraries, {"low.py": "class A:\n  import rich.box"}, "house.low imports rich"),
        (
            foreign_libraries,
            {"high/room.py": "from click.testing import CliRunner"},
            "house.high.room imports click",
        ),
        (
            foreign_libraries,
            {"low.py": "if typing.TYPE_CHECKING:\n  import rich\nelse:\n  import click"},
            "house.low imports click",
        ),
        (unused_permissions, {"high/door.py": "X = 1"}, "high/door click"),
        (unused_permissions, {"high/room.py": "if TYPE_CHECKING: import numpy"}, "high numpy"),
        (
            circles,
            {"high/room.py": "def g():\n  from house.high import door"},
            "house.high.door",
        ),
        (names_with_two_homes, {"low.py": "def X(): ..."}, "X"),
        (names_with_two_homes, {"low.py": "_y, (_f, _z) = 1", "high/room.py": "_f: int = 1"}, "_f"),
        (crowded_folders, {f"high/m{number}.py": "" for number in range(7)}, "high"),
        (long_files, {"low.py": "\n" * 451}, "low.py"),
        (silent_modules, {"low.py": "X = 1"}, "house.low"),
        (talkative_folders, {"high/__init__.py": '"""High."""\nimport os'}, "house.high"),
        (
            borrowed_privates,
            {"high/room.py": "from house.low import _f"},
            "house.high.room imports _f",
        ),
        (vague_names, {"high/utils.py": ""}, "house.high.utils"),
        (vague_names, {"helpers/__init__.py": ""}, "house.helpers"),
        (vague_names, {"low.py": "class BaseCell: ..."}, "BaseCell"),
        (vague_names, {"low.py": "class RunManager: ..."}, "RunManager"),
    ],
)
def test_each_rule_can_be_broken(check, changes, found, tmp_path):
    assert found in check_made_up(check, build(tmp_path, changes))
