"""Takes the screenshots of docs/reading-results.md: of real runs, in a real browser.

    python -m docs.make_reading_results            train a small sweep in a folder that is removed
    python -m docs.make_reading_results FOLDER     use the store of this folder, which is only read

It needs chromium on PATH.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docs import in_browser
from mnist_bench.store import views
from mnist_bench.store.opening import experiment_ids, open_existing
from mnist_bench.store.runs import find_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parent / "images"
SWEEP = (
    "-m",
    "grid=none",
    "model.style=sequential_list,functional",
    "model.hidden_units=[32],[256]",
    "optimizer=adam,rmsprop",
    "train.batch_size=128",
    "seed=0,1,2",
)
"""What is trained: 8 cells of 3 seeds."""

COMPARE = ("compare", "latest", "--by", "optimizer.name", "--format", "html")
REPORT = ("report", "latest")
WIDTH, HEIGHT = 1440, 810
COLOURS = 256
"""Of a picture: a third of the bytes, and what a colour says is still seen."""


def run_program(folder: Path, *arguments: str) -> None:
    """Runs the program in a folder; a verdict is no error."""
    command = [sys.executable, "-m", "mnist_bench", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(IMAGES.parent.parent)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")


@dataclass(frozen=True, slots=True)
class Shots:
    """Pictures of pages.

    Attributes:
        browser: Chromium.
    """

    browser: "Browser"

    def take(
        self,
        name: str,
        address: str,
        ready: str,
        before: "Callable[[Page], None] | None" = None,
        height: int = HEIGHT,
    ) -> None:
        """Takes a page of MLflow's UI.

        Args:
            name: Of the picture.
            address: Of the page.
            ready: What is on the page when it is complete, as CSS.
            before: What a person does before.
            height: Of the picture, in pixels.
        """
        page = self._page(height)
        page.goto(address)
        in_browser.close_assistant(page)
        page.locator(ready).first.wait_for()
        if before is not None:
            before(page)
        page.wait_for_timeout(2_000)  # charts move into their place
        self._keep(page, name)

    def take_file(self, name: str, path: Path, height: int) -> None:
        """Takes the top of a page of ours."""
        page = self._page(height)
        page.goto(path.as_uri())
        self._keep(page, name)

    def _page(self, height: int) -> "Page":
        context = self.browser.new_context(viewport={"width": WIDTH, "height": height})
        context.set_default_timeout(60_000)
        return context.new_page()

    def _keep(self, page: "Page", name: str) -> None:
        from PIL import Image

        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.quantize(COLOURS).save(IMAGES / f"{name}.png", optimize=True)
        page.context.close()


def take_all(folder: Path, table: str, shots: Shots, reports: Path) -> None:
    """Takes the pictures of a store.

    Args:
        folder: Where the store is.
        table: What the command `ui` opens on it.
        shots: Takes them.
        reports: A folder for our own pages.
    """
    client = open_existing(f"sqlite:///{folder}/mlflow.db")
    experiment = experiment_ids(client)["mnist_bench"]
    found = find_runs(client, [experiment])
    sweep = next(run for run in found if run.tags["kind"] == "sweep")
    best = max(
        (run for run in found if run.tags["kind"] == "run"),
        key=lambda run: run.metrics["test_accuracy"],
    )
    root = table.partition("#")[0]
    sweep_page, run_page = (f"{root}{views.run_route(experiment, r.run_id)}" for r in (sweep, best))
    cells_table = table.replace(views.RUNS, views.CELLS)
    mistakes = f"{root}{views.run_route(experiment, best.run_id, 'images/mistakes.png')}"
    rows, points = ".ag-center-cols-container .ag-cell", ".scatterlayer .point"

    shots.take("run_table", table, rows, _hide_banner)
    shots.take("run_cells", cells_table, rows, _hide_banner)
    shots.take("run_charts", f"{table}&compareRunsMode=CHART", points, _hide_banner, 1_130)
    shots.take("run_page", run_page, "text=Show more", _unfold)
    shots.take("run_mistakes", mistakes, "main img", _hide_path)
    shots.take("sweep_page", sweep_page, "text=Show more", _unfold)

    run_program(folder, *COMPARE, "--output", str(reports))
    shots.take_file("verdict", reports / "compare.html", HEIGHT)
    run_program(folder, *REPORT, "--output", str(reports / "report.html"))
    shots.take_file("sweep_report", reports / "report.html", 2 * HEIGHT)


def _hide_banner(page: "Page") -> None:
    page.get_by_role("button", name="Hide banner").click()


def _hide_path(page: "Page") -> None:
    # Of the folder on this machine.
    page.get_by_text("Path: file").evaluate("e => { e.style.visibility = 'hidden'; }")


def _unfold(page: "Page") -> None:
    page.get_by_text("Show more").first.click()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="with a store of runs")
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        made = Path(name)
        folder = made if options.folder is None else options.folder.resolve()
        if options.folder is None:
            run_program(folder, *SWEEP)
        ui = in_browser.Ui(folder, made / "ui.log")
        try:
            table = ui.wait()
            with in_browser.chromium() as browser:
                take_all(folder, table, Shots(browser), made)
        finally:
            ui.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
