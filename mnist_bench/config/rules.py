"""The rules of settings: declared on the fields of the schema, and checked here."""

import math
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from mnist_bench.errors import Refusal
from mnist_bench.text import quoted


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value has to be.

    Attributes:
        words: They follow the key in a refusal.
        allows: Whether a value is so; written so that NaN, which compares false, fails.
        example: A value, as it is typed.
        advice: What to do, where an example says too little.
        is_on_items: Whether it is about each item of a list.
    """

    words: str
    allows: Callable[[Any], bool]
    example: object
    advice: str = ""
    is_on_items: bool = False

    def typed(self, key: str) -> str:
        """Returns the example as it is typed in a shell."""
        return shlex.quote(f"{key}={self.example}")


POSITIVE = Rule("must be a finite number above 0", lambda value: 0 < value < math.inf, 0.001)
SHARE = Rule("must be at least 0 and below 1", lambda value: 0 <= value < 1, 0.9)


def whole(low: int, high: int, example: int) -> Rule:
    """Returns the rule of a whole number."""
    return Rule(
        f"must be a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and low <= value <= high,
        example,
    )


def printable(most: int, example: str, advice: str = "") -> Rule:
    """Returns the rule of a text that is not blank and has at most so many characters."""
    return Rule(
        f"must be 1 to {most} printable characters",
        lambda text: 0 < len(text.strip()) <= most and text.isprintable(),
        example,
        advice,
    )


def setting(about: str, *rules: Rule) -> Any:
    """Returns a field of a schema: what it is, for the table of keys, and what a value has to be.

    The rules come besides the type. None, where the type has it, passes.
    """
    return field(metadata={"about": about, "rules": rules})


def problem(key: str, rule: str, value: object, advice: str) -> str:
    """Returns a line that says what is wrong."""
    return f"{key} {rule}, got {quoted(value)}; {advice}"


@dataclass(slots=True, kw_only=True)
class Section:
    """Settings that are checked when they are made; the prefix stands before each of their keys."""

    prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        problems = [*broken_rules(type(self), self), *self.conflicts()]
        if problems:
            raise Refusal(*problems)

    def conflicts(self) -> Iterator[str]:
        """Gives what is wrong with several settings at once."""
        return iter(())


def broken_rules(schema: type[Section], values: object) -> Iterator[str]:
    """Gives what is wrong by a schema's rules with single settings, the attributes of `values`."""
    for item in fields(schema):
        key, value = f"{schema.prefix}{item.name}", getattr(values, item.name)
        for rule in item.metadata.get("rules", ()) if value is not None else ():
            for part in value if rule.is_on_items else [value]:
                if not rule.allows(part):
                    advice = rule.advice or f"e.g. {rule.typed(key)}"
                    yield problem(key, rule.words, part, advice)
