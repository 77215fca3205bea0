"""The rules that settings are checked by."""

import math
import re
from urllib.parse import urlsplit

from mnist_bench.errors import Refusal
from mnist_bench.text import quoted


def root_problems(seed: int, study: str | None) -> list[str | None]:
    """Returns what is wrong with the settings that stand in no section."""
    return [
        whole("seed", seed, 0, 2**32 - 1, 0),
        problem(
            study is None or re.fullmatch(r"[A-Za-z0-9_-]{1,64}", study) is not None,
            "study",
            "must be 1 to 64 letters, digits, _ or -",
            study,
            "e.g. study=my_study",
        ),
    ]


def refuse(*problems: str | None) -> None:
    """Refuses settings, if there is a problem among what is given."""
    found = [problem for problem in problems if problem is not None]
    if found:
        raise Refusal(*found)


def problem(ok: bool, key: str, rule: str, value: object, advice: str) -> str | None:
    """Returns a line that says what is wrong; None if all is well."""
    return None if ok else f"{key} {rule}, got {quoted(value)}; {advice}"


def whole(key: str, value: int, low: int, high: int, example: int) -> str | None:
    """Returns what is wrong with a whole number."""
    rule = f"must be a whole number from {low} to {high}"
    return problem(low <= value <= high, key, rule, value, f"e.g. {key}={example}")


def positive(key: str, value: float) -> str | None:
    """Returns what is wrong with a number that must be above 0."""
    # Written so that NaN, which compares false with everything, fails.
    return problem(
        0 < value < math.inf, key, "must be a finite number above 0", value, f"e.g. {key}=0.001"
    )


def share(key: str, value: float) -> str | None:
    """Returns what is wrong with a number that must be in [0, 1)."""
    return problem(0 <= value < 1, key, "must be at least 0 and below 1", value, f"e.g. {key}=0.9")


def is_splittable(uri: str) -> bool:
    """Returns whether a URI can be taken apart."""
    try:
        urlsplit(uri)
    except ValueError:
        return False
    return True
