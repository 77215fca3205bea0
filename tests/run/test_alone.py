"""That a run which was not alone on its machine says so, with real programs beside it.

That a run was alone is never asked: nobody knows what else the machine does that runs the tests.
"""

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from mnist_bench.compare.comparable import obstacle
from mnist_bench.metrics import METRICS
from mnist_bench.run.execute import execute
from mnist_bench.selection.baselines import read_baseline, write_baseline
from mnist_bench.selection.samples import Selection, sample_of
from mnist_bench.store.runs import runs_if_any
from tests.settings import config

TIMES = [METRICS[name] for name in ("epoch_seconds_median", "compile_seconds", "total_seconds")]
BUSY = "print(flush=True)\nwhile True: pass"


@pytest.fixture
def busy_cores():
    """A program on each core that never rests."""
    with ExitStack() as stack:
        for _ in os.sched_getaffinity(0):
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
            )
            stack.callback(process.kill)
            process.stdout.readline()
        yield


def only_run(uri):
    [run] = runs_if_any(uri, "x")
    return run


def settings_for(folder, **changes):
    settings = config(hidden_units=(16,), **changes)
    settings.tracking.uri = f"sqlite:///{folder}/mlflow.db"
    return settings


@pytest.mark.usefixtures("busy_cores")
def test_a_run_beside_a_busy_program_was_disturbed_and_counts_as_a_run(tmp_path):
    settings = settings_for(tmp_path)
    summary = execute(settings, [])
    run = only_run(settings.tracking.uri)
    assert not summary.failure
    assert run.tags["timing"] == "disturbed"
    assert float(run.tags["foreign_cpu_share"]) > 0.05
    assert run.tags["process"].startswith(sample_of(run).facts["machine"])
    for metric in TIMES:
        assert "not alone: others took at most" in obstacle(metric, [sample_of(run)])
    assert not obstacle(METRICS["test_accuracy"], [sample_of(run)])
    # How it was timed is not what it is: nobody trains it again for that.
    assert execute(settings, []).stored
    path = tmp_path / "baseline.json"
    write_baseline(path, Selection("one", (sample_of(run),)))
    assert read_baseline(path).samples == (sample_of(run),)


def test_a_run_that_failed_says_nothing_of_its_times(tmp_path):
    settings = settings_for(tmp_path)

    def fails(epoch):
        raise RuntimeError

    assert execute(settings, [], fails).failure
    assert "timing" not in only_run(settings.tracking.uri).tags


TRAIN = """
import sys
from pathlib import Path
from mnist_bench.run.execute import execute
from mnist_bench.train import startup
from tests.run.test_alone import settings_for
with startup.without_startup_noise():
    import mnist_bench.train.training
import mnist_bench.store.recorders
print("ready", flush=True)
sys.stdin.readline()
execute(settings_for(Path(sys.argv[1]), epochs=5), [])
"""


def test_two_runs_at_a_time_disturbed_each_other(tmp_path):
    """So nothing else has to look for runs that overlap: each has taken cores from the other."""
    folders = [tmp_path / name for name in ("one", "two")]
    with ExitStack() as stack:
        processes = []
        for folder in folders:
            folder.mkdir()
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", TRAIN, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in processes] == [0, 0]
    runs = [only_run(f"sqlite:///{folder}/mlflow.db") for folder in folders]
    assert [run.tags["timing"] for run in runs] == ["disturbed", "disturbed"]
    samples = [sample_of(run) for run in runs]
    assert len({run.tags["process"] for run in runs}) == 2
    assert len({sample.facts["machine"] for sample in samples}) == 1
    assert "not alone" in obstacle(TIMES[0], samples)
