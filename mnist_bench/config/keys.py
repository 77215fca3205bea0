"""The tables of groups and keys that `--help` prints, made from `conf/` and the schema."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from enum import EnumType
from typing import Any

from mnist_bench.config.compose import default_values, resource_dir
from mnist_bench.config.record import flatten
from mnist_bench.config.schema import OPTIMIZERS, RunConfig


def all_keys() -> dict[str, tuple[str, str]]:
    """Returns what people read of a setting: key -> what it is, and its default as it is typed.

    Those that come with the choice of a group, or with a study, are left out.
    """
    values = {name.value: flatten(default_values(name.value)) for name in OPTIMIZERS.values()}
    found = {}
    for key, item in described_fields().items():
        having = {name: flat[key] for name, flat in values.items() if key in flat}
        first = next(iter(having.values()))
        about = item.metadata["about"]
        if isinstance(item.type, EnumType):
            about = f"{', '.join(item.type.__members__)}: {about}"
        if isinstance(first, list):
            about += f", e.g. {item.metadata['rules'][0].typed(key)}"
        if len(having) < len(values):
            about += f" ({', '.join(having)})"
        default = [_typed(first)]
        default += [f"{_typed(v)} with {name}" for name, v in having.items() if v != first]
        found[key] = about, "; ".join(default)
    return found


def key_table() -> str:
    """Returns the table of keys."""
    return _table({key: f"{about} [{default}]" for key, (about, default) in all_keys().items()})


def group_table() -> str:
    """Returns the table of groups and their options."""
    folders = {name: resource_dir("conf") / name for name in ("optimizer", "data", "grid")}
    folders["+experiment"] = resource_dir("experiments")
    return _table(
        {
            group: ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            for group, folder in folders.items()
        }
    )


def described_fields() -> dict[str, "Field[Any]"]:
    """Returns the fields of `all_keys`, by dotted key."""
    found: dict[str, Field[Any]] = {}
    for section in fields(RunConfig):
        schemas = OPTIMIZERS if section.name == "optimizer" else [section.type]
        parts = [item for schema in schemas if is_dataclass(schema) for item in fields(schema)]
        found |= {f"{section.name}.{item.name}": item for item in parts} or {section.name: section}
    return {key: item for key, item in found.items() if "about" in item.metadata}


def _typed(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows)) + 4
    return "\n".join(
        textwrap.fill(
            text,
            width=100,
            initial_indent=f"  {name:<{width - 2}}",
            subsequent_indent=" " * width,
            break_on_hyphens=False,
        )
        for name, text in rows.items()
    )
