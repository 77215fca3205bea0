"""Writes the tree of docs/architecture.md: the first sentence of each module, in order of rooms.

    python -m docs.make_architecture            write it
    python -m docs.make_architecture --check    only see that it is that of the code

The order is that of the table in tests/test_house.py.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from docs.make_comparing import paste
from tests.test_house import HOUSE, PACKAGE, read_package, read_table

PAGE = Path(__file__).parent / "architecture.md"
WIDTH = 24


def first_sentence(module: ast.Module) -> str:
    """Returns how the docstring of a module begins."""
    said = " ".join((ast.get_docstring(module) or "").split())
    return re.split(r"(?<=[.?!]) ", said)[0]


def in_order(modules: Iterable[str]) -> list[str]:
    """Returns modules by room, a folder before what is in it."""
    rooms = list(dict.fromkeys(row.partition("/")[0] for row in read_table(HOUSE)))
    paths = [module.split(".")[1:] or ["__init__"] for module in modules]
    paths.sort(key=lambda path: (rooms.index(path[0]), path))
    return ["/".join(path) for path in paths]


def tree() -> str:
    """Returns the package as a block of text, a line for each module."""
    modules = read_package(PACKAGE)
    lines = []
    for path in in_order(modules):
        *folders, last = path.split("/")
        is_folder = (PACKAGE / path).is_dir()
        name = "  " * len(folders) + last + ("/" if is_folder else ".py")
        module = modules[".".join([PACKAGE.name, *(path.split("/") if path != "__init__" else [])])]
        lines.append(f"{name:<{WIDTH}}{first_sentence(module)}")
    return "\n".join(["```text", *lines, "```"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it differs")
    options = parser.parse_args(arguments)

    page = PAGE.read_text(encoding="utf-8")
    made = paste(page, "tree", tree())
    if options.check:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
