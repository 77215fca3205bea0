"""Keras's optimizers by the names that the configuration gives them."""

from dataclasses import asdict

import keras

from mnist_bench.config.schema import OptimizerConfig

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def make_optimizer(config: OptimizerConfig) -> keras.Optimizer:
    """Returns Keras's optimizer with exactly these settings."""
    settings = asdict(config)
    return _OPTIMIZERS[settings.pop("name").value](**settings)
