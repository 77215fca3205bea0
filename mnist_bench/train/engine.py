"""Three ways to run an epoch, behind one interface: one XLA program, stock `fit`, and tuned `fit`.

All three train on the same rows in the same order, with Keras's own `train_step`, and report what
Keras reports: the running mean over an epoch of loss and accuracy. They differ in speed alone.

The compiled epoch is a loop over `train_step` inside one `tf.function(jit_compile=True)`, so that
no step returns to Python and XLA sees all of it. First and last step are arguments of the program:
called with no steps it compiles and leaves every weight as it was, which keeps compilation out of
the first epoch.

Compiling takes longer than training a small network, so a `Program` outlives its run: `Programs`
keeps the last ones for the runs of this process that differ in seed or data alone.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mnist_bench.train.models import CLASSES

LOSS = "sparse_categorical_crossentropy"
EVALUATION_ROWS = 2_000
"""Rows of one evaluation step: a fat matrix product whose result stays in the caches."""

SLICE_SECONDS = 1.0
"""How long a program runs until Python has a look at signals, about."""

PROGRAM_BYTES = 12_000_000
"""What a compiled program takes besides its variables, about."""

Images = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TrainMetrics:
    """What one epoch of training gave.

    Attributes:
        loss: Mean loss over the epoch's examples, each taken before its own step.
        accuracy: Share of those examples that were right, in [0, 1].
        step_losses: (steps,) float64, the mean loss over the epoch's examples up to each step;
            empty where the engine does not return to Python without cost at each step (`fit`).
    """

    loss: float
    accuracy: float
    step_losses: NDArray[np.float64]


class Engine(Protocol):
    """Trains and evaluates one compiled Keras model on one set of images."""

    def prepare(self) -> None:
        """Compiles all programs; weights and optimizer state are the same before and after."""

    def train_epoch(self, order: NDArray[np.int32]) -> TrainMetrics:
        """Trains one epoch and returns when the device is done.

        Args:
            order: (rows,) a permutation of the rows of the training images.
        """

    def weights(self) -> list[NDArray[np.float32]]:
        """Returns the weights as they are now."""

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Returns probabilities (rows, 10)."""


