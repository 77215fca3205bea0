"""Configurations and plans made by the real Hydra, for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_bench.config.compose import load_config, register, resource_dir
from mnist_bench.config.schema import DataConfig, RunConfig
from mnist_bench.sweep.plan import Plan, make_plan


@cache
def _register_once() -> None:
    register()


@contextmanager
def config_loader() -> Iterator[ConfigLoader]:
    """Gives the loader that the command line uses."""
    _register_once()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(resource_dir("conf"))):
        yield GlobalHydra.instance().config_loader()


def compose(*overrides: str) -> DictConfig:
    """Returns what Hydra makes of these overrides; some 100 ms."""
    with config_loader():
        return hydra.compose("config", list(overrides))


@cache
def _composed(groups: tuple[str, ...]) -> DictConfig:
    return compose(*groups)


def override(*values: str, groups: tuple[str, ...] = ()) -> DictConfig:
    """Returns the same as `compose(*groups, *values)`, within a millisecond or two.

    Args:
        values: `key=value` of plain keys, set in the way in which Hydra does it.
        groups: Choices of groups.
    """
    config = _composed(groups).copy()
    parser = OverridesParser.create()
    for value in values:
        parsed = parser.parse_override(value)
        OmegaConf.update(config, parsed.key_or_group, parsed.value(), merge=True)
    return config


def configure(*values: str, groups: tuple[str, ...] = ()) -> RunConfig:
    """Returns the checked configuration; arguments as of `override`."""
    return load_config(override(*values, groups=groups))


def digest_of(config: DataConfig) -> str:
    """Stands for a digest of data: another one for each data setting, without loading any."""
    return sha256(repr(config).encode()).hexdigest()


def plan(*arguments: str, digest: Callable[[DataConfig], str] = digest_of) -> Plan:
    """Returns the plan of `python -m mnist_bench -m ARGUMENTS`."""
    with config_loader() as loader:
        master = loader.load_configuration(
            "config", overrides=list(arguments), run_mode=RunMode.MULTIRUN
        )
        return make_plan(loader, master, master.hydra.sweeper.params, arguments, digest)
