"""Runs `python -m mnist_bench` with clocks around what comes before the training.

    python -m benchmarks.clocked CLOCKS.json [ARGUMENTS OF mnist_bench ...]

Writes the seconds of the imports, the data, the store and the plan. Each moment belongs to one
clock: what begins inside another (imports inside the plan) stops that one until it ends. Imports
are clocked where the program itself makes them, until TensorFlow's are over.
"""

import builtins
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLOCKED = {
    ("mnist_bench.run.execute", "load_cached"): "data",
    ("mnist_bench.sweep.sweeper", "load_cached"): "data",
    ("mnist_bench.sweep.sweeper", "make_plan"): "plan",
    ("mnist_bench.sweep.sweeper", "assess"): "plan",
    ("mnist_bench.store.opening", "open_store"): "store",
}
"""Module and function -> the clock that runs while it does."""

LAST_IMPORT = "mnist_bench.train.training"


class Clocks:
    """Seconds of `time.perf_counter` by name; one clock runs at a time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.running = ["other"]
        self.since = time.perf_counter()

    def begin(self, name: str) -> None:
        """Starts a clock; the one that runs waits."""
        self._stop()
        self.running.append(name)

    def end(self) -> None:
        """Stops the clock that runs; the one that waited goes on."""
        self._stop()
        self.running.pop()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with a clock around it."""

        @functools.wraps(function)
        def clocked(*arguments: Any, **options: Any) -> Any:
            self.begin(name)
            try:
                return function(*arguments, **options)
            finally:
                self.end()

        return clocked

    def _stop(self) -> None:
        now = time.perf_counter()
        name = self.running[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.since
        self.since = now


def clock_imports(clocks: Clocks) -> None:
    """Puts a clock around imports, and around the functions of `CLOCKED` as they come in."""
    original = builtins.__import__
    waiting = dict(CLOCKED)

    def clocked(*arguments: Any, **options: Any) -> Any:
        if clocks.running[-1] == "imports":
            return original(*arguments, **options)
        clocks.begin("imports")
        try:
            return original(*arguments, **options)
        finally:
            clocks.end()
            for module, function in [key for key in waiting if is_loaded(key[0])]:
                loaded, name = sys.modules[module], waiting.pop((module, function))
                setattr(loaded, function, clocks.around(name, getattr(loaded, function)))
            if is_loaded(LAST_IMPORT):
                builtins.__import__ = original

    builtins.__import__ = clocked


def is_loaded(module: str) -> bool:
    """Returns whether a module was imported to its end."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and not getattr(spec, "_initializing", False)


def main() -> int:
    path = Path(sys.argv.pop(1)).absolute()
    clocks = Clocks()
    clock_imports(clocks)
    from mnist_bench.commands.main import main

    try:
        return main()
    finally:
        clocks.end()
        path.write_text(json.dumps(clocks.seconds), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
