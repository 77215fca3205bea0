"""Which runs of two selections belong together: one cell, one seed, one number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TypeAlias

from mnist_bench.errors import Refusal
from mnist_bench.selection.samples import Sample, Selection
from mnist_bench.text import ranges, shown

CellKey: TypeAlias = frozenset[tuple[str, str]]

SHOWN_DIFFERENCES = (
    *("code_fp", "git_commit", "git_dirty", "version", "python", "tensorflow", "keras", "numpy"),
    *("mlflow", "machine", "device", "cpu", "cores", "threads", "timing", "compiled", "caveats"),
)
"""The facts that are named where they vary; the other fingerprints only sum these up."""

NEVER_IGNORED = ("data", "train.epochs")
"""Runs of other data or of other length are not comparable, whatever the purpose."""

INTERRUPTED = ("killed", "running", "scheduled")
"""Why a run has no result that says nothing of its network."""

CLOSEST_CELLS = 50
"""How many unmatched cells a side are searched for what keeps them apart."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not the same on both sides, with its values."""

    fact: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatchedCell:
    """A matched cell.

    Attributes:
        label: Readable, of what both sides have in common.
        baseline: Its runs, one a seed, by seed.
        candidate: Likewise.
    """

    label: str
    baseline: tuple[Sample, ...]
    candidate: tuple[Sample, ...]

    @property
    def missing_seeds(self) -> tuple[int, ...]:
        """The seeds that the candidate was to run and did not: the baseline's that it lacks.

        None, where the candidate ran other seeds altogether, and as many: it was meant to.
        """
        ours, theirs = ({run.seed for run in side} for side in (self.baseline, self.candidate))
        are_fresh = ours.isdisjoint(theirs) and len(theirs) >= len(ours)
        return () if are_fresh else tuple(sorted(ours - theirs))


@dataclass(frozen=True, slots=True)
class Match:
    """Two selections, cell by cell.

    Attributes:
        cells: What both have, by label; at least one.
        missing: What only the baseline has, readable: cells, and of matched cells seeds.
        new: Names of the cells that only the candidate has.
        differences: Between their circumstances.
        notices: What a reader has to know, a sentence each.
    """

    cells: tuple[MatchedCell, ...]
    missing: tuple[str, ...]
    new: tuple[str, ...]
    differences: tuple[Difference, ...]
    notices: tuple[str, ...]

    @property
    def same_runs(self) -> str:
        """What a reader has to know where runs are compared with themselves; empty if none is."""
        ours = {run.run_id for cell in self.cells for run in cell.baseline}
        theirs = {run.run_id for cell in self.cells for run in cell.candidate}
        both, either = len(ours & theirs), len(ours | theirs)
        which = "all" if both == either else f"{both} of {either}"
        told = f"the same runs are on both sides ({which}), which says nothing of a change"
        return told if both else ""


def check_ignored(ignore: Iterable[str], sides: Sequence[Selection]) -> None:
    """Refuses settings that cannot be ignored.

    Raises:
        Refusal: If no run has one, or runs that differ in it are not comparable.
    """
    known = {key for side in sides for sample in side.samples for key in sample.settings}
    for key in ignore:
        if any(_covers(never, key) or _covers(key, never) for never in NEVER_IGNORED):
            raise Refusal(f"--ignore {shown(key)}: runs of other data or epochs are not comparable")
        if not any(_covers(key, setting) for setting in known):
            raise Refusal(
                f"--ignore {shown(key)}: no run has such a setting; there are: "
                f"{', '.join(sorted(known))}"
            )


def _covers(key: str, setting: str) -> bool:
    """Returns whether a key means a setting: itself, or its section.

    The name of an optimizer stands for all its settings, which are other ones for another name.
    """
    section = key.removesuffix(".name") if key == "optimizer.name" else key
    return setting == section or setting.startswith(f"{section}.")


def match(baseline: Selection, candidate: Selection, ignore: Sequence[str]) -> Match:
    """Returns the cells of two selections that are the same but for the ignored settings.

    Raises:
        Refusal: If there is none, an ignored setting would throw cells together, or one run stands
            for several seeds.
    """
    ours, notices = cells_of(baseline, ignore, "baseline")
    theirs, more = cells_of(candidate, ignore, "candidate")
    refuse_copies(ours.values(), f"baseline ({baseline.label})")
    refuse_copies(theirs.values(), f"candidate ({candidate.label})")
    both = [key for key in ours if key in theirs]
    if not both:
        raise Refusal(_why_nothing_matches(candidate.label, ours, theirs))
    cells = [
        MatchedCell(_common_label(ours[key], theirs[key]), ours[key], theirs[key]) for key in both
    ]
    cells.sort(key=lambda cell: cell.label)
    named = tuple(_uniquely_named(cells))
    lost = [
        f"{cell.label}: {'seed' if len(seeds) == 1 else 'seeds'} {ranges(seeds)}"
        for cell in named
        if (seeds := cell.missing_seeds)
    ]
    return Match(
        cells=named,
        missing=(
            *sorted(shown(ours[key][0].cell) for key in ours if key not in theirs),
            *lost,
        ),
        new=tuple(sorted(shown(theirs[key][0].cell) for key in theirs if key not in ours)),
        differences=tuple(_differences(baseline.samples, candidate.samples)),
        notices=tuple(dict.fromkeys([*notices, *more])),
    )


