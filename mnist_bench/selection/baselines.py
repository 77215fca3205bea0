"""Baseline files: samples as JSON, which can be compared where there is no store."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from mnist_bench.errors import Refusal
from mnist_bench.metrics import INCOMPLETE, METRICS, has_result
from mnist_bench.selection.samples import Sample, Selection
from mnist_bench.text import shown

BASELINE_SCHEMA = "mnist_bench.baseline/1"
"""What a baseline file says it is; a change of its form raises the number."""


def write_baseline(path: Path, selection: Selection) -> None:
    """Writes the raw samples, so that they can be compared with where there is no store.

    Raises:
        Refusal: If the file cannot be written.
    """
    content = {
        "schema": BASELINE_SCHEMA,
        "selector": selection.label,
        "samples": [
            asdict(sample)
            for sample in sorted(selection.samples, key=lambda s: (s.cell, s.seed, s.run_id))
        ],
    }
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{shown(path)}: cannot write it: {error.strerror}") from error


def read_baseline(path: Path) -> Selection:
    """Returns the samples of a baseline file.

    Raises:
        Refusal: If it cannot be read, is not such a file, or has a number that no run gives.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise Refusal(f"{shown(path)}: cannot read it: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = shown(error)
        raise Refusal(f"{shown(path)}: is not a baseline file: {reason}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != BASELINE_SCHEMA:
        raise Refusal(
            f"{shown(path)}: is not a baseline file of this version (its schema is "
            f"{shown(schema)}, not {BASELINE_SCHEMA}); write it again with --export"
        )
    rows = content.get("samples")
    if not isinstance(rows, list) or not rows:
        raise Refusal(f"{shown(path)}: holds no samples; write it again with --export")
    return Selection(
        shown(path.name), tuple(_parse(path, number, row) for number, row in enumerate(rows))
    )


def _parse(path: Path, number: int, row: Any) -> Sample:
    """Returns one sample of a file, nothing of which is trusted."""
    types: dict[str, Callable[[Any], bool]] = {
        "seed": _is_whole,
        "start_ms": _is_whole,
        "settings": lambda value: _is_table(value, str),
        "facts": lambda value: _is_table(value, str),
        "metrics": lambda value: (
            _is_table(value, int | float) and all(map(_is_finite, value.values()))
        ),
    }
    names = [field.name for field in fields(Sample)]
    if not isinstance(row, dict) or row.keys() != set(names):
        raise Refusal(f"{shown(path)}: sample {number} must have exactly {', '.join(names)}")
    for name in names:
        if not types.get(name, lambda value: isinstance(value, str))(row[name]):
            raise Refusal(f"{shown(path)}: sample {number}: {name} is not of its type")
    sample = Sample(**row)
    for name, value in sample.metrics.items():
        metric = METRICS.get(name)
        if metric is not None and not metric.least <= value <= metric.most:
            raise Refusal(
                f"{shown(path)}: sample {number}: metrics.{name} must be from {metric.least:g} to "
                f"{metric.most:g}, got {shown(value)}; write the file again with --export"
            )
    whole = sample.failure or has_result(sample.metrics)
    return sample if whole else replace(sample, failure=INCOMPLETE)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_table(value: Any, of: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, of) for item in value.values())


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value) and not isinstance(value, bool)
    except OverflowError:
        return False


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
