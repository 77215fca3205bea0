"""The forms that a comparison can be written in, a module each.

A module NAME has a function `as_NAME`, which returns a comparison as text, and `NAME_FILE`, what
the file is called in a folder of them. Nothing else has to know of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_bench.compare.verdicts import Comparison


@dataclass(frozen=True, slots=True)
class Format:
    """One form.

    Attributes:
        file: Name of the file.
        write: Returns a comparison in it.
    """

    file: str
    write: "Callable[[Comparison], str]"


def format_names() -> list[str]:
    """Returns the names of all formats, without importing one."""
    return sorted(module.name for module in iter_modules(__path__))


def load_format(name: str) -> Format:
    """Returns one of `format_names`."""
    module = import_module(f"{__name__}.{name}")
    return Format(getattr(module, f"{name.upper()}_FILE"), getattr(module, f"as_{name}"))