def cells_of(
    side: Selection, ignore: Sequence[str], name: str
) -> tuple[dict[CellKey, tuple[Sample, ...]], list[str]]:
    """Returns the runs of a side by cell, one a seed by seed, and what there is to know of them.

    Of several runs of one cell and seed the newest counts, and if that has no result, none does. A
    run that was interrupted is none: it says nothing of the network, and another one may do.

    Raises:
        Refusal: If an ignored setting would throw different cells together.
    """
    runs: dict[CellKey, dict[int, list[Sample]]] = {}
    whole: dict[CellKey, Sample] = {}
    for sample in side.samples:
        key = _cell_key(sample, ignore)
        other = whole.setdefault(key, sample)
        if _cell_key(other, ()) != _cell_key(sample, ()):
            apart = _apart(_cell_key(other, ()), _cell_key(sample, ()))
            raise Refusal(
                f"--ignore: {', '.join(sorted(apart))} varies inside the {name} "
                f"({side.label}), which would throw cells together; select fewer runs"
            )
        runs.setdefault(key, {}).setdefault(sample.seed, []).append(sample)
    cells = {
        key: tuple(
            max(seeds[seed], key=lambda s: (not _was_interrupted(s), s.start_ms, s.run_id))
            for seed in sorted(seeds)
        )
        for key, seeds in runs.items()
    }
    again = sum(
        sum(not sample.failure for sample in samples) > 1
        for seeds in runs.values()
        for samples in seeds.values()
    )
    notices = []
    if again:
        notices.append(f"{name}: {again} of its samples were run more than once; the newest counts")
    used = [sample for cell in cells.values() for sample in cell]
    for fact in SHOWN_DIFFERENCES:
        values = values_of(used, fact)
        # Programs are reused in every sweep over seeds; the times that it changes say so anyway.
        if len(values) > 1 and fact not in ("caveats", "compiled"):
            notices.append(f"{name}: runs vary in {{{fact}}}: {', '.join(values)}")
    return cells, notices


def _was_interrupted(sample: Sample) -> bool:
    return sample.failure.partition(":")[0] in INTERRUPTED


def refuse_copies(cells: Iterable[Sequence[Sample]], name: str) -> None:
    """Refuses runs that are one run under several seeds: copies have no spread of their own.

    Raises:
        Refusal: If there is one: of one id, or equal in all metrics, the seconds to the last bit.
    """
    for cell in cells:
        seen: dict[object, Sample] = {}
        for run in cell:
            marks: list[object] = [run.run_id]
            if "total_seconds" in run.metrics:
                marks.append(tuple(sorted(run.metrics.items())))
            for mark in marks:
                other = seen.setdefault(mark, run)
                if other is not run:
                    raise Refusal(
                        f"{name}: {shown(run.cell)}: seeds {other.seed} and {run.seed} "
                        "are copies of one run, and the sample is the run; leave one out"
                    )


def _cell_key(sample: Sample, ignore: Sequence[str]) -> CellKey:
    kept = {
        (setting, value)
        for setting, value in sample.settings.items()
        if not any(_covers(key, setting) for key in ignore)
    }
    return frozenset(kept | {("data", sample.facts.get("data_fp", ""))})


def _apart(ours: CellKey, theirs: CellKey) -> frozenset[str]:
    return frozenset(setting for setting, _ in ours ^ theirs)


def _why_nothing_matches(
    candidate: str,
    ours: Mapping[CellKey, tuple[Sample, ...]],
    theirs: Mapping[CellKey, tuple[Sample, ...]],
) -> str:
    """Returns a refusal that names what keeps the closest cells apart, and how to compare them."""
    before, after = list(ours)[:CLOSEST_CELLS], list(theirs)[:CLOSEST_CELLS]
    head = f"{candidate}: no cell of it matches one of the baseline"
    pairs = [(min(before, key=lambda old: len(_apart(old, new))), new) for new in after]
    apart = {_apart(old, new) for old, new in pairs}
    if len(apart) > 1:
        return f"{head}, and they differ in more than one way; nothing was compared"
    keys = sorted(apart.pop())
    old, new = (dict(side) for side in pairs[0])
    named = ", ".join(
        f"{key} ({shown(old.get(key, 'none'), 40)} against {shown(new.get(key, 'none'), 40)})"
        for key in keys
    )
    if any(_covers(never, key) for never in NEVER_IGNORED for key in keys):
        return f"{head}: {named}; runs of other data or epochs are not comparable"
    advice = "optimizer.name" if "optimizer.name" in keys else ",".join(keys)
    return f"{head}: they differ in {named}; to compare them across it, add --ignore {advice}"


def _common_label(ours: Sequence[Sample], theirs: Sequence[Sample]) -> str:
    """Returns the words that the names of both cells have in common."""
    others = theirs[0].cell.split(" ")
    common = [word for word in ours[0].cell.split(" ") if word in others]
    return shown(" ".join(common) or ours[0].cell)


def _uniquely_named(cells: Iterable[MatchedCell]) -> Iterable[MatchedCell]:
    taken: set[str] = set()
    for cell in cells:
        names = (f"{cell.label} ({again})" for again in count(2))
        name = next(name for name in chain([cell.label], names) if name not in taken)
        taken.add(name)
        yield replace(cell, label=name)


def _differences(ours: Sequence[Sample], theirs: Sequence[Sample]) -> Iterable[Difference]:
    for fact in SHOWN_DIFFERENCES:
        values = values_of(ours, fact), values_of(theirs, fact)
        if values[0] != values[1]:
            yield Difference(fact, *values)


def values_of(samples: Iterable[Sample], fact: str) -> tuple[str, ...]:
    """Returns the values of a fact that some runs have, in order."""
    return tuple(sorted({shown(sample.facts.get(fact, "unknown")) for sample in samples}))
