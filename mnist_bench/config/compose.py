"""From what Hydra composes to checked dataclasses, and where the values of `conf/` lie."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_bench.config.explain import explain, keys_of, no_such_key
from mnist_bench.config.rules import broken_rules
from mnist_bench.config.schema import OPTIMIZERS, SECTIONS, RunConfig
from mnist_bench.errors import Refusal


class HydraTask:
    """What Hydra calls when it has composed a configuration; `run` makes an exit code of that.

    Attributes:
        is_reached: Whether Hydra came as far as to hand over; what it raises before that is about
            bad input. A sweeper that Hydra hands over to instead sets it.
        exit_code: What `run` returned last.
        refusal: What it raised instead; Hydra would print more than that.
    """

    def __init__(self, run: Callable[[DictConfig], int]) -> None:
        self.is_reached = False
        self.exit_code = 0
        self.refusal: Refusal | None = None
        self._run = run

    def __call__(self, composed: DictConfig) -> None:
        """Runs it."""
        self.is_reached = True
        try:
            self.exit_code = self._run(composed)
        except Refusal as refusal:
            self.refusal = refusal


def load_config(config: DictConfig) -> RunConfig:
    """Returns what Hydra composed, without its `hydra` node, as checked dataclasses.

    Raises:
        Refusal: With all problems of all sections, not only the first.
    """
    known = keys_of(RunConfig)
    missing = [key for key in known if key not in config or OmegaConf.is_missing(config, key)]
    problems = [no_such_key(str(key), known) for key in config if key not in known]
    problems += [f"{key}: is missing; leave its default where it is" for key in missing]
    for name in SECTIONS:
        if name not in missing and config[name] is not None:
            problems += _section_problems(name, config[name])
    if not missing:
        problems += broken_rules(RunConfig, config)
    if problems:
        raise Refusal(*problems)
    loaded = OmegaConf.to_object(config)
    assert isinstance(loaded, RunConfig)
    return loaded


def _section_problems(name: str, section: DictConfig) -> list[str]:
    known = keys_of(OmegaConf.get_type(section))
    # `+key=` adds what no type knows of.
    foreign = [f"{name}.{key!s}" for key in section if key not in known]
    if foreign:
        return [no_such_key(key, known) for key in foreign]
    try:
        OmegaConf.to_object(section)
    except Refusal as error:
        return list(error.problems)
    except OmegaConfBaseException as error:
        return [explain(error)]
    return []


def resource_dir(name: str) -> Path:
    """Returns the absolute folder `name` (`conf` or `experiments`).

    In a wheel it lies inside the package, in a checkout beside it.
    """
    package = Path(__file__).resolve().parent.parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


@cache
def default_values(optimizer: str) -> dict[str, Any]:
    """Returns what `conf/` sets with this optimizer and the packaged data, by section."""
    return {
        **_values_in("config"),
        "optimizer": _values_in(f"optimizer/{optimizer}"),
        "data": _values_in("data/mnist"),
    }


@cache
def _values_in(file: str) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(OmegaConf.load(resource_dir("conf") / f"{file}.yaml"))
    return dict(values)


def register() -> None:
    """Tells Hydra of the schemas, and of `experiments/` as the groups `experiment` and `case`."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(group="schema", name="run", node=RunConfig)
    for schema, name in OPTIMIZERS.items():
        store.store(group="schema/optimizer", name=name.value, node=schema)
    for path in sorted(resource_dir("experiments").glob("*.yaml")):
        study = OmegaConf.load(path)
        # `case` lets a study of studies sweep over the others: Hydra takes `experiment` only once.
        for group in ("experiment", "case"):
            store.store(group=group, name=path.stem, node=study, package="_global_")
