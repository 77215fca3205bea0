"""A comparison as JSON; `resources/compare.schema.json` describes it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import mnist_bench
from mnist_bench.compare.verdicts import Comparison, Judged, sizes_of
from mnist_bench.compare.wording import OUTCOMES
from mnist_bench.selection.samples import Sample, Selection

JSON_FILE = "compare.json"
SCHEMA = "mnist_bench.compare/2"
"""What the JSON says it is; `resources/compare.schema.json` describes it."""


def as_json(comparison: Comparison) -> str:
    """Returns the comparison as JSON text."""
    return json.dumps(comparison_json(comparison), indent=1, allow_nan=False) + "\n"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Returns everything, as JSON types; `resources/compare.schema.json` describes it."""
    options = comparison.options
    return {
        "schema": SCHEMA,
        "version": mnist_bench.__version__,
        "exit_code": comparison.exit_code,
        "outcome": OUTCOMES[comparison.exit_code],
        "reasons": list(comparison.reasons),
        "options": {
            "gates": list(options.gates),
            "margins": {
                row.metric.name: options.margin(row.metric)
                for pairing in comparison.pairings
                for row in pairing.suites
            },
            "alpha": options.alpha,
            "paired": options.paired,
            "gate": str(options.gate),
            "fail_on": sorted(map(str, options.fail_on)),
            "expect_same": options.expect_same,
            "ignore": list(options.ignore),
        },
        "baseline": _side_json(comparison.baseline),
        "candidates": [
            {
                **_side_json(pairing.candidate),
                "matched": [cell.label for cell in pairing.match.cells],
                "missing": list(pairing.match.missing),
                "new": list(pairing.match.new),
                "differences": [asdict(d) for d in pairing.match.differences],
                "notices": list(pairing.match.notices),
                "suites": _rows_json(pairing.suites, options.paired),
                "cells": _rows_json(pairing.cells, options.paired),
            }
            for pairing in comparison.pairings
        ],
    }


def _side_json(side: Selection) -> dict[str, Any]:
    return {"selector": side.label, "samples": [_sample_json(sample) for sample in side.samples]}


def _sample_json(sample: Sample) -> dict[str, Any]:
    return {
        "run_id": sample.run_id,
        "name": sample.name,
        "cell": sample.cell,
        "seed": sample.seed,
        "failure": sample.failure,
        "facts": sample.facts,
        "metrics": sample.metrics,
    }


def _rows_json(rows: Sequence[Judged], paired: bool) -> list[dict[str, Any]]:
    return [
        {
            **_without_infinity(asdict(row) | asdict(sizes)),
            "metric": row.metric.name,
            "kind": str(row.metric.kind),
            "scale": "log" if row.metric.scale.log else "difference",
            "verdict": str(row.verdict),
        }
        for row, sizes in zip(rows, sizes_of(rows, paired), strict=True)
    ]


def _without_infinity(value: Any) -> Any:
    """Returns a value without what JSON cannot say: an infinite effect size becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(item) for item in value]
    return value
