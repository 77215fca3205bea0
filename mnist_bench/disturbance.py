"""Whether a run had its cores to itself: what others took of them while it was timed.

The system counts, core by core, for how long it worked and for how long its hypervisor kept it from
working. What this process used is known from its own clock; the rest of the work was others'. All
is read twice, before and after what is timed, so nothing is added to what is timed.

Not seen is what takes no time of these cores: others on the same GPU, on the other half of a core
with two threads that this process may not use, or in the caches and the memory that all cores
share; nor a lowered clock of the processor.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import psutil

MOST_SHARE = 0.05
"""Of the cores' time, that others, or the hypervisor, may take from a run that counts as alone.

It makes a run longer by as much if all its threads lose alike, which is half of the margin of
times, and by all of it, a tenth, if both of two cores wait for the one that loses. Measured on a
virtual machine with two cores: 0.0 to 0.2 % in spans of 5 s and 0.1 % in a run of 5 s with nothing
beside it (n = 1); 44 to 57 % in 16 runs beside busy programs or another run, whose epochs took 1.5
to 2.2 times as long as those of that one. The hypervisor took 0 to 1 %, and once 5.4 %.
"""

MOST_CORES = 0.5
"""The same as a number of cores: a process that is always busy passes on no machine, however large.

Up to ten cores `MOST_SHARE` is less."""

ERROR_SECONDS = 0.02
"""How wrong a count of one core may be: a tick of 10 ms at each of its two readings."""


class Timing(StrEnum):
    """How a run was timed, as its tag says it; without the tag that is not known.

    Stores that were written before this was measured say `exclusive`, which is not known either.
    """

    alone = "alone"
    disturbed = "disturbed"
    shared = "shared"


@dataclass(frozen=True, slots=True)
class Reading:
    """What clocks and counters say at one moment, in seconds; the cores' are sums over them.

    Attributes:
        wall_seconds: Of `time.perf_counter`.
        own_seconds: That this process worked, with its children that have ended.
        busy_seconds: That the cores worked, for whomever; None where the system does not say.
        steal_seconds: That the cores were to work and the hypervisor did not let them; likewise.
    """

    wall_seconds: float
    own_seconds: float
    busy_seconds: float | None
    steal_seconds: float | None


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What others took of the cores in a span of time.

    Attributes:
        wall_seconds: Its length.
        cores: How many there are.
        foreign_cpu_share: Of all time of the cores, what other processes worked; None if unknown.
        steal_share: Of the same, what the hypervisor took; likewise.
    """

    wall_seconds: float
    cores: int
    foreign_cpu_share: float | None
    steal_share: float | None

    @property
    def timing(self) -> Timing | None:
        """Whether the process was alone; None if the counters cannot tell.

        Of a short span they cannot: a tick or two is a large share of it.
        """
        limit = min(MOST_SHARE, MOST_CORES / self.cores)
        error = ERROR_SECONDS / self.wall_seconds
        shares = (self.foreign_cpu_share, self.steal_share)
        if any(share is not None and share - error > limit for share in shares):
            return Timing.disturbed
        if any(share is None or share + error > limit for share in shares):
            return None
        return Timing.alone

    def tags(self, *, shares_machine: bool) -> dict[str, str]:
        """Returns what is recorded of it, as text; what is not known is left out.

        Args:
            shares_machine: Whether others of one's own worked beside it, on purpose.
        """
        timing = Timing.shared if shares_machine else self.timing
        shares = {"foreign_cpu_share": self.foreign_cpu_share, "steal_share": self.steal_share}
        known = {key: f"{share:.3f}" for key, share in shares.items() if share is not None}
        return known if timing is None else {**known, "timing": timing.value}


def taken_at_most(recorded: Iterable[Mapping[str, str]]) -> str:
    """Returns the most that others took of the cores from one of some runs, as a clause.

    Args:
        recorded: `Disturbance.tags` of each, as a store or a file holds them: anything may stand
            there.
    """
    runs = list(recorded)
    who = {"foreign_cpu_share": "others took", "steal_share": "the hypervisor took"}
    parts = []
    for key, takes in who.items():
        known = [share for run in runs if (share := _as_share(run.get(key, ""))) is not None]
        if known:
            parts.append(f"{takes} at most {max(known):.1%} of the cores")
    return " and ".join(parts) or "it is not known what others took of the cores"


def _as_share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Watch:
    """Watches the cores that this process may use, from its making on."""

    def __init__(self) -> None:
        self._cores = _usable_cores()
        self._start = _read(self._cores)

    def stop(self) -> Disturbance:
        """Returns what others took until now."""
        return disturbance_between(self._start, _read(self._cores), len(self._cores))


def disturbance_between(before: Reading, after: Reading, cores: int) -> Disturbance:
    """Returns what others took between two readings of so many cores.

    Counters that hold less than this process used are not of these cores (some containers and
    sandboxes make them up), so they tell nothing of others.
    """
    wall_seconds = after.wall_seconds - before.wall_seconds

    def share_of(start: float | None, end: float | None, own: float = 0.0) -> float | None:
        if start is None or end is None:
            return None
        seconds = end - start - own
        is_possible = seconds >= -ERROR_SECONDS * cores
        return max(0.0, seconds) / (wall_seconds * cores) if is_possible else None

    own = after.own_seconds - before.own_seconds
    return Disturbance(
        wall_seconds,
        cores,
        share_of(before.busy_seconds, after.busy_seconds, own),
        share_of(before.steal_seconds, after.steal_seconds),
    )


def _usable_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _read(cores: list[int]) -> Reading:
    of_all = psutil.cpu_times(percpu=True)
    # Cores that are switched off have no place in the list, so it may be too short.
    counted = [of_all[core] for core in cores if core < len(of_all)]
    is_known = len(counted) == len(cores)
    children = os.times()
    return Reading(
        wall_seconds=time.perf_counter(),
        own_seconds=time.process_time() + children.children_user + children.children_system,
        # Linux counts guests in user and nice already; to wait for a disk is not to work.
        busy_seconds=sum(
            getattr(times, kind, 0.0)
            for times in counted
            for kind in ("user", "nice", "system", "irq", "softirq")
        )
        if is_known
        else None,
        steal_seconds=sum(times.steal for times in counted)
        if is_known and all(hasattr(times, "steal") for times in counted)
        else None,
    )
