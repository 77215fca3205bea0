"""The machine, the versions and the commit that a run is recorded with.

Nothing here names a host, a user or a folder: a machine is known by processor, cores and threads,
and one among those of its type by a hash (`this_process`, `machine_of`).
"""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import psutil

import mnist_bench

PACKAGES = ("tensorflow", "keras", "numpy", "mlflow")

FLAGS = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS")
"""Environment variables that choose how a device computes."""


MACHINE_ID = Path("/etc/machine-id")
"""Where systemd keeps an id that an installation draws; it is not to be told, so it is hashed."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a run happened.

    Attributes:
        versions: `python`, this package as `version`, and each of `PACKAGES`.
        cpu: Name of the processor.
        cores: Cores this process may use.
        threads: Threads that one operation of TensorFlow may use.
        git_commit: Commit of the checkout that the package runs from; empty for an installed wheel.
        git_dirty: Whether that checkout had changes.
        flags: Those of `FLAGS` that are set.
        device: Kind of the device that is expected to train, see `device_kind`.
    """

    versions: dict[str, str]
    cpu: str
    cores: int
    threads: int
    git_commit: str
    git_dirty: bool
    flags: dict[str, str]
    device: str


@cache
def describe() -> Environment:
    """Returns the environment of this process, without importing any of the packages."""
    cores = len(psutil.Process().cpu_affinity()) if hasattr(os, "sched_getaffinity") else 0
    cores = cores or os.cpu_count() or 1
    commit, dirty = _git_state(Path(__file__).resolve().parent.parent)
    return Environment(
        versions={
            "python": platform.python_version(),
            "version": mnist_bench.__version__,
            **{name: version(name) for name in PACKAGES},
        },
        cpu=_cpu_name(),
        cores=cores,
        threads=int(os.environ.get("TF_NUM_INTRAOP_THREADS") or cores),
        git_commit=commit,
        git_dirty=dirty,
        flags={name: os.environ[name] for name in FLAGS if os.environ.get(name)},
        device=device_kind(),
    )


def device_kind() -> str:
    """Returns `GPU` where TensorFlow is going to train on one, else `CPU`.

    TensorFlow, which knows for sure, takes seconds to load; a run compares this with its word. It
    finds a GPU where NVIDIA's driver has made a device, cuDNN is installed, and
    `CUDA_VISIBLE_DEVICES`, of which it reads as far as the first entry that is none, hides not all.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = visible is not None and visible.partition(",")[0].strip() in ("", "-1")
    has_device = any(Path("/dev").glob("nvidia[0-9]*"))
    return "GPU" if has_device and not hidden and _has_cudnn() else "CPU"


def _has_cudnn() -> bool:
    from ctypes.util import find_library

    packaged = any((Path(folder) / "nvidia" / "cudnn").is_dir() for folder in sys.path)
    return packaged or find_library("cudnn") is not None


def this_process() -> str:
    """Returns what tells this process from every other: host, boot, number and start time.

    A number alone would be taken for the same process after it was given out again, and host and
    boot are hashed so that a record names no machine.
    """
    process = psutil.Process()
    return f"{_host()}:{_boot()}:{process.pid}:{process.create_time():.2f}"


def machine_of(recorded: str) -> str:
    """Returns the machine of a process of `this_process`, hashed; empty if it is no such record."""
    parts = recorded.split(":")
    return parts[0] if len(parts) == 4 else ""


def process_is_gone(recorded: str) -> bool | None:
    """Returns whether a process of `this_process` has ended; None if it ran on another host.

    None as well for what is no such record: a store may hold anything. After a reboot, everything
    that ran before is gone.
    """
    # Older records know the node by its name alone.
    if machine_of(recorded) not in (_host(), _hash(platform.node())):
        return None
    _, boot, number, start = recorded.split(":")
    if boot != _boot() or not number.isdigit():
        return True
    try:
        return f"{psutil.Process(int(number)).create_time():.2f}" != start
    except psutil.NoSuchProcess:
        return True


def _boot() -> str:
    # The start of the system is known to a second or so; a boot id, where there is one, exactly.
    path = Path("/proc/sys/kernel/random/boot_id")
    boot = path.read_text(encoding="ascii") if path.exists() else str(round(psutil.boot_time(), -1))
    return _hash(boot)


def _host() -> str:
    """Returns the machine: its node's name with the id that its system got when it was installed.

    Two machines with one name differ in their ids. Not told apart are copies of one disk image that
    kept both, and machines without an id (`machine-id(5)`) that have one name. A container with a
    name of its own is a machine of its own, so its times compare with those of no other one,
    which is right: nothing says that it was on the same hardware.
    """
    known = MACHINE_ID.exists()
    return _hash(platform.node() + (MACHINE_ID.read_text(encoding="ascii") if known else ""))


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


def reset_peak_memory() -> bool:
    """Starts a new measurement of peak memory; returns False where the system cannot do that."""
    try:
        # proc_pid_clear_refs(5): "5" resets VmHWM to the current resident set size.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory_bytes() -> int:
    """Returns the largest resident set since `reset_peak_memory`, or since the process started."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.machine()
    family = " ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    return f"{name} ({family})" if family else name


def _git_state(folder: Path) -> tuple[str, bool]:
    # Only a checkout of this project counts, not a repository that a wheel was installed somewhere
    # inside.
    if not (folder / ".git").exists():
        return "", False
    commit = _git(folder, "rev-parse", "HEAD")
    return commit, bool(commit and _git(folder, "status", "--porcelain", "--untracked-files=no"))


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            # Named, since variables that git sets for its hooks would win over the folder.
            ["git", f"--git-dir={folder / '.git'}", f"--work-tree={folder}", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
