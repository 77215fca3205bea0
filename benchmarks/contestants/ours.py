"""This suite's own training by its compiled engine: `ours SETTING...`."""

import sys

from hydra import compose, initialize_config_dir

from benchmarks.contestants import work
from mnist_bench import config, data


def configured(settings: list[str]) -> config.RunConfig:
    config.register()
    with initialize_config_dir(str(config.resource_dir("conf")), version_base="1.3"):
        return config.load(compose("config", overrides=settings))


def main() -> None:
    from mnist_bench import training

    settings = configured(sys.argv[1:])
    result = training.train(settings, data.load(settings.data))
    work.hand_back(
        [epoch.epoch_seconds for epoch in result.epochs],
        [epoch.train_loss for epoch in result.epochs],
        result.test_accuracy,
        result.compile_seconds,
    )


if __name__ == "__main__":
    main()
