"""MLflow's UI in a real browser, for the tests and for the screenshots of the docs."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""The system's browser; Playwright downloads none."""

FLAGS = (
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 180
"""MLflow's server answers after some 15 s, or 60 s on a busy machine."""


class Ui:
    """The command `ui` on the store of a folder, started at once and waited for when needed.

    Attributes:
        url: Where it answers, without a slash at the end.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        command = [sys.executable, "-m", "mnist_bench", "ui", "--no-browser", "--port", str(port)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, "--tracking-uri", f"sqlite:///{folder}/mlflow.db"],
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> str:
        """Returns the address that the command tells people to open, when it answers there.

        Raises:
            RuntimeError: If it ended or takes too long; with what it said.
        """
        for _ in range(5 * START_SECONDS):
            said = self._log.read_text()
            address = re.search(rf"^{self.url}/\S+$", said, re.MULTILINE)
            if address is not None:
                return address[0]
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        raise RuntimeError(f"the command ui does not answer; it said: {said}")

    def stop(self) -> None:
        """Ends it, as a person's terminal does when it is closed."""
        self._process.terminate()
        self._process.wait(timeout=60)


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Gives a browser without a window.

    Raises:
        RuntimeError: If there is none on PATH.
    """
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise RuntimeError("no chromium on PATH: on Debian, apt-get install chromium")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def close_assistant(page: "Page") -> None:
    """Closes the panel that MLflow 3 opens beside its pages, as soon as it is there."""
    page.get_by_role("button", name="Close", exact=True).first.click()
