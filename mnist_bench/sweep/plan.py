"""What a sweep is going to run, decided and checked before anything is trained."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice, product, repeat
from random import Random
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mnist_bench.config.compose import load_config
from mnist_bench.config.explain import explain
from mnist_bench.config.record import as_plain, flatten
from mnist_bench.config.schema import DataConfig, RunConfig
from mnist_bench.errors import Refusal
from mnist_bench.identity import Identity, identify, sweep_id
from mnist_bench.text import shown

MAX_RUNS = 100_000
"""Of one sweep: more are a mistake, and would fill the memory before anybody saw it."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        overrides: What the launcher composes it from.
        config: The same, composed and checked.
        identity: What it is.
    """

    overrides: tuple[str, ...]
    config: RunConfig
    identity: Identity


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a sweep, in order, each once.

    Attributes:
        runs: What is to be run: seeds outermost, and the cells of a seed shuffled, so that a sweep
            that was cut off holds balanced blocks, and a machine that slows down is not mistaken
            for an effect of the cells that come last.
        duplicates: Names of the runs that were asked for more than once.
        excluded: Names of the runs that `sweep.exclude` left out.
        sweep_id: Identity of the set of runs; also what the order is shuffled by.
    """

    runs: tuple[PlannedRun, ...]
    duplicates: tuple[str, ...]
    excluded: tuple[str, ...]
    sweep_id: str


def make_plan(
    loader: ConfigLoader,
    master: DictConfig,
    params: Mapping[str, Any],
    arguments: Sequence[str],
    data_digest: Callable[[DataConfig], str],
) -> Plan:
    """Returns the plan of a sweep, whose own configuration is `master`.

    `params` are the axes of its grid; what was typed, in `arguments`, replaces the axis of its key.

    Raises:
        Refusal: With every problem of every run, each once.
    """
    typed = [f"{key}={value}" for key, value in params.items()] + list(arguments)
    problems: Counter[str] = Counter()
    runs: dict[str, PlannedRun] = {}
    duplicates: list[str] = []
    excluded: list[str] = []
    excluding: set[str] = set()
    known: set[str] = set()
    total = 0
    for run in _combinations(loader, master, typed, data_digest):
        total += 1
        if isinstance(run, Refusal):
            problems.update(run.problems)
            continue
        flat = flatten(as_plain(run.config))
        known |= flat.keys()
        excluding.update(*run.config.sweep.exclude)
        if any(partial.items() <= flat.items() for partial in run.config.sweep.exclude):
            excluded.append(run.identity.name)
        elif run.identity.run_fp in runs:
            duplicates.append(run.identity.name)
        else:
            runs[run.identity.run_fp] = run
    # A key may belong to one optimizer of several.
    problems.update(dict.fromkeys((_unknown(key, known) for key in excluding - known), total))
    if problems:
        raise Refusal(
            *(
                f"{problem} (in {count} of {total} runs)" if total > 1 else problem
                for problem, count in problems.items()
            )
        )
    if not runs:
        raise Refusal("sweep.exclude leaves no run; drop one of its entries")
    sweep = sweep_id(list(runs))
    ordered = _order(list(runs.values()), sweep)
    return Plan(tuple(ordered), tuple(duplicates), tuple(excluded), sweep)


def _combinations(
    loader: ConfigLoader,
    master: DictConfig,
    typed: list[str],
    data_digest: Callable[[DataConfig], str],
) -> Iterator[PlannedRun | Refusal]:
    """Gives the run of each combination of values, or what is wrong with it.

    Hydra composes once for each combination of group choices, at about 100 ms; plain values are
    set on copies of that, which is some hundred times faster.
    """
    parser = OverridesParser.create(config_loader=loader)
    # `++key=` replaces the axis of `key` as well.
    axes = {o.get_key_element().lstrip("+~"): o for o in parser.parse_overrides(typed)}
    groups = [_values_of_axis(o) for o in axes.values() if _is_group_choice(loader, o)]
    values = [_values_of_axis(o) for o in axes.values() if not _is_group_choice(loader, o)]
    size = math.prod(len(axis) for axis in (*groups, *values))
    if not 1 <= size <= MAX_RUNS:
        raise Refusal(
            f"a sweep must have 1 to {MAX_RUNS} runs, got {'more' if size else 'none'}; "
            "change the values of its keys"
        )
    parsed = {text: parser.parse_override(text) for axis in values for text in axis}
    digests: dict[str, str] = {}
    for group_choice in product(*groups):
        try:
            composed = _compose(loader, master, group_choice)
        except Refusal as refusal:
            yield from repeat(refusal, math.prod(map(len, values)))
            continue
        for value_choice in product(*values):
            try:
                config = _configure(composed, [parsed[text] for text in value_choice])
                data = repr(config.data)
                if data not in digests:
                    digests[data] = data_digest(config.data)
                identity = identify(config, digests[data])
            except Refusal as refusal:
                yield refusal
            else:
                yield PlannedRun((*group_choice, *value_choice), config, identity)


def _order(runs: Sequence[PlannedRun], shuffled_by: str) -> list[PlannedRun]:
    by_seed: dict[int, list[PlannedRun]] = {}
    for run in sorted(runs, key=lambda run: run.identity.run_fp):
        by_seed.setdefault(run.config.seed, []).append(run)
    generator = Random(shuffled_by)
    for block in by_seed.values():
        generator.shuffle(block)
    return [run for seed in sorted(by_seed) for run in by_seed[seed]]


def _unknown(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, known, n=1)
    advice = f"did you mean {near[0]}?" if near else "`--cfg job` shows all"
    return f"sweep.exclude: {shown(key)}: no such key; {advice}"


def _values_of_axis(override: Override) -> list[str]:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise Refusal(
            f"{shown(str(override.input_line))}: a sweep needs a list of values; "
            "use choice(...), range(...), glob(...) or a,b,c"
        )
    found = islice(override.sweep_string_iterator(), MAX_RUNS + 1)
    return [f"{key}={value}" for value in found]


def _is_group_choice(loader: ConfigLoader, override: Override) -> bool:
    # What adds or deletes a key is left to Hydra as well.
    return override.type is not OverrideType.CHANGE or bool(
        loader.get_group_options(override.key_or_group)
    )


def _compose(loader: ConfigLoader, master: DictConfig, choice: Sequence[str]) -> DictConfig:
    try:
        composed = loader.load_sweep_config(master, list(choice))
    except Exception as error:  # OSError, ValueError, ...: whatever bad input leads to
        raise Refusal(explain(error, choice)) from error
    with open_dict(composed):
        del composed["hydra"]
    return composed


def _configure(composed: DictConfig, overrides: Sequence[Override]) -> RunConfig:
    config = OmegaConf.create(composed)
    problems = []
    for override in overrides:
        try:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException as error:
            problems.append(explain(error, [str(override.input_line)]))
    try:
        loaded = load_config(config)
    except Refusal as refusal:
        problems += refusal.problems
    if problems:
        raise Refusal(*problems)
    return loaded
