"""What is wrong with settings, as one line: the key, and what is allowed."""

import difflib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType
from typing import Any, get_args, get_origin

from omegaconf.errors import OmegaConfBaseException, ValidationError

from mnist_bench.text import quoted, shown


def explain(error: Exception, overrides: Sequence[str] = ()) -> str:
    """Returns an error of Hydra or OmegaConf as one line: the key, and what is allowed.

    The overrides that it was raised for are named where the error itself names nothing.
    """
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if not isinstance(cause, OmegaConfBaseException):
        return _explain_hydra(error, overrides)
    key = shown(str(cause.full_key or cause.key or "").partition("[")[0])
    types = _types_of(cause.object_type)
    # OmegaConf adds lines on the types of its own.
    message = str(cause).partition("\n    full_key:")[0] or type(cause).__name__
    if types and "not in" in message:
        return no_such_key(key, list(types))
    hint = types.get(str(cause.key)) or (cause.ref_type if cause.object_type is list else None)
    if hint is not None and (isinstance(cause, ValidationError) or "merge" in message):
        got = quoted(cause.value) if isinstance(cause, ValidationError) else "something else"
        return f"{key} must be {_kind(hint)}, got {got}"
    subject = key or shown(" ".join(overrides))
    return f"{subject}: {shown(message, limit=1_000)}" if subject else shown(message, limit=1_000)


def _explain_hydra(error: Exception, overrides: Sequence[str]) -> str:
    # The text of an OSError repeats the path, which here is one of Hydra's own.
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    override = getattr(error, "override", None)
    if override is not None:
        # The last line is a link, the one before it the reason, or a marker of the place.
        reason = "" if lines[-2] == "^" else f" ({shown(lines[-2])})"
        return (
            f"{shown(override)}: cannot be read{reason}; write KEY=VALUE, with quotes around what "
            "holds spaces, commas or brackets"
        )
    # Hydra ends some messages with the folders that it searched.
    message = " ".join(lines).partition(" Config search path:")[0].partition(" full_key:")[0]
    message = shown(message, limit=1_000) or type(error).__name__
    # Hydra names what is wrong in its own errors, but not in those that merely befall it.
    named = type(error).__module__.startswith("hydra.") or not overrides
    return message if named else f"{shown(' '.join(overrides))}: {message}"


def no_such_key(key: str, known: list[str]) -> str:
    """Returns that there is no such key, what was meant perhaps, and which there are."""
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    return f"{shown(key)}: no such key; {advice}there are: {', '.join(known)}"


_KINDS = {
    int: "a whole number such as 64",
    float: "a number such as 0.001",
    bool: "true or false",
    str: "a text",
}


def _kind(hint: Any) -> str:
    """Returns what a key of this type takes, in words."""
    inner = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint):
        return f"{_kind(inner[0])}, or null"
    if get_origin(hint) is list:
        return f"a list, each item {_kind(inner[0])}"
    if get_origin(hint) is dict:
        return "a mapping such as {train.epochs:5}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"one of {', '.join(hint.__members__)}"
    if is_dataclass(hint):
        return f"set key by key ({', '.join(keys_of(hint))})"
    return _KINDS.get(hint, str(hint))


def _types_of(schema: Any) -> dict[str, Any]:
    return {field.name: field.type for field in fields(schema)} if is_dataclass(schema) else {}


def keys_of(schema: Any) -> list[str]:
    """Returns the keys of a schema."""
    return list(_types_of(schema))
