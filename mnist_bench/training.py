"""Trains one model: build, compile, train, evaluate. Knows nothing of MLflow or the terminal."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mnist_bench import engine as engines
from mnist_bench import environment, models
from mnist_bench.config import Engine, OptimizerConfig, RunConfig
from mnist_bench.data import Dataset

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


@dataclass(frozen=True, slots=True)
class Epoch:
    """Metrics and times of one epoch; shares in [0, 1], seconds of `time.perf_counter`.

    Attributes:
        number: 1-based.
        examples: (steps,) examples up to and with each optimizer step.
        epoch_seconds: The steps and the data order; evaluation is not in it.
        step_losses: (steps,) float64 running mean of the loss, or empty (see
            `engine.TrainMetrics`).
        val_loss: None without validation rows; `val_accuracy` likewise.
    """

    number: int
    examples: NDArray[np.int64]
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    epoch_seconds: float
    examples_per_second: float
    step_losses: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a finished training gave.

    Attributes:
        model: The trained model, with its compiled state.
        epochs: In order.
        test_loss: Mean over all test images.
        test_accuracy: Share of all test images, in [0, 1].
        probabilities: (test images, 10) float32.
        params_total: Weights of the model; `params_trainable` and `params_non_trainable` add up to
            it.
        build_seconds: The model and its optimizer, before anything is compiled.
        compile_seconds: All programs, before the first training step.
        train_seconds: Sum of the epochs' seconds.
        eval_seconds: All evaluations, of validation and of test.
        peak_memory_bytes: Largest resident set during this training.
    """

    model: keras.Model
    epochs: tuple[Epoch, ...]
    test_loss: float
    test_accuracy: float
    probabilities: NDArray[np.float32]
    params_total: int
    params_trainable: int
    params_non_trainable: int
    build_seconds: float
    compile_seconds: float
    train_seconds: float
    eval_seconds: float
    peak_memory_bytes: int


class Diverged(ArithmeticError):  # noqa: N818 - an outcome of the training, by the field's own word
    """The loss or a weight is no longer a finite number."""


def train(
    config: RunConfig, dataset: Dataset, on_epoch: Callable[[Epoch], None] = lambda epoch: None
) -> RunResult:
    """Trains and evaluates one model.

    Args:
        config: Checked settings.
        dataset: What `data.load` returned for `config.data`.
        on_epoch: Called after each epoch, outside every clock; also for the epoch that diverged.

    Raises:
        Diverged: After `on_epoch` was called for the epoch in which it happened.
    """
    environment.reset_peak_memory()
    start = time.perf_counter()
    model = models.build(config.model, config.seed)
    engine = _make_engine(model, config, dataset)
    built = time.perf_counter()
    engine.prepare()
    compiled = time.perf_counter()

    rows = len(dataset.train.labels)
    steps = -(-rows // config.train.batch_size)
    examples = np.minimum(np.arange(1, steps + 1) * config.train.batch_size, rows)
    epochs: list[Epoch] = []
    eval_seconds = 0.0
    for number in range(1, config.train.epochs + 1):
        began = time.perf_counter()
        metrics = engine.train_epoch(epoch_order(config.seed, number, rows))
        trained = time.perf_counter()
        val_loss, val_accuracy = (
            (None, None)
            if dataset.validation is None
            else engine.evaluate(dataset.validation.images, dataset.validation.labels)
        )
        eval_seconds += time.perf_counter() - trained
        epoch = Epoch(
            number=number,
            examples=examples,
            train_loss=metrics.loss,
            train_accuracy=metrics.accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            epoch_seconds=trained - began,
            examples_per_second=rows / (trained - began),
            step_losses=metrics.step_losses,
        )
        epochs.append(epoch)
        on_epoch(epoch)
        _check_finite(model, epoch)

    began = time.perf_counter()
    test_loss, test_accuracy = engine.evaluate(dataset.test.images, dataset.test.labels)
    probabilities = engine.predict(dataset.test.images)
    eval_seconds += time.perf_counter() - began
    trainable = _count(model.trainable_weights)
    non_trainable = _count(model.non_trainable_weights)
    return RunResult(
        model=model,
        epochs=tuple(epochs),
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        probabilities=probabilities,
        params_total=trainable + non_trainable,
        params_trainable=trainable,
        params_non_trainable=non_trainable,
        build_seconds=built - start,
        compile_seconds=compiled - built,
        train_seconds=sum(epoch.epoch_seconds for epoch in epochs),
        eval_seconds=eval_seconds,
        peak_memory_bytes=environment.peak_memory_bytes(),
    )


def start_device() -> str:
    """Starts TensorFlow's devices and returns the kind that trains: `CPU` or `GPU`."""
    return str(tf.config.list_logical_devices()[-1].device_type)


def forget_models() -> None:
    """Drops what Keras keeps of the models of this process."""
    keras.backend.clear_session()


def epoch_order(seed: int, epoch: int, rows: int) -> NDArray[np.int32]:
    """Returns the order in which an epoch visits the training rows: (rows,) a permutation.

    It depends on nothing but its arguments, so every engine and every style sees the same data.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


def make_optimizer(config: OptimizerConfig) -> keras.Optimizer:
    """Returns Keras's optimizer with exactly these settings."""
    settings = asdict(config)
    return _OPTIMIZERS[settings.pop("name").value](**settings)


def _make_engine(model: keras.Model, config: RunConfig, dataset: Dataset) -> engines.Engine:
    optimizer = make_optimizer(config.optimizer)
    images, labels = dataset.train.images, dataset.train.labels
    batch_size = config.train.batch_size
    if config.train.engine is Engine.compiled:
        return engines.CompiledEngine(model, optimizer, images, labels, batch_size)
    tuned = config.train.engine is Engine.fit_tuned
    return engines.FitEngine(model, optimizer, images, labels, batch_size, tuned=tuned)


def _check_finite(model: keras.Model, epoch: Epoch) -> None:
    # XLA's fast min and max may turn NaN weights into a finite loss, so the weights are looked at
    # too.
    if not np.isfinite(epoch.train_loss):
        finite = np.isfinite(epoch.step_losses)
        step = "" if finite.all() else f", step {int(finite.argmin()) + 1}"
        raise Diverged(f"the loss became {epoch.train_loss} in epoch {epoch.number}{step}")
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise Diverged(f"a weight became NaN or infinite in epoch {epoch.number}")


def _count(weights: list[keras.Variable]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)
