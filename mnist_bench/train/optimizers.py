"""Keras's optimizers with the settings of a configuration."""

from dataclasses import asdict

import keras

from mnist_bench.config.schema import OptimizerConfig


def make_optimizer(config: OptimizerConfig) -> keras.Optimizer:
    """Returns Keras's optimizer with exactly these settings."""
    settings = asdict(config)
    return getattr(keras.optimizers, settings.pop("name").keras_class)(**settings)
