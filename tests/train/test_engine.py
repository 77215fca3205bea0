import keras
import numpy as np
import pytest

from mnist_bench.config.schema import Activation, ModelConfig, Style
from mnist_bench.train.engine import CompiledEngine, FitEngine, OnDevice, Program, score
from mnist_bench.train.models import build

ROWS = 300
KINDS = ("compiled", "fit", "fit_tuned")
OPTIMIZERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, ROWS).astype(np.int32)
    images = rng.random((ROWS, 28, 28), np.float32)
    images[np.arange(ROWS), labels, :] += 1.0  # something to learn: a bright row a class
    return images, labels


def make(kind, data, batch_size, optimizer="adam", style=Style.sequential_list):
    network = ModelConfig(style=style, hidden_units=[16, 8], activation=Activation.relu)
    model = build(network, 0)
    own_optimizer = OPTIMIZERS[optimizer]()
    if kind == "compiled":
        program = Program(model, own_optimizer, len(data[0]), batch_size)
        return model, CompiledEngine(program, model, *data, [data[0]], OnDevice())
    return model, FitEngine(model, own_optimizer, *data, batch_size, tuned=kind == "fit_tuned")


def orders(epochs, rows=ROWS):
    return [np.random.default_rng(e).permutation(rows).astype(np.int32) for e in range(epochs)]


def curves(engine, data, epochs=4):
    trained = [engine.train_epoch(order) for order in orders(epochs)]
    return [(m.loss, m.accuracy) for m in trained], score(engine.predict(data[0]), data[1])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("kind", "batch_size"),
    [("fit", 32), ("fit", 50), ("fit", 512), ("fit_tuned", 32)],
    ids=["partial last batch", "full batches", "one partial batch", "tuned"],
)
def test_agrees_with_fit_in_every_epoch(kind, optimizer, batch_size, data):
    ours, our_evaluation = curves(make("compiled", data, batch_size, optimizer)[1], data)
    engine = make(kind, data, batch_size, optimizer)[1]
    engine.prepare()
    theirs, their_evaluation = curves(engine, data)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    np.testing.assert_allclose(our_evaluation, their_evaluation, rtol=1e-4)


def test_agrees_with_a_plain_keras_loop(data):
    """The reference is written out by hand: no engine, no `fit`."""
    images, labels = data
    model, engine = make("compiled", data, 32)
    reference, _ = make("fit", data, 32)
    trained = engine.train_epoch(orders(1)[0])
    losses = []
    for rows in np.split(orders(1)[0], range(32, ROWS, 32)):
        loss = float(reference.train_on_batch(images[rows], labels[rows])[0])
        losses += [loss] * len(rows)
    means = np.cumsum(losses) / np.arange(1, ROWS + 1)
    np.testing.assert_allclose(trained.step_losses, means[[*range(31, ROWS, 32), -1]], rtol=1e-4)
    for ours, theirs in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_preparing_changes_no_weight_and_no_optimizer_state(kind, data):
    model, engine = make(kind, data, 32)
    weights = model.get_weights()
    engine.prepare()
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert model.optimizer.iterations.numpy() == 0
    slots = [v.numpy() for v in model.optimizer.variables if v.name != "learning_rate"]
    assert len(slots) > 6
    assert all(not np.any(slot) for slot in slots)


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_preparing(kind, data):
    prepared = make(kind, data, 32)[1]
    prepared.prepare()
    assert curves(prepared, data)[0] == curves(make(kind, data, 32)[1], data)[0]


def test_training_after_preparing_compiles_nothing(data):
    _, engine = make("compiled", data, 32)
    engine.prepare()
    before = tracings(engine._program)
    curves(engine, data)
    assert before == tracings(engine._program) == (1, 1)


def test_slices_change_no_bit(data, monkeypatch):
    """Ten steps, the last of them a partial batch, at once and one by one."""
    results = []
    for steps, seconds in ((10, 1e9), (1, 0)):
        monkeypatch.setattr("mnist_bench.train.engine.SLICE_SECONDS", seconds)
        model, engine = make("compiled", data, 32)
        engine._program._slice_steps = steps
        trained = [engine.train_epoch(order) for order in orders(2)]
        assert engine._program._slice_steps >= steps
        curve = [(m.loss, m.accuracy, m.step_losses.tobytes()) for m in trained]
        results.append((curve, [weight.tobytes() for weight in model.get_weights()]))
    assert results[0] == results[1]


def tracings(program):
    functions = (program._epoch, program._evaluation)
    return tuple(function.experimental_get_tracing_count() for function in functions)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_trained_on_and_the_partial_batch_counts(kind, data):
    """301 rows in batches of 300: the one row of the last batch is the only one of its class."""
    images = np.concatenate([data[0], np.full((1, 28, 28), 5.0, np.float32)])
    labels = np.concatenate([np.minimum(data[1], 8), [9]]).astype(np.int32)
    model, engine = make(kind, (images, labels), 300)
    engine.train_epoch(np.arange(301, dtype=np.int32))
    assert model.optimizer.iterations.numpy() == 2
    assert engine.predict(images[-1:])[0, 9] > build_probability(images[-1:])


def build_probability(image):
    network = ModelConfig(
        style=Style.sequential_list, hidden_units=[16, 8], activation=Activation.relu
    )
    return float(build(network, 0)(image).numpy()[0, 9])


def test_the_order_decides(data):
    one, other = (make("compiled", data, 32)[1] for _ in range(2))
    assert one.train_epoch(orders(1)[0]).loss != other.train_epoch(orders(2)[1]).loss


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_four_styles_are_equal_to_the_last_bit(optimizer, data):
    results = []
    for style in Style:
        model, engine = make("compiled", data, 32, optimizer, style)
        engine.prepare()
        results.append((curves(engine, data), [w.tobytes() for w in model.get_weights()]))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 1999, 2000, 2001, 4000, 4001])
def test_evaluates_every_row_once(kind, rows, data):
    images = np.resize(data[0], (rows, 28, 28))
    labels = np.resize(data[1], rows)
    model, engine = make(kind, data, 32)
    probabilities = model(images).numpy()
    loss, accuracy = score(engine.predict(images), labels)
    expected = -np.log(probabilities[np.arange(rows), labels]).mean()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert accuracy == pytest.approx((probabilities.argmax(axis=1) == labels).mean(), rel=1e-6)
    np.testing.assert_allclose(engine.predict(images), probabilities, rtol=1e-4, atol=1e-7)


def test_an_array_is_put_on_the_device_once_and_dropped_with_its_data(data):
    on_device = OnDevice()
    images, labels = data
    on_device.hold(images, labels)
    placed = on_device.tensor(images)
    on_device.hold(images, labels, images[:7])
    assert on_device.tensor(images) is placed
    assert len(on_device._held) == 3
    same_values = images.copy()
    on_device.hold(same_values)
    assert on_device.tensor(same_values) is not placed
    assert len(on_device._held) == 1
