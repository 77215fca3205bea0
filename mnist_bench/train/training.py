"""Trains one model: build, compile, train, evaluate. Knows nothing of MLflow or the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mnist_bench import environment
from mnist_bench.config.schema import EngineName, RunConfig
from mnist_bench.train import engine as engines
from mnist_bench.train import models
from mnist_bench.train.data import Dataset
from mnist_bench.train.optimizers import make_optimizer

PROGRAMS_BYTES = 1_000_000_000
"""Of compiled programs that a process keeps: the default sweep's 32 take half of it."""


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
        is_reused: Whether it ran a program that an earlier run had compiled.
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
    is_reused: bool


class Diverged(ArithmeticError):  # noqa: N818 - an outcome of the training, by the field's own word
    """The loss or a weight is no longer a finite number."""


def train(
    config: RunConfig,
    dataset: Dataset,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    programs: engines.Programs | None = None,
) -> RunResult:
    """Trains and evaluates one model.

    Args:
        config: Checked settings.
        dataset: What `data.load_dataset` returned for `config.data`.
        on_epoch: Called after each epoch, outside every clock; also for the epoch that diverged.
        programs: Where to take a compiled program from, and leave it for the next run; None
            compiles afresh. The results are equal to the last bit.

    Raises:
        Diverged: After `on_epoch` was called for the epoch in which it happened.
    """
    environment.reset_peak_memory()
    start = time.perf_counter()
    model = models.build(config.model, config.seed)
    with _engine(model, config, dataset, programs or engines.Programs(0)) as (engine, is_reused):
        built = time.perf_counter()
        engine.prepare()
        compiled = time.perf_counter()
        epochs, eval_seconds = _train_epochs(engine, config, dataset, on_epoch)
        began = time.perf_counter()
        probabilities = engine.predict(dataset.test.images)
        test_loss, test_accuracy = engines.score(probabilities, dataset.test.labels)
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
        is_reused=is_reused,
    )


def _train_epochs(
    engine: engines.Engine,
    config: RunConfig,
    dataset: Dataset,
    on_epoch: Callable[[Epoch], None],
) -> tuple[list[Epoch], float]:
    """Returns the epochs, and the seconds that their evaluations took."""
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
            else engines.score(engine.predict(dataset.validation.images), dataset.validation.labels)
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
        _check_finite(engine.weights(), epoch)
    return epochs, eval_seconds


@cache
def kept_programs() -> engines.Programs:
    """Returns what this process keeps of compiled programs and data, for all runs of a sweep."""
    return engines.Programs(PROGRAMS_BYTES)


def start_device() -> str:
    """Starts TensorFlow's devices and returns the kind that trains: `CPU` or `GPU`."""
    return str(tf.config.list_logical_devices()[-1].device_type)


def forget_models() -> None:
    """Drops what Keras keeps of the models of this process, which then are garbage.

    Compiled programs that are kept stay as they are.
    """
    keras.backend.clear_session(free_memory=False)


def epoch_order(seed: int, epoch: int, rows: int) -> NDArray[np.int32]:
    """Returns the order in which an epoch visits the training rows: (rows,) a permutation.

    It depends on nothing but its arguments, so every engine and every style sees the same data.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


@contextmanager
def _engine(
    model: keras.Model, config: RunConfig, dataset: Dataset, programs: engines.Programs
) -> Iterator[tuple[engines.Engine, bool]]:
    """Gives the engine, and whether its program is reused; then the model holds the result."""
    optimizer = make_optimizer(config.optimizer)
    images, labels = dataset.train.images, dataset.train.labels
    batch_size = config.train.batch_size
    if config.train.engine is not EngineName.compiled:
        tuned = config.train.engine is EngineName.fit_tuned
        yield engines.FitEngine(model, optimizer, images, labels, batch_size, tuned=tuned), False
        return
    evaluated = [split.images for split in (dataset.validation, dataset.test) if split is not None]
    key = _compiled_in(config, len(labels), *map(len, evaluated))
    kept = programs.take(key)
    # With a model of its own, so that the next run does not change the result of this one.
    program = kept or engines.Program(
        models.build(config.model, config.seed),
        make_optimizer(config.optimizer),
        len(labels),
        batch_size,
    )
    model = engines.make_ready(model, optimizer)
    yield (
        engines.CompiledEngine(program, model, images, labels, evaluated, programs.on_device),
        kept is not None,
    )
    # Not reached after an error: a program that was interrupted is not kept.
    program.unload(model)
    programs.keep(key, program)


def _compiled_in(config: RunConfig, *rows: int) -> str:
    """Returns what a program depends on: all but seed, data and the optimizer's learning rate.

    These are variables and arguments of the program; every other setting of the optimizer is a
    constant in it. The style is part of it, though all four come to the same arithmetic: a run with
    another style's program could not show that its own gives the same curve, which is what a
    comparison of styles is there to check.
    """
    optimizer = replace(config.optimizer, learning_rate=1.0)
    return repr((config.model, optimizer, config.train.batch_size, rows))


def _check_finite(weights: list[NDArray[np.float32]], epoch: Epoch) -> None:
    # XLA's fast min and max may turn NaN weights into a finite loss, so the weights are looked at
    # too.
    if not np.isfinite(epoch.train_loss):
        finite = np.isfinite(epoch.step_losses)
        step = "" if finite.all() else f", step {int(finite.argmin()) + 1}"
        raise Diverged(f"the loss became {epoch.train_loss} in epoch {epoch.number}{step}")
    if not all(np.isfinite(weight).all() for weight in weights):
        raise Diverged(f"a weight became NaN or infinite in epoch {epoch.number}")


def _count(weights: list[keras.Variable]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)
