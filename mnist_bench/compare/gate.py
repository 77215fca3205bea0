"""What a gate makes of verdicts: the exit code, and why."""

from collections.abc import Iterator, Sequence

from mnist_bench.compare.options import FailOn, Gate, Options, Verdict
from mnist_bench.compare.verdicts import Pairing, describe_row
from mnist_bench.errors import ExitCode


def hold_against_gate(pairings: Sequence[Pairing], options: Options) -> tuple[ExitCode, list[str]]:
    """Returns the exit code, and the reasons for any but `done`, a line each."""
    names = [f"{pairing.candidate.label}: " if len(pairings) > 1 else "" for pairing in pairings]
    named = list(zip(names, pairings, strict=True))
    failures = [name + reason for name, pairing in named for reason in _failures(pairing, options)]
    if failures:
        return ExitCode.failed, failures
    gated = [row for p in pairings for row in p.rows() if row.gated]
    untold = {Verdict.FAILED, Verdict.NOT_COMPARABLE}
    if all(row.verdict in untold for row in gated if row.metric.name in options.gates):
        notes = dict.fromkeys(row.note for row in gated if row.verdict in untold)
        return ExitCode.refused, [
            f"no gated metric could be judged: {'; '.join(filter(None, notes))}"
        ]
    undecided = [
        name + reason for name, pairing in named for reason in _undecided(pairing, options)
    ]
    return (ExitCode.undecided, undecided) if undecided else (ExitCode.done, [])


def _failures(pairing: Pairing, options: Options) -> Iterator[str]:
    fail_on = options.fail_on
    if FailOn.missing in fail_on or options.expect_same:
        yield from (f"MISSING {cell}" for cell in pairing.match.missing)
    if options.expect_same:
        yield from (f"NEW {cell}" for cell in pairing.match.new)
    failing = {
        Verdict.REGRESSED: FailOn.regression,
        Verdict.FAILED: FailOn.failed,
        Verdict.CHANGED: FailOn.changed,
    }
    for row in pairing.rows():
        different = options.expect_same and row.verdict is not Verdict.IDENTICAL
        if row.gated and (different or failing.get(row.verdict) in fail_on):
            yield describe_row(row)


def _undecided(pairing: Pairing, options: Options) -> Iterator[str]:
    """Returns what the suite level, the main gate, cannot tell."""
    for row in pairing.suites:
        if row.metric.name not in options.gates:
            continue
        if options.gate is Gate.non_inferiority:
            known = row.verdict is Verdict.IDENTICAL or row.not_worse
        else:
            known = row.verdict is not Verdict.INCONCLUSIVE
            known = known or FailOn.inconclusive not in options.fail_on
        if not known:
            yield describe_row(row)
