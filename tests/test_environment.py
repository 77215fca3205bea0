import getpass
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

import mnist_bench
from mnist_bench import environment
from mnist_bench.environment import describe


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "code.py").write_text("1\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "-qm", "first")
    return folder


def state(folder: Path) -> tuple[str, bool]:
    return environment._git_state(folder)


# --- the commit ---------------------------------------------------------------------------------


def test_a_clean_a_changed_and_a_staged_checkout(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    assert state(checkout) == (first, False)
    (checkout / "mlflow.db").write_text("made by runs, or somebody's notes")
    assert state(checkout) == (first, False)
    (checkout / "code.py").write_text("2\n")
    assert state(checkout) == (first, True)
    git(checkout, "add", "code.py")
    assert state(checkout) == (first, True)
    git(checkout, "commit", "-qm", "second")
    second = git(checkout, "rev-parse", "HEAD")
    assert second != first
    assert state(checkout) == (second, False)
    (checkout / "code.py").unlink()
    assert state(checkout) == (second, True)


def test_a_linked_worktree_has_its_own_state(checkout: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(checkout, "worktree", "add", "-q", str(linked))
    (checkout / "code.py").write_text("2\n")
    assert state(linked) == (git(checkout, "rev-parse", "HEAD"), False)
    assert state(checkout)[1]


def test_no_commit_no_repository_and_no_git(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    git(fresh, "init", "-q")
    assert state(fresh) == ("", False)
    # A wheel that was installed somewhere inside a repository is not of its commit.
    inside = checkout / "site-packages"
    inside.mkdir()
    assert state(inside) == ("", False)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / ".git").write_text("gitdir: /nowhere\n")
    assert state(broken) == ("", False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert state(checkout) == ("", False)


def test_a_hook_of_another_repository_does_not_confuse(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git tells its hooks by these variables where they are; they would win over the folder."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-qm", "other", "--allow-empty")
    expected = (git(checkout, "rev-parse", "HEAD"), False)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert state(checkout) == expected


# --- memory -------------------------------------------------------------------------------------

PEAKS = """
import json
from mnist_bench import environment
megabyte = 2**20
peaks = [environment.peak_memory_bytes()]
block = bytearray(b"x") * (300 * megabyte)
peaks.append(environment.peak_memory_bytes())
del block
peaks.append(environment.peak_memory_bytes())
was_reset = environment.reset_peak_memory()
peaks.append(environment.peak_memory_bytes())
block = bytearray(b"x") * (100 * megabyte)
del block
peaks.append(environment.peak_memory_bytes())
print(json.dumps([was_reset, [peak / megabyte for peak in peaks]]))
"""


def test_peak_memory_is_of_this_run_and_not_of_the_one_before() -> None:
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    was_reset, (start, high, freed, after, again) = json.loads(done.stdout)
    assert 5 < start < 200
    assert start + 296 < high < start + 330
    assert freed > high - 5
    if not was_reset:
        pytest.skip("this system cannot start a new measurement of peak memory")
    assert after < start + 20
    assert after + 98 < again < after + 130


# --- processes ----------------------------------------------------------------------------------


def test_a_process_is_known_by_more_than_its_number() -> None:
    this = environment.this_process()
    assert this == environment.this_process()
    assert environment.process_is_gone(this) is False
    host, boot, number, start = this.split(":")
    assert number == str(os.getpid())
    program = "from mnist_bench.environment import this_process; print(this_process())"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert ended.split(":")[:2] == [host, boot]
    assert environment.process_is_gone(ended) is True
    # The number was given out again; the system was started anew.
    assert environment.process_is_gone(f"{host}:{boot}:{number}:{float(start) - 1:.2f}") is True
    assert environment.process_is_gone(f"{host}:{'0' * 12}:{number}:{start}") is True
    # Of another host, only its heartbeat tells.
    assert environment.process_is_gone(f"{'0' * 12}:{boot}:{number}:{start}") is None


def test_two_machines_of_one_name_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []
    for machine_id in ("1" * 32, "2" * 32):
        (tmp_path / machine_id).write_text(machine_id)
        monkeypatch.setattr(environment, "MACHINE_ID", tmp_path / machine_id)
        recorded.append(environment.this_process())
    # Each machine has started at another time, too: what runs on the one would seem to be gone.
    assert [environment.process_is_gone(process) for process in recorded] == [None, False]
    assert len(set(map(environment.machine_of, recorded))) == 2
    monkeypatch.setattr(environment, "MACHINE_ID", tmp_path / "none")
    without = environment.this_process()
    assert environment.process_is_gone(without) is False
    assert environment.machine_of(without)


def test_a_process_that_was_recorded_by_its_hosts_name_alone_is_still_known() -> None:
    _, boot, number, start = environment.this_process().split(":")
    older = sha256(platform.node().encode()).hexdigest()[:12]
    assert environment.process_is_gone(f"{older}:{boot}:{number}:{start}") is False
    assert environment.process_is_gone(f"{older}:{'0' * 12}:{number}:{start}") is True


@pytest.mark.parametrize("recorded", ["", "x", "a:b", ":::", "a:b:c:d:e", "a\nb:c:d:e"])
def test_nothing_is_said_of_a_process_that_was_not_recorded_properly(recorded: str) -> None:
    assert environment.process_is_gone(recorded) is None


# --- what is recorded ---------------------------------------------------------------------------


def test_versions_are_those_that_are_installed() -> None:
    assert describe().versions == {
        "python": platform.python_version(),
        "version": mnist_bench.__version__,
        **{name: version(name) for name in ("tensorflow", "keras", "numpy", "mlflow")},
    }


def test_nothing_names_the_host_the_user_or_a_folder() -> None:
    facts = json.dumps(asdict(describe()))
    words = {platform.node(), getpass.getuser(), str(Path.home()), str(Path.cwd())}
    assert not any(word in facts for word in words if len(word) > 2)
    assert platform.node() not in environment.this_process()


def test_cores_and_threads_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    here = describe()
    assert here.cores == len(os.sched_getaffinity(0))
    assert here.cpu
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert describe.__wrapped__().threads == here.cores
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.setenv("XLA_FLAGS", "--xla_x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    changed = describe.__wrapped__()
    assert changed.threads == 3
    assert changed.flags["XLA_FLAGS"] == "--xla_x"
    assert changed.flags["TF_NUM_INTRAOP_THREADS"] == "3"
    assert changed.flags.keys() <= set(environment.FLAGS)


@pytest.mark.parametrize(
    ("device", "cudnn", "visible", "kind"),
    [
        (True, True, None, "GPU"),
        (True, True, "1,0", "GPU"),
        (True, True, "", "CPU"),
        (True, True, "-1", "CPU"),
        (True, True, "-1,0", "CPU"),  # what follows is not looked at
        (True, False, None, "CPU"),
        (False, True, None, "CPU"),
        (False, True, "0", "CPU"),
    ],
)
def test_the_kind_of_device_that_is_expected(
    monkeypatch: pytest.MonkeyPatch, device: bool, cudnn: bool, visible: str | None, kind: str
) -> None:
    """Neither driver nor library can be had here, so both are stood in for."""
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [self / "nvidia0"] * device)
    monkeypatch.setattr(environment, "_has_cudnn", lambda: cudnn)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.device_kind() == kind


LIGHT = """
import sys
from mnist_bench import environment, identity, metrics, text
from mnist_bench.commands import main, train
from mnist_bench.config import compose
from mnist_bench.look import terminal
from mnist_bench.report import leaderboard
from mnist_bench.stats import tests
from mnist_bench.sweep import plan
from mnist_bench.train import data
environment.describe()
print(sorted({"tensorflow", "keras", "mlflow", "matplotlib", "pandas"} & set(sys.modules)))
"""


def test_light_modules_stay_light() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
