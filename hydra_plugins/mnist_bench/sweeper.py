"""Where Hydra looks for plugins; what it does is in `mnist_bench.sweep.sweeper`."""

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
    """Keeps what Hydra hands over, for `run_sweep`.

    Hydra imports this module at each start, `--help` included; what a sweep needs is heavy, so it
    is imported when there is something to sweep.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what comes before `sweep`."""
        self._handed_over = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """See `mnist_bench.sweep.sweeper`."""
        from mnist_bench.sweep.sweeper import run_sweep

        return run_sweep(self._params, arguments, *self._handed_over)


ConfigStore.instance().store(
    group="hydra/sweeper", name="mnist_bench", node=SweeperConfig, provider="mnist_bench"
)
