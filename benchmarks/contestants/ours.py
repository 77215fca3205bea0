"""This suite's own training by its compiled engine: `ours SETTING...`."""

import sys

from hydra import compose, initialize_config_dir

from benchmarks.contestants import work
from mnist_bench.config.compose import load_config, register, resource_dir
from mnist_bench.config.schema import RunConfig
from mnist_bench.train.data import load_dataset


def configured(settings: list[str]) -> RunConfig:
    register()
    with initialize_config_dir(str(resource_dir("conf")), version_base="1.3"):
        return load_config(compose("config", overrides=settings))


def main() -> None:
    from mnist_bench.train.training import train

    settings = configured(sys.argv[1:])
    result = train(settings, load_dataset(settings.data))
    work.hand_back(
        [epoch.epoch_seconds for epoch in result.epochs],
        [epoch.train_loss for epoch in result.epochs],
        result.test_accuracy,
        result.compile_seconds,
    )


if __name__ == "__main__":
    main()
