import time

import numpy as np
import pytest

from mnist_bench.config.schema import EngineName, Validation
from mnist_bench.train.data import load_cached
from mnist_bench.train.optimizers import make_optimizer
from mnist_bench.train.training import Diverged, _check_finite, epoch_order, train
from tests.settings import config, optimizer


def trained(settings, **arguments):
    return train(settings, load_cached(settings.data), **arguments)


def curve(result):
    return [(e.train_loss, e.train_accuracy, e.val_loss, e.val_accuracy) for e in result.epochs]


def test_order_is_a_permutation_of_its_seed_and_epoch():
    orders = {(s, e): epoch_order(s, e, 1000) for s in (0, 1) for e in (1, 2)}
    assert all(sorted(order) == list(range(1000)) for order in orders.values())
    assert len({order.tobytes() for order in orders.values()}) == 4
    again = np.random.default_rng([1, 2]).permutation(1000)
    np.testing.assert_array_equal(orders[1, 2], again)


def test_one_seed_gives_one_curve_and_another_seed_another():
    first, second, other = (trained(config(seed=seed)) for seed in (0, 0, 1))
    assert curve(first) == curve(second)
    assert first.probabilities.tobytes() == second.probabilities.tobytes()
    assert curve(first) != curve(other)


def test_nothing_random_elsewhere_matters():
    import keras

    before = curve(trained(config()))
    keras.utils.set_random_seed(99)
    np.random.random()
    assert curve(trained(config())) == before


def test_the_clocks_see_what_they_name():
    """An epoch that is slowed down from outside takes no longer by its own clock."""
    start = time.perf_counter()
    result = trained(config(epochs=3), on_epoch=lambda epoch: time.sleep(0.3))
    wall = time.perf_counter() - start
    clocks = (
        result.build_seconds + result.compile_seconds + result.train_seconds + result.eval_seconds
    )
    assert result.train_seconds == sum(epoch.epoch_seconds for epoch in result.epochs)
    assert 0.9 <= wall - clocks < 0.9 + 0.5 * wall
    for epoch in result.epochs:
        assert epoch.examples_per_second == pytest.approx(600 / epoch.epoch_seconds)


def test_test_metrics_come_from_all_10_000_images():
    result = trained(config())
    labels = load_cached(config().data).test.labels
    assert result.probabilities.shape == (10_000, 10)
    assert result.test_accuracy == np.mean(result.probabilities.argmax(axis=1) == labels)
    picked = result.probabilities[np.arange(10_000), labels]
    assert result.test_loss == pytest.approx(-np.log(picked).mean(), rel=1e-5)


def test_no_validation_gives_no_validation_metrics():
    epochs = trained(config(validation=Validation.none)).epochs
    assert [(epoch.val_loss, epoch.val_accuracy) for epoch in epochs] == [(None, None)] * 2


@pytest.mark.parametrize("engine", list(EngineName))
def test_divergence_is_found_and_its_curve_kept(engine):
    seen = []
    settings = config(optimizer_config=optimizer("sgd", learning_rate=1e30), engine=engine)
    with pytest.raises(Diverged, match="epoch 1"):
        trained(settings, on_epoch=seen.append)
    assert [epoch.number for epoch in seen] == [1]


def test_weights_that_are_not_finite_are_found_behind_a_finite_loss():
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    epoch = trained(config(epochs=1)).epochs[0]
    _check_finite(model.get_weights(), epoch)
    model.set_weights([np.array([[np.nan], [0]]), np.zeros(1)])
    with pytest.raises(Diverged, match="weight"):
        _check_finite(model.get_weights(), epoch)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_each_optimizer_is_keras_own_with_the_given_settings(name):
    made = make_optimizer(optimizer(name, learning_rate=0.05))
    assert type(made).__name__.lower() == name
    assert float(made.learning_rate.numpy()) == pytest.approx(0.05)


def test_all_optimizers_train():
    losses = {
        name: [
            epoch.train_loss for epoch in trained(config(optimizer_config=optimizer(name))).epochs
        ]
        for name in ("adam", "adamw", "rmsprop", "sgd")
    }
    assert all(curve[1] < curve[0] for curve in losses.values())
    assert len({curve[0] for curve in losses.values()}) == 4
