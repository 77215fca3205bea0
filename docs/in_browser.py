"""MLflow's UI in a real browser, for the tests and for the screenshots of the docs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

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
"""MLflow's server answers after some 10 s, or 45 s on a busy machine."""


class Server:
    """MLflow's server on the store of a folder, started at once and waited for when it is needed.

    Attributes:
        url: Where it answers, without a slash at the end.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        command = [sys.executable, "-m", "mlflow", "server"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=log.parent,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Returns when the server answers.

        Raises:
            RuntimeError: If it ended or takes too long; with the end of what it said.
        """
        for _ in range(2 * START_SECONDS):
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (URLError, TimeoutError, ConnectionError):
                time.sleep(0.5)
            if self._process.poll() is not None:
                break
        raise RuntimeError(f"MLflow's server does not answer: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Ends the server and its workers, which do not end while a page is connected."""
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


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
