"""Where Hydra looks for plugins; the sweeper itself is `mnist_bench.sweep.sweeper`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConfig:
    """`hydra/sweeper=mnist_bench`.

    Attributes:
        params: Axes of the grid: key -> values as they would be typed.
    """

    _target_: str = "hydra_plugins.mnist_bench.sweeper.MnistBenchSweeper"
    params: dict[str, Any] = field(default_factory=dict)


class MnistBenchSweeper(Sweeper):
    """Hands everything on to the real sweeper.

    Hydra imports this module at each start, `--help` included; the real one is heavy, so it is
    imported when there is something to sweep.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        from mnist_bench.sweep.sweeper import MnistBenchSweeper as RealSweeper

        self._sweeper = RealSweeper(params)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """See `mnist_bench.sweep.sweeper`."""
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """See `mnist_bench.sweep.sweeper`."""
        return self._sweeper.sweep(arguments)


ConfigStore.instance().store(
    group="hydra/sweeper", name="mnist_bench", node=SweeperConfig, provider="mnist_bench"
)
