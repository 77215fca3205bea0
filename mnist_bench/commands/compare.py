"""The command `compare`: selectors in, a verdict and an exit code out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_bench.commands.main import exit_codes, uri_option
from mnist_bench.compare.formats import format_names, load_format
from mnist_bench.compare.options import DEFAULT_FAIL_ON, FailOn, Gate, Options
from mnist_bench.errors import ExitCode, Refusal
from mnist_bench.metrics import DEFAULT_GATES, Use, used_for
from mnist_bench.selection.baselines import write_baseline
from mnist_bench.selection.samples import newest_parent, split_by
from mnist_bench.selection.source import SELECTORS, Source
from mnist_bench.text import shown

if TYPE_CHECKING:
    from mnist_bench.compare.verdicts import Comparison


@click.command(
    epilog=exit_codes(
        done="nothing gated is shown worse",
        failed="worse means or single runs; missing cells or seeds; failed runs",
        refused="refused, nothing compared",
        undecided="inconclusive, where asked to fail on it",
    )
)
@click.argument("baseline", metavar="BASELINE")
@click.argument("candidates", metavar="[CANDIDATE]...", nargs=-1)
@click.option(
    "--by", metavar="KEY", help="Split BASELINE by a setting; its first value is the baseline."
)
@click.option("--ignore", metavar="KEY[,KEY]", default="", help="Settings changed on purpose.")
@click.option(
    "--metric",
    "metrics",
    metavar="NAME[:gate|info]",
    multiple=True,
    help=f"What decides, instead of {', '.join(DEFAULT_GATES)}.",
)
@click.option(
    "--margin",
    "margins",
    metavar="NAME=0.2pp,NAME=10%",
    multiple=True,
    help="The change of a metric that matters.",
)
@click.option(
    "--alpha",
    type=float,
    default=0.05,
    show_default=True,
    help="Chance of any false alarm in the comparison.",
)
@click.option("--paired", is_flag=True, help="Pair the runs of one seed; decide this beforehand.")
@click.option(
    "--gate",
    type=click.Choice([str(gate) for gate in Gate]),
    default=str(Gate.difference),
    show_default=True,
    help="Pass what is not shown worse, or only what is shown not worse.",
)
@click.option(
    "--fail-on",
    metavar="WORD[,WORD]",
    default=",".join(DEFAULT_FAIL_ON),
    show_default=True,
    help=f"Of {', '.join(FailOn)}.",
)
@click.option("--expect-same", is_flag=True, help="Fail on any difference at all.")
@click.option("--plan", "only_plan", is_flag=True, help="Only print how many seeds it takes.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(format_names()),
    multiple=True,
    help="Form of the output; several with --output.  [default: text]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files, compare.*.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    help="Write the runs of BASELINE, to compare with where there is no store.",
)
@click.option(
    "--log-to-mlflow", is_flag=True, help="Keep the comparison with the candidate's sweep."
)
@uri_option
def compare(  # noqa: PLR0913, PLR0917 - a parameter an option
    baseline: str,
    candidates: tuple[str, ...],
    by: str | None,
    ignore: str,
    metrics: tuple[str, ...],
    margins: tuple[str, ...],
    alpha: float,
    paired: bool,
    gate: str,
    fail_on: str,
    expect_same: bool,
    only_plan: bool,
    formats: tuple[str, ...],
    output: Path | None,
    export: Path | None,
    log_to_mlflow: bool,
    tracking_uri: str | None,
) -> int:
    """Says whether CANDIDATE is worse than BASELINE, better, the same, or cannot be told.

    Each is a selector: sweep:ID, latest, experiment:NAME, study:NAME, tag:KEY=VALUE, git:COMMIT,
    run:ID[,ID], filter:"..." or FILE.json (written by --export).
    """
    ignored = tuple(_listed(ignore))
    options = Options(
        gates=_gates(metrics),
        margins=_margins(margins),
        alpha=_alpha(alpha),
        paired=paired,
        gate=Gate(gate),
        fail_on=_fail_on(fail_on),
        expect_same=expect_same,
        # A setting takes part in the matching; what else runs can be split by does not.
        ignore=(*ignored, by) if by and "." in by else ignored,
    )
    _check_combination(candidates, by, only_plan, formats, output, export, log_to_mlflow)
    from mnist_bench.compare.formats.text import plan_lines, styled
    from mnist_bench.compare.judge import compare_selections
    from mnist_bench.compare.planning import plan_seeds

    source = Source(tracking_uri)
    selected = source.select(baseline)
    if export is not None:
        write_baseline(export, selected)
        click.echo(f"wrote {len(selected.samples)} runs to {export}", err=True)
    if only_plan:
        click.echo(styled(plan_lines(plan_seeds(selected, options), options, selected)))
        return ExitCode.done
    if by is not None:
        selected, *others = split_by(selected, by)
    else:
        others = [source.select(candidate) for candidate in candidates]
    if not others:
        return ExitCode.done
    comparison = compare_selections(selected, others, options, source.correct_predictions)
    _write(comparison, formats or ("text",), output)
    if log_to_mlflow:
        _log(source, comparison)
    if comparison.exit_code is ExitCode.refused:
        raise Refusal("; ".join(comparison.reasons))
    return comparison.exit_code


def _write(comparison: "Comparison", formats: Sequence[str], output: Path | None) -> None:
    if output is None:
        click.echo(load_format(formats[0]).write(comparison), nl=formats[0] == "text")
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in formats:
            form = load_format(name)
            text = click.unstyle(form.write(comparison))
            (output / form.file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"--output {shown(output)}: {error.strerror}") from error
    click.echo(load_format("text").write(comparison))


def _log(source: Source, comparison: "Comparison") -> None:
    for pairing in comparison.pairings:
        parent = newest_parent(pairing.candidate.samples)
        if not parent:
            raise Refusal(
                f"--log-to-mlflow: {pairing.candidate.label} belongs to no sweep; use --output"
            )
        forms = map(load_format, ("html", "json"))
        source.attach(parent, {f"compare/{form.file}": form.write(comparison) for form in forms})


def _check_combination(
    candidates: Sequence[str],
    by: str | None,
    only_plan: bool,
    formats: Sequence[str],
    output: Path | None,
    export: Path | None,
    log_to_mlflow: bool,
) -> None:
    alone = by is not None or only_plan
    if candidates and alone:
        raise Refusal(f"{'--by' if by else '--plan'}: takes one selection only")
    if by is not None and only_plan:
        raise Refusal("--plan: cannot be used with --by")
    if not (candidates or alone or export):
        raise Refusal(
            f"there is nothing to compare with: give a CANDIDATE, or --by, --plan or --export; "
            f"a CANDIDATE is one of {SELECTORS}"
        )
    if len(formats) > 1 and output is None:
        raise Refusal("--format: several of them need --output DIR")
    if (formats or output or log_to_mlflow) and (only_plan or not (candidates or by)):
        raise Refusal("--format, --output and --log-to-mlflow need a comparison")


def _gates(entries: Sequence[str]) -> tuple[str, ...]:
    """Returns the gated metrics: those named so, or the default ones but those named `info`."""
    known = used_for(Use.compared)
    gates: list[str] = []
    informing: list[str] = []
    for entry in entries:
        name, _, role = entry.partition(":")
        if name not in known:
            raise Refusal(f"--metric {shown(name)}: no such metric; there are: {', '.join(known)}")
        if role not in ("", "gate", "info"):
            raise Refusal(f"--metric {shown(entry)}: is followed by :gate or :info")
        (informing if role == "info" else gates).append(name)
    chosen = gates or [name for name in DEFAULT_GATES if name not in informing]
    if not chosen or set(gates) & set(informing):
        raise Refusal("--metric: at least one metric must gate, and none can do both")
    return tuple(dict.fromkeys(chosen))


def _margins(entries: Sequence[str]) -> Mapping[str, float]:
    known = used_for(Use.compared)
    margins = {}
    for entry in (part for text in entries for part in _listed(text)):
        name, equals, text = entry.partition("=")
        if not equals or name not in known:
            raise Refusal(
                f"--margin {shown(entry)}: takes NAME=MARGIN, e.g. test_accuracy=0.2pp or "
                f"test_loss=5%; names are: {', '.join(known)}"
            )
        try:
            margins[name] = known[name].parse_margin(text)
        except ValueError as error:
            raise Refusal(f"--margin {shown(entry)}: {error}") from error
    return margins


def _alpha(alpha: float) -> float:
    if not 0 < alpha <= 0.5:
        raise Refusal(f"--alpha must be above 0 and at most 0.5, got {alpha}; e.g. 0.05")
    return alpha


def _fail_on(text: str) -> frozenset[FailOn]:
    words = _listed(text)
    unknown = [word for word in words if word not in list(FailOn)]
    if unknown or not words:
        raise Refusal(
            f"--fail-on {shown(text)}: takes words of {', '.join(FailOn)}, with commas between"
        )
    return frozenset(map(FailOn, words))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
