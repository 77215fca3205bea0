import numpy as np
import pytest

from mnist_bench.config.schema import Activation, ModelConfig, Style
from mnist_bench.train import models

STYLES = list(Style)


def config(style: Style, hidden_units: list[int]) -> ModelConfig:
    return ModelConfig(style=style, hidden_units=hidden_units, activation=Activation.relu)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("hidden_units", "parameters"),
    [([1000], 795_010), ([784, 64], 666_330), ([64, 64], 55_050)],
)
def test_parameter_counts_of_the_notebooks(style, hidden_units, parameters):
    model = models.build(config(style, hidden_units), seed=0)
    assert model.count_params() == parameters
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == parameters


@pytest.mark.parametrize("style", STYLES)
def test_every_style_has_the_weights_of_the_seed(style):
    reference = models.build(config(Style.sequential_list, [16, 8]), seed=3).get_weights()
    weights = models.build(config(style, [16, 8]), seed=3).get_weights()
    other = models.build(config(style, [16, 8]), seed=4).get_weights()
    assert [w.shape for w in weights] == [(784, 16), (16,), (16, 8), (8,), (8, 10), (10,)]
    assert all(np.array_equal(a, b) for a, b in zip(reference, weights, strict=True))
    assert not np.array_equal(weights[0], other[0])


def test_layers_do_not_share_a_seed():
    first, _, second, *_ = models.build(config(Style.functional, [784, 784]), seed=0).get_weights()
    assert not np.array_equal(first, second)


def test_the_largest_seed_is_taken():
    assert models.build(config(Style.functional, [4]), seed=2**32 - 1).count_params() == 3_190


@pytest.mark.parametrize("style", STYLES)
def test_forward_pass_is_the_textbook_one(style):
    model = models.build(config(style, [16, 8]), seed=0)
    images = np.random.default_rng(0).random((5, 28, 28), np.float32)
    outputs = images.reshape(5, 784)
    weights = model.get_weights()
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        outputs = np.maximum(outputs @ kernel + bias, 0)
    logits = np.exp(outputs @ weights[-2] + weights[-1])
    expected = logits / logits.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(images).numpy(), expected, rtol=1e-5)


def test_each_style_is_the_keras_class_that_it_names():
    names = {style: type(models.build(config(style, [4]), 0)).__name__ for style in STYLES}
    assert names == {
        Style.sequential_add: "Sequential",
        Style.sequential_list: "Sequential",
        Style.functional: "Functional",
        Style.subclass: "DenseNetwork",
    }


@pytest.mark.parametrize("style", STYLES)
def test_saves_and_loads_safely(style, tmp_path):
    import keras

    model = models.build(config(style, [16, 8]), seed=0)
    images = np.random.default_rng(0).random((5, 28, 28), np.float32)
    models.portable(model).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images), model(images))
