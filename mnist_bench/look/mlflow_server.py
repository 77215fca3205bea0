"""MLflow's server on the store of this program, for the browser of one person."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import psutil

from mnist_bench.errors import Refusal, ServerDied

HOST = "127.0.0.1"
POLL_SECONDS = 0.3
GRACE_SECONDS = 5
"""What the server's processes have to end by themselves."""


def check_port(port: int) -> None:
    """Does nothing if a server can listen on a port.

    Raises:
        Refusal: If it cannot.
    """
    with socket.socket() as probe:
        # As servers do: what was closed a moment ago does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            other = port + 1 if port < 65_535 else 5_001
            raise Refusal(
                f"--port {port}: cannot be used ({error.strerror}); end the program that has it, "
                f"or choose another port, e.g. --port {other}"
            ) from error


@contextmanager
def serving(uri: str, port: int) -> Iterator["Server"]:
    """Runs MLflow's server in a block; afterwards it and its processes are gone.

    Args:
        uri: Tracking URI of the store.
        port: To listen on, on this machine only.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
                *("--allowed-hosts", f"localhost:{port},{HOST}:{port}", "--workers", "1"),
            ],
            env={**os.environ, **_environment(uri)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which can be ended as one
        )
        try:
            yield Server(process, port, output)
        finally:
            _end(process)


def _environment(uri: str) -> dict[str, str]:
    return {
        # Not among the arguments, which everybody on the machine can read: it may hold a password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        # For language models; it would start more processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


class Server:
    """A server that was started."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, output: IO[bytes]) -> None:
        self._process = process
        self._output = output
        self.address = f"http://{HOST}:{port}"

    def wait_until_it_answers(self) -> None:
        """Returns when pages can be had.

        Raises:
            ServerDied: If it ends before.
        """
        while not _answers(f"{self.address}/health"):
            self._check()
            time.sleep(POLL_SECONDS)

    def wait(self) -> None:
        """Never returns: the person who looks at it ends it with a signal.

        Raises:
            ServerDied: If it ends by itself.
        """
        while True:
            self._check()
            time.sleep(POLL_SECONDS)

    def _check(self) -> None:
        code = self._process.poll()
        if code is not None:
            self._output.seek(0)
            said = self._output.read().decode(errors="replace").strip()
            raise ServerDied(f"MLflow's server ended with code {code}; it said:\n{said}")


def open_browser(address: str) -> None:
    """Opens a page, where there is a screen for it."""
    on_screen = {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    # Without one, Python would take a browser for terminals, and that the whole terminal.
    if on_screen or not sys.platform.startswith("linux"):
        webbrowser.open(address)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server with all its processes, also if the first of them is gone already."""
    # A second Ctrl-C must not leave half of them running.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _tell(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        # The first process only waits for the others, and may hang once it is told (MLflow 3.17).
        while _others(process.pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        _tell(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _others(group: int) -> list[int]:
    """Returns the processes of a group but its first."""
    found = []
    for number in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if number != group and os.getpgid(number) == group:
                found.append(number)
    return found


def _tell(group: int, number: int) -> None:
    """Sends a signal to all processes of a group, if there are any."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
