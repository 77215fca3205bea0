"""The rules of settings: declared on the fields of the schema, and checked here."""

import math
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from mnist_bench.errors import Refusal
from mnist_bench.text import quoted


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value has to be.

    Attributes:
        words: They follow the key in a refusal.
        allows: Whether a value is so; written so that NaN, which compares false, fails.
        advice: What to do instead; empty for an example of the field.
        is_on_items: Whether it is about each item of a list.
    """

    words: str
    allows: Callable[[Any], bool]
    advice: str = ""
    is_on_items: bool = False


POSITIVE = Rule("must be a finite number above 0", lambda value: 0 < value < math.inf)
SHARE = Rule("must be at least 0 and below 1", lambda value: 0 <= value < 1)


def whole(low: int, high: int) -> Rule:
    """Returns the rule of a whole number."""
    return Rule(
        f"must be a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and low <= value <= high,
    )


def printable(most: int, advice: str = "") -> Rule:
    """Returns the rule of a text that is not blank and has at most so many characters."""
    return Rule(
        f"must be 1 to {most} printable characters",
        lambda text: 0 < len(text.strip()) <= most and text.isprintable(),
        advice,
    )


def setting(about: str, *rules: Rule, example: object = None) -> dict[str, Any]:
    """Returns the metadata of a field.

    Args:
        about: What it is, for the table of keys.
        *rules: What a value has to be besides of its type. None, where the type has it, passes.
        example: A value, as it is typed.
    """
    return {"about": about, "rules": rules, "example": example}


def example_of(key: str, metadata: Any) -> str:
    """Returns how an example of a setting is typed."""
    return shlex.quote(f"{key}={metadata['example']}")


def problem(key: str, rule: str, value: object, advice: str) -> str:
    """Returns a line that says what is wrong."""
    return f"{key} {rule}, got {quoted(value)}; {advice}"


@dataclass(slots=True, kw_only=True)
class Section:
    """Settings that are checked when they are made.

    Attributes:
        prefix: What stands before its keys.
    """

    prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        problems = [*broken_rules(type(self), self), *self.conflicts()]
        if problems:
            raise Refusal(*problems)

    def conflicts(self) -> Iterator[str]:
        """Gives what is wrong with several settings at once."""
        return iter(())


def broken_rules(schema: type[Section], values: object) -> Iterator[str]:
    """Gives what is wrong with single settings.

    Args:
        schema: Whose rules.
        values: Has an attribute for each field of it.
    """
    for field in fields(schema):
        key, value = f"{schema.prefix}{field.name}", getattr(values, field.name)
        for rule in field.metadata.get("rules", ()) if value is not None else ():
            for part in value if rule.is_on_items else [value]:
                if not rule.allows(part):
                    advice = rule.advice or f"e.g. {example_of(key, field.metadata)}"
                    yield problem(key, rule.words, part, advice)
