"""What a sweep is going to run, decided and checked before anything is trained."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mnist_bench.config import ConfigError, DataConfig, RunConfig, explain, load, shown
from mnist_bench.data import DataError
from mnist_bench.fingerprint import Identity, identify


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
        runs: What is to be run.
        duplicates: Names of the runs that were asked for more than once.
    """

    runs: tuple[PlannedRun, ...]
    duplicates: tuple[str, ...]


def make_plan(
    loader: ConfigLoader,
    master: DictConfig,
    params: Mapping[str, Any],
    arguments: Sequence[str],
    data_digest: Callable[[DataConfig], str],
) -> Plan:
    """Returns the plan of a sweep.

    Hydra composes once for each combination of group choices, at about 100 ms; plain values are
    set on copies of that, which is some hundred times faster.

    Args:
        loader: Hydra's.
        master: The configuration of the sweep itself.
        params: Axes of the grid; a key in `arguments` replaces its axis.
        arguments: Overrides as they were typed.
        data_digest: Returns the digest of the data that a configuration means.

    Raises:
        ConfigError: With every problem of every run, each once.
    """
    parser = OverridesParser.create(config_loader=loader)
    typed = [f"{key}={value}" for key, value in params.items()] + list(arguments)
    axes = {o.get_key_element(): o for o in parser.parse_overrides(typed)}
    groups = [_choices(o) for o in axes.values() if _is_group_choice(loader, o)]
    values = [_choices(o) for o in axes.values() if not _is_group_choice(loader, o)]

    problems: Counter[str] = Counter()
    digests: dict[str, str] = {}
    runs: dict[str, PlannedRun] = {}
    duplicates = []
    total = 0
    for group_choice in product(*groups):
        composed = _compose(loader, master, group_choice, problems)
        for value_choice in product(*values):
            total += 1
            if composed is None:
                continue
            found = Counter[str]()
            config = _configure(composed, parser, value_choice, found)
            digest = config and _digest(config.data, digests, data_digest, found)
            problems += found
            if config is None or not digest:
                continue
            run = PlannedRun((*group_choice, *value_choice), config, identify(config, digest))
            if run.identity.run_fp in runs:
                duplicates.append(run.identity.name)
            runs.setdefault(run.identity.run_fp, run)
    if problems:
        raise ConfigError(
            f"{problem} (in {count} of {total} runs)" if total > 1 else problem
            for problem, count in problems.items()
        )
    return Plan(tuple(runs.values()), tuple(duplicates))


def _choices(override: Override) -> list[str]:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError(
            [
                f"{shown(str(override.input_line))}: a sweep needs a list of values; "
                "use choice(...), range(...), glob(...) or a,b,c"
            ]
        )
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _is_group_choice(loader: ConfigLoader, override: Override) -> bool:
    # What adds or deletes a key is left to Hydra as well.
    return override.type is not OverrideType.CHANGE or bool(
        loader.get_group_options(override.key_or_group)
    )


def _compose(
    loader: ConfigLoader, master: DictConfig, choice: Sequence[str], problems: Counter[str]
) -> DictConfig | None:
    try:
        composed = loader.load_sweep_config(master, list(choice))
    except (HydraException, OmegaConfBaseException) as error:
        problems[explain(error)] += 1
        return None
    with open_dict(composed):
        del composed["hydra"]
    return composed


def _configure(
    composed: DictConfig, parser: OverridesParser, choice: Sequence[str], problems: Counter[str]
) -> RunConfig | None:
    config = OmegaConf.create(composed)
    for override in _parsed(parser, choice):
        try:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException as error:
            problems[explain(error)] += 1
    try:
        loaded = load(config)
    except ConfigError as error:
        problems.update(error.problems)
    return None if problems else loaded


def _parsed(parser: OverridesParser, choice: Sequence[str]) -> Iterator[Override]:
    return (parser.parse_override(override) for override in choice)


def _digest(
    config: DataConfig,
    known: dict[str, str],
    data_digest: Callable[[DataConfig], str],
    problems: Counter[str],
) -> str | None:
    key = repr(config)
    if key not in known:
        try:
            known[key] = data_digest(config)
        except DataError as error:
            problems[str(error)] += 1
            return None
    return known[key]
