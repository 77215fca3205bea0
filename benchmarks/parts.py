"""Benchmarks of several parts, each of which can be run, and run again, by itself."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import timing

RESULTS = Path(__file__).parent / "results"

Part = Callable[[argparse.Namespace], dict[str, Any]]
"""Measures something and returns what is to be kept of it."""


def parser(doc: str, parts: Mapping[str, Part]) -> argparse.ArgumentParser:
    """Returns a parser that takes names of parts."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(parts)} [all]")
    return made


def run(
    name: str, parts: Mapping[str, Part], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Runs the parts that were asked for, or all, and puts each into `results/<name>.json`.

    A part is written as soon as it is done, and with the machine as it was before; the other parts
    of the file, which may be of other days, are left as they are.

    Raises:
        SystemExit: If a part is not known; then none was run.
    """
    unknown = set(options.parts) - parts.keys()
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; known: {', '.join(parts)}")
    done = {}
    for part in options.parts or parts:
        before = {"machine": timing.machine(), "load_average": round(timing.load_average(), 2)}
        with announced(f"{name} {part}"):
            done[part] = {**before, **parts[part](options)}
        _save(RESULTS / f"{name}.json", part, done[part])
    return done


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Says that something begins, and how long it took."""
    print(f"{what} ...", flush=True)
    start = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - start:.1f} s", flush=True)


def _save(path: Path, part: str, result: Mapping[str, Any]) -> None:
    parts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts[part] = result
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
