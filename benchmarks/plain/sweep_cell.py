"""One run of the default sweep as a plain script; its arguments: width, optimizer, batch size."""

import sys
from pathlib import Path

import numpy as np
from tensorflow import keras

MNIST = Path(__file__).parents[2] / "mnist_bench" / "resources" / "mnist.npz"
width, optimizer, batch_size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

with np.load(MNIST) as mnist:
    x_train, y_train = mnist["x_train"].astype("float32") / 255, mnist["y_train"]
    x_test, y_test = mnist["x_test"].astype("float32") / 255, mnist["y_test"]

model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(width, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(
    x_train[:-10000],
    y_train[:-10000],
    epochs=5,
    batch_size=batch_size,
    validation_data=(x_train[-10000:], y_train[-10000:]),
    verbose=2,
)
print("test accuracy:", model.evaluate(x_test, y_test, verbose=0)[1])
