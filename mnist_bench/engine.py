"""Three ways to run an epoch, behind one interface: one XLA program, stock `fit`, and tuned `fit`.

All three train on the same rows in the same order, with Keras's own `train_step`, and report what
Keras
reports: the running mean over an epoch of loss and accuracy. They differ in speed alone.

The compiled epoch is a loop over `train_step` inside one `tf.function(jit_compile=True)`, so that
no step returns to Python and XLA sees all of it. The numbers of steps are arguments of the program:
called with no steps it compiles and leaves every weight as it was, which keeps compilation out of
the first epoch.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

LOSS = "sparse_categorical_crossentropy"
EVALUATION_ROWS = 2_000
"""Rows of one evaluation step: a fat matrix product that still fits for wide layers."""

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

    def evaluate(self, images: Images, labels: Labels) -> tuple[float, float]:
        """Returns mean loss and accuracy (share in [0, 1]) over all rows."""

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Returns probabilities (rows, 10)."""


class CompiledEngine:
    """An epoch is one XLA program."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        images: Images,
        labels: Labels,
        batch_size: int,
    ) -> None:
        model.compile(optimizer=optimizer, loss=LOSS, metrics=["accuracy"])
        self._model = model
        self._batch_size = batch_size
        self._full_steps, self._last_rows = divmod(len(images), batch_size)
        self._images = tf.constant(images)
        self._labels = tf.constant(labels)
        self._epoch = tf.function(self._trace_epoch, jit_compile=True)
        self._forward = tf.function(self._trace_forward, jit_compile=True)

    def prepare(self) -> None:
        """Builds optimizer and metrics, then compiles by running the epoch over no steps."""
        model = self._model
        model.optimizer.build(model.trainable_variables)
        example, label = self._images[:1], self._labels[:1]
        model.compute_metrics(example, label, model(example))
        model.reset_metrics()
        no_order = tf.zeros([len(self._images)], tf.int32)
        none = tf.constant(0)
        self._epoch(self._images, self._labels, no_order, none, none)
        self.predict(np.zeros((1, *self._images.shape[1:]), np.float32))

    def train_epoch(self, order: NDArray[np.int32]) -> TrainMetrics:
        """Runs the program over all full batches and the last, partial one."""
        self._model.reset_metrics()
        full, last = tf.constant(self._full_steps), tf.constant(int(self._last_rows > 0))
        logs = self._epoch(self._images, self._labels, tf.constant(order), full, last)
        losses, accuracies = (
            logs[name].numpy().astype(np.float64) for name in ("loss", "accuracy")
        )
        return TrainMetrics(float(losses[-1]), float(accuracies[-1]), losses)

    def evaluate(self, images: Images, labels: Labels) -> tuple[float, float]:
        """Evaluates in a few large batches, averaged in float64."""
        probabilities = self.predict(images)
        losses = keras.losses.sparse_categorical_crossentropy(labels, probabilities).numpy()
        right = probabilities.argmax(axis=1) == labels
        return float(losses.mean(dtype=np.float64)), float(right.mean())

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Pads the last batch, so that one program serves any number of rows."""
        batches = []
        for start in range(0, len(images), EVALUATION_ROWS):
            batch = images[start : start + EVALUATION_ROWS]
            padding = EVALUATION_ROWS - len(batch)
            if padding:
                batch = np.pad(batch, ((0, padding), (0, 0), (0, 0)))
            batches.append(self._forward(batch).numpy()[: EVALUATION_ROWS - padding])
        return np.concatenate(batches)

    def _trace_epoch(
        self, images: Any, labels: Any, order: Any, full_steps: Any, last_steps: Any
    ) -> dict[str, Any]:
        batch_size, count = self._batch_size, self._full_steps
        total = count + int(self._last_rows > 0)
        logs = {
            name: tf.TensorArray(tf.float32, size=total, element_shape=())
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

        if self._full_steps:
            _, logs = tf.while_loop(lambda step, _: step < full_steps, full_batch, (0, logs))
        if self._last_rows:
            # Of another static shape than the full batches, so it needs a body of its own; a loop
            # of at most one round lets a call over no steps skip it.
            _, logs = tf.while_loop(lambda step, _: step < last_steps, last_batch, (0, logs))
        return {name: array.stack() for name, array in logs.items()}

    def _trace_forward(self, images: Any) -> Any:
        return self._model(images, training=False)


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
        model.compile(optimizer=optimizer, loss=LOSS, metrics=["accuracy"], **options)
        self._model = model
        self._images = images
        self._labels = labels
        self._batch_size = batch_size

    def prepare(self) -> None:
        """Trains a full and a partial batch, then restores every variable.

        `fit` compiles at its first step and offers nothing to compile ahead of it.
        """
        model = self._model
        model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        before = [variable.numpy() for variable in variables]
        rows = len(self._images)
        few = np.arange(
            rows if rows < self._batch_size else self._batch_size + rows % self._batch_size
        )
        self.train_epoch(few.astype(np.int32))
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        self.predict(self._images[:1])
        self.evaluate(self._images[:1], self._labels[:1])

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

    def evaluate(self, images: Images, labels: Labels) -> tuple[float, float]:
        """Calls Keras's `evaluate`."""
        result = self._model.evaluate(
            images, labels, batch_size=EVALUATION_ROWS, verbose=0, return_dict=True
        )
        return result["loss"], result["accuracy"]

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Calls Keras's `predict`."""
        probabilities: NDArray[np.float32] = self._model.predict(
            images, batch_size=EVALUATION_ROWS, verbose=0
        )
        return probabilities