class Program:
    """An epoch and the evaluation of one network as XLA programs, for any weights and images.

    The compiled code reads and writes the variables of a model of its own, and takes everything
    else as arguments: images, labels, their order, first and last step. So it serves every run
    that has this network, optimizer, batch size and numbers of rows; after `load` it computes the
    same bits as a program that was compiled for that run.
    """

    def __init__(
        self, model: keras.Model, optimizer: keras.Optimizer, rows: int, batch_size: int
    ) -> None:
        self._model = make_ready(model, optimizer)
        self._batch_size = batch_size
        self._full_steps = rows // batch_size
        self._steps = -(-rows // batch_size)
        self._slice_steps = 1
        # As functions of their own: of many programs of one method TensorFlow says, at length, that
        # it were traced again and again.
        epoch, evaluation = partial(self._trace_epoch), partial(self._trace_evaluation)
        self._epoch = tf.function(epoch, jit_compile=True, autograph=False)
        self._evaluation = tf.function(evaluation, jit_compile=True, autograph=False)
        self._is_compiled = False

    def compile(self, images: Any, labels: Any, evaluated: Iterable[Any]) -> None:
        """Compiles everything by running over no steps, the first time that it is called.

        Args:
            images: To train on.
            labels: Likewise.
            evaluated: Images to predict, a tensor for each number of rows that will come.
        """
        if self._is_compiled:
            return
        self._model.compute_metrics(images[:1], labels[:1], self._model(images[:1]))
        self._model.reset_metrics()
        no_order, none = tf.zeros([len(images)], tf.int32), tf.constant(0)
        self._epoch(images, labels, no_order, none, none)
        for each in evaluated:
            self._evaluation(each, none)
        self._is_compiled = True

    def load(self, model: keras.Model) -> None:
        """Takes over weights and optimizer state of a ready model of the same network."""
        _copy_state(model, self._model)

    def unload(self, model: keras.Model) -> None:
        """Gives weights and optimizer state to a ready model of the same network."""
        _copy_state(self._model, model)

    def variable_bytes(self) -> int:
        """Returns what the variables of model and optimizer take."""
        return sum(
            int(np.prod(variable.shape)) * np.dtype(variable.dtype).itemsize
            for variable in _trained_state(self._model)
        )

    def weights(self) -> list[NDArray[np.float32]]:
        """Returns the weights as they are now."""
        weights: list[NDArray[np.float32]] = self._model.get_weights()
        return weights

    def train_epoch(self, images: Any, labels: Any, order: NDArray[np.int32]) -> TrainMetrics:
        """Runs over all full batches and the last, partial one, in slices of about a second.

        Between two of them Python sees to signals; the metrics' variables carry on their sums.
        """
        self._model.reset_metrics()
        on_device = tf.constant(order)
        losses, accuracies = np.empty(self._steps), np.empty(self._steps)
        start = 0
        while start < self._steps:
            stop = min(start + self._slice_steps, self._steps)
            began = time.perf_counter()
            logs = self._epoch(images, labels, on_device, tf.constant(start), tf.constant(stop))
            # Losses and weights come out of one program: once the losses are here, all is done.
            losses[start:stop] = logs["loss"].numpy()[start:stop]
            accuracies[start:stop] = logs["accuracy"].numpy()[start:stop]
            seconds = time.perf_counter() - began
            self._slice_steps = max(1, int((stop - start) * SLICE_SECONDS / seconds))
            start = stop
        return TrainMetrics(float(losses[-1]), float(accuracies[-1]), losses)

    def predict(self, images: Any) -> NDArray[np.float32]:
        """Returns probabilities (rows, 10) of images on the device."""
        full_batches = len(images) // EVALUATION_ROWS
        probabilities: NDArray[np.float32] = self._evaluation(
            images, tf.constant(full_batches)
        ).numpy()
        return probabilities

    def _trace_epoch(
        self, images: Any, labels: Any, order: Any, start: Any, stop: Any
    ) -> dict[str, Any]:
        """Trains the steps from `start` up to `stop`; the logs of all others are undefined."""
        batch_size, count = self._batch_size, self._full_steps
        logs = {
            name: tf.TensorArray(tf.float32, size=self._steps, element_shape=())
            for name in ("loss", "accuracy")
        }

        def train(step: Any, rows: Any, logs: dict[str, Any]) -> dict[str, Any]:
            result = self._model.train_step((tf.gather(images, rows), tf.gather(labels, rows)))
            return {name: array.write(step, result[name]) for name, array in logs.items()}

        def full_batch(step: Any, logs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            rows = tf.slice(order, [step * batch_size], [batch_size])
            return step + 1, train(step, rows, logs)

        def last_batch(step: Any, logs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return step + 1, train(count, order[count * batch_size :], logs)

        if count:
            full_stop = tf.minimum(stop, count)
            _, logs = tf.while_loop(lambda step, _: step < full_stop, full_batch, (start, logs))
        if self._steps > count:
            # Of another static shape than the full batches, so it needs a body of its own; a loop
            # of at most one round lets a call that ends before skip it.
            start = tf.maximum(start, count)
            _, logs = tf.while_loop(lambda step, _: step < stop, last_batch, (start, logs))
        return {name: array.stack() for name, array in logs.items()}

    def _trace_evaluation(self, images: Any, full_batches: Any) -> Any:
        """Predicts so many full batches, and the rest; what is left out of both is undefined."""
        rows, *pixels = images.shape
        full_rows = rows - rows % EVALUATION_ROWS
        parts = []

        def predict(number: Any, batches: Any) -> tuple[Any, Any]:
            start = [number * EVALUATION_ROWS, *(0 for _ in pixels)]
            batch = tf.slice(images, start, [EVALUATION_ROWS, *pixels])
            return number + 1, batches.write(number, self._model(batch, training=False))

        if full_rows:
            batches = tf.TensorArray(
                tf.float32,
                size=full_rows // EVALUATION_ROWS,
                element_shape=(EVALUATION_ROWS, CLASSES),
            )
            _, batches = tf.while_loop(
                lambda number, _: number < full_batches, predict, (tf.constant(0), batches)
            )
            parts.append(tf.reshape(batches.stack(), [full_rows, CLASSES]))
        if rows > full_rows:
            parts.append(self._model(images[full_rows:], training=False))
        return tf.concat(parts, axis=0)


class OnDevice:
    """Arrays as tensors, each put on the device once.

    Equal arrays are not enough, it has to be the same ones; nobody may write to them.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[NDArray[Any], Any]] = {}

    def hold(self, *arrays: NDArray[Any]) -> None:
        """Puts these on the device, unless they are there, and drops all others before."""
        wanted = {id(array): array for array in arrays}
        self._held = {key: held for key, held in self._held.items() if key in wanted}
        for key, array in wanted.items():
            if key not in self._held:
                self._held[key] = array, tf.constant(array)

    def tensor(self, array: NDArray[Any]) -> Any:
        """Returns an array that is held, or any other after putting it there for this once."""
        return self._held[id(array)][1] if id(array) in self._held else tf.constant(array)


class CompiledEngine:
    """An epoch is one XLA program.

    Args:
        program: Of the network and the number of rows; nobody else may run it meanwhile.
        model: Ready; its weights and optimizer state are where the training starts.
        images: To train on.
        labels: Likewise.
        evaluated: Images to predict later; others compile when they are predicted.
        on_device: Where all of these are put and stay.
    """

    def __init__(
        self,
        program: Program,
        model: keras.Model,
        images: Images,
        labels: Labels,
        evaluated: Sequence[Images],
        on_device: OnDevice,
    ) -> None:
        on_device.hold(images, labels, *evaluated)
        self._program = program
        self._model = model
        self._images = on_device.tensor(images)
        self._labels = on_device.tensor(labels)
        self._evaluated = evaluated
        self._on_device = on_device

    def prepare(self) -> None:
        """Compiles the program, if it is not, and gives it the model's weights."""
        evaluated = map(self._on_device.tensor, self._evaluated)
        self._program.compile(self._images, self._labels, evaluated)
        self._program.load(self._model)

    def train_epoch(self, order: NDArray[np.int32]) -> TrainMetrics:
        """Runs the program once."""
        return self._program.train_epoch(self._images, self._labels, order)

    def weights(self) -> list[NDArray[np.float32]]:
        """Returns the program's."""
        return self._program.weights()

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Runs the program's evaluation."""
        return self._program.predict(self._on_device.tensor(images))


class FitEngine:
    """Keras's own `fit`, one call an epoch so that the order of the rows is ours.

    (`fit(shuffle=True)` repeats one permutation in every epoch after `set_random_seed`.)
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        images: Images,
        labels: Labels,
        batch_size: int,
        *,
        tuned: bool,
    ) -> None:
        steps = -(-len(images) // batch_size)
        options: dict[str, Any] = (
            {"jit_compile": True, "steps_per_execution": steps} if tuned else {}
        )
        self._model = make_ready(model, optimizer, **options)
        self._images = images
        self._labels = labels
        self._batch_size = batch_size

    def prepare(self) -> None:
        """Trains a full and a partial batch, then restores every variable.

        `fit` compiles at its first step and offers nothing to compile ahead of it.
        """
        variables = _trained_state(self._model)
        before = [variable.numpy() for variable in variables]
        rows = len(self._images)
        few = np.arange(
            rows if rows < self._batch_size else self._batch_size + rows % self._batch_size
        )
        self.train_epoch(few.astype(np.int32))
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        self.predict(self._images[:1])

    def train_epoch(self, order: NDArray[np.int32]) -> TrainMetrics:
        """Calls `fit` on the rows in this order."""
        history = self._model.fit(
            self._images[order],
            self._labels[order],
            batch_size=self._batch_size,
            shuffle=False,
            verbose=0,
        ).history
        return TrainMetrics(history["loss"][0], history["accuracy"][0], np.empty(0))

    def weights(self) -> list[NDArray[np.float32]]:
        """Returns the model's."""
        weights: list[NDArray[np.float32]] = self._model.get_weights()
        return weights

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Calls Keras's `predict`."""
        probabilities: NDArray[np.float32] = self._model.predict(
            images, batch_size=EVALUATION_ROWS, verbose=0
        )
        return probabilities


class Programs:
    """What a process keeps for its next runs: the first programs that fit, and the last used data.

    A sweep goes through its cells in a cycle, seeds outermost: what was not used for the longest
    time is what comes next, so a newcomer is what to drop.

    Args:
        limit_bytes: Of memory that all programs may take.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: dict[str, Program] = {}
        self.on_device = OnDevice()

    def count(self) -> int:
        """Returns how many programs are kept."""
        return len(self._kept)

    def take(self, key: str) -> Program | None:
        """Returns a kept program, which is kept no longer; None if there is none.

        Whoever takes one keeps it again when the run went well, so that one that was interrupted
        is gone.
        """
        return self._kept.pop(key, None)

    def keep(self, key: str, program: Program) -> None:
        """Keeps a program if there is room for it."""
        size = sum(map(_kept_bytes, [*self._kept.values(), program]))
        if size <= self._limit_bytes:
            self._kept[key] = program


def _kept_bytes(program: Program) -> int:
    return PROGRAM_BYTES + program.variable_bytes()


def make_ready(model: keras.Model, optimizer: keras.Optimizer, **options: Any) -> keras.Model:
    """Returns the model with loss, metrics and an optimizer that has all its variables."""
    model.compile(optimizer=optimizer, loss=LOSS, metrics=["accuracy"], **options)
    optimizer.build(model.trainable_variables)
    return model


def score(probabilities: NDArray[np.float32], labels: Labels) -> tuple[float, float]:
    """Returns mean loss and accuracy (share in [0, 1]) over all rows, averaged in float64."""
    losses = keras.losses.sparse_categorical_crossentropy(labels, probabilities).numpy()
    right = probabilities.argmax(axis=1) == labels
    return float(losses.mean(dtype=np.float64)), float(right.mean())


def _trained_state(model: keras.Model) -> list[keras.Variable]:
    """Returns all that training changes, but for the metrics."""
    return [*model.weights, *model.optimizer.variables]


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    for theirs, own in zip(_trained_state(source), _trained_state(target), strict=True):
        own.assign(theirs)
