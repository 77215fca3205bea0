"""What others took of the cores: arithmetic by hand, and the counters of this machine."""

import subprocess
import sys

import pytest

from mnist_bench import disturbance
from mnist_bench.disturbance import Disturbance, Reading, disturbance_between, taken_at_most

START = Reading(wall_seconds=100, own_seconds=7, busy_seconds=5_000, steal_seconds=30)


def after(wall, own, busy, steal):
    return Reading(
        100 + wall,
        7 + own,
        None if busy is None else 5_000 + busy,
        None if steal is None else 30 + steal,
    )


@pytest.mark.parametrize(
    ("end", "cores", "foreign", "steal"),
    [
        (after(10, 12, 13, 0.2), 2, 0.05, 0.01),
        (after(10, 12, 12, 0), 2, 0, 0),
        (after(10, 5, 15, 0), 1, 1, 0),
        (after(10, 12, 11.97, 0), 2, 0, 0),  # within a tick or two
        (after(10, 12, 0, 0), 2, None, 0),  # not the counters of these cores
        (after(10, 12, None, None), 2, None, None),
        (after(10, 12, 13, None), 2, 0.05, None),
        (after(10, 12, 13, -1), 2, 0.05, None),
    ],
)
def test_shares_are_of_all_time_of_the_cores(end, cores, foreign, steal):
    found = disturbance_between(START, end, cores)
    assert (found.wall_seconds, found.cores) == (10, cores)
    assert found.foreign_cpu_share == (None if foreign is None else pytest.approx(foreign))
    assert found.steal_share == (None if steal is None else pytest.approx(steal))


@pytest.mark.parametrize(
    ("seconds", "cores", "foreign", "steal", "timing"),
    [
        (10, 2, 0.0, 0.0, "alone"),
        (10, 2, 0.047, 0.047, "alone"),
        (10, 2, 0.053, 0.0, "disturbed"),
        (10, 2, 0.0, 0.053, "disturbed"),
        (10, 2, 0.5, 0.0, "disturbed"),
        # The counters cannot tell.
        (10, 2, 0.05, 0.0, None),
        (10, 2, None, 0.0, None),
        (10, 2, 0.0, None, None),
        (10, 2, 0.5, None, "disturbed"),
        # Four ticks of 10 ms in two cores are a tenth of 0.2 s, and so no sign of anybody; nor is
        # it a sign of nobody if there were none.
        (0.2, 2, 0.1, 0.1, None),
        (0.2, 2, 0.0, 0.0, None),
        (0.2, 2, 0.5, 0.0, "disturbed"),
        (1, 2, 0.02, 0.01, "alone"),
        # One process that is always busy.
        (10, 8, 1 / 8, 0.0, "disturbed"),
        (10, 64, 1 / 64, 0.0, "disturbed"),
        (10, 64, 0.3 / 64, 0.0, "alone"),
    ],
)
def test_alone_is_what_the_counters_can_tell_for_certain(seconds, cores, foreign, steal, timing):
    assert Disturbance(seconds, cores, foreign, steal).timing == timing


def test_what_is_recorded_is_text_and_only_what_is_known():
    found = Disturbance(10, 2, 0.0127, 0.0)
    recorded = {"foreign_cpu_share": "0.013", "steal_share": "0.000"}
    assert found.tags(shares_machine=False) == {**recorded, "timing": "alone"}
    assert found.tags(shares_machine=True) == {**recorded, "timing": "shared"}
    unknown = Disturbance(10, 2, None, None)
    assert unknown.tags(shares_machine=False) == {}
    assert unknown.tags(shares_machine=True) == {"timing": "shared"}


def test_the_worst_of_several_runs_is_told():
    runs = [
        {"foreign_cpu_share": "0.013", "steal_share": "0.100"},
        {"foreign_cpu_share": "0.482", "steal_share": "x"},
        {},
    ]
    assert taken_at_most(runs) == (
        "others took at most 48.2% of the cores and the hypervisor took at most 10.0% of the cores"
    )
    assert taken_at_most([{}]) == "it is not known what others took of the cores"


BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_what_a_child_worked_is_not_others():
    watch = disturbance.Watch()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    own = disturbance._read(watch._cores).own_seconds - watch._start.own_seconds
    assert own > 0.3 - disturbance.ERROR_SECONDS


def test_a_core_that_the_system_does_not_count_makes_all_unknown(monkeypatch):
    monkeypatch.setattr(disturbance, "_usable_cores", lambda: [0, 4096])
    found = disturbance.Watch().stop()
    assert (found.foreign_cpu_share, found.steal_share, found.timing) == (None, None, None)


def test_a_system_without_a_word_of_steal_leaves_it_unknown(monkeypatch):
    class Times:
        user, nice, system, idle = 5.0, 0.0, 1.0, 7.0

    monkeypatch.setattr(disturbance, "_usable_cores", lambda: [0])
    monkeypatch.setattr(disturbance.psutil, "cpu_times", lambda percpu: [Times()])
    reading = disturbance._read([0])
    assert (reading.busy_seconds, reading.steal_seconds) == (6, None)
