"""How things are said: values as one printable line, plurals, durations, Markdown, CSV."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence

MAX_SHOWN_CHARACTERS = 120
"""A refused value is quoted up to this length, so that the message stays one readable line."""


def shown(value: object, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """Returns a value as one printable line of bounded length."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def quoted(value: object) -> str:
    """Returns a value as `shown`, and an empty one as two quotes."""
    return shown(value) or "''"


def ranges(numbers: Sequence[int]) -> str:
    """Returns `0-4,7` for 0, 1, 2, 3, 4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return shown(",".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs), 60)


def plural(number: int, noun: str) -> str:
    """Returns a number with its noun: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_p(p: float) -> str:
    """Returns a p that is never shown as 0."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Returns a time as people say it: `8 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def ordered(values: Iterable[str]) -> list[str]:
    """Returns numbers by size, lists of numbers likewise, and other text by the numbers in it.

    So 3.9 comes before 3.15, and [64] before [64,32] and that before [128].
    """
    values = list(values)
    try:
        return sorted(values, key=float)
    except ValueError:
        pass
    try:
        return sorted(values, key=json.loads)
    except (ValueError, TypeError):
        return sorted(values, key=_by_text_and_number)


def _by_text_and_number(text: str) -> list[str | int]:
    parts = re.split(r"(\d+)", text)  # text and digits take turns
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], rules: Sequence[str] | None = None
) -> str:
    """Returns a table of Markdown; the cells have to be escaped.

    Args:
        header: Titles of the columns.
        rows: Cells.
        rules: What stands below each title, e.g. `--:` for a column that ends at the right.
    """
    lines = [header, rules or ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Returns text that GitHub's Markdown shows as it is, still to be read where it is not shown.

    No markup, HTML, links, mentions or new cells of a table come of it.
    """
    escaped = "".join(f"\\{c}" if c in "\\`*_{}[]()#|~!" else c for c in shown(text, 2_000))
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;")):
        escaped = escaped.replace(character, entity)
    return escaped


def markdown_verbatim(text: str) -> str:
    """Returns text that any Markdown shows as it is, that of MLflow's pages too."""
    line = " ".join(text.split())
    return re.sub(r"[&<>|\\`*_~!\[\]]", lambda sign: f"&#{ord(sign[0])};", line)


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Returns a table as CSV, empty where a value is None."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return text.getvalue()


def csv_value(value: object) -> object:
    """Returns a value that no spreadsheet takes for a formula, nor for a number that it is not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else ""
    if isinstance(value, str):
        # OWASP, "CSV Injection": these start a formula.
        line = shown(value, 2_000)
        return f"'{line}" if line.lstrip()[:1] in ("=", "+", "-", "@") else line
    return value
