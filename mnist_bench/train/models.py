"""One dense network, written in the four styles that Keras offers."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mnist_bench.config.schema import ModelConfig, Style
from mnist_bench.errors import Refusal
from mnist_bench.text import shown

INPUT_SHAPE = (28, 28)
CLASSES = 10


def build(config: ModelConfig, seed: int) -> keras.Model:
    """Returns the network, built but not compiled; its weights are the same in every style.

    Each layer draws its weights from an initializer of its own, seeded by (seed, index of the
    layer), so that neither the style nor anything random elsewhere in the process changes them.

    Args:
        config: Style, widths and activation.
        seed: Whole number in [0, 2**32).

    Returns:
        A model from images (batch, 28, 28) float32 to probabilities (batch, 10) float32.
    """
    return _BUILDERS[config.style](_layers(config, seed))


def _layers(config: ModelConfig, seed: int) -> list[keras.Layer]:
    widths = [*config.hidden_units, CLASSES]
    activations = [config.activation.value] * len(config.hidden_units) + ["softmax"]
    dense = [
        keras.layers.Dense(
            width,
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=_layer_seed(seed, index)),
            name="probabilities" if index == len(config.hidden_units) else f"hidden_{index + 1}",
        )
        for index, (width, activation) in enumerate(zip(widths, activations, strict=True))
    ]
    return [keras.layers.Flatten(name="flatten"), *dense]


def _layer_seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _sequential_add(layers: list[keras.Layer]) -> keras.Model:
    model = keras.Sequential(name="sequential_add")
    model.add(keras.Input(INPUT_SHAPE, name="mnist_input"))
    for layer in layers:
        model.add(layer)
    return model


def _sequential_list(layers: list[keras.Layer]) -> keras.Model:
    return keras.Sequential(
        [keras.Input(INPUT_SHAPE, name="mnist_input"), *layers], name="sequential_list"
    )


def _functional(layers: list[keras.Layer]) -> keras.Model:
    inputs = keras.Input(INPUT_SHAPE, name="mnist_input")
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name="functional")


class DenseNetwork(keras.Model):
    """The subclass style: layers as attributes, the forward pass as a method."""

    def __init__(self, stack: list[keras.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stack = stack

    def call(self, images: Any) -> Any:
        """Returns probabilities (batch, 10) for images (batch, 28, 28)."""
        outputs = images
        for layer in self.stack:
            outputs = layer(outputs)
        return outputs


def portable(model: keras.Model) -> keras.Model:
    """Returns a model that loads without this package, with the same layers and weights.

    A `.keras` file holds no code, and Keras refuses to import the class of a subclassed model, so
    that one is turned into its functional equivalent; the other styles are portable as they are.
    """
    return _functional(model.stack) if isinstance(model, DenseNetwork) else model


def load_model(path: Path) -> keras.Model:
    """Returns a model that was saved as a `.keras` file, without running any code in it.

    Raises:
        Refusal: If it cannot be read, holds code, or is no network for images of digits.
    """
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise Refusal(f"the model cannot be loaded: {shown(error)}") from error
    shapes = (model.input_shape, model.output_shape)
    if shapes != ((None, *INPUT_SHAPE), (None, CLASSES)):
        raise Refusal(f"the model is no network for images of digits, but {shapes}")
    return model


def _subclass(layers: list[keras.Layer]) -> keras.Model:
    model = DenseNetwork(layers, name="subclass")
    # A subclass knows its weights only after it has seen a real batch.
    model(np.zeros((1, *INPUT_SHAPE), np.float32))
    return model


_BUILDERS = {
    Style.sequential_add: _sequential_add,
    Style.sequential_list: _sequential_list,
    Style.functional: _functional,
    Style.subclass: _subclass,
}
