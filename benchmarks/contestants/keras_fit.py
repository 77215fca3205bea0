"""Keras's `fit` as a plain script writes it: `keras_fit FOLDER [--tuned]`.

Tuned means `jit_compile=True` and an epoch as one call (`steps_per_execution`). `fit` shuffles by
itself, in an order that nobody else can follow; so that the work is the same, the rows are put in
order before the clock starts, and `fit(shuffle=False)` is called once an epoch.
"""

import sys
import time

import keras

from benchmarks.contestants import work


def main() -> None:
    given = work.read(work.folder())
    steps = -(-len(given.images) // given.batch_size)
    tuned = {"jit_compile": True, "steps_per_execution": steps} if "--tuned" in sys.argv else {}
    widths = [len(bias) for bias in given.weights[1::2]]
    model = keras.Sequential(
        [
            keras.Input((given.images.shape[1],)),
            *(keras.layers.Dense(width, activation="relu") for width in widths[:-1]),
            keras.layers.Dense(widths[-1], activation="softmax"),
        ]
    )
    model.set_weights(given.weights)
    model.compile(
        optimizer=given.optimizer,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **tuned,
    )

    seconds, losses = [], []
    for order in given.orders:
        images, labels = given.images[order], given.labels[order]
        began = time.perf_counter()
        history = model.fit(
            images, labels, epochs=1, batch_size=given.batch_size, shuffle=False, verbose=0
        )
        seconds.append(time.perf_counter() - began)
        losses.append(history.history["loss"][0])
    _, accuracy = model.evaluate(given.test_images, given.test_labels, batch_size=2000, verbose=0)
    work.hand_back(seconds, losses, accuracy)


if __name__ == "__main__":
    main()
